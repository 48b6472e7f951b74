"""Many at once: a link is good once, and what comes with it is whole or not there. Real connections, real commits."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from identity.accounts import links, services
from identity.accounts.models import MailedLink, Purpose, User
from identity.accounts.signals import email_verified
from identity.mail.models import OutgoingMail
from identity.sessions.models import Session
from tenants.context.ownership import current_alias
from tenants.registry.errors import SlugTaken
from tenants.registry.models import Tenant
from tests.committed import remove
from tests.conftest import API_HOST
from tests.test_races import at_once, post

EMAIL = "crowd@people.test"
PASSWORD = "lantern gravel teapot"
CROWD = 20


@pytest.fixture(autouse=True)
def account(unwrapped: None, settings: Any) -> Iterator[None]:
    """Nothing is left of whoever registers here, nor of their tenants."""
    settings.EMAIL_VERIFICATION = "required"
    yield
    for tenant in Tenant.objects.filter(slug__startswith="crowd-"):
        remove(tenant)
    User.objects.filter(email__endswith="@people.test").exclude(email="both@people.test").delete()
    OutgoingMail.objects.all().delete()


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """Which proofs were announced, and on which connection."""
    heard: list[Any] = []

    def hear(*, wanted_tenant: Any, **signal: Any) -> None:
        heard.append((wanted_tenant, current_alias()))

    email_verified.connect(hear)
    yield heard
    email_verified.disconnect(hear)


def register(**more: Any) -> str:
    """Register, and return the token that is to be mailed."""
    body = {"email": EMAIL, "password": PASSWORD, **more}
    assert post("/api/v1/auth/register", body).status_code == 201
    return newest_token()


def newest_token() -> str:
    return links.token_of(MailedLink.objects.get(pk=OutgoingMail.objects.latest("created_at").context["link"]))


def prove(token: str, **more: Any) -> Any:
    return post("/api/v1/auth/email/verify", {"token": token, **more})


def reset(token: str, password: str) -> Any:
    return post("/api/v1/auth/password/reset", {"token": token, "new_password": password})


def signs_in(password: str) -> bool:
    return bool(post("/api/v1/auth/login", {"email": EMAIL, "password": password}).status_code == 200)


def codes(answers: list[Any]) -> list[str]:
    """What was answered, the successes first."""
    return sorted("" if answer.status_code < 300 else answer.json()["code"] for answer in answers)


ONE_WINS = ["", *["invalid_link"] * (CROWD - 1)]


def test_of_many_proofs_by_one_link_one_wins(heard: list[Any]) -> None:
    token = register()
    assert codes(at_once([lambda: prove(token)] * CROWD)) == ONE_WINS
    assert heard == [(None, "default")]
    assert signs_in(PASSWORD)


def test_of_many_proofs_by_different_links_one_wins(heard: list[Any]) -> None:
    """And none waits for another one for good."""
    passwords = [f"{PASSWORD} {number}" for number in range(CROWD)]
    tokens = [register(password=password) for password in passwords]
    answers = at_once([lambda token=token: prove(token) for token in tokens])
    assert codes(answers) == ONE_WINS
    assert len(heard) == 1
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 200)
    assert [password for password in passwords if signs_in(password)] == [passwords[winner]]


def test_of_many_resets_by_one_link_one_wins() -> None:
    services.create_user(email=EMAIL, password=PASSWORD)
    assert signs_in(PASSWORD)
    post("/api/v1/auth/password/forgot", {"email": EMAIL})
    token = newest_token()
    passwords = [f"{PASSWORD} {number}" for number in range(CROWD)]
    answers = at_once([lambda password=password: reset(token, password) for password in passwords])
    assert codes(answers) == ONE_WINS
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 204)
    assert not Session.objects.filter(user__email=EMAIL, ended_at=None).exists()
    assert [password for password in (PASSWORD, *passwords) if signs_in(password)] == [passwords[winner]]


def test_links_for_everything_at_once_leave_one_winner_and_no_deadlock() -> None:
    """Resets, a change of address and of the password, all of one account."""
    user = services.create_user(email=EMAIL, password=PASSWORD)
    made = [links.create_link(user=user, email=EMAIL, purpose=Purpose.RESET) for _ in range(10)]
    changes = [links.create_link(user=user, email=f"{n}@people.test", purpose=Purpose.CHANGE) for n in range(10)]
    jobs = [lambda link=link: reset(links.token_of(link), f"{PASSWORD} new") for link in made]
    jobs += [lambda link=link: prove(links.token_of(link)) for link in changes]
    assert codes(at_once(jobs)) == ["", *["invalid_link"] * 19]


def test_many_registrations_at_once_are_one_account_and_a_mail_each() -> None:
    body = {"email": EMAIL, "password": PASSWORD}
    answers = at_once([lambda: post("/api/v1/auth/register", body)] * CROWD)
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, b'{"email":"crowd@people.test"}')}
    assert User.objects.filter(email=EMAIL).count() == 1
    assert OutgoingMail.objects.filter(recipient=EMAIL, template="confirm").count() == CROWD


def test_a_sign_in_that_races_with_a_reset_does_not_outlive_it() -> None:
    services.create_user(email=EMAIL, password=PASSWORD)
    body = {"email": EMAIL, "password": PASSWORD}
    for number in range(5):
        post("/api/v1/auth/password/forgot", {"email": EMAIL})
        token, new = newest_token(), f"{PASSWORD} {number}"
        job = lambda new=new, token=token: reset(token, new)  # noqa: E731 -- one of several
        at_once([job, *[lambda body=body: post("/api/v1/auth/login", body)] * 6])
        assert not Session.objects.filter(user__email=EMAIL, ended_at=None).exists()
        body = {"email": EMAIL, "password": new}


# --- With a tenant: on the owner's connection, all of it --------------------------------------------------------------


def test_the_wanted_tenant_comes_with_the_proof_or_nothing_does(heard: list[Any]) -> None:
    """Taken at first, then under another slug; the link is good until it has worked."""
    token = register(tenant={"name": "Crowd", "slug": "crowd-one"})

    def refuse(*, wanted_tenant: Any, **signal: Any) -> None:
        if wanted_tenant["slug"] == "crowd-one":
            raise SlugTaken

    email_verified.connect(refuse)
    try:
        refused = prove(token)
        assert (refused.status_code, refused.json()["code"]) == (409, "slug_taken")
        assert not signs_in(PASSWORD)
        proved = prove(token, tenant={"name": "Crowd", "slug": "crowd-two"})
    finally:
        email_verified.disconnect(refuse)
    assert (proved.status_code, proved.json()) == (200, {"email": EMAIL, "tenant": "crowd-two"})
    assert heard[-1] == ({"name": "Crowd", "slug": "crowd-two"}, "owner")
    assert signs_in(PASSWORD)
    assert [tenant.slug for tenant in Tenant.objects.filter(slug__startswith="crowd-")] == ["crowd-two"]
    assert prove(token).json()["code"] == "invalid_link"


def test_many_proofs_with_a_tenant_make_one(heard: list[Any]) -> None:
    token = register(tenant={"name": "Crowd", "slug": "crowd-three"})
    answers = at_once([lambda: prove(token)] * 8)
    assert codes(answers) == ["", *["invalid_link"] * 7]
    assert heard == [({"name": "Crowd", "slug": "crowd-three"}, "owner")]


def test_the_owners_connection_is_not_needed_without_a_tenant() -> None:
    token, settings_dict = register(), connections["owner"].settings_dict
    user = settings_dict["USER"]
    connections["owner"].close()
    settings_dict["USER"] = ""
    try:
        assert prove(token).status_code == 200
    finally:
        settings_dict["USER"] = user


def test_an_account_that_is_deleted_while_it_signs_in_leaves_no_session() -> None:
    user = services.create_user(email=EMAIL, password=PASSWORD)
    body = {"email": EMAIL, "password": PASSWORD}
    jobs = [lambda: services.delete_account(user_id=user.pk), *[lambda: post("/api/v1/auth/login", body)] * 6]
    answers = at_once(jobs)[1:]
    assert {answer.status_code for answer in answers} <= {200, 401}
    assert not Session.objects.filter(user_id=user.pk).exists()
    assert post("/api/v1/auth/login", body, host=API_HOST).status_code == 401
