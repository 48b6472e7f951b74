"""What else works by mail: another password, another address; and what the links are good for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services
from identity.accounts.models import MailedLink, Purpose, User
from tenants.audit.models import AuditEvent
from tests.conftest import API_HOST, CAST, Call, sign_in
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

# --- A forgotten password ---------------------------------------------------------------------------------------------


def test_a_new_password_ends_every_session_of_every_api(post: Post, call: Call) -> None:
    body = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    staff = call("nobody", "POST", "/operator/v1/auth/login", body, host=API_HOST).json()["access_token"]
    access = login(post, OPERATOR_EMAIL, PASSWORD).json()["access_token"]
    other = forgotten(post, OPERATOR_EMAIL)
    token = forgotten(post, OPERATOR_EMAIL)
    before = events()
    response = post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD})
    assert (response.status_code, response.content) == (204, b"")
    assert post("me", None, method="GET", token=access).status_code == 401
    headers = {"HTTP_AUTHORIZATION": f"Bearer {staff}"}
    assert call("nobody", "GET", "/operator/v1/tenants", host=API_HOST, **headers).status_code == 401
    assert login(post, OPERATOR_EMAIL, PASSWORD).status_code == 401
    assert login(post, OPERATOR_EMAIL, OTHER_PASSWORD).status_code == 200
    for used in (token, other):
        assert is_refused(post("auth/password/reset", {"token": used, "new_password": PASSWORD}))
    assert mails_to(OPERATOR_EMAIL)[-1] == "Your Tenantry password was changed"
    assert events()[len(before) :] == ["account.password_reset"]


def test_a_weak_password_uses_nothing_up(post: Post) -> None:
    token = forgotten(post, OWNER)
    response = post("auth/password/reset", {"token": token, "new_password": "aaaaaaaaaaaaaaaaaaaa"})
    errors = response.json()["errors"]
    assert response.status_code == 400
    assert {error["pointer"] for error in errors} == {"#/new_password"}
    assert {error["code"] for error in errors} == {"password_repetitive", "password_sequence"}
    assert post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}).status_code == 204


def test_a_reset_proves_the_address(post: Post, required: None) -> None:
    theirs = registered(post, ATTACKER)
    before = events()
    token = forgotten(post, NEW["email"])
    assert post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}).status_code == 204
    assert login(post, NEW["email"], OTHER_PASSWORD).status_code == 200
    assert is_refused(prove(post, theirs))
    assert events()[len(before) :] == ["account.registered", "account.password_reset"]


def test_an_address_without_an_open_account_is_told_so(post: Post) -> None:
    User.objects.filter(email="member@acme.test").update(is_active=False)
    for address in ("unheard-of@people.test", "member@acme.test"):
        assert post("auth/password/forgot", {"email": address}).status_code == 202
        assert mails_to(address) == ["There is no Tenantry account for this address"]


def test_a_link_of_an_account_that_was_closed_is_no_good(post: Post) -> None:
    token = forgotten(post, OWNER)
    services.set_active(user_id=User.objects.get(email=OWNER).pk, is_active=False)
    assert is_refused(post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}))


def test_changing_the_password_is_told_and_voids_links(post: Post) -> None:
    token, access = forgotten(post, OWNER), sign_in(CAST["acme_owner"])["access_token"]
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    before = events()
    assert post("auth/password/change", body, token=access).status_code == 204
    assert mails_to(OWNER)[-1] == "Your Tenantry password was changed"
    assert is_refused(post("auth/password/reset", {"token": token, "new_password": PASSWORD}))
    assert events()[len(before) :] == ["account.password_changed"]


# --- Another address --------------------------------------------------------------------------------------------------


def change_address(post: Post, new: str, *, password: str = PASSWORD, status: int = 202) -> str:
    """Ask for another address for acme's owner, and return the access token of their session."""
    access = str(sign_in(CAST["acme_owner"])["access_token"])
    response = post("auth/email/change", {"new_email": new, "password": password}, token=access)
    assert response.status_code == status, response.content
    assert status != 202 or response.json() == {"email": new}
    return access


def test_an_address_changes_when_the_new_one_is_proved(post: Post) -> None:
    reset = forgotten(post, OWNER)
    access = change_address(post, "Boss@acme.test")
    other = token_to("boss@acme.test")
    change_address(post, "boss@acme.test")
    assert login(post, "boss@acme.test", PASSWORD).status_code == 401
    assert mails_to(OWNER) == ["Choose a new password for Tenantry"]
    before = events()
    response = prove(post, token_to("boss@acme.test"))
    assert (response.status_code, response.json()) == (200, {"email": "boss@acme.test", "tenant": None})
    assert mails_to(OWNER)[-1] == "The address of your Tenantry account was changed"
    assert post("me", None, method="GET", token=access).json()["email"] == "boss@acme.test"
    assert login(post, OWNER, PASSWORD).status_code == 401
    assert login(post, "boss@acme.test", PASSWORD).status_code == 200
    assert is_refused(prove(post, other))
    assert is_refused(post("auth/password/reset", {"token": reset, "new_password": OTHER_PASSWORD}))
    assert events()[len(before) :] == ["account.email_changed"]
    assert AuditEvent.objects.filter(tenant=None).latest("sequence").changes == {"email": [OWNER, "boss@acme.test"]}


def test_an_address_needs_the_password(post: Post) -> None:
    change_address(post, "boss@acme.test", password="not the password", status=400)
    assert mails_to("boss@acme.test") == []


def test_an_address_that_is_taken_is_told_so_by_mail(post: Post) -> None:
    for address in ("admin@acme.test", OWNER):
        change_address(post, address)
        assert mails_to(address) == ["You have an account with Tenantry"]
    assert not MailedLink.objects.exclude(user=None).exists()


def test_an_address_that_was_taken_meanwhile(post: Post) -> None:
    change_address(post, NEW["email"])
    token = token_to(NEW["email"])
    user = services.create_user(email=NEW["email"], password=OTHER_PASSWORD)
    response = prove(post, token)
    assert (response.status_code, response.json()["code"]) == (409, "email_taken")
    assert User.objects.filter(email=OWNER).exists()
    user.delete()
    assert prove(post, token).status_code == 200


def test_a_password_that_changes_stops_a_hijackers_change_of_address(post: Post) -> None:
    change_address(post, "hijacker@evil.test")
    theirs, token = token_to("hijacker@evil.test"), forgotten(post, OWNER)
    assert post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}).status_code == 204
    assert is_refused(prove(post, theirs))
    assert not MailedLink.objects.filter(used_at=None).exists()


# --- Links ------------------------------------------------------------------------------------------------------------


def test_a_link_is_good_for_its_purpose_alone(post: Post) -> None:
    change_address(post, "boss@acme.test")
    tokens = {
        Purpose.VERIFY: registered(post),
        Purpose.RESET: forgotten(post, OWNER),
        Purpose.CHANGE: token_to("boss@acme.test"),
    }
    for purpose, token in tokens.items():
        if purpose is Purpose.RESET:
            assert is_refused(prove(post, token))
        else:
            assert is_refused(post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}))
        assert post("auth/refresh", {"refresh_token": token}).status_code == 401
        assert post("auth/verify", {"token": token}).status_code == 401
        assert post("me", None, method="GET", token=token).status_code == 401
    refresh = sign_in(CAST["acme_owner"])["refresh_token"]
    assert is_refused(prove(post, refresh))
    assert is_refused(prove(post, refresh.replace("tr_", "tl_")))


def test_a_token_that_was_tampered_with_is_no_good(post: Post) -> None:
    token = forgotten(post, OWNER)
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        body = {"token": changed, "new_password": OTHER_PASSWORD}
        assert is_refused(post("auth/password/reset", body)), place
    for changed in (token + "=", token[3:], f"tl_{token}", token[:-1], token + "A", "tl_", "tl_" + "A" * 70):
        assert is_refused(post("auth/password/reset", {"token": changed, "new_password": OTHER_PASSWORD}))
    assert post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}).status_code == 204


@pytest.mark.parametrize(("purpose", "hours"), [(Purpose.VERIFY, 72), (Purpose.RESET, 1), (Purpose.CHANGE, 24)])
def test_a_link_expires(post: Post, purpose: Purpose, hours: int) -> None:
    if purpose is Purpose.VERIFY:
        token = registered(post)
    elif purpose is Purpose.RESET:
        token = forgotten(post, OWNER)
    else:
        change_address(post, NEW["email"])
        token = token_to(NEW["email"])
    link = MailedLink.objects.get(purpose=purpose)
    left = link.expires_at - timezone.now()
    assert timedelta(hours=hours, minutes=-1) < left <= timedelta(hours=hours)
    MailedLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    body = {"token": token, "new_password": OTHER_PASSWORD}
    assert is_refused(post("auth/password/reset", body) if purpose is Purpose.RESET else prove(post, token))


def test_links_outlive_a_change_of_the_servers_key(post: Post, settings: Any) -> None:
    former = settings.SECRET_KEY
    token, other = forgotten(post, OWNER), forgotten(post, "admin@acme.test")
    settings.SECRET_KEY = "another" * 10
    assert is_refused(post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD}))
    settings.SECRET_KEY_FALLBACKS = [former]
    for mine in (token, other, forgotten(post, "viewer@acme.test")):
        assert post("auth/password/reset", {"token": mine, "new_password": OTHER_PASSWORD}).status_code == 204
