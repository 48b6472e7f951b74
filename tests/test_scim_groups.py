"""Groups of a directory: who is in them is the directory's to say, which role they give an administrator's."""

from typing import Any
from uuid import uuid4

import pytest

from config.demo_data import PASSWORD
from identity.members.models import Membership
from identity.scim.models import ScimGroup
from tests.conftest import ACME, Call
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_members import compose
from tests.test_scim import PATCH, SCIM, actions, assert_error, created, last_event, member_id, scim
from tests.test_scim import ours as ours  # noqa: PLC0414 -- a fixture

GROUPS = f"{SCIM}/Groups"
MAPPED = "/api/v1/scim-groups"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def group(call: Call, name: str = "Engineering", *members: str) -> dict[str, Any]:
    body = {"schemas": [GROUP], "displayName": name, "members": [{"value": pk} for pk in members]}
    response = scim(call, "POST", GROUPS, body)
    assert response.status_code == 201, response.content
    found: dict[str, Any] = response.json()
    return found


def change(call: Call, pk: str, *operations: dict[str, Any], **extra: Any) -> Any:
    return scim(call, "PATCH", f"{GROUPS}/{pk}", {"schemas": [PATCH], "Operations": list(operations)}, **extra)


def mapped(call: Call, pk: str, role: str | None, actor: str = "acme_admin") -> Any:
    return call(actor, "PATCH", f"{MAPPED}/{pk}", {"role": role})


def role(pk: str) -> str:
    return Membership.objects.get(pk=pk).role


def test_a_group_gives_a_role_when_an_administrator_says_which(ours: Call) -> None:
    pk = created(ours)["id"]
    made = group(ours, "Admins", pk)
    assert made["members"] == [
        {"value": pk, "$ref": f"http://{ACME}{SCIM}/Users/{pk}", "type": "User"},
    ]
    assert role(pk) == "member", "a directory gives no role by itself, whatever it calls a group"
    before = last_event()
    assert mapped(ours, made["id"], "admin").json()["role"] == "admin"
    assert role(pk) == "admin"
    shown = scim(ours, "GET", f"{SCIM}/Users/{pk}").json()
    assert shown["roles"] == [{"value": "admin", "primary": True}]
    assert shown["groups"] == [{"value": made["id"], "display": "Admins"}]
    assert mapped(ours, made["id"], None).json()["role"] == ""
    assert role(pk) == "member", "what the address's domain gives"
    assert actions(before) == ["member.role_changed", "scim_group.mapped"] * 2


def test_who_comes_and_who_goes(ours: Call) -> None:
    """In Okta's and Entra's ways of saying it; tokens of the former role are void at once."""
    viewer, member = member_id("viewer@acme.test"), member_id("member@acme.test")
    pk = group(ours)["id"]
    mapped(ours, pk, "member")
    added = change(ours, pk, {"op": "Add", "path": "members", "value": [{"value": viewer}, {"value": member}]})
    assert added.status_code == 200, added.content
    assert (role(viewer), role(member)) == ("member", "member")
    assert ours("acme_viewer", "GET", "/api/v1/projects").status_code == 401
    assert ours("acme_member", "GET", "/api/v1/projects").status_code == 200, "whose role is the same"
    change(ours, pk, {"op": "remove", "path": f'members[value eq "{viewer}"]'})
    assert role(viewer) == "viewer"
    change(ours, pk, {"op": "Remove", "path": "members", "value": [{"value": member}]})
    assert role(member) == "viewer", "who is in no group that gives a role, at no proved domain"
    assert scim(ours, "GET", f"{GROUPS}/{pk}").json().get("members") is None
    change(ours, pk, {"op": "replace", "value": {"id": pk, "displayName": "Eng", "members": [{"value": member}]}})
    assert role(member) == "member"
    assert scim(ours, "PUT", f"{GROUPS}/{pk}", {"schemas": [GROUP], "displayName": "Eng"}).status_code == 200
    assert role(member) == "viewer"


def test_of_several_groups_the_strongest_role_counts(ours: Call) -> None:
    pk = created(ours)["id"]
    compose("reader", "projects:read")
    groups = {name: group(ours, name, pk)["id"] for name in ("viewer", "reader", "admin")}
    for name, group_id in groups.items():
        assert mapped(ours, group_id, name).status_code == 200
    assert role(pk) == "admin"
    assert scim(ours, "DELETE", f"{GROUPS}/{groups['admin']}").status_code == 204
    assert role(pk) == "reader"


def test_no_group_makes_owners_or_changes_one(ours: Call) -> None:
    owner = member_id("owner@acme.test")
    pk = group(ours, "owner", owner)["id"]
    response = mapped(ours, pk, "owner", "acme_owner")
    assert (response.status_code, response.json()["code"]) == (400, "owner_by_group")
    assert mapped(ours, pk, "viewer", "acme_owner").status_code == 200
    assert role(owner) == "owner"
    change(ours, pk, {"op": "remove", "path": "members"})
    assert role(owner) == "owner"
    assert ours("acme_owner", "GET", "/api/v1/projects").status_code == 200


def test_nobody_lets_a_group_give_what_they_cannot_give(ours: Call) -> None:
    pk = group(ours)["id"]
    for actor in ("acme_member", "acme_viewer", "acme_client", "acme_support"):
        assert mapped(ours, pk, "admin", actor).status_code == 403, actor
    assert mapped(ours, pk, "emperor").status_code == 400
    assert mapped(ours, pk, "admin", "globex_owner").status_code == 404, "in their own tenant there is no such group"
    body = {"email": "admin@acme.test", "password": PASSWORD, "scope": "scim:write"}
    narrow = ours("nobody", "POST", "/api/v1/auth/login", body).json()["access_token"]
    response = ours("nobody", "PATCH", f"{MAPPED}/{pk}", {"role": "admin"}, HTTP_AUTHORIZATION=f"Bearer {narrow}")
    assert (response.status_code, response.json()["code"]) == (403, "scope_not_held")


def test_a_composed_role_that_goes_leaves_its_groups(ours: Call) -> None:
    pk, made = created(ours)["id"], compose("reader", "projects:read")
    group_id = group(ours, "Readers", pk)["id"]
    mapped(ours, group_id, "reader")
    assert role(pk) == "reader"
    renamed = ours("acme_admin", "PATCH", f"/api/v1/roles/{made.pk}", {"name": "looker"})
    assert renamed.status_code == 200
    assert ScimGroup.objects.get(pk=group_id).role == role(pk) == "looker"
    gone = ours("acme_admin", "DELETE", f"/api/v1/roles/{made.pk}?reassign_to=viewer")
    assert gone.status_code == 204, gone.content
    assert ScimGroup.objects.get(pk=group_id).role == role(pk) == "viewer"


def test_groups_are_found_named_once_and_versioned(ours: Call) -> None:
    viewer = member_id("viewer@acme.test")
    made = group(ours, "Engineering", viewer)
    assert_error(scim(ours, "POST", GROUPS, {"schemas": [GROUP], "displayName": "ENGINEERING"}), 409, "uniqueness")
    for text in (
        'displayName eq "engineering"', f'id eq "{made["id"]}"', f'members eq "{viewer}"',
        f'members[value eq "{viewer}"]', 'displayName co "gine" and not (displayName eq "x")',
    ):  # fmt: skip
        found = scim(ours, "GET", f"{GROUPS}?filter={text}").json()
        assert [row["id"] for row in found["Resources"]] == [made["id"]], text
    assert scim(ours, "GET", f'{GROUPS}?filter=members eq "{uuid4()}"').json()["totalResults"] == 0
    short = scim(ours, "GET", f"{GROUPS}/{made['id']}?excludedAttributes=members").json()
    assert "members" not in short
    rename = {"op": "replace", "path": "displayName", "value": "Eng"}
    assert change(ours, made["id"], rename, HTTP_IF_MATCH=made["meta"]["version"]).status_code == 200
    assert_error(change(ours, made["id"], rename, HTTP_IF_MATCH=made["meta"]["version"]), 412)


@pytest.mark.parametrize("stranger", ["another tenant's", "nobody's", "no id"])
def test_only_users_of_the_tenant_are_in_its_groups(ours: Call, stranger: str) -> None:
    ids = {"another tenant's": member_id("owner@globex.test", "globex"), "nobody's": str(uuid4()), "no id": "x"}
    body = {"schemas": [GROUP], "displayName": "x", "members": [{"value": ids[stranger]}]}
    assert_error(scim(ours, "POST", GROUPS, body), 400, "invalidValue")
    assert not ScimGroup.objects.exists()
    pk = group(ours)["id"]
    assert_error(change(ours, pk, {"op": "add", "path": "members", "value": body["members"]}), 400, "invalidValue")
