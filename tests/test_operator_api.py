"""The operator API: staff sign-in and the tenants of the platform."""

from typing import Any

import pytest
from django.db import connection

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.members.models import Membership
from operators.models import Operator
from permissions.roles import OperatorRole
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, CAST, Call, sign_in

TENANTS = "/operator/v1/tenants"


def create(call: Call, slug: str = "initech", **more: Any) -> Any:
    return call("operator", "POST", TENANTS, {"slug": slug, "name": "Initech", **more})


def schemas() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%%'", [])
        return {name for (name,) in cursor.fetchall()}


def test_a_new_tenant_is_ready_at_once(call: Call) -> None:
    """Created, signed in to, and used, with nothing in between."""
    response = create(call, owner_email="both@people.test")
    body = response.json()
    assert response.status_code == 201, body
    assert (body["slug"], body["status"], body["domains"]) == ("initech", "active", ["initech.localhost"])
    assert body["schema_name"] in schemas()
    login = {"email": "both@people.test", "password": PASSWORD}
    tokens = call("nobody", "POST", "/api/v1/auth/login", login, host="initech.localhost").json()
    assert (tokens["tenant"], tokens["role"]) == ("initech", "owner")
    auth = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": "initech.localhost"}
    made = call("nobody", "POST", "/api/v1/projects", {"name": "Reports"}, **auth)
    assert made.status_code == 201
    listed = call("nobody", "GET", "/api/v1/projects", **auth).json()["results"]
    assert listed == [made.json()]


def test_what_is_wrong_with_a_new_tenant_leaves_nothing_behind(call: Call) -> None:
    before, rows = schemas(), Tenant.objects.count()
    for response, status, code in (
        (create(call, slug="acme"), 409, "slug_taken"),
        (create(call, slug="www"), 400, "validation_error"),
        (create(call, slug="No_Slug"), 400, "validation_error"),
        (create(call, name=""), 400, "validation_error"),
        (create(call, schema_name="public"), 400, "validation_error"),
        (create(call, owner_email="no address"), 400, "validation_error"),
    ):
        assert (response.status_code, response.json()["code"]) == (status, code)
    assert (schemas(), Tenant.objects.count()) == (before, rows)


def test_suspending_closes_a_tenant_at_once_and_resuming_opens_it(call: Call) -> None:
    path = f"{TENANTS}/{Tenant.objects.get(slug='acme').pk}"
    for _ in range(2):
        assert call("operator", "POST", f"{path}/suspend").json()["status"] == "suspended"
    for response in (
        call("acme_owner", "GET", "/api/v1/projects"),
        call("acme_owner", "GET", "/api/v1/me"),
        call("nobody", "POST", "/api/v1/auth/login", {"email": "owner@acme.test", "password": PASSWORD}),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "tenant_suspended")
    assert call("globex_owner", "GET", "/api/v1/projects").status_code == 200
    for _ in range(2):
        assert call("operator", "POST", f"{path}/resume").json()["status"] == "active"
    assert call("acme_owner", "GET", "/api/v1/projects").status_code == 200


def test_tenants_are_listed_searched_and_seen(call: Call) -> None:
    assert {row["slug"] for row in call("operator", "GET", TENANTS).json()["results"]} == {"acme", "globex"}
    found = call("operator", "GET", f"{TENANTS}?search=industries").json()["results"]
    assert [row["slug"] for row in found] == ["globex"]
    assert call("operator", "GET", f"{TENANTS}/{found[0]['id']}").json().items() >= found[0].items()
    assert call("operator", "GET", f"{TENANTS}?status=suspended").json()["results"] == []


def test_only_staff_sign_in_as_staff(call: Call) -> None:
    """Being an owner somewhere is nothing here, and a stranger learns nothing."""
    path = "/operator/v1/auth/login"
    refused = call("nobody", "POST", path, {"email": "owner@acme.test", "password": PASSWORD}, host=API_HOST)
    wrong = call("nobody", "POST", path, {"email": OPERATOR_EMAIL, "password": "wrong"}, host=API_HOST)
    assert (refused.status_code, refused.json()) == (401, wrong.json())
    assert call("nobody", "POST", path, {}, host=ACME).status_code == 404


def test_an_operator_is_a_stranger_to_tenants(call: Call) -> None:
    """Signing in at a tenant needs a membership there, whoever one is to the platform."""
    login = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    assert call("nobody", "POST", "/api/v1/auth/login", login, host=ACME).json()["code"] == "not_a_member"


def test_refresh_tokens_know_their_api(call: Call) -> None:
    operator, member = sign_in(CAST["operator"]), sign_in(CAST["acme_owner"])
    paths = {"/operator/v1/auth/refresh": (operator, member), "/api/v1/auth/refresh": (member, operator)}
    for path, (own, foreign) in paths.items():
        body = {"refresh_token": foreign["refresh_token"]}
        assert call("nobody", "POST", path, body, host=API_HOST).json()["code"] == "invalid_token"
        body = {"refresh_token": own["refresh_token"]}
        assert call("nobody", "POST", path, body, host=API_HOST).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"role": OperatorRole.SUPPORT, "version": 2}],
    ids=["disabled", "another role"],
)
def test_changes_of_staff_hold_at_once(call: Call, change: dict[str, Any]) -> None:
    tokens = sign_in(CAST["operator"])
    Operator.objects.update(**change)
    auth = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": API_HOST}
    assert call("nobody", "GET", TENANTS, **auth).json()["code"] == "invalid_token"
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST)
    if "role" in change:
        auth["HTTP_AUTHORIZATION"] = f"Bearer {refreshed.json()['access_token']}"
        assert call("nobody", "GET", TENANTS, **auth).status_code == 200
        assert call("nobody", "POST", TENANTS, {}, **auth).json()["scope"] == "platform:tenants:write"
    else:
        assert refreshed.status_code == 401


def test_signing_out_ends_the_operators_session(call: Call) -> None:
    tokens = sign_in(CAST["operator"])
    auth = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": API_HOST}
    assert call("nobody", "POST", "/operator/v1/auth/logout", {}, **auth).status_code == 204
    assert call("nobody", "GET", TENANTS, **auth).status_code == 401


def test_owners_named_at_creation_are_owners(call: Call) -> None:
    tenant = create(call, owner_email="Both@People.test").json()
    assert [m.role for m in Membership.objects.filter(tenant_id=tenant["id"])] == ["owner"]
