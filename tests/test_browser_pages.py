"""Pages as an adopter writes them, and the session of a browser at the API."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path

from config import urls_tenant
from config.urls_tenant import handler400, handler403, handler404, handler500
from examples.projects.models import Project
from identity.browser.authentication import SessionAuthentication
from identity.browser.pages import page_sign_in_required
from identity.members.models import Membership
from identity.tokens.authentication import BearerAuthentication
from permissions.decorators import require_scopes
from permissions.principals import Principal
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.registry.sign_in_policy import SignInPolicy
from tests.browsing import MEMBER, Browser
from tests.conftest import ACME, API_HOST, Call

__all__ = ["handler400", "handler403", "handler404", "handler500"]


@login_required
def who(request: HttpRequest) -> HttpResponse:
    """A plain view, on the list of public endpoints here."""
    user = request.user
    assert isinstance(user, Principal)
    return HttpResponse(f"{user.kind} {user.role} {Project.objects.count()} projects")


@page_sign_in_required(GET="projects:read", POST="projects:write")
def board(request: HttpRequest) -> HttpResponse:
    """Projects."""
    if request.method == "POST":
        Project.objects.create(name=request.POST["name"], created_by=request.user.pk)
    return HttpResponse(" ".join(Project.objects.order_by("name").values_list("name", flat=True)))


@login_required
@require_scopes(GET="members:write")
def admins(request: Any) -> HttpResponse:
    """What only admins may see, behind Django's decorator and ours."""
    return HttpResponse("admins")


admins.cls.authentication_classes = [BearerAuthentication, SessionAuthentication]

urlpatterns = [path("who", who), path("board", board), path("admins", admins), *urls_tenant.urlpatterns]


@pytest.fixture
def own_pages(settings: Any) -> None:
    settings.TENANT_URLCONF = __name__
    settings.PUBLIC_ENDPOINTS = settings.PUBLIC_ENDPOINTS | {"who"}


@pytest.fixture
def api_sessions(settings: Any) -> Iterator[None]:
    """As with ``API_SESSIONS=on``, which changes what DRF's views have by default when they are made."""
    from permissions import endpoints

    views = {each.view for each in endpoints.endpoints(settings.ROOT_URLCONF) if each.view is not None}
    plain = [view for view in views if view.authentication_classes == [BearerAuthentication]]
    before = {view: view.__dict__.get("authentication_classes") for view in plain}
    for view in plain:
        view.authentication_classes = [BearerAuthentication, SessionAuthentication]
    yield
    for view, classes in before.items():
        if classes is None:
            del view.authentication_classes
        else:
            view.authentication_classes = classes


def acme() -> Tenant:
    tenant: Tenant = Tenant.objects.get(slug="acme")
    return tenant


def membership(email: str = MEMBER) -> Any:
    return Membership.objects.filter(tenant__slug="acme", user__email=email)


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_pages")
def test_djangos_decorator_knows_who_is_signed_in(browser: Browser) -> None:
    away = browser.get("/who?x=1")
    browser.sign_in()

    assert away["Location"] == "/sign-in?next=/who%3Fx%3D1"
    assert re.fullmatch(r"member member \d+ projects", browser.get("/who").content.decode())


@pytest.mark.usefixtures("own_pages")
def test_a_page_asks_for_scopes_and_for_the_token_of_its_form(browser: Browser) -> None:
    assert browser.get("/board")["Location"] == "/sign-in?next=/board"
    browser.sign_in("viewer@acme.test")
    token = browser.token("/account")

    assert browser.get("/board").status_code == 200
    refused = browser.post("/board", {"name": "X", "csrfmiddlewaretoken": token})
    assert (refused.status_code, refused["Content-Type"]) == (403, "text/html; charset=utf-8")

    browser.sign_in()
    assert browser.post("/board", {"name": "X"}).status_code == 403
    token = browser.token("/account")
    assert "Own page" in browser.post("/board", {"name": "Own page", "csrfmiddlewaretoken": token}).content.decode()


@pytest.mark.usefixtures("own_pages")
def test_both_decorators_go_together(browser: Browser) -> None:
    browser.sign_in()
    assert browser.get("/admins", HTTP_ACCEPT="*/*").status_code == 403
    browser.sign_in("admin@acme.test")
    assert browser.get("/admins", HTTP_ACCEPT="*/*").content == b"admins"


@pytest.mark.usefixtures("own_pages")
def test_a_page_takes_tokens_too_and_tells_programs_the_status(call: Call) -> None:
    assert call("acme_member", "GET", "/board").status_code == 200
    assert call("nobody", "GET", "/board").status_code == 401
    assert call("globex_owner", "GET", "/board", host=ACME).status_code == 403


@pytest.mark.usefixtures("own_pages")
def test_a_page_is_entered_in_as_many_round_trips_as_a_token_plus_one(signed_in: Browser) -> None:
    with CaptureQueriesContext(connection) as queries:
        signed_in.get("/board")

    assert len([each for each in queries.captured_queries if "django_session" in each["sql"]]) == 1
    assert not [each for each in queries.captured_queries if each["sql"].startswith("UPDATE")]


# --- The API ----------------------------------------------------------------------------------------------------------


def test_at_the_api_a_cookie_is_no_credential(signed_in: Browser) -> None:
    answer = signed_in.get("/api/v1/members", HTTP_ACCEPT="*/*")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.usefixtures("api_sessions")
def test_where_the_setting_lets_it_it_is_the_same_caller_as_the_token(signed_in: Browser, call: Call) -> None:
    ours = signed_in.get("/api/v1/me", HTTP_ACCEPT="*/*")
    theirs = call("acme_member", "GET", "/api/v1/me")

    assert ours.status_code == 200
    assert ours.json() == theirs.json()
    assert signed_in.get("/api/v1/invitations", HTTP_ACCEPT="*/*").status_code == 403


@pytest.mark.usefixtures("api_sessions")
def test_what_changes_something_needs_the_csrf_header(signed_in: Browser) -> None:
    def create(**headers: str) -> Any:
        return signed_in.post(
            "/api/v1/projects", {"name": "By a session"}, "application/json", HTTP_ACCEPT="*/*", **headers
        )

    token = signed_in.cookies["csrftoken"].value
    refused = create()
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert create(HTTP_X_CSRFTOKEN="a" * 32).status_code == 403
    assert create(HTTP_X_CSRFTOKEN=token, HTTP_ORIGIN="https://evil.example").status_code == 403
    assert create(HTTP_X_CSRFTOKEN=token).status_code == 201
    assert create(HTTP_X_CSRFTOKEN=token, HTTP_ORIGIN=f"http://{ACME}").status_code == 201


@pytest.mark.usefixtures("api_sessions")
def test_a_token_counts_before_the_cookie(signed_in: Browser, tokens: Any) -> None:
    viewer = f"Bearer {tokens['acme_viewer']['access_token']}"
    answer = signed_in.get("/api/v1/me", HTTP_ACCEPT="*/*", HTTP_AUTHORIZATION=viewer)
    broken = signed_in.get("/api/v1/me", HTTP_ACCEPT="*/*", HTTP_AUTHORIZATION="Bearer broken")

    assert answer.json()["email"] == "viewer@acme.test"
    assert broken.status_code == 401


@pytest.mark.usefixtures("api_sessions")
def test_at_the_api_a_session_is_revoked_at_once_too(signed_in: Browser) -> None:
    membership().delete()

    assert signed_in.get("/api/v1/members", HTTP_ACCEPT="*/*").status_code == 401


@pytest.mark.usefixtures("api_sessions")
def test_at_the_api_a_refusal_of_the_policy_is_told(signed_in: Browser) -> None:
    registry.set_sign_in_policy(tenant_id=acme().pk, policy=SignInPolicy(require_second_factor=True))
    answer = signed_in.get("/api/v1/members", HTTP_ACCEPT="*/*")

    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert 'acr_values="mfa"' in answer["WWW-Authenticate"]


@pytest.mark.usefixtures("api_sessions")
def test_operators_are_never_signed_in_by_a_cookie(db: None) -> None:
    browser = Browser(API_HOST)
    browser.sign_in("operator@platform.test")

    assert browser.get("/operator/v1/tenants", HTTP_ACCEPT="*/*").status_code == 401


def test_without_a_cookie_nothing_is_asked_of_the_database(db: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        Browser().get("/sign-in")

    assert not [each for each in queries.captured_queries if "django_session" in each["sql"]]


def test_the_documentation_tries_the_api_out_where_sessions_count_there(browser: Browser, settings: Any) -> None:
    assert "csrf" not in browser.get("/docs").content.decode()
    settings.API_SESSIONS = True

    assert re.search(r'data-csrf-token="\w{64}"', browser.get("/docs").content.decode())
