"""A person lets a third-party application in: the authorization code grant, OpenID Connect, and attacks on both."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from django.conf import settings
from django.utils import timezone

from identity.accounts.models import User
from identity.applications.models import AuthorizationCode, Consent
from identity.keys import selectors as keys
from identity.sessions.models import Session
from tenants.registry.models import Tenant
from tests.applications import CALLBACK, FORM, App, Browser, answer_of, register
from tests.conftest import API_HOST, CAST, GLOBEX, Call, sign_in

MEMBER, VIEWER, BOTH = "member@acme.test", "viewer@acme.test", "both@people.test"


@pytest.fixture
def app(call: Call) -> App:
    return App(*register())


@pytest.fixture
def browser(app: App) -> Browser:
    browser = Browser()
    browser.sign_in(MEMBER)
    return browser


def claims_of(token: str, audience: str) -> dict[str, Any]:
    key = keys.find_key(jwt.get_unverified_header(token)["kid"])
    assert key is not None
    return jwt.decode(token, key.public, algorithms=[key.algorithm], audience=audience, issuer=settings.ISSUER)


def error_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("error") or response.json()["code"]


# --- Being let in -----------------------------------------------------------------------------------------------------


def test_a_person_signs_in_agrees_and_the_application_acts_for_them(app: App) -> None:
    browser = Browser()
    sent = browser.get(app.url())
    assert (sent.status_code, sent["Location"].startswith("/sign-in?next=")) == (303, True)
    back = browser.sign_in(MEMBER, sent["Location"])
    page = browser.get(back["Location"])
    text = page.content.decode()
    assert all(words in text for words in ("Planner", "Acme", MEMBER, "See who is in the tenant", "See your name."))
    answer = answer_of(browser.decide(page))
    assert (answer["state"], answer["iss"]) == ("s-1", settings.ISSUER)

    tokens = app.redeem(answer["code"]).json()
    assert tokens["scope"] == "openid profile email offline_access members:read projects:write"
    claims = claims_of(tokens["access_token"], settings.TENANT_AUDIENCE)
    person = User.objects.get(email=MEMBER)
    assert (claims["client_id"], claims["sub"], claims["tenant"]) == (app.client_id, str(person.pk), "acme")
    assert claims["scope"] == "members:read projects:write"
    made = app.use(tokens["access_token"], "POST", body=json.dumps({"name": "By an app"}))
    assert (made.status_code, made.json()["created_by"]) == (201, str(person.pk))
    assert app.refresh(tokens["refresh_token"]).json()["scope"] == tokens["scope"]


def test_the_id_token_says_who_signed_in_when_and_how(app: App, browser: Browser) -> None:
    tokens = app.tokens(browser)
    assert jwt.get_unverified_header(tokens["id_token"])["typ"] == "JWT"
    claims = claims_of(tokens["id_token"], app.client_id)
    session = Session.objects.get(
        application_id=None, user__email=MEMBER, ended_at=None, way="password", pk__in=_browsers()
    )
    assert (claims["nonce"], claims["email"], claims["amr"]) == ("n-1", MEMBER, ["pwd"])
    assert claims["auth_time"] == int(session.authenticated_at.timestamp())
    assert "acr" not in claims


def _browsers() -> Any:
    return AuthorizationCode.objects.values("session_id")


def test_userinfo_tells_what_was_agreed_to(app: App, browser: Browser) -> None:
    tokens = app.tokens(browser)
    for method in ("GET", "POST"):
        info = app.use(tokens["access_token"], method, "/oauth/userinfo")
        assert (info.status_code, info.json()["email"]) == (200, MEMBER)
    less = app.tokens(browser, scope="openid")
    assert app.use(less["access_token"], "GET", "/oauth/userinfo").json().keys() == {"sub"}
    none = app.tokens(browser, scope="projects:read")
    assert "id_token" not in none
    assert "refresh_token" not in none
    assert app.use(none["access_token"], "GET", "/oauth/userinfo").status_code == 403
    own = sign_in(CAST["acme_member"])["access_token"]
    assert app.use(own, "GET", "/oauth/userinfo").status_code == 403
    assert app.client.get("/oauth/userinfo", HTTP_HOST=app.host).status_code == 401


def test_who_only_wants_to_know_who_it_is_can_do_nothing(app: App, browser: Browser) -> None:
    """An empty list of scopes is none, and never all."""
    tokens = app.tokens(browser, scope="openid offline_access")
    for token in (tokens["access_token"], app.refresh(tokens["refresh_token"]).json()["access_token"]):
        assert claims_of(token, settings.TENANT_AUDIENCE)["scope"] == ""
        assert error_of(app.use(token)) == (403, "insufficient_scope")


def test_it_is_asked_once_and_again_only_for_more(app: App, browser: Browser) -> None:
    app.code(browser, scope="openid")
    assert "code" in answer_of(browser.get(app.url(scope="openid")))
    assert browser.get(app.url(scope="openid email")).status_code == 200
    assert browser.get(app.url(scope="openid", prompt="consent")).status_code == 200
    assert Consent.objects.get().scopes == ["openid"]


def test_a_viewer_gives_no_more_than_they_have(app: App) -> None:
    browser = Browser()
    browser.sign_in(VIEWER)
    tokens = app.tokens(browser, scope="openid projects:write projects:read members:write profile:write")
    assert tokens["scope"] == "openid projects:read"


def test_an_app_on_the_persons_machine_is_asked_about_each_time(call: Call) -> None:
    """Anybody can listen there, or claim the scheme (RFC 8252 section 8.6)."""
    uris = ["http://127.0.0.1/done", "com.example.planner:/done"]
    app = App(*register(is_confidential=False, redirect_uris=uris))
    browser = Browser()
    browser.sign_in(MEMBER)
    for uri in ("http://127.0.0.1:49152/done", uris[1]):
        app.redirect_uri = uri
        tokens = app.tokens(browser)
        assert app.use(tokens["access_token"]).status_code == 200
        assert browser.get(app.url()).status_code == 200, "asked again"
        assert answer_of(browser.get(app.url(prompt="none")))["error"] == "consent_required"
        assert app.refresh(tokens["refresh_token"]).status_code == 200


# --- What the person decides ------------------------------------------------------------------------------------------


def test_who_does_not_want_it_gives_nothing(app: App, browser: Browser) -> None:
    answer = answer_of(browser.decide(browser.get(app.url()), "deny"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "s-1", settings.ISSUER)
    assert not Consent.objects.exists()


def test_nobody_else_decides_for_them(app: App, browser: Browser) -> None:
    """Another site's form has no CSRF token, and no frame shows ours."""
    page = browser.get(app.url())
    assert browser.decide(page, csrfmiddlewaretoken="").status_code == 403
    query = app.url().partition("?")[2]
    assert browser.post(f"/oauth/consent?{query}", {"decision": "allow"}).status_code == 403
    assert not Consent.objects.exists()
    policy = page["Content-Security-Policy"]
    assert page["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example" in policy
    assert "script-src" not in policy
    assert page["Referrer-Policy"] == "no-referrer"


def test_only_what_was_shown_is_agreed_to(app: App, browser: Browser) -> None:
    page = browser.get(app.url(scope="openid"))
    wider = browser.post(f"/oauth/consent?{app.url().partition('?')[2]}", _pressed(page))
    assert (wider.status_code, Consent.objects.exists()) == (200, False)


def _pressed(page: Any) -> dict[str, str]:
    from tests.applications import form_of

    return form_of(page) | {"decision": "allow"}


def test_what_a_name_says_is_text(call: Call) -> None:
    app = App(*register(name="<script>alert(1)</script>"))
    browser = Browser()
    browser.sign_in(MEMBER)
    assert "<script>" not in browser.get(app.url()).content.decode()


# --- Whether somebody is there ----------------------------------------------------------------------------------------


def test_prompt_none_asks_nobody(app: App) -> None:
    browser = Browser()
    assert answer_of(browser.get(app.url(prompt="none")))["error"] == "login_required"
    browser.sign_in(MEMBER)
    assert answer_of(browser.get(app.url(prompt="none")))["error"] == "consent_required"
    app.code(browser)
    assert "code" in answer_of(browser.get(app.url(prompt="none")))


@pytest.mark.parametrize("change", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
def test_a_person_signs_in_again_where_that_is_asked(app: App, browser: Browser, change: dict[str, str]) -> None:
    app.code(browser)
    Session.objects.filter(user__email=MEMBER).update(authenticated_at=timezone.now() - timedelta(minutes=5))
    if "max_age" in change:
        assert answer_of(browser.get(app.url(prompt="none", **change)))["error"] == "login_required"
    sent = browser.get(app.url(**change))
    assert sent["Location"].startswith("/sign-in?next="), sent["Location"]
    back = browser.sign_in(MEMBER, sent["Location"])["Location"]
    tokens = app.redeem(answer_of(browser.get(back))["code"]).json()
    assert claims_of(tokens["id_token"], app.client_id)["auth_time"] >= timezone.now().timestamp() - 60


def test_a_made_up_return_is_no_new_sign_in(app: App, browser: Browser) -> None:
    sent = browser.get(app.url(prompt="login", signed_in_since="1:x:y"))
    assert sent["Location"].startswith("/sign-in?next=")


def test_the_api_host_leads_into_the_applications_tenant(app: App) -> None:
    browser = Browser(API_HOST)
    app.host = API_HOST
    sent = browser.get(app.url(login_hint=BOTH))
    assert "tenant=acme" in sent["Location"]
    assert "email=both%40people.test" in sent["Location"]
    back = browser.sign_in(BOTH, sent["Location"])["Location"]
    answer = answer_of(browser.decide(browser.get(back)))
    assert app.redeem(answer["code"]).json()["tenant"] == "acme"


def test_a_form_is_as_good_as_a_query(app: App, browser: Browser) -> None:
    sent = browser.post("/oauth/authorize", app.url().partition("?")[2], content_type=FORM)
    assert (sent.status_code, sent["Location"].startswith("/oauth/authorize?")) == (303, True)
    assert browser.get(sent["Location"]).status_code == 200


# --- Requests that lead nowhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback/", "https://app.example/callback?x=1", "https://app.example/Callback",
        "https://APP.example/callback", "https://app.example:444/callback", "https://app.example/callback#x",
        "https://user@app.example/callback", "https://evil.app.example/callback", "https://app.example.evil/callback",
        "http://app.example/callback", "https://app.example/callback/../x", "https://app.example/callback%2f",
        "https://app.example", "//evil.example", "javascript:alert(1)", "", "https://evil.example/callback",
        "https://app.example/callback ", "http://127.0.0.1/callback",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_an_address_that_is_not_registered(app: App, browser: Browser, uri: str) -> None:
    response = browser.get(app.url(redirect_uri=uri))
    assert (response.status_code, "Location" in response) == (400, False)


def test_nobody_is_sent_anywhere_for_an_unknown_application(app: App, browser: Browser) -> None:
    for client_id in ("tenantry", "x", "00000000-0000-4000-8000-000000000000", app.client_id.upper(), None):
        assert browser.get(app.url(client_id=client_id)).status_code == 400
    assert browser.get(app.url() + "&redirect_uri=https://evil.example/").status_code == 400
    theirs = App(*register("globex"))
    assert browser.get(theirs.url()).status_code == 400, "another tenant's, at this host"
    app.application.is_active = False
    app.application.save()
    assert browser.get(app.url()).status_code == 400
    Tenant.objects.filter(slug="globex").update(status="suspended")
    assert Browser(API_HOST).get(theirs.url()).status_code == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://x.example"}, "request_uri_not_supported"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "members:write platform:tenants:read nonsense"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"nonce": "n" * 300}, "invalid_request"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_the_application(app: App, browser: Browser, change: dict[str, Any], error: str) -> None:
    response = browser.get(app.url(**change))
    assert response["Location"].startswith(f"{CALLBACK}?")
    answer = answer_of(response)
    assert (answer["error"], answer["state"], answer["iss"]) == (error, "s-1", settings.ISSUER)


def test_without_a_state_none_comes_back(app: App, browser: Browser) -> None:
    assert "state" not in answer_of(browser.get(app.url(state=None, scope="nonsense")))


# --- Codes ------------------------------------------------------------------------------------------------------------


def test_a_code_used_twice_takes_along_what_it_gave(app: App, browser: Browser) -> None:
    code = app.code(browser)
    tokens = app.redeem(code).json()
    assert app.use(tokens["access_token"]).status_code == 200
    assert error_of(app.redeem(code)) == (400, "invalid_grant")
    assert app.use(tokens["access_token"]).status_code == 401
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": "v" * 42},
        {"redirect_uri": CALLBACK + "?x=1"},
    ],
    ids=str,
)
def test_a_code_goes_with_its_request_and_is_spent_by_a_wrong_try(
    app: App, browser: Browser, change: dict[str, str]
) -> None:
    code = app.code(browser)
    assert error_of(app.redeem(code, **change)) == (400, "invalid_grant")
    assert error_of(app.redeem(code)) == (400, "invalid_grant")


def test_a_code_without_its_verifier_is_no_request(app: App, browser: Browser) -> None:
    assert error_of(app.redeem(app.code(browser), code_verifier="")) == (400, "invalid_request")


def test_a_code_is_for_its_application(app: App, browser: Browser) -> None:
    """Nobody injects it elsewhere, and nobody spends it for the other."""
    other, elsewhere = App(*register(name="Other")), App(*register("globex"), host=GLOBEX)
    code = app.code(browser)
    for thief in (other, elsewhere):
        assert error_of(thief.redeem(code)) == (400, "invalid_grant")
    assert error_of(app.redeem(code, client_secret="ts_wrong")) == (401, "invalid_client")
    assert error_of(app.redeem(code, client_secret="")) == (401, "invalid_client")
    app.host = GLOBEX
    assert error_of(app.redeem(code)) == (401, "invalid_client")
    app.host = API_HOST
    assert app.redeem(code).status_code == 200


def test_a_code_is_good_for_a_minute(app: App, browser: Browser) -> None:
    code = app.code(browser)
    AuthorizationCode.objects.update(expires_at=timezone.now())
    assert error_of(app.redeem(code)) == (400, "invalid_grant")


def test_a_code_stands_on_the_sign_in_that_gave_it(app: App, browser: Browser) -> None:
    code = app.code(browser)
    Session.objects.filter(user__email=MEMBER).update(ended_at=timezone.now())
    assert error_of(app.redeem(code)) == (400, "invalid_grant")


def test_machines_and_ours_have_no_codes(app: App, browser: Browser, machine: tuple[str, str]) -> None:
    code = app.code(browser)
    as_machine = {"client_id": machine[0], "client_secret": machine[1]}
    assert error_of(app.redeem(code, **as_machine)) == (400, "unauthorized_client")
    assert error_of(app.redeem(code, client_id="tenantry", client_secret="")) == (401, "invalid_client")


# --- People who may not -----------------------------------------------------------------------------------------------


def test_a_member_of_another_tenant_is_not_let_through(app: App) -> None:
    browser = Browser(API_HOST)
    browser.sign_in("owner@globex.test")
    assert answer_of(browser.get(app.url()))["error"] == "access_denied"


def test_a_removed_member_takes_the_application_along(app: App, browser: Browser) -> None:
    tokens, code = app.tokens(browser), app.code(browser)
    User.objects.get(email=MEMBER).memberships.all().delete()
    assert error_of(app.redeem(code)) == (400, "invalid_grant")
    assert app.use(tokens["access_token"]).status_code == 401
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


# --- Tokens of an application -----------------------------------------------------------------------------------------


def test_its_tokens_have_no_hand_in_the_persons_own_affairs(app: App, browser: Browser) -> None:
    token = app.tokens(browser)["access_token"]
    for method, path, body in [
        ("PATCH", "/api/v1/me", {"name": "x"}),
        ("GET", "/api/v1/me", None),
        ("GET", "/api/v1/me/tenants", None),
        ("GET", "/api/v1/me/sessions", None),
        ("GET", "/api/v1/me/authorized-applications", None),
        ("POST", "/api/v1/auth/switch", {"tenant": "globex"}),
        ("POST", "/api/v1/auth/step-up", {"password": "x"}),
        ("POST", "/api/v1/applications", {}),
        ("POST", "/api/v1/clients", {}),
    ]:
        response = app.use(token, method, path, json.dumps(body) if body is not None else None)
        assert response.json()["code"] == "insufficient_scope", path
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "globex",
    }
    assert error_of(app.post("/oauth/token", **exchange)) == (400, "unauthorized_client")
    form = urlencode(exchange)
    assert error_of(app.client.post("/oauth/token", form, content_type=FORM, HTTP_HOST=API_HOST)) == (
        400,
        "invalid_request",
    )


def test_its_refresh_token_is_for_itself_alone(app: App, browser: Browser) -> None:
    """Not at our own endpoint, not for our own application, and not for another one; and the other way round."""
    token = app.tokens(browser)["refresh_token"]
    body = json.dumps({"refresh_token": token})
    ours = app.client.post("/api/v1/auth/refresh", body, content_type="application/json", HTTP_HOST=app.host)
    assert ours.status_code == 401
    other = App(*register(name="Other"))
    for thief in ({"client_id": "tenantry", "client_secret": ""}, {"client_id": "", "client_secret": ""}):
        assert error_of(app.refresh(token, **thief)) == (400, "invalid_grant")
    assert error_of(other.refresh(token)) == (400, "invalid_grant")
    assert error_of(app.refresh(token, client_secret="")) == (401, "invalid_client")
    assert error_of(app.refresh(sign_in(CAST["acme_member"])["refresh_token"])) == (400, "invalid_grant")
    assert app.refresh(token).status_code == 200, "it is good all the while"


def test_a_refresh_gives_no_more_than_was_agreed_to(app: App, browser: Browser) -> None:
    tokens = app.tokens(browser, scope="openid offline_access projects:read")
    assert error_of(app.refresh(tokens["refresh_token"], scope="projects:write members:read")) == (400, "invalid_scope")
    assert app.refresh(tokens["refresh_token"]).json()["scope"] == "openid offline_access projects:read"


def test_an_id_token_is_no_access_token(app: App, browser: Browser) -> None:
    tokens = app.tokens(browser)
    assert app.use(tokens["id_token"]).status_code == 401
    assert app.use(tokens["id_token"], "GET", "/oauth/userinfo").status_code == 401
    assert app.post("/oauth/introspect", token=tokens["id_token"]).json() == {"active": False}


def test_an_application_looks_at_its_own_tokens(app: App, browser: Browser) -> None:
    tokens = app.tokens(browser)
    assert app.post("/oauth/introspect", token=tokens["access_token"]).json()["client_id"] == app.client_id
    own = sign_in(CAST["acme_member"])["access_token"]
    assert app.post("/oauth/introspect", token=own).json() == {"active": False}
    other, public = App(*register(name="Other")), App(*register(name="Public", is_confidential=False))
    assert other.post("/oauth/introspect", token=tokens["access_token"]).json() == {"active": False}
    assert error_of(public.post("/oauth/introspect", token=tokens["access_token"])) == (401, "invalid_client")


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_an_application_revokes_its_own_tokens(app: App, browser: Browser, which: str) -> None:
    tokens, other = app.tokens(browser), App(*register(name="Other"))
    assert error_of(other.post("/oauth/revoke", token=tokens[which])) == (400, "unauthorized_client")
    stranger = {"client_id": "", "client_secret": ""}
    assert error_of(app.post("/oauth/revoke", token=tokens[which], **stranger)) == (401, "invalid_client")
    assert app.use(tokens["access_token"]).status_code == 200
    assert app.post("/oauth/revoke", token=tokens[which]).status_code == 200
    assert app.use(tokens["access_token"]).status_code == 401
    assert browser.get("/account").status_code == 200, "the person's own sign-in goes on"


def test_an_application_has_no_token_of_its_own(app: App) -> None:
    assert error_of(app.post("/oauth/token", grant_type="client_credentials")) == (400, "unauthorized_client")
