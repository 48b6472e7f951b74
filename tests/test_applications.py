"""Third-party applications of a tenant: registering, changing and ending them; what people agreed to."""

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from identity.applications import redirects
from identity.applications import services as applications
from identity.applications.models import Application, ApplicationSecret, AuthorizationCode, Consent
from identity.sessions.models import Session
from permissions import policy
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant
from tests.applications import CALLBACK, App, Browser, answer_of, register
from tests.conftest import CAST, Call, sign_in

PATH = "/api/v1/applications"
MEMBER = "member@acme.test"
NEW = {"name": "Planner", "redirect_uris": [CALLBACK], "scopes": ["members:read", "projects:write"]}


@pytest.fixture
def made(call: Call) -> dict[str, Any]:
    response = call("acme_owner", "POST", PATH, NEW)
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


@pytest.fixture
def app(made: dict[str, Any]) -> App:
    return App(Application.objects.get(pk=made["id"]), made["client_secret"])


@pytest.fixture
def browser(app: App) -> Browser:
    browser = Browser()
    browser.sign_in(MEMBER)
    return browser


# --- The tenant's administrators --------------------------------------------------------------------------------------


def test_an_administrator_registers_changes_and_deletes_one(call: Call, made: dict[str, Any]) -> None:
    assert made["client_secret"].startswith("ts_")
    path = f"{PATH}/{made['id']}"
    seen = call("acme_admin", "GET", path).json()
    assert "client_secret" not in seen
    assert [secret["hint"] for secret in seen["secrets"]] == [made["client_secret"][-4:]]
    changed = call("acme_admin", "PATCH", path, {"name": "Plans", "homepage_url": "https://app.example/"}).json()
    assert (changed["name"], changed["homepage_url"]) == ("Plans", "https://app.example/")
    assert [row["id"] for row in call("acme_admin", "GET", PATH).json()["results"]] == [made["id"]]
    assert call("acme_admin", "DELETE", path).status_code == 204
    assert call("acme_admin", "GET", path).status_code == 404
    actions = AuditEvent.objects.filter(action__startswith="application.").order_by("sequence")
    assert list(actions.values_list("action", flat=True)) == [
        f"application.{it}" for it in ("created", "changed", "deleted")
    ]
    assert made["client_secret"] not in str(list(actions.values()))


def test_a_public_one_has_no_secret(call: Call) -> None:
    body = call("acme_owner", "POST", PATH, {**NEW, "is_confidential": False}).json()
    assert "client_secret" not in body
    refused = call("acme_owner", "POST", f"{PATH}/{body['id']}/secrets", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "public_application")
    assert call("acme_owner", "PATCH", f"{PATH}/{body['id']}", {"is_confidential": True}).status_code == 400


def test_two_secrets_are_live_at_most(call: Call, app: App, browser: Browser) -> None:
    path = f"{PATH}/{app.client_id}/secrets"
    second = call("acme_owner", "POST", path, {}).json()
    assert call("acme_owner", "POST", path, {}).json()["code"] == "too_many_secrets"
    tokens = app.tokens(browser)
    first = ApplicationSecret.objects.exclude(pk=second["id"]).get()
    assert call("acme_owner", "DELETE", f"{path}/{first.pk}").status_code == 204
    assert app.refresh(tokens["refresh_token"]).status_code == 401
    app.secret = second["client_secret"]
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant", (
        "who had the first one has it no more"
    )
    assert app.tokens(browser)["scope"]


@pytest.mark.parametrize("actor", ["acme_member", "acme_viewer", "acme_client", "acme_support", "nobody"])
def test_nobody_else_does(call: Call, made: dict[str, Any], actor: str) -> None:
    for method, path, body in [("GET", PATH, None), ("POST", PATH, NEW), ("DELETE", f"{PATH}/{made['id']}", None)]:
        assert call(actor, method, path, body).status_code in {401, 403}


def test_another_tenant_has_none_of_it(call: Call, made: dict[str, Any]) -> None:
    for method, body in [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)]:
        assert call("globex_owner", method, f"{PATH}/{made['id']}", body).status_code == 404
    assert call("globex_owner", "POST", f"{PATH}/{made['id']}/secrets", {}).status_code == 404


@pytest.mark.parametrize(
    "scope", ["profile:write", "sessions:write", "tenants:write", "members:write", "clients:write"]
)
def test_what_is_kept_from_programs_is_kept_from_them(call: Call, scope: str) -> None:
    response = call("acme_owner", "POST", PATH, {**NEW, "scopes": [scope]})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "scope_not_grantable")


def test_no_application_ever_holds_what_is_the_persons_own() -> None:
    """The table of rights says what programs may hold; a new row has to be thought about here."""
    delegable = policy.delegable()
    assert not {scope for scope in delegable if scope.split(":")[0] in {"profile", "sessions", "tenants"}}
    assert not {scope for scope in delegable if scope.endswith(":write")} - {"projects:write", "tasks:write"}


def test_nobody_allows_what_they_do_not_hold(db: None) -> None:
    acme = Tenant.objects.get(slug="acme")
    app, _ = register()
    held = frozenset({"applications:write", "members:read"})
    for changes in ({"scopes": ["projects:write", "audit-events:read"]}, {"redirect_uris": ["https://evil.example/"]}):
        with pytest.raises(Exception, match="does not hold"):
            applications.change_application(tenant_id=acme.pk, application_id=app.pk, held=held, changes=changes)
    with pytest.raises(Exception, match="does not hold"):
        applications.add_secret(tenant_id=acme.pk, application_id=app.pk, held=held, expires_at=None)
    applications.change_application(tenant_id=acme.pk, application_id=app.pk, held=held, changes={"is_active": False})
    with pytest.raises(Exception, match="does not hold"):
        applications.change_application(
            tenant_id=acme.pk, application_id=app.pk, held=held, changes={"is_active": True}
        )


@pytest.mark.parametrize(
    ("uri", "is_good"),
    [
        ("https://app.example/cb?x=1", True), ("https://app.example:8443/cb", True), ("http://127.0.0.1/cb", True),
        ("http://[::1]:7000/cb", True), ("http://localhost:3000/cb", True), ("com.example.app:/cb", True),
        ("com.example.app://cb/x", True), ("http://app.example/cb", False), ("https://app.example/cb#x", False),
        ("https://u:p@app.example/cb", False), ("https://app.example@evil.example/cb", False),
        ("https://*.app.example/", False),
        ("javascript:alert(1)", False), ("data:text/html,x", False), ("myapp:/cb", False),
        ("https:/app.example", False),
        ("https://app.example/a/../b", False), ("https://app.example/%2e%2e/b", False), ("//app.example", False),
        ("https://app.example/ b", False), ("https://app.example\\@evil.example", False),
        ("https://äpp.example/", False),
        ("HTTPS://app.example/", False), ("http://127.0.0.1.evil.example/", False),
        ("http://127.0.0.1@evil.example/", False),
        ("https://app.example;script-src 'x'/", False), ("", False), ("https://", False),
    ],
)  # fmt: skip
def test_where_it_may_lead(uri: str, is_good: bool) -> None:  # noqa: FBT001 -- a column of the table
    assert redirects.is_allowed(uri) is is_good


def test_bad_input_is_told(call: Call) -> None:
    for change, pointer in [
        ({"redirect_uris": ["http://app.example/"]}, "#/redirect_uris/0"),
        ({"redirect_uris": []}, "#/redirect_uris"),
        ({"redirect_uris": [CALLBACK] * 11}, "#/redirect_uris"),
        ({"homepage_url": "http://app.example/"}, "#/homepage_url"),
        ({"logo_url": "javascript:alert(1)"}, "#/logo_url"),
        ({"is_active": False}, "#/is_active"),
        ({"nonsense": 1}, "#/nonsense"),
        ({"name": "n" * 121}, "#/name"),
    ]:
        response = call("acme_owner", "POST", PATH, {**NEW, **change})
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, pointer)


def test_a_tenant_has_so_many(call: Call, made: dict[str, Any]) -> None:
    with override_settings(APPLICATION_LIMIT=1):
        assert call("acme_owner", "POST", PATH, NEW).json()["code"] == "application_limit"


# --- Ending it --------------------------------------------------------------------------------------------------------


def ends(app: App, tokens: dict[str, Any]) -> bool:
    assert app.use(tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).status_code in {400, 401}
    return True


@pytest.mark.parametrize("change", [{"is_active": False}, {"scopes": ["members:read"]}, None], ids=str)
def test_an_administrator_ends_it_at_once(call: Call, app: App, browser: Browser, change: Any) -> None:
    tokens, code = app.tokens(browser), app.code(browser)
    own = sign_in(CAST["acme_member"])["access_token"]
    assert app.use(tokens["access_token"]).status_code == 200
    path = f"{PATH}/{app.client_id}"
    response = call("acme_admin", "PATCH", path, change) if change else call("acme_admin", "DELETE", path)
    assert response.status_code in {200, 204}, response.content
    assert ends(app, tokens)
    if change != {"scopes": ["members:read"]}:
        assert app.redeem(code).status_code == 401
    else:
        assert app.redeem(code).json()["scope"].split()[-1] == "members:read"
    assert app.use(own).status_code == 200, "the person's own sign-in goes on"
    if change is None:
        assert not Consent.objects.exists()
        assert not AuthorizationCode.objects.exists()


def test_a_person_sees_it_and_takes_it_back(call: Call, app: App, browser: Browser) -> None:
    tokens, code = app.tokens(browser), app.code(browser)
    path = "/api/v1/me/authorized-applications"
    (row,) = call("acme_member", "GET", path).json()["results"]
    assert (row["id"], row["name"], row["tenant"]) == (app.client_id, "Planner", "acme")
    assert call("acme_viewer", "GET", path).json()["results"] == []
    assert call("acme_viewer", "DELETE", f"{path}/{app.client_id}").status_code == 404
    sessions = call("acme_member", "GET", "/api/v1/me/sessions").json()["results"]
    assert app.client_id in {session["application_id"] for session in sessions}
    assert call("acme_member", "DELETE", f"{path}/{app.client_id}").status_code == 204
    assert ends(app, tokens)
    assert app.redeem(code).json()["error"] == "invalid_grant"
    assert browser.get(app.url()).status_code == 200, "asked anew"
    actions = AuditEvent.objects.filter(action__startswith="application.consent").order_by("sequence")
    assert list(actions.values_list("action", flat=True)) == [
        "application.consent_given",
        "application.consent_withdrawn",
    ]


def test_a_person_ends_one_session_of_it(call: Call, app: App, browser: Browser) -> None:
    tokens = app.tokens(browser)
    session = Session.objects.get(application_id=app.client_id)
    assert call("acme_member", "DELETE", f"/api/v1/me/sessions/{session.pk}").status_code == 204
    assert ends(app, tokens)


def test_without_offline_access_it_is_over_soon(app: App, browser: Browser) -> None:
    app.tokens(browser, scope="openid")
    session = Session.objects.get(application_id=app.client_id)
    left = session.expires_at - timezone.now()
    assert left <= settings.ACCESS_LIFETIME < settings.SESSION_LIFETIME


# --- The tenant's sign-in policy --------------------------------------------------------------------------------------


def test_a_second_factor_that_is_asked_for_is_asked_for_here(call: Call, app: App, browser: Browser) -> None:
    tokens, code = app.tokens(browser), app.code(browser)
    acme = Tenant.objects.get(slug="acme")
    Tenant.objects.filter(pk=acme.pk).update(sign_in_policy={"require_second_factor": True})
    assert app.redeem(code).json()["error"] == "invalid_grant"
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert answer_of(browser.get(app.url(prompt="none")))["error"] == "login_required"
    assert browser.get(app.url())["Location"].startswith("/sign-in?")
