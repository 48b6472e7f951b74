"""Support access: platform staff inside one tenant, reading, for an hour, with their name on it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.accounts.models import User
from identity.sessions.models import EndReason, Session
from identity.tokens.backends import BearerBackend
from operators.models import Operator, SupportAccess
from permissions.principals import Kind
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, GLOBEX, Call, sign_in, support_token

CASE = {"reason": "A report is empty", "ticket": "T-42"}


def path(slug: str = "acme") -> str:
    return f"/operator/v1/tenants/{Tenant.objects.get(slug=slug).pk}/support-access"


def bearer(token: dict[str, Any], host: str = ACME) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}", "host": host}


@pytest.fixture
def access(call: Call) -> dict[str, Any]:
    """A support access that was just begun."""
    return support_token(sign_in(CAST["operator"])["access_token"], "acme")


def test_staff_look_into_one_tenant(call: Call, access: dict[str, Any]) -> None:
    """They read what is there; who is there is in the token and in the database."""
    assert (access["tenant"], access["role"], access["expires_in"], "refresh_token" in access) == (
        "acme",
        None,
        3600,
        False,
    )
    assert all(scope.endswith(":read") for scope in access["scope"].split())
    listed = call("nobody", "GET", "/api/v1/projects", **bearer(access)).json()["results"]
    assert {row["name"] for row in listed} == {"Rocket skates", "Giant magnet"}
    claims = BearerBackend().introspect(access["access_token"])
    staff = User.objects.get(email=CAST["operator"].email)
    assert claims.act == staff.pk
    row = SupportAccess.objects.get(pk=access["id"])
    assert (row.operator.user_id, row.reason, row.ticket) == (staff.pk, "A question about a report", "T-1")
    verified = call("nobody", "POST", "/api/v1/auth/verify", {"token": access["access_token"]}).json()
    assert verified["kind"] == Kind.SUPPORT


def test_it_opens_nothing_else(call: Call, access: dict[str, Any]) -> None:
    """No other tenant, no operator API, no person's account, no writing, no way to make it longer."""
    assert call("nobody", "GET", "/api/v1/projects", **bearer(access, GLOBEX)).json()["code"] == "tenant_mismatch"
    assert call("nobody", "GET", "/operator/v1/tenants", **bearer(access, API_HOST)).status_code == 401
    for method, target in (
        ("POST", "/api/v1/projects"),
        ("PATCH", "/api/v1/tenant"),
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/me/sessions"),
        ("POST", "/api/v1/auth/switch"),
        ("POST", "/api/v1/auth/step-up"),
        ("GET", "/api/v1/clients"),
    ):
        refused = call("nobody", method, target, None if method == "GET" else {}, **bearer(access))
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope"), target


def test_ending_it_holds_on_the_next_request(call: Call, access: dict[str, Any]) -> None:
    target = f"/operator/v1/support-access/{access['id']}"
    for _ in range(2):
        assert call("operator", "DELETE", target).status_code == 204
    assert call("nobody", "GET", "/api/v1/projects", **bearer(access)).status_code == 401
    assert SupportAccess.objects.get(pk=access["id"]).session.end_reason == EndReason.ENDED_BY_STAFF
    missing = "/operator/v1/support-access/00000000-0000-4000-8000-000000000000"
    assert call("operator", "DELETE", missing).status_code == 404


def test_it_ends_by_itself(call: Call, access: dict[str, Any]) -> None:
    row = SupportAccess.objects.get(pk=access["id"])
    assert row.session.expires_at - row.created_at < timedelta(minutes=61)
    Session.objects.filter(pk=row.session_id).update(expires_at=timezone.now() - timedelta(hours=1))
    assert call("nobody", "GET", "/api/v1/projects", **bearer(access)).status_code == 401


def test_a_case_is_needed_and_an_open_tenant(call: Call) -> None:
    for body in ({}, {"reason": "x"}, {"ticket": "x"}, {"reason": " ", "ticket": "x"}, CASE | {"minutes": 600}):
        assert call("operator", "POST", path(), body).status_code == 400, body
    missing = "/operator/v1/tenants/00000000-0000-4000-8000-000000000000/support-access"
    assert call("operator", "POST", missing, CASE).status_code == 404
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert call("operator", "POST", path(), CASE).json()["code"] == "tenant_suspended"
    assert not SupportAccess.objects.filter(ticket="T-42").exists()


def test_a_closed_account_supports_nobody(call: Call, access: dict[str, Any]) -> None:
    User.objects.filter(email=CAST["operator"].email).update(is_active=False)
    assert call("nobody", "GET", "/api/v1/projects", **bearer(access)).status_code == 401


def test_whoever_left_the_staff_is_inside_no_tenant(call: Call, access: dict[str, Any]) -> None:
    Operator.objects.filter(user__email=CAST["operator"].email).update(is_active=False)
    assert call("nobody", "GET", "/api/v1/projects", **bearer(access)).status_code == 401
