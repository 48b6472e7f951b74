"""A session of a browser is over, or another one, as immediately as a token; and second factors on pages."""

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.contrib.sessions.models import Session as Stored
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.browser.store import prune_stored
from identity.members.models import Membership
from identity.sessions.models import RefreshFamily, Session
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.registry.sign_in_policy import SignInPolicy
from tests.browsing import COOKIE, MEMBER, Browser, expire_claims, is_signed_in, stored
from tests.conftest import ACME, GLOBEX, Call


def acme() -> Tenant:
    tenant: Tenant = Tenant.objects.get(slug="acme")
    return tenant


def membership(email: str = MEMBER) -> Any:
    return Membership.objects.filter(tenant__slug="acme", user__email=email)


# --- As immediate as a token ------------------------------------------------------------------------------------------


def test_a_member_who_is_removed_is_out_on_the_next_request(signed_in: Browser) -> None:
    membership().delete()

    assert not is_signed_in(signed_in)


def test_a_member_who_is_suspended_is_out_on_the_next_request(signed_in: Browser) -> None:
    membership().update(status="suspended", version=1)

    assert not is_signed_in(signed_in)


def test_a_session_that_is_ended_elsewhere_is_over_on_the_next_request(signed_in: Browser, call: Call) -> None:
    Session.objects.filter(user__email=MEMBER).update(ended_at=timezone.now())

    assert not is_signed_in(signed_in)
    assert signed_in.get("/account").status_code == 302


def test_an_account_that_is_closed_is_out_on_the_next_request(signed_in: Browser) -> None:
    User.objects.filter(email=MEMBER).update(is_active=False)

    assert not is_signed_in(signed_in)


def test_a_password_that_changes_ends_it(signed_in: Browser) -> None:
    person = User.objects.get(email=MEMBER)
    accounts.change_password(
        user_id=person.pk, current=PASSWORD, new="another lantern gravel teapot", keep_session=None
    )

    assert not is_signed_in(signed_in)


def test_a_tenant_that_is_suspended_is_closed_on_the_next_request(signed_in: Browser) -> None:
    Tenant.objects.filter(slug="acme").update(status="suspended")
    closed = signed_in.get("/account").status_code
    Tenant.objects.filter(slug="acme").update(status="active")

    assert closed != 200
    assert is_signed_in(signed_in), "and opens again with the same session"


def test_a_role_that_changes_is_felt_on_the_next_request(signed_in: Browser) -> None:
    membership().update(role="viewer", version=77)
    page = signed_in.get("/account")

    assert page.status_code == 200
    assert "viewer" in page.content.decode()
    assert signed_in.session["sign_in"]["claims"]["ver"] == 77, "and kept"


def test_what_a_tenant_asks_of_sign_ins_is_asked_of_sessions(signed_in: Browser) -> None:
    registry.set_sign_in_policy(tenant_id=acme().pk, policy=SignInPolicy(ways=frozenset({"passkey"})))
    answer = signed_in.get("/account")
    again = signed_in.sign_in()

    assert answer.status_code != 200
    assert again.status_code == 403
    assert "does not allow this way" in again.content.decode()


def test_the_address_is_asked_about_whenever_claims_are_renewed(signed_in: Browser) -> None:
    registry.set_sign_in_policy(tenant_id=acme().pk, policy=SignInPolicy(address_ranges=("127.0.0.0/8",)))
    assert is_signed_in(signed_in)
    expire_claims(signed_in)

    assert signed_in.get("/account", REMOTE_ADDR="198.51.100.7").status_code != 200
    assert is_signed_in(signed_in)


def test_claims_are_renewed_when_they_are_over(signed_in: Browser) -> None:
    expire_claims(signed_in)

    assert is_signed_in(signed_in)
    assert signed_in.session["sign_in"]["claims"]["exp"] > 1


def test_many_renewals_at_about_the_same_time_end_nothing(signed_in: Browser) -> None:
    """Whoever writes an older session back has lost nothing: no refresh token is kept in it."""
    before = stored(signed_in).session_data
    for _ in range(3):
        expire_claims(signed_in)
        assert is_signed_in(signed_in)
    row = stored(signed_in)
    row.session_data = before
    row.save()
    expire_claims(signed_in)

    assert is_signed_in(signed_in)


def test_a_session_that_nobody_uses_ends(signed_in: Browser) -> None:
    RefreshFamily.objects.filter(session__user__email=MEMBER).update(idle_expires_at=timezone.now())
    expire_claims(signed_in)

    assert not is_signed_in(signed_in)


def test_what_is_over_is_deleted(signed_in: Browser) -> None:
    assert prune_stored(limit=10) == 0
    Stored.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert not is_signed_in(signed_in)
    assert prune_stored(limit=10) >= 1


def test_every_session_ends_in_the_end(signed_in: Browser) -> None:
    Session.objects.filter(user__email=MEMBER).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert not is_signed_in(signed_in)


def test_the_cookie_of_one_tenant_is_nothing_on_anothers_host(db: None) -> None:
    at_acme, at_globex = Browser(ACME), Browser(GLOBEX)
    at_acme.sign_in("both@people.test")
    at_globex.cookies[COOKIE] = at_acme.key

    assert at_globex.get("/account").status_code != 200
    assert "Acme" in at_acme.get("/account").content.decode()


# --- Second factors ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asks_for_two(db: None) -> None:
    """The tenant asks for two factors, and the member has one so far."""
    registry.set_sign_in_policy(tenant_id=acme().pk, policy=SignInPolicy(require_second_factor=True))
    User.objects.filter(email=MEMBER).update(email_verified_at=timezone.now())


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


@pytest.mark.usefixtures("asks_for_two")
def test_a_tenant_that_asks_for_a_second_factor_has_one_set_up(browser: Browser) -> None:
    asked = browser.sign_in(next="/account").content.decode()
    fields = hidden(asked)
    assert not is_signed_in(browser)

    app = pyotp.TOTP(fields["key"])
    wrong = browser.send("/sign-in", **fields | {"code": "000000"})
    assert wrong.status_code == 401
    right = browser.send("/sign-in", **fields | {"code": app.now()})
    codes = re.findall(r"<li><code>([^<]+)</code>", right.content.decode())

    assert right.status_code == 200
    assert len(codes) >= 8
    assert is_signed_in(browser)
    assert "mfa" in Session.objects.filter(user__email=MEMBER).latest("authenticated_at").methods

    browser.send("/sign-out")
    again = hidden(browser.sign_in(next="/account").content.decode())
    done = browser.send("/sign-in", **again | {"recovery_code": codes[0]})
    assert (done.status_code, done["Location"]) == (302, "/account")
    assert is_signed_in(browser)


@pytest.mark.usefixtures("asks_for_two")
def test_a_challenge_alone_signs_nobody_in(browser: Browser) -> None:
    fields = hidden(browser.sign_in().content.decode())
    other = Browser()

    assert other.send("/sign-in", challenge=fields["challenge"], code="123456").status_code == 401
    assert other.post("/sign-in", fields | {"code": "123456"}).status_code == 403, "without the browser's own token"
    assert not is_signed_in(other)
