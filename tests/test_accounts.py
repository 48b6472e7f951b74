"""Registering, and proving that an address is one's own."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import registration, services
from identity.accounts.hashers import OwaspArgon2PasswordHasher
from identity.accounts.links import prune_links
from identity.accounts.models import MailedLink, Purpose, User
from identity.accounts.signals import email_verified
from identity.mail.models import OutgoingMail
from identity.members.models import Membership
from permissions.roles import Role
from tenants.registry.errors import SlugTaken
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, Call
from tests.mailed import (
    ATTACKER,
    NEW,
    OTHER_PASSWORD,
    OWNER,
    Post,
    events,
    forgotten,
    is_refused,
    login,
    mails_to,
    prove,
    registered,
    token_to,
)

# --- Registering ------------------------------------------------------------------------------------------------------


def test_an_account_begins_when_its_address_is_proved(post: Post, required: None) -> None:
    before = events()
    token = registered(post, NEW | {"locale": "en-GB", "time_zone": "Europe/London"})
    assert mails_to(NEW["email"]) == ["Confirm your address for Tenantry"]
    wrong = login(post, NEW["email"], "not the password")
    for where in ({}, {"host": ACME}):
        unproved = login(post, NEW["email"], NEW["password"], **where)
        assert (unproved.status_code, unproved.json()) == (401, wrong.json())
    proved = prove(post, token)
    assert (proved.status_code, proved.json()) == (200, {"email": NEW["email"], "tenant": None})
    tokens = login(post, NEW["email"], NEW["password"]).json()
    me = post("me", None, method="GET", token=tokens["access_token"]).json()
    expected = {"email": NEW["email"], "name": "Ada", "locale": "en-GB", "time_zone": "Europe/London"}
    assert expected.items() <= me.items()
    assert me["email_verified"] is True
    assert events()[len(before) :] == ["account.registered"]
    assert is_refused(prove(post, token)), "it is good once"


def test_nobody_who_is_not_proved_signs_in_anywhere(post: Post, call: Call, required: None) -> None:
    User.objects.filter(email__in=[OPERATOR_EMAIL, OWNER]).update(email_verified_at=None)
    assert login(post, OWNER, PASSWORD).json()["code"] == "invalid_credentials"
    assert login(post, OWNER, PASSWORD, host=ACME).json()["code"] == "invalid_credentials"
    body = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    response = call("nobody", "POST", "/operator/v1/auth/login", body, host=API_HOST)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")


def test_where_proof_is_optional_it_is_not_waited_for(post: Post) -> None:
    token = registered(post)
    access = login(post, NEW["email"], NEW["password"]).json()["access_token"]
    assert post("me", None, method="GET", token=access).json()["email_verified"] is False
    assert prove(post, token).status_code == 200
    assert post("me", None, method="GET", token=access).json()["email_verified"] is True


@pytest.mark.parametrize("is_active", [True, False], ids=["open", "closed"])
def test_registering_an_address_with_an_account_tells_its_owner_alone(post: Post, is_active: bool) -> None:  # noqa: FBT001
    User.objects.filter(email=OWNER).update(is_active=is_active)
    before = User.objects.values().get(email=OWNER)
    body = NEW | {"email": OWNER.upper()}
    response = post("auth/register", body)
    assert (response.status_code, response.json()) == (201, {"email": OWNER.upper()})
    assert mails_to(OWNER) == ["You have an account with Tenantry"]
    assert User.objects.values().get(email=OWNER) == before
    assert not MailedLink.objects.exclude(user=None, email="", data={}).exists()


@pytest.mark.parametrize(
    ("field", "value", "code", "pointer"),
    [
        ("locale", "en_US", "invalid_locale", "#/locale"),
        ("time_zone", "Mars/Olympus", "invalid_time_zone", "#/time_zone"),
        ("time_zone", "../../etc/passwd", "invalid_time_zone", "#/time_zone"),
        ("tenant", {"name": "A", "slug": "admin"}, "reserved_slug", "#/tenant/slug"),
        ("tenant", {"name": "A", "slug": "A b"}, "invalid_slug", "#/tenant/slug"),
        ("tenant", {"slug": "ada"}, "required", "#/tenant/name"),
        ("tenant", {"name": "A", "slug": "ada", "x": 1}, "unknown_field", "#/tenant/x"),
        ("password", "lantern gravel", "password_too_short", "#/password"),
        ("email_verified", True, "unknown_field", "#/email_verified"),
    ],
)
def test_what_is_wrong_with_a_registration_is_said(post: Post, field: str, value: Any, code: str, pointer: str) -> None:
    response = post("auth/register", NEW | {field: value})
    errors = [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert (response.status_code, errors) == (400, [(pointer, code)])
    assert not User.objects.filter(email=NEW["email"]).exists()


def test_whoever_proves_the_address_gets_the_account_as_they_asked_for_it(post: Post) -> None:
    """A pre-hijacking (Sudhodanan and Paverd 2022): the attacker registers somebody else's address first, signs in
    where that is possible, and waits. They are left with nothing.
    """
    theirs = registered(post, ATTACKER)
    access = login(post, NEW["email"], ATTACKER["password"]).json()
    token = registered(post)
    again = registered(post, ATTACKER)
    assert prove(post, token).status_code == 200
    user = User.objects.get(email=NEW["email"])
    assert user.name == "Ada"
    assert post("me", None, method="GET", token=access["access_token"]).status_code == 401
    assert post("auth/refresh", {"refresh_token": access["refresh_token"]}).status_code == 401
    assert login(post, NEW["email"], ATTACKER["password"]).status_code == 401
    assert login(post, NEW["email"], NEW["password"]).status_code == 200
    assert is_refused(prove(post, theirs))
    assert is_refused(prove(post, again))


def test_a_link_that_came_too_late_takes_over_nothing(post: Post) -> None:
    """A registration that raced with the proof has left an open link to an account that is proved."""
    token = registered(post, ATTACKER)
    User.objects.filter(email=NEW["email"]).update(email_verified_at=timezone.now())
    assert is_refused(prove(post, token))


# --- Asking again -----------------------------------------------------------------------------------------------------


def again(post: Post, address: str) -> list[str]:
    response = post("auth/email/resend", {"email": address})
    assert (response.status_code, response.json()) == (202, {"email": address})
    return mails_to(address)


def test_a_mail_that_was_lost_is_sent_again(post: Post, required: None) -> None:
    registered(post)
    assert again(post, NEW["email"]) == ["Confirm your address for Tenantry"] * 2
    assert prove(post, token_to(NEW["email"])).status_code == 200
    assert login(post, NEW["email"], NEW["password"]).status_code == 200


def test_of_several_registrations_none_is_guessed(post: Post, required: None) -> None:
    """The mail that the owner asks for must not hand over the account with the attacker's password."""
    registered(post)
    registered(post, ATTACKER)
    assert again(post, NEW["email"]) == ["Confirm your address for Tenantry"] * 3
    token = token_to(NEW["email"])
    assert is_refused(prove(post, token))
    body = {"token": token, "new_password": OTHER_PASSWORD}
    assert post("auth/password/reset", body).status_code == 204
    assert login(post, NEW["email"], OTHER_PASSWORD).status_code == 200
    assert login(post, NEW["email"], ATTACKER["password"]).status_code == 401


def test_asking_again_tells_the_owner_how_things_are(post: Post) -> None:
    assert again(post, OWNER) == ["You have an account with Tenantry"]
    assert again(post, "unheard-of@people.test") == ["There is no Tenantry account for this address"]


# --- With a tenant ----------------------------------------------------------------------------------------------------


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What is said of addresses that were proved."""
    heard: list[dict[str, Any]] = []

    def hear(*, user_id: Any, email: str, wanted_tenant: Any, **signal: Any) -> None:
        heard.append({"user_id": user_id, "email": email, "wanted_tenant": wanted_tenant})

    email_verified.connect(hear)
    yield heard
    email_verified.disconnect(hear)


def test_the_first_proof_is_announced_and_no_other(post: Post, heard: list[dict[str, Any]]) -> None:
    prove(post, registered(post))
    user = User.objects.get(email=NEW["email"])
    first = {"user_id": user.pk, "email": NEW["email"], "wanted_tenant": None}
    assert heard == [first]
    token = forgotten(post, NEW["email"])
    post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD})
    services.mark_verified(user_id=user.pk)
    assert heard == [first]


def test_what_a_listener_refuses_has_not_happened(post: Post) -> None:
    token = registered(post)

    def refuse(**signal: Any) -> None:
        raise SlugTaken

    email_verified.connect(refuse)
    try:
        response = prove(post, token)
    finally:
        email_verified.disconnect(refuse)
    assert (response.status_code, response.json()["code"]) == (409, "slug_taken")
    assert User.objects.get(email=NEW["email"]).email_verified_at is None
    assert prove(post, token).status_code == 200


# --- Nothing tells addresses apart ------------------------------------------------------------------------------------


class CountingHasher(OwaspArgon2PasswordHasher):
    """Ours, and how often it was at work."""

    count = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.count += 1
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        CountingHasher.count += 1
        return super().verify(password, encoded)


@pytest.mark.parametrize("path", ["auth/register", "auth/email/resend", "auth/password/forgot", "auth/login"])
def test_every_address_gets_the_same_answer_for_the_same_work(
    post: Post, settings: Any, required: None, path: str
) -> None:
    """Of whatever kind: as many hashes and statements, and one mail."""
    registered(post)
    registered(post, NEW | {"email": "twice@people.test"})
    registered(post, ATTACKER | {"email": "twice@people.test"})
    User.objects.filter(email="member@acme.test").update(is_active=False)
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    seen = set()
    for address in ("unheard-of@people.test", NEW["email"], "twice@people.test", OWNER, "member@acme.test"):
        mails, CountingHasher.count = OutgoingMail.objects.count(), 0
        body = {"email": address} | ({"password": NEW["password"]} if path in {"auth/register", "auth/login"} else {})
        with CaptureQueriesContext(connection) as queries:
            response = post(path, body)
        answer = response.content.replace(address.encode(), b"")
        sql = tuple(query["sql"].split()[0] for query in queries)
        seen.add((response.status_code, answer, CountingHasher.count, sql, OutgoingMail.objects.count() - mails))
    assert len(seen) == 1, seen
    ((_, _, hashes, _, mails),) = seen
    assert (hashes, mails) == (int(path in {"auth/register", "auth/login"}), int(path != "auth/login"))


# --- Proof that comes from elsewhere, and claims that never get any ---------------------------------------------------


def test_a_proof_from_elsewhere_takes_a_claim_over_and_leaves_an_account_alone(post: Post, required: None) -> None:
    theirs = registered(post, ATTACKER)
    for _ in range(2):
        user = registration.claim_proved(email=NEW["email"].upper(), password=NEW["password"], name="Ada")
        assert (user.email, user.name, user.email_verified_at is None) == (NEW["email"], "Ada", False)
    assert login(post, NEW["email"], NEW["password"]).status_code == 200
    assert is_refused(prove(post, theirs))
    before = User.objects.values().get(email=OWNER)
    assert registration.claim_proved(email=OWNER, password=OTHER_PASSWORD, name="X").email == OWNER
    assert User.objects.values().get(email=OWNER) == before
    new = registration.claim_proved(email="new@people.test", password=OTHER_PASSWORD, name="New")
    assert login(post, new.email, OTHER_PASSWORD).status_code == 200


def test_claims_are_pruned_and_nothing_else(db: None) -> None:
    """Not what anybody proved, may still prove, closed, or gave a place."""
    old = timezone.now() - timedelta(days=31)
    names = ("gone", "young", "proved", "closed", "member", "staff", "asked")
    users = {name: services.create_user(email=f"{name}@p.test", password=PASSWORD, verified=False) for name in names}
    User.objects.filter(email__endswith="@p.test").exclude(pk=users["young"].pk).update(created_at=old)
    services.mark_verified(user_id=users["proved"].pk)
    services.set_active(user_id=users["closed"].pk, is_active=False)
    Membership.objects.create(tenant=Tenant.objects.get(slug="acme"), user=users["member"], role=Role.VIEWER)
    User._meta.get_field("operator").related_model.objects.create(user=users["staff"], role="support")
    for name, expires_at in {"gone": old, "asked": timezone.now() + timedelta(hours=1)}.items():
        MailedLink.objects.create(user=users[name], email="x", purpose=Purpose.VERIFY, expires_at=expires_at)
    assert services.prune_unproved(keep=timedelta(days=30), limit=100) == 1
    left = User.objects.filter(email__endswith="@p.test").values_list("email", flat=True)
    assert sorted(left) == sorted(f"{name}@p.test" for name in names if name != "gone")


def test_links_are_pruned_when_nobody_asks_for_them_any_more(post: Post) -> None:
    forgotten(post, OWNER)
    post("auth/password/forgot", {"email": "unheard-of@people.test"})
    keep = timedelta(days=30)
    assert prune_links(keep=keep, limit=10) == 0
    MailedLink.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert prune_links(keep=keep, limit=10) == 1, "that of nobody was never good"
    MailedLink.objects.update(expires_at=timezone.now() - timedelta(days=31))
    assert prune_links(keep=keep, limit=10) == 1
