"""The tenant's own APIs: itself, its members, and the example app on top."""

from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from identity.members import services
from identity.members.errors import LastOwner
from identity.members.models import Membership
from permissions import policy
from permissions.principals import Kind
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, Call


def member(email: str, tenant: str = "acme") -> Membership:
    return Membership.objects.get(user__email=email, tenant__slug=tenant)


def member_path(email: str, tenant: str = "acme") -> str:
    return f"/api/v1/members/{member(email, tenant).pk}"


# --- The tenant -------------------------------------------------------------------------------------------------------


def test_a_member_sees_the_tenant(call: Call) -> None:
    body = call("acme_viewer", "GET", "/api/v1/tenant").json()
    assert (body["slug"], body["name"], body["status"]) == ("acme", "Acme Corporation", "active")
    assert body["domains"] == [ACME]
    assert "schema_name" not in body


def test_an_admin_renames_the_tenant(call: Call) -> None:
    assert call("acme_admin", "PATCH", "/api/v1/tenant", {"name": "Acme Ltd"}).json()["name"] == "Acme Ltd"
    assert Tenant.objects.get(slug="acme").name == "Acme Ltd"
    assert Tenant.objects.get(slug="globex").name == "Globex Industries"
    for body in ({"slug": "other"}, {"status": "suspended"}, {"name": ""}, {"name": "x" * 121}, {"id": "1"}):
        assert call("acme_admin", "PATCH", "/api/v1/tenant", body).status_code == 400, body
    assert call("acme_admin", "PATCH", "/api/v1/tenant", {}).status_code == 200


# --- Members ----------------------------------------------------------------------------------------------------------


def test_members_are_the_tenants_own(call: Call) -> None:
    listed = call("acme_member", "GET", "/api/v1/members").json()["results"]
    assert {row["email"] for row in listed} == {
        *(f"{role}@acme.test" for role in Role),
        "both@people.test",
    }
    owner = call("acme_member", "GET", "/api/v1/members?role=owner").json()["results"]
    assert [row["email"] for row in owner] == ["owner@acme.test"]
    found = call("acme_member", "GET", "/api/v1/members?search=VIEW").json()["results"]
    assert [row["email"] for row in found] == ["viewer@acme.test"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_another_tenants_member_is_not_found(call: Call, method: str) -> None:
    path = member_path("viewer@globex.test", "globex")
    body = {"role": "member"} if method == "PATCH" else None
    assert call("acme_owner", method, path, body).status_code == 404
    assert member("viewer@globex.test", "globex").role == "viewer"


def test_a_changed_role_holds_from_the_next_request(call: Call, tokens: dict[str, Any]) -> None:
    assert call("acme_viewer", "GET", "/api/v1/projects").status_code == 200
    changed = call("acme_owner", "PATCH", member_path("viewer@acme.test"), {"role": "member"})
    assert (changed.status_code, changed.json()["role"]) == (200, "member")
    assert call("acme_viewer", "GET", "/api/v1/projects").json()["code"] == "invalid_token"
    body = {"refresh_token": tokens["acme_viewer"]["refresh_token"]}
    assert call("nobody", "POST", "/api/v1/auth/refresh", body).json()["role"] == "member"


def test_the_same_role_again_changes_nothing(call: Call) -> None:
    assert call("acme_owner", "PATCH", member_path("viewer@acme.test"), {"role": "viewer"}).status_code == 200
    assert call("acme_viewer", "GET", "/api/v1/projects").status_code == 200


def test_a_removed_member_is_out_at_once_and_stays_elsewhere(call: Call) -> None:
    assert call("acme_admin", "DELETE", member_path("viewer@acme.test")).status_code == 204
    assert call("acme_viewer", "GET", "/api/v1/projects").json()["code"] == "invalid_token"
    assert call("acme_admin", "DELETE", member_path("both@people.test")).status_code == 204
    assert member("both@people.test", "globex").role == "viewer"


@pytest.mark.parametrize(
    ("target", "role"),
    [("owner@acme.test", "viewer"), ("viewer@acme.test", "owner"), ("admin@acme.test", "owner")],
    ids=["a stronger member", "a stronger role", "oneself, stronger"],
)
def test_nobody_reaches_above_their_own_role(call: Call, target: str, role: str) -> None:
    response = call("acme_admin", "PATCH", member_path(target), {"role": role})
    assert (response.status_code, response.json()["code"]) == (403, "outranked")
    assert call("acme_admin", "DELETE", member_path("owner@acme.test")).json()["code"] == "outranked"
    assert member("owner@acme.test").role == "owner"


def test_what_counts_is_the_role_of_now_not_the_tokens(call: Call) -> None:
    """Even inside a request that began as owner: the service reads the caller's role under its lock."""
    caller = member("owner@acme.test")
    newcomer = member("admin@globex.test", "globex").user_id
    services.add_member(tenant_id=caller.tenant_id, user_id=newcomer, role=Role.OWNER)
    Membership.objects.filter(pk=caller.pk).update(role=Role.VIEWER)
    with pytest.raises(Exception, match="outranks"):
        services.change_role(
            tenant_id=caller.tenant_id,
            membership_id=member("admin@acme.test").pk,
            role=Role.VIEWER,
            by=caller.user_id,
            held=policy.ceiling(Kind.MEMBER),
        )


def test_a_tenant_keeps_an_owner(call: Call) -> None:
    path = member_path("owner@acme.test")
    for response in (call("acme_owner", "PATCH", path, {"role": "admin"}), call("acme_owner", "DELETE", path)):
        assert (response.status_code, response.json()["code"]) == (409, "last_owner")
    promoted = call("acme_owner", "PATCH", member_path("admin@acme.test"), {"role": "owner"})
    assert promoted.status_code == 200
    assert call("acme_owner", "PATCH", path, {"role": "member"}).status_code == 200
    heir = member("admin@acme.test")
    with pytest.raises(LastOwner):
        services.remove_member(tenant_id=heir.tenant_id, membership_id=heir.pk, by=heir.user_id)


def test_only_the_role_can_be_changed(call: Call) -> None:
    path, version = member_path("viewer@acme.test"), member("viewer@acme.test").version
    for body in ({}, {"role": "emperor"}, {"role": None}, {"status": "suspended"}, {"role": "member", "version": 9}):
        assert call("acme_owner", "PATCH", path, body).status_code == 400, body
    assert member("viewer@acme.test").version == version


# --- The example app --------------------------------------------------------------------------------------------------


def create(call: Call, name: str, **more: Any) -> dict[str, Any]:
    response = call("acme_member", "POST", "/api/v1/projects", {"name": name, **more})
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def test_a_projects_life(call: Call) -> None:
    project = create(call, "Tunnel", description="Paint it on a wall")
    path = f"/api/v1/projects/{project['id']}"
    assert UUID(project["created_by"]) == member("member@acme.test").user_id
    assert call("acme_viewer", "GET", path).json() == project
    patched = call("acme_member", "PATCH", path, {"status": "archived"}).json()
    assert (patched["status"], patched["name"]) == ("archived", "Tunnel")
    replaced = call("acme_member", "PUT", path, {"name": "Bridge"}).json()
    assert replaced["name"] == "Bridge"
    assert (replaced["id"], replaced["created_by"]) == (project["id"], project["created_by"])
    assert call("acme_member", "DELETE", path).status_code == 204
    assert call("acme_member", "GET", path).status_code == 404


def test_a_tasks_life_and_its_project(call: Call) -> None:
    project = create(call, "Tunnel")
    task = call("acme_member", "POST", "/api/v1/tasks", {"project": project["id"], "title": "Buy paint"}).json()
    assert call("acme_viewer", "GET", f"/api/v1/tasks?project={project['id']}").json()["results"] == [task]
    done = call("acme_member", "PATCH", f"/api/v1/tasks/{task['id']}", {"status": "done"}).json()
    assert done["status"] == "done"
    assert call("acme_member", "DELETE", f"/api/v1/projects/{project['id']}").status_code == 204
    assert call("acme_viewer", "GET", f"/api/v1/tasks/{task['id']}").status_code == 404


def test_tasks_are_counted(call: Call) -> None:
    """A function view, behind the same scopes: each tenant counts its own."""
    assert call("acme_viewer", "GET", "/api/v1/tasks/summary").json() == {"open": 5, "done": 0}
    task = call("acme_member", "GET", "/api/v1/tasks").json()["results"][0]
    call("acme_member", "PATCH", f"/api/v1/tasks/{task['id']}", {"status": "done"})
    assert call("acme_viewer", "GET", "/api/v1/tasks/summary").json() == {"open": 4, "done": 1}
    assert call("globex_owner", "GET", "/api/v1/tasks/summary").json() == {"open": 4, "done": 0}


def test_another_tenants_rows_are_not_there(call: Call) -> None:
    """Not to be read, changed or pointed at, and not from the API host either."""
    theirs = call("globex_owner", "GET", "/api/v1/projects").json()["results"][0]
    path = f"/api/v1/projects/{theirs['id']}"
    for host in (ACME, API_HOST):
        assert call("acme_owner", "GET", path, host=host).status_code == 404
        assert call("acme_owner", "PATCH", path, {"name": "Ours"}, host=host).status_code == 404
        assert call("acme_owner", "DELETE", path, host=host).status_code == 404
        names = {row["name"] for row in call("acme_owner", "GET", "/api/v1/projects", host=host).json()["results"]}
        assert names == {"Rocket skates", "Giant magnet"}
    pointed = call("acme_owner", "POST", "/api/v1/tasks", {"project": theirs["id"], "title": "Sneak in"})
    assert pointed.status_code == 400
    assert call("globex_owner", "GET", path).json() == theirs


def test_who_made_a_row_is_not_for_the_client_to_say(call: Call) -> None:
    other = str(member("owner@acme.test").user_id)
    response = call("acme_member", "POST", "/api/v1/projects", {"name": "Forged", "created_by": other})
    assert response.json()["errors"] == [
        {"pointer": "#/created_by", "code": "read_only", "detail": "This field can only be read."}
    ]


def test_lists_page_filter_search_and_order(call: Call) -> None:
    for index in range(5):
        create(call, f"Alpha {index}", status="archived" if index % 2 else "active")
    seen, url = [], "/api/v1/projects?limit=3&ordering=name&search=alpha"
    while url:
        page = call("acme_viewer", "GET", url).json()
        assert len(page["results"]) <= 3
        seen += [row["name"] for row in page["results"]]
        url = page["next"] and page["next"].removeprefix(f"http://{ACME}")
    assert seen == [f"Alpha {index}" for index in range(5)]
    archived = call("acme_viewer", "GET", "/api/v1/projects?status=archived&ordering=-name").json()["results"]
    assert [row["name"] for row in archived] == ["Alpha 3", "Alpha 1"]


def test_pages_lead_back_as_well(call: Call) -> None:
    for index in range(4):
        create(call, f"Alpha {index}")
    first = call("acme_viewer", "GET", "/api/v1/projects?limit=2").json()
    second = call("acme_viewer", "GET", first["next"].removeprefix(f"http://{ACME}")).json()
    back = call("acme_viewer", "GET", second["previous"].removeprefix(f"http://{ACME}")).json()
    assert back["results"] == first["results"]
    assert first["previous"] is None


def test_a_refused_write_leaves_nothing(call: Call) -> None:
    """A request that ends in an error has changed nothing."""
    before = call("acme_viewer", "GET", "/api/v1/projects").json()
    assert call("acme_member", "POST", "/api/v1/projects", {"name": ""}).status_code == 400
    assert call("acme_viewer", "POST", "/api/v1/projects", {"name": "No"}).status_code == 403
    assert call("acme_viewer", "GET", "/api/v1/projects").json() == before


def test_migrations_are_complete(db: None) -> None:
    """The models and the committed migrations say the same."""
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
