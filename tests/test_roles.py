"""Composed roles: never more than their author holds, true from the next request on, and one tenant's own."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from identity.accounts.models import User
from identity.invitations import selectors as invitations
from identity.invitations.models import Invitation
from identity.members.models import Membership
from identity.roles import selectors
from identity.roles.models import CustomRole, validate_name
from permissions import policy
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from permissions.scopes import Scope
from tenants.audit import selectors as audit
from tenants.audit.models import AuditEvent
from tests.conftest import CAST, Call, sign_in
from tests.test_members import acme, ask, code, compose, events, join, member, path, signed_in
from tests.test_sessions import claims_of, me, refresh

ROLES = "/api/v1/roles"
PERSONAL = ["profile:read", "profile:write", "sessions:read", "sessions:write", "tenants:write"]
BODY = {"name": "bookkeeper", "description": "Reads projects.", "scopes": ["projects:read", "members:read"]}


def create(call: Call, actor: str = "acme_owner", **values: Any) -> Any:
    return call(actor, "POST", ROLES, BODY | values)


def error_codes(response: Any) -> set[tuple[str, str]]:
    """Where which error is."""
    return {(error.get("pointer") or error["parameter"], error["code"]) for error in response.json()["errors"]}


# --- Composing --------------------------------------------------------------------------------------------------------


def test_a_role_is_composed_seen_and_given(call: Call) -> None:
    before = events()
    role = create(call).json()
    expected = {"name": "bookkeeper", "description": "Reads projects.", "scopes": ["members:read", "projects:read"]}
    assert role == {"id": role["id"], "is_built_in": False, **expected}
    assert call("acme_viewer", "GET", f"{ROLES}/{role['id']}").json() == role
    listed = call("acme_viewer", "GET", ROLES).json()
    assert [row["name"] for row in listed] == [*Role, "bookkeeper"]
    assert [(row["id"], row["is_built_in"]) for row in listed[:4]] == [(None, True)] * 4
    assert call("acme_owner", "PATCH", path("viewer@acme.test"), {"role": "bookkeeper"}).json()["role"] == "bookkeeper"
    assert events()[len(before) :] == ["role.created", "member.role_changed"]
    tokens = sign_in(CAST["acme_viewer"])
    assert (tokens["role"], claims_of(tokens)["role"]) == ("bookkeeper", "bookkeeper")
    assert tokens["scope"].split() == sorted([*PERSONAL, *role["scopes"]])
    assert me(call, tokens).json()["scopes"] == sorted([*PERSONAL, *role["scopes"]])
    statuses = [ask(call, tokens, "GET", f"/api/v1/{where}").status_code for where in ("projects", "members", "tasks")]
    assert statuses == [200, 200, 403]


def test_built_in_roles_say_what_they_hold_in_the_tenant(call: Call) -> None:
    """Exactly what their tokens hold, but for what everybody may do for themselves."""
    listed = {row["name"]: row["scopes"] for row in call("acme_owner", "GET", ROLES).json()}
    for name in Role:
        tokens = sign_in(CAST[f"acme_{name}"])
        assert tokens["scope"].split() == sorted([*PERSONAL, *listed[name]]), name
        assert not {*listed[name]} & {*PERSONAL}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((role.value, "reserved_role_name") for role in Role),
        *((name, "invalid_role_name") for name in ("a", "Owner", "ADMIN", "9lives", "-x", "x-", "a--b", "a b", "a_b")),
        *((name, "invalid_role_name") for name in ("ünder", "role\u200b", "\uff41dmin", "a.b", "a:b", "x\ny")),
        ("x" * 33, "max_length"),
        ("", "blank"),
        (None, "null"),
    ],
)
def test_a_name_that_is_none(call: Call, name: str | None, expected: str) -> None:
    role = compose("reader", "projects:read")
    for response in (create(call, name=name), call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"name": name})):
        assert (response.status_code, ("#/name", expected) in error_codes(response)) == (400, True)


def test_names_of_the_platforms_roles_mean_nothing(call: Call) -> None:
    """`support` and `operator` are no roles of a tenant: composed, they hold what they are composed of."""
    for name in OperatorRole:
        if name not in set(Role):
            assert create(call, name=name.value, scopes=["projects:read"]).status_code == 201
            tokens = signed_in(f"{name}-x@acme.test", name.value)
            assert tokens["scope"].split() == sorted([*PERSONAL, "projects:read"])
    validate_name("x" * 32)
    with pytest.raises(ValidationError):
        validate_name("x" * 33)


NEVER = [
    *PERSONAL,
    *(scope for scope in Scope if scope.startswith("platform:")),
    "projects:delete",
    "no:such:scope",
    "*",
]


@pytest.mark.parametrize("scope", NEVER)
def test_no_role_is_composed_of(call: Call, scope: str) -> None:
    """What is everybody's, the platform's, or nothing at all."""
    role = compose("reader", "projects:read")
    for values in ([scope], ["projects:read", scope]):
        changed = call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"scopes": values})
        for response in (create(call, scopes=values), changed):
            assert (response.status_code, error_codes(response)) == (400, {("#/scopes", "scope_not_grantable")})
    assert code(create(call, scopes=[])) == "validation_error"


def test_whatever_stands_in_the_row_a_token_holds_what_a_tenant_may_give(call: Call) -> None:
    """Past our services: neither the platform's scopes nor unknown ones; what is everybody's stays."""
    compose("odd", "platform:tenants:write projects:read no:such:scope profile:write")
    assert signed_in("odd@acme.test", "odd")["scope"].split() == sorted([*PERSONAL, "projects:read"])
    compose("empty", "")
    empty = signed_in("empty@acme.test", "empty")
    assert empty["scope"].split() == PERSONAL
    assert me(call, empty).status_code == 200


def test_there_is_a_limit(call: Call, settings: Any) -> None:
    settings.CUSTOM_ROLES_LIMIT = 2
    compose("theirs", "projects:read", tenant="globex")
    names = ["first", "first", "second", "third"]
    assert [code(create(call, name=name)) for name in names] == ["", "role_name_taken", "", "too_many_roles"]
    assert CustomRole.objects.filter(tenant=acme()).count() == 2


def test_every_scope_is_explained_and_truly_held_or_not(call: Call) -> None:
    """In words, for the tenant's API alone; what is said to be held is, and what is said to be grantable."""
    narrow = sign_in(CAST["acme_owner"], scope="roles:write projects:write members:read")
    callers = {role: sign_in(CAST[f"acme_{role}"]) for role in Role}
    table = policy.table()
    for tokens in (*callers.values(), narrow, signed_in("empty@acme.test", compose("empty", "roles:read").name)):
        listed = ask(call, tokens, "GET", "/api/v1/scopes").json()
        assert [row["scope"] for row in listed] == [name for name in table if not name.startswith("platform:")]
        own = set(tokens["scope"].split())
        held = {name for name in table if own & {name, name.replace(":read", ":write")}}
        assert {row["scope"] for row in listed if row["is_held"]} == held
        for row in listed:
            grant = table[row["scope"]]
            assert row["description"] == grant.description
            assert row["description"][-1] == "."
            assert (row["built_in_roles"], row["kinds"]) == (sorted(grant.roles), sorted(grant.kinds))
            assert row["is_grantable"] == (row["scope"] not in PERSONAL and Kind.MEMBER in grant.kinds)
    grantable = [row["scope"] for row in listed if row["is_grantable"]]
    assert create(call, scopes=grantable).json()["scopes"] == grantable
    assert signed_in("all@acme.test", "bookkeeper")["scope"].split() == sorted([*PERSONAL, *grantable])


# --- Never more than the author holds ---------------------------------------------------------------------------------


def test_an_author_gives_what_their_token_holds(call: Call) -> None:
    """An admin with a narrowed token, and somebody whose role was composed itself."""
    compose("author", "roles:write projects:read tasks:write")
    narrow = sign_in(CAST["acme_admin"], scope="roles:write projects:read tasks:write")
    for index, author in enumerate((narrow, signed_in("author@acme.test", "author"))):
        tries = {
            "projects:read": "",
            "tasks:read": "",
            "roles:read roles:write": "",
            "projects:write": "scope_not_held",
        }
        tries |= {"members:read": "scope_not_held", "projects:read clients:write": "scope_not_held"}
        for number, (scope, expected) in enumerate(tries.items()):
            body = {"name": f"role-{index}-{number}", "scopes": scope.split()}
            assert code(ask(call, author, "POST", ROLES, body)) == expected, scope
    assert code(create(call, "acme_member")) == "insufficient_scope"


def test_an_author_changes_and_deletes_what_they_hold_all_of(call: Call) -> None:
    """Not even to take a scope away: a role with more than they have is not theirs to touch."""
    author = compose("author", "roles:write projects:read")
    strong, weak = compose("strong", "projects:read members:write"), compose("weak", "projects:read")
    tokens = signed_in("author@acme.test", "author")
    for change in ({"scopes": ["projects:read"]}, {"name": "renamed"}, {"description": "x"}):
        assert code(ask(call, tokens, "PATCH", f"{ROLES}/{strong.pk}", change)) == "scope_not_held"
    assert code(ask(call, tokens, "DELETE", f"{ROLES}/{strong.pk}")) == "scope_not_held"
    grow = {"scopes": ["roles:write", "projects:read", "members:write"]}
    for role in (author, weak):
        assert code(ask(call, tokens, "PATCH", f"{ROLES}/{role.pk}", grow)) == "scope_not_held"
    join("weak@acme.test", "weak")
    for replacement in ("strong", "member"):
        where = f"{ROLES}/{weak.pk}?reassign_to={replacement}"
        assert code(ask(call, tokens, "DELETE", where)) == "scope_not_held"
    assert ask(call, tokens, "DELETE", f"{ROLES}/{weak.pk}?reassign_to=author").status_code == 204
    assert member("weak@acme.test").role == "author"


# --- True from the next request on ------------------------------------------------------------------------------------


def test_other_scopes_hold_from_the_next_request_on(call: Call) -> None:
    role = compose("lead", "projects:read members:read")
    lead, viewer = signed_in("lead@acme.test", "lead"), sign_in(CAST["acme_viewer"])
    call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"description": "Leads."})
    assert me(call, lead).status_code == 200, "a description concerns nobody"
    before = events()
    changed = call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"scopes": ["projects:write"]})
    assert changed.json()["scopes"] == ["projects:write"]
    assert [me(call, tokens).status_code for tokens in (lead, viewer)] == [401, 200]
    lead = refresh(call, lead).json()
    assert lead["scope"].split() == sorted([*PERSONAL, "projects:write"])
    assert ask(call, lead, "POST", "/api/v1/projects", {"name": "Ours"}).status_code == 201
    assert code(ask(call, lead, "GET", "/api/v1/members")) == "insufficient_scope"
    call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"scopes": ["projects:write", "projects:write"]})
    assert me(call, lead).status_code == 200, "nothing changed"
    assert events()[len(before) :] == ["role.changed"]


def test_a_narrowed_session_does_not_widen_with_its_role(call: Call) -> None:
    role = compose("lead", "projects:read")
    narrow = signed_in("lead@acme.test", "lead", scope="projects:read profile:read")
    call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"scopes": ["projects:write", "members:write"]})
    assert refresh(call, narrow).json()["scope"] == "profile:read projects:read"


def test_another_name_is_everywhere_at_once(call: Call) -> None:
    role = compose("lead", "projects:read")
    lead = signed_in("lead@acme.test", "lead")
    call("acme_owner", "POST", "/api/v1/invitations", {"email": "new@acme.test", "role": "lead"})
    assert call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"name": "chief"}).json()["name"] == "chief"
    assert me(call, lead).status_code == 401
    assert refresh(call, lead).json()["role"] == "chief"
    assert (member("lead@acme.test").role, Invitation.objects.get(email="new@acme.test").role) == ("chief", "chief")
    compose("other", "projects:read")
    assert code(call("acme_owner", "PATCH", f"{ROLES}/{role.pk}", {"name": "other"})) == "role_name_taken"


def test_a_change_takes_as_many_statements_for_one_member_as_for_many(call: Call) -> None:
    counts = []
    call("acme_owner", "GET", ROLES)  # a process' first request looks up more
    for size in (1, 25):
        role = compose(f"crew-{size}", "projects:read")
        users = User.objects.bulk_create([User(email=f"{size}-{number}@crew.test") for number in range(size)])
        row = {"tenant": acme(), "role": role.name, "custom_role": role}
        Membership.objects.bulk_create([Membership(user=user, **row) for user in users])
        before = dict(Membership.objects.filter(custom_role=role).values_list("pk", "version"))
        used = []
        for method, where, body in (
            ("PATCH", f"{ROLES}/{role.pk}", {"scopes": ["projects:write"]}),
            ("DELETE", f"{ROLES}/{role.pk}?reassign_to=viewer", None),
        ):
            with CaptureQueriesContext(connection) as queries:
                assert call("acme_owner", method, where, body).status_code < 300
            used.append(len(queries))
        counts.append(used)
        after = dict(Membership.objects.filter(pk__in=before, role="viewer").values_list("pk", "version"))
        assert after == {pk: version + 2 for pk, version in before.items()}
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 25


# --- Deleting ---------------------------------------------------------------------------------------------------------


def test_whoever_has_a_deleted_role_gets_another_one(call: Call) -> None:
    role = compose("lead", "projects:write")
    lead = signed_in("lead@acme.test", "lead")
    call("acme_owner", "POST", "/api/v1/invitations", {"email": "new@acme.test", "role": "lead"})
    before = events()
    assert code(call("acme_owner", "DELETE", f"{ROLES}/{role.pk}")) == "role_in_use"
    assert (me(call, lead).status_code, events()) == (200, before)
    assert call("acme_owner", "DELETE", f"{ROLES}/{role.pk}?reassign_to=viewer").status_code == 204
    assert me(call, lead).status_code == 401
    assert refresh(call, lead).json()["role"] == "viewer"
    invitation = Invitation.objects.get(email="new@acme.test")
    assert (invitation.role, invitation.custom_role) == ("viewer", None)
    assert events()[len(before) :] == ["role.deleted"]
    assert code(call("acme_owner", "DELETE", f"{ROLES}/{role.pk}?reassign_to=viewer")) == "not_found"


def test_what_is_over_keeps_no_role(call: Call) -> None:
    """A revoked invitation says what it gave; a pending one alone keeps its role."""
    role = compose("lead", "projects:write")
    invited = call("acme_owner", "POST", "/api/v1/invitations", {"email": "new@acme.test", "role": "lead"}).json()
    assert code(call("acme_owner", "DELETE", f"{ROLES}/{role.pk}")) == "role_in_use"
    call("acme_owner", "POST", f"/api/v1/invitations/{invited['id']}/revoke")
    assert call("acme_owner", "DELETE", f"{ROLES}/{role.pk}").status_code == 204
    seen = call("acme_owner", "GET", f"/api/v1/invitations/{invited['id']}").json()
    assert (seen["role"], seen["status"]) == ("lead", "revoked")
    assert code(call("acme_owner", "POST", f"/api/v1/invitations/{invited['id']}/resend")) == "invitation_over"


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        *((name, "unfit_role") for name in ("owner", "admin", "lead")),
        *((name, "unknown_role") for name in ("emperor", "", "a%00b", "%ED%A0%80", "x" * 5000)),
    ],
)
def test_a_replacement_that_is_none(call: Call, replacement: str, expected: str) -> None:
    role = compose("lead", "projects:write")
    join("lead@acme.test", "lead")
    refused = call("acme_owner", "DELETE", f"{ROLES}/{role.pk}?reassign_to={replacement}")
    assert (refused.status_code, error_codes(refused)) == (400, {("reassign_to", expected)})
    assert member("lead@acme.test").role == "lead"


# --- One tenant's own -------------------------------------------------------------------------------------------------


def test_another_tenants_role_is_neither_seen_nor_changed_nor_given(call: Call) -> None:
    theirs = compose("theirs", "projects:read", tenant="globex")
    compose("lead", "projects:read")
    for method, body in (("GET", None), ("PATCH", {"name": "ours"}), ("DELETE", None)):
        assert code(call("acme_owner", method, f"{ROLES}/{theirs.pk}", body)) == "not_found"
    assert "theirs" not in {row["name"] for row in call("acme_owner", "GET", ROLES).json()}
    given = call("acme_owner", "PATCH", path("viewer@acme.test"), {"role": "theirs"})
    invited = call("acme_owner", "POST", "/api/v1/invitations", {"email": "new@acme.test", "role": "theirs"})
    moved = call("acme_owner", "DELETE", f"{ROLES}/{CustomRole.objects.get(name='lead').pk}?reassign_to=theirs")
    assert error_codes(given) == error_codes(invited) == {("#/role", "unknown_role")}
    assert error_codes(moved) == {("reassign_to", "unknown_role")}
    assert create(call, name="theirs").status_code == 201, "names are each tenant's own"


def test_postgres_itself_gives_nobody_another_tenants_role(db: None) -> None:
    """Raw SQL: neither to a member nor to whoever is invited."""
    theirs = compose("theirs", "projects:read", tenant="globex")
    invitation = Invitation.objects.create(
        tenant=acme(), email="new@acme.test", role="viewer", invited_by=uuid4(), expires_at="2999-01-01T00:00:00Z"
    )
    rows = {
        "members_membership": (member("viewer@acme.test").pk, "members_membership_role_of_tenant"),
        "invitations_invitation": (invitation.pk, "invitations_invitation_role_of_tenant"),
    }
    for table, (pk, constraint) in rows.items():
        statement = f"UPDATE {table} SET role = 'theirs', custom_role_id = '{theirs.pk}' WHERE id = '{pk}'"  # noqa: S608 -- of this test
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    "change",
    ["role = 'emperor'", "custom_role_id = '{own}'", "role = 'admin', custom_role_id = '{own}'", "role = ''"],
)
def test_postgres_itself_keeps_names_and_roles_together(db: None, change: str) -> None:
    """A built-in role's name stands for itself; any other one for a composed role."""
    own = compose("lead", "projects:read")
    statement = f"UPDATE members_membership SET {change.format(own=own.pk)} WHERE role = 'viewer'"  # noqa: S608 -- a constant
    refused = pytest.raises(IntegrityError, match="members_membership_role")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_no_foreign_row_shows_without_our_filters(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles, invitations and events: the database filters as well."""
    for tenant in ("acme", "globex"):
        compose(f"of-{tenant}", "projects:read", tenant=tenant)
        call(f"{tenant}_owner", "POST", "/api/v1/invitations", {"email": f"new@{tenant}.test", "role": "viewer"})
    theirs = {
        "roles": CustomRole.objects.get(name="of-globex").pk,
        "invitations": Invitation.objects.get(email="new@globex.test").pk,
        "audit-events": AuditEvent.objects.filter(tenant__slug="globex").latest("sequence").pk,
    }
    paths = [f"/api/v1/{name}" for name in theirs] + [f"/api/v1/{name}/{pk}" for name, pk in theirs.items()]

    def answers() -> list[tuple[int, Any]]:
        asked = [call(actor, "GET", where) for where in paths for actor in ("acme_owner", "globex_owner")]
        return [(answer.status_code, answer.json()) for answer in asked]

    before = answers()
    everything = CustomRole.objects.order_by("name")
    built_in = [selectors.TenantRole(role.value) for role in Role]
    monkeypatch.setattr(
        selectors, "roles_of", lambda _: built_in + [selectors.TenantRole(row.name, row) for row in everything.all()]
    )
    monkeypatch.setattr(selectors, "custom_role", lambda *, role_id, **_: everything.get(pk=role_id))
    monkeypatch.setattr(invitations, "invitations_of", lambda _: Invitation.objects.all())
    monkeypatch.setattr(audit, "events_of", lambda _: AuditEvent.objects.all())
    assert answers() == before
    assert [status for status, _ in before] == [200, 200] * 3 + [404, 200] * 3
