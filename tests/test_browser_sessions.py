"""Signing in with a browser: a session in a cookie is as good as a token, no better, and no other site uses it."""

import re

import pytest
from django.conf import settings as configured
from django.contrib.sessions.models import Session as Stored

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.browser.pages import safe_next
from identity.sessions.models import Session
from tests.browsing import COOKIE, MEMBER, Browser, is_signed_in, stored
from tests.conftest import ACME, API_HOST, GLOBEX

# --- Signing in and out -----------------------------------------------------------------------------------------------


def test_one_signs_in_and_comes_back_to_where_one_was(browser: Browser) -> None:
    away = browser.get("/account")
    answer = browser.sign_in(next="/account")
    page = browser.get("/account")

    assert (away.status_code, away["Location"]) == (302, "/sign-in?next=/account")
    assert (answer.status_code, answer["Location"]) == (302, "/account")
    assert MEMBER in page.content.decode()
    assert "Acme" in page.content.decode()


@pytest.mark.parametrize("fields", [{"password": "wrong-password-here"}, {"email": "nobody@acme.test"}])
def test_wrong_credentials_are_told_as_one_thing(browser: Browser, fields: dict[str, str]) -> None:
    answer = browser.sign_in(**fields)

    assert answer.status_code == 401
    assert "do not belong together" in answer.content.decode()
    assert PASSWORD not in answer.content.decode()
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"email": ""},
        {"email": "a" * 300},
        {"email": "x\0y"},
        {"tenant": "no such"},
        {"challenge": "x", "code": "1"},
    ],
)
def test_bad_input_is_never_an_error_of_ours(browser: Browser, fields: dict[str, str]) -> None:
    answer = browser.send("/sign-in", **{"email": MEMBER, "password": "x", **fields})

    assert 400 <= answer.status_code < 500
    assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_on_an_api_host_it_is_the_tenant_used_last(db: None) -> None:
    browser = Browser(API_HOST)
    browser.sign_in(tenant="acme")

    assert "Acme" in browser.get("/account").content.decode()


def test_somebody_elses_tenant_is_refused(browser: Browser) -> None:
    assert browser.sign_in("owner@globex.test").status_code == 403
    assert not is_signed_in(browser)


def test_signing_out_ends_the_session_here_and_the_sign_in_behind_it(signed_in: Browser) -> None:
    stolen = signed_in.key
    sign_in = Session.objects.filter(user__email=MEMBER).latest("authenticated_at")
    answer = signed_in.send("/sign-out")
    thief = Browser()
    thief.cookies[COOKIE] = stolen
    sign_in.refresh_from_db()

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in")
    assert sign_in.end_reason == "logout"
    assert not is_signed_in(signed_in)
    assert not is_signed_in(thief)


def test_signing_out_twice_is_no_error(signed_in: Browser) -> None:
    token = signed_in.token("/account")
    signed_in.send("/sign-out")

    assert signed_in.post("/sign-out", {"csrfmiddlewaretoken": token}).status_code in {302, 403}
    assert signed_in.get("/sign-out").status_code == 405


# --- The cookie -------------------------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_and_no_script(browser: Browser) -> None:
    cookie = browser.sign_in().cookies[COOKIE]

    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert (cookie["domain"], cookie["path"]) == ("", "/")
    assert cookie["max-age"] == configured.REFRESH_IDLE_LIFETIME.total_seconds()


def test_in_production_cookies_are_secure_and_have_the_host_prefix() -> None:
    import os
    import subprocess
    import sys

    code = (
        "import os; os.environ.pop('TENANTRY_ENV', None);"
        "from config import sign_in_settings as s;"
        "print(s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_NAME, s.CSRF_COOKIE_SECURE)"
    )
    env = {name: value for name, value in os.environ.items() if name != "TENANTRY_ENV"} | {"PYTHONPATH": ".:platform"}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["__Host-session", "True", "__Host-csrftoken", "True"]


def test_signing_in_gives_a_key_that_nobody_knew_before(browser: Browser) -> None:
    """Session fixation: whatever key the browser came with is worth nothing afterwards."""
    attacker = Browser()
    attacker.sign_in("viewer@acme.test")
    browser.cookies[COOKIE] = planted = attacker.key
    browser.sign_in()

    assert browser.key != planted
    assert MEMBER in browser.get("/account").content.decode()
    assert not is_signed_in(attacker), "who planted it is signed out, and not in as somebody else"


def test_a_key_of_ones_own_choosing_is_never_used(browser: Browser) -> None:
    browser.cookies[COOKIE] = "chosen0123456789abcdefghijklmnop"
    browser.sign_in()

    assert browser.key != "chosen0123456789abcdefghijklmnop"


def test_the_database_has_nothing_that_a_browser_could_send(signed_in: Browser) -> None:
    row = stored(signed_in)
    data = signed_in.session.decode(row.session_data)

    assert not Stored.objects.filter(session_key=signed_in.key).exists()
    assert signed_in.key not in row.session_data
    assert not re.search(r"tr_|eyJ", str(data)), "no tokens"


def test_a_changed_row_is_worth_nothing(signed_in: Browser) -> None:
    row = stored(signed_in)
    row.session_data = row.session_data[:-4] + "AAAA"
    row.save()

    assert not is_signed_in(signed_in)


@pytest.mark.parametrize("value", ["", "x", "\u00e9", "a" * 5000, "../../etc", "' OR 1=1 --", "tr_x"])
def test_nonsense_in_the_cookie_is_nobody(browser: Browser, value: str) -> None:
    browser.cookies[COOKIE] = value

    assert browser.get("/account").status_code == 302
    assert browser.sign_in().status_code == 302


# --- Other sites ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_a_form_without_the_token_is_refused(signed_in: Browser, path: str) -> None:
    fields = {"email": MEMBER, "password": PASSWORD}

    assert signed_in.post(path, fields).status_code == 403
    assert signed_in.post(path, {**fields, "csrfmiddlewaretoken": "a" * 64}).status_code == 403
    assert is_signed_in(signed_in)


@pytest.mark.parametrize("origin", ["https://evil.example", f"http://{GLOBEX}", f"https://{ACME}", "null"])
def test_a_form_from_elsewhere_is_refused(signed_in: Browser, origin: str) -> None:
    token = signed_in.token("/account")

    assert signed_in.post("/sign-out", {"csrfmiddlewaretoken": token}, HTTP_ORIGIN=origin).status_code == 403
    assert is_signed_in(signed_in)
    assert signed_in.post("/sign-out", {"csrfmiddlewaretoken": token}, HTTP_ORIGIN=f"http://{ACME}").status_code == 302


def test_nobody_is_signed_in_by_another_site(browser: Browser) -> None:
    """Login CSRF."""
    answer = browser.post("/sign-in", {"email": "viewer@acme.test", "password": PASSWORD})

    assert answer.status_code == 403
    assert COOKIE not in answer.cookies


def test_the_token_of_before_signing_in_is_no_good_afterwards(browser: Browser) -> None:
    before = browser.cookies
    browser.get("/sign-in")
    old = before["csrftoken"].value
    browser.sign_in()

    assert browser.cookies["csrftoken"].value != old


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        " //evil.example",
        "/x\r\nSet-Cookie: a=b",
        "account",
        "/" + "a" * 5000,
        "",
    ],
)
def test_next_leads_nowhere_else(browser: Browser, wanted: str) -> None:
    assert safe_next(wanted) == "/account"
    assert browser.sign_in(next=wanted)["Location"] == "/account"
    assert 'name="next" value="/account"' in browser.get("/sign-in", {"next": wanted}).content.decode()


def test_next_may_be_any_path_of_ours() -> None:
    assert safe_next("/oauth/authorize?client_id=1&state=%2F") == "/oauth/authorize?client_id=1&state=%2F"


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/sign-out"])
def test_pages_run_no_script_and_are_shown_in_no_frame(signed_in: Browser, path: str) -> None:
    answer = signed_in.get(path)
    policy = answer["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "no-store"
    assert "<script" not in answer.content.decode()
    assert "style=" not in answer.content.decode()


def test_what_people_call_themselves_is_not_markup(signed_in: Browser) -> None:
    User.objects.filter(email=MEMBER).update(name="<script>alert(1)</script>")

    assert "<script" not in signed_in.get("/account").content.decode()
