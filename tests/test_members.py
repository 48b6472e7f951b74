"""Members: who sees whom, who changes whom, and what holds from the next request on."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import transaction

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.clients import services as clients
from identity.members import services as members
from identity.members.models import Membership
from identity.roles.models import CustomRole
from permissions import policy
from permissions.principals import Kind
from permissions.roles import Role
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, Actor, Call, client_token, sign_in
from tests.test_sessions import BOTH, age, bearer, me, refresh, switch

Tokens = dict[str, Any]
MEMBERS = "/api/v1/members"
TRANSFER = "/api/v1/tenant/transfer-ownership"
VIEWS = " ".join(sorted(policy.granted(Kind.MEMBER, Role.VIEWER) - policy.personal()))  # held of the tenant


def acme() -> Tenant:
    tenant: Tenant = Tenant.objects.get(slug="acme")
    return tenant


def member(email: str, tenant: str = "acme") -> Membership:
    return Membership.objects.get(user__email=email, tenant__slug=tenant)


def path(email: str, *more: str) -> str:
    return "/".join([MEMBERS, str(member(email).pk), *more])


def compose(name: str, scope: str, tenant: str = "acme") -> CustomRole:
    return CustomRole.objects.create(tenant=Tenant.objects.get(slug=tenant), name=name, scope=scope)


def join(email: str, role: str, tenant: str = "acme", **more: Any) -> Membership:
    user = accounts.create_user(email=email, password=PASSWORD, name=email.partition("@")[0].title(), **more)
    return members.add_member(tenant_id=Tenant.objects.get(slug=tenant).pk, user_id=user.pk, role=role)


def signed_in(email: str, role: str, **more: str) -> Tokens:
    """The tokens of somebody new in acme."""
    join(email, role)
    return sign_in(Actor(email, ACME), **more)


def ask(call: Call, tokens: Tokens, method: str, where: str, body: Any = None) -> Any:
    return call("nobody", method, where, body, **bearer(tokens))


def code(response: Any) -> str:
    """The problem's code; empty when there is none."""
    return "" if response.status_code < 400 else str(response.json()["code"])


def events(tenant: str = "acme") -> list[str]:
    """The actions in a tenant's trail, in order."""
    own = AuditEvent.objects.filter(tenant__slug=tenant).order_by("sequence")
    return list(own.values_list("action", flat=True))


# --- Who sees what ----------------------------------------------------------------------------------------------------


def emails(response: Any) -> set[str | None]:
    assert response.status_code == 200, response.content
    return {row["email"] for row in response.json()["results"]}


def test_a_viewer_sees_names_and_their_own_address_alone(call: Call) -> None:
    listed = call("acme_viewer", "GET", MEMBERS)
    assert emails(listed) == {None, "viewer@acme.test"}
    assert {row["name"] for row in listed.json()["results"]} == {"Owner", "Admin", "Member", "Viewer", "Both"}
    assert call("acme_viewer", "GET", path("owner@acme.test")).json()["email"] is None
    assert call("acme_viewer", "GET", path("viewer@acme.test")).json()["email"] == "viewer@acme.test"
    assert emails(call("acme_member", "GET", MEMBERS)) >= {"owner@acme.test", "both@people.test"}


@pytest.mark.parametrize("text", ["owner@", "@acme.test", "both@people.test", "people", "viewer@acme.test", "no-such"])
def test_what_is_not_shown_is_not_to_be_guessed_at(call: Call, text: str) -> None:
    """Searching, filtering and ordering by addresses tell a viewer nothing: not even of their own."""
    nothing = call("acme_viewer", "GET", f"{MEMBERS}?search=surely-nobody").json()
    assert call("acme_viewer", "GET", f"{MEMBERS}?search={text}").json() == nothing
    assert code(call("acme_viewer", "GET", f"{MEMBERS}?ordering=user__email")) == "validation_error"
    everybody = call("acme_viewer", "GET", MEMBERS).json()
    for query in (f"email={text}", f"user__email={text}"):
        answer = call("acme_viewer", "GET", f"{MEMBERS}?{query}")
        assert answer.status_code == 400 or answer.json() == everybody


def test_names_are_searched_by_everybody(call: Call) -> None:
    found = call("acme_viewer", "GET", f"{MEMBERS}?search=OWN").json()["results"]
    assert [row["name"] for row in found] == ["Owner"]
    assert emails(call("acme_member", "GET", f"{MEMBERS}?search=people.test")) == {"both@people.test"}


def test_a_tenant_may_show_addresses_to_everybody(call: Call) -> None:
    assert call("acme_admin", "PATCH", "/api/v1/tenant", {"shows_addresses": True}).status_code == 200
    assert emails(call("acme_viewer", "GET", f"{MEMBERS}?search=people.test")) == {"both@people.test"}
    assert None not in emails(call("acme_viewer", "GET", MEMBERS))
    assert None not in emails(call("acme_client", "GET", MEMBERS))
    assert emails(call("acme_support", "GET", MEMBERS)) == emails(call("acme_viewer", "GET", MEMBERS))
    globex = sign_in(Actor("viewer@globex.test", "globex.localhost"))
    assert emails(ask(call, globex, "GET", MEMBERS)) == {None, "viewer@globex.test"}, "the other tenant does not"


def test_machines_and_support_need_the_scope(call: Call) -> None:
    assert emails(call("acme_client", "GET", MEMBERS)) == {None}
    assert emails(call("acme_support", "GET", MEMBERS)) == {None}
    held = frozenset({"members:read", "member-addresses:read"})
    values = {"tenant_id": acme().pk, "scope": held, "by": uuid4(), "held": held, "expires_at": None}
    client, secret = clients.create_client(name="Address book", **values)
    seen = ask(call, client_token(str(client.pk), secret), "GET", f"{MEMBERS}?search=people.test")
    assert emails(seen) == {"both@people.test"}


def test_whoever_changes_a_member_sees_no_more_than_in_the_list(call: Call) -> None:
    compose("keeper", f"{VIEWS} members:write")
    keeper = signed_in("keeper@acme.test", "keeper")
    for where in ("suspend", "reactivate"):
        assert ask(call, keeper, "POST", path("viewer@acme.test", where)).json()["email"] is None
    changed = ask(call, keeper, "PATCH", path("member@acme.test"), {"role": "viewer"}).json()
    assert (changed["email"], changed["role"]) == (None, "viewer")


def test_members_are_filtered_by_role_and_status(call: Call) -> None:
    compose("bookkeeper", "members:read")
    join("vera@acme.test", "bookkeeper")
    call("acme_admin", "POST", path("viewer@acme.test", "suspend"))
    expected = {
        "role=bookkeeper": {"vera@acme.test"},
        "role=admin": {"admin@acme.test", "both@people.test"},
        "status=suspended": {"viewer@acme.test"},
        "status=suspended&role=admin": set(),
        "role=admin&search=both": {"both@people.test"},
    }
    assert {query: emails(call("acme_admin", "GET", f"{MEMBERS}?{query}")) for query in expected} == expected
    compose("theirs", "members:read", tenant="globex")
    for query, parameter in {"role=theirs": "role", "role=x%00": "role", "status=gone": "status"}.items():
        refused = call("acme_admin", "GET", f"{MEMBERS}?{query}")
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, parameter), query


# --- Out, and in again ------------------------------------------------------------------------------------------------


def test_a_suspended_member_is_out_everywhere_at_once_and_nowhere_else(call: Call) -> None:
    tokens, elsewhere = sign_in(BOTH), sign_in(Actor(BOTH.email, "globex.localhost"))
    assert call("acme_admin", "POST", path("both@people.test", "suspend")).json()["status"] == "suspended"
    assert (me(call, tokens).status_code, code(refresh(call, tokens))) == (401, "invalid_token")
    assert code(switch(call, elsewhere, "acme")) == "not_a_member"
    login = {"email": BOTH.email, "password": PASSWORD}
    for host, more in ((ACME, {}), (API_HOST, {"tenant": "acme"})):
        assert code(call("nobody", "POST", "/api/v1/auth/login", login | more, host=host)) == "not_a_member"
    assert call("nobody", "POST", "/api/v1/auth/login", login, host=API_HOST).json()["tenant"] == "globex"
    assert (me(call, elsewhere).status_code, refresh(call, elsewhere).status_code) == (200, 200)
    assert call("acme_admin", "POST", path("both@people.test", "reactivate")).json()["status"] == "active"
    assert me(call, tokens).status_code == 401, "tokens from before stay void"
    assert switch(call, elsewhere, "acme").json()["role"] == "admin"


def test_suspending_and_reactivating_twice_changes_nothing(call: Call) -> None:
    where = {action: path("viewer@acme.test", action) for action in ("suspend", "reactivate")}
    before = events()
    for action, times in (("reactivate", 1), ("suspend", 2), ("reactivate", 2)):
        for _ in range(times):
            assert call("acme_admin", "POST", where[action]).status_code == 200
    assert events()[len(before) :] == ["member.suspended", "member.reactivated"]


def test_whoever_leaves_is_out_at_once_and_nowhere_else(call: Call) -> None:
    tokens, elsewhere = sign_in(BOTH), sign_in(Actor(BOTH.email, "globex.localhost"))
    assert ask(call, tokens, "POST", f"{MEMBERS}/leave").status_code == 204
    assert (me(call, tokens).status_code, code(refresh(call, tokens))) == (401, "invalid_token")
    assert not Membership.objects.filter(user__email=BOTH.email, tenant__slug="acme").exists()
    assert me(call, elsewhere).status_code == 200


def test_everybody_may_leave_whatever_their_role_holds(call: Call) -> None:
    """But the last owner; and who is in no tenant, or is no person, leaves none."""
    compose("clerk", "projects:write")
    assert ask(call, signed_in("clerk@acme.test", "clerk"), "POST", f"{MEMBERS}/leave").status_code == 204
    assert call("acme_viewer", "POST", f"{MEMBERS}/leave").status_code == 204
    assert code(call("acme_owner", "POST", f"{MEMBERS}/leave")) == "last_owner"
    accounts.create_user(email="nowhere@people.test", password=PASSWORD)
    nowhere = sign_in(Actor("nowhere@people.test", API_HOST))
    narrow = sign_in(Actor("nowhere@people.test", API_HOST), scope="profile:write")
    outside = [ask(call, tokens, "POST", f"{MEMBERS}/leave") for tokens in (nowhere, narrow)]
    machines = [call(actor, "POST", f"{MEMBERS}/leave") for actor in ("acme_client", "acme_support")]
    assert {answer.status_code for answer in (*outside, *machines)} == {403}


# --- Nobody reaches above themselves ----------------------------------------------------------------------------------

COMPOSED = {
    "keeper": f"{VIEWS} members:write",
    "strong": f"{VIEWS} members:write invitations:write",  # more than a keeper
    "weak": "members:read",  # less
    "other": "projects:write",  # neither
}
TARGETS = ["owner", "admin", "member", "viewer", *COMPOSED]
ABOVE, SCOPE, LACKS = "outranked", "scope_not_held", "insufficient_scope"

# What happens to each of TARGETS, in their order, by whom.
TABLE = {
    "owner": {
        "suspend": ["", "", "", "", "", "", "", ""],
        "remove": ["", "", "", "", "", "", "", ""],
        "to viewer": ["", "", "", "", "", "", "", ""],
        "to keeper": ["", "", "", "", "", "", "", ""],
        "to member": ["", "", "", "", "", "", "", ""],
        "to admin": ["", "", "", "", "", "", "", ""],
        "to owner": ["", "", "", "", "", "", "", ""],
    },
    "admin": {
        "suspend": [ABOVE, "", "", "", "", "", "", ""],
        "remove": [ABOVE, "", "", "", "", "", "", ""],
        "to viewer": [ABOVE, "", "", "", "", "", "", ""],
        "to keeper": [ABOVE, "", "", "", "", "", "", ""],
        "to member": [ABOVE, "", "", "", "", "", "", ""],
        "to admin": [ABOVE, "", "", "", "", "", "", ""],
        "to owner": [ABOVE, *[ABOVE] * 7],
    },
    "keeper": {
        "suspend": [ABOVE, ABOVE, "", "", "", ABOVE, "", ""],
        "remove": [ABOVE, ABOVE, "", "", "", ABOVE, "", ""],
        "to viewer": [ABOVE, ABOVE, "", "", "", ABOVE, "", ""],
        "to keeper": [ABOVE, ABOVE, "", "", "", ABOVE, "", ""],
        "to strong": [ABOVE, ABOVE, ABOVE, ABOVE, ABOVE, ABOVE, ABOVE, ABOVE],
        "to other": [ABOVE, ABOVE, SCOPE, SCOPE, SCOPE, ABOVE, SCOPE, ""],
        "to member": [ABOVE, ABOVE, "", SCOPE, SCOPE, ABOVE, SCOPE, SCOPE],
        "to admin": [ABOVE] * 8,
        "to owner": [ABOVE] * 8,
    },
    **{role: dict.fromkeys(["suspend", "remove", "to viewer"], [LACKS] * 8) for role in ("member", "viewer", "weak")},
}


@pytest.mark.parametrize("role", TABLE)
def test_nobody_changes_who_outranks_them_nor_gives_what_they_do_not_hold(call: Call, role: str) -> None:
    """Every caller x target x action; what is refused changes nothing and leaves no event."""
    for name, scope in COMPOSED.items():
        compose(name, scope)
    targets = {target: join(f"target-{target}@acme.test", target).pk for target in TARGETS}
    caller = signed_in("caller@acme.test", role)
    found = {}
    for action in TABLE[role]:
        found[action] = [attempt(call, caller, action, targets[target]) for target in TARGETS]
    assert found == TABLE[role]


def attempt(call: Call, caller: Tokens, action: str, target: Any) -> str:
    """Try it, undo it, and return the problem's code."""
    requests = {"suspend": ("POST", "/suspend", None), "remove": ("DELETE", "", None)}
    to_role = ("PATCH", "", {"role": action.removeprefix("to ")})
    method, where, body = requests.get(action, to_role)
    with transaction.atomic():
        before = (list(Membership.objects.order_by("id").values()), events())
        response = ask(call, caller, method, f"{MEMBERS}/{target}{where}", body)
        after = (list(Membership.objects.order_by("id").values()), events())
        assert (after == before) or response.status_code < 400, (action, target)
        transaction.set_rollback(True)
    return code(response)


def test_reactivating_is_giving_the_role_again(call: Call) -> None:
    """Whoever could not give it does not let its holder in."""
    compose("keeper", COMPOSED["keeper"])
    keeper = signed_in("keeper@acme.test", "keeper")
    call("acme_admin", "POST", path("member@acme.test", "suspend"))
    assert code(ask(call, keeper, "POST", path("member@acme.test", "reactivate"))) == SCOPE
    narrow = sign_in(CAST["acme_admin"], scope="members:write members:read")
    assert code(ask(call, narrow, "POST", path("member@acme.test", "reactivate"))) == SCOPE
    assert call("acme_admin", "POST", path("member@acme.test", "reactivate")).status_code == 200


def test_a_narrowed_token_gives_no_more_than_it_holds(call: Call) -> None:
    """Whatever its holder's role could: the token may be somebody else's by now."""
    narrow = sign_in(CAST["acme_owner"], scope="members:write projects:read tenant:write")
    for role in ("owner", "admin", "member"):
        assert code(ask(call, narrow, "PATCH", path("viewer@acme.test"), {"role": role})) == SCOPE
    body = {"member_id": str(member("viewer@acme.test").pk)}
    assert code(ask(call, narrow, "POST", TRANSFER, body)) == SCOPE
    assert member("viewer@acme.test").role == "viewer"


def test_write_covers_read_in_a_narrowed_token_of_a_composed_role(call: Call) -> None:
    """The role holds `projects:write`, the token `projects:read`: it can give what reads."""
    compose("lead", "members:write projects:write")
    compose("reader", "projects:read")
    narrow = signed_in("lead@acme.test", "lead", scope="members:write projects:read")
    assert code(ask(call, narrow, "PATCH", path("viewer@acme.test"), {"role": "reader"})) == ""
    assert code(ask(call, narrow, "PATCH", path("viewer@acme.test"), {"role": "lead"})) == SCOPE


# --- Somebody owns the tenant -----------------------------------------------------------------------------------------


def test_the_last_active_owner_stays_whichever_way(call: Call) -> None:
    """A suspended owner is none; with a second one every way is open."""
    own = path("owner@acme.test")
    ways = [("PATCH", own, {"role": "admin"}), ("DELETE", own, None), ("POST", f"{own}/suspend", None)]
    ways += [("POST", f"{MEMBERS}/leave", None)]
    second = join("second@acme.test", "owner")
    Membership.objects.filter(pk=second.pk).update(status="suspended")
    before = events()
    assert [code(call("acme_owner", *way)) for way in ways] == ["last_owner"] * 4
    assert events() == before
    Membership.objects.filter(pk=second.pk).update(status="active")
    for way in ways:
        with transaction.atomic():
            assert code(call("acme_owner", *way)) == "", way
            transaction.set_rollback(True)


@pytest.mark.parametrize("become", [None, "viewer", "keeper"])
def test_ownership_changes_hands_at_once(call: Call, become: str | None) -> None:
    compose("keeper", COMPOSED["keeper"])
    owner, admin = sign_in(CAST["acme_owner"]), sign_in(CAST["acme_admin"])
    body = {"member_id": str(member("admin@acme.test").pk), **({"become": become} if become else {})}
    given = ask(call, owner, "POST", TRANSFER, body)
    assert (given.status_code, given.json()["role"], given.json()["email"]) == (200, "owner", "admin@acme.test")
    assert [me(call, tokens).status_code for tokens in (owner, admin)] == [401, 401]
    assert [refresh(call, tokens).json()["role"] for tokens in (owner, admin)] == [become or "admin", "owner"]


def test_ownership_is_not_given_like_this(call: Call) -> None:
    """To nobody, to oneself, to who cannot enter, by who is not the owner, for a role that there is not."""
    call("acme_owner", "POST", path("viewer@acme.test", "suspend"))
    theirs = member("owner@globex.test", "globex")
    tries = [
        ("acme_owner", {"member_id": str(uuid4())}, "not_found"),
        ("acme_owner", {"member_id": str(theirs.pk)}, "not_found"),
        ("acme_owner", {"member_id": str(member("owner@acme.test").pk)}, "already_member"),
        ("acme_owner", {"member_id": str(member("viewer@acme.test").pk)}, "member_suspended"),
        ("acme_admin", {"member_id": str(member("member@acme.test").pk)}, "not_the_owner"),
        ("acme_admin", {"member_id": str(member("admin@acme.test").pk)}, "not_the_owner"),
        ("acme_member", {"member_id": str(member("member@acme.test").pk)}, "insufficient_scope"),
        ("acme_owner", {"member_id": str(member("member@acme.test").pk), "become": "emperor"}, "validation_error"),
    ]
    before = (events(), list(Membership.objects.order_by("id").values()))
    assert [code(call(actor, "POST", TRANSFER, body)) for actor, body, _ in tries] == [tried[2] for tried in tries]
    assert (events(), list(Membership.objects.order_by("id").values())) == before


def test_giving_a_tenant_away_needs_a_recent_sign_in(call: Call) -> None:
    tokens = sign_in(CAST["acme_owner"])
    age(tokens, settings.STEP_UP_MAX_AGE + timedelta(seconds=5))
    old = refresh(call, tokens).json()
    body = {"member_id": str(member("admin@acme.test").pk)}
    assert code(ask(call, old, "POST", TRANSFER, body)) == "insufficient_user_authentication"
    stronger = ask(call, old, "POST", "/api/v1/auth/step-up", {"password": PASSWORD}).json()
    assert ask(call, stronger, "POST", TRANSFER, body).status_code == 200


# --- The trail --------------------------------------------------------------------------------------------------------

WRITES = {
    "member.role_changed": ("PATCH", "viewer@acme.test", "", {"role": "member"}),
    "member.suspended": ("POST", "viewer@acme.test", "/suspend", None),
    "member.removed": ("DELETE", "viewer@acme.test", "", None),
}


@pytest.mark.parametrize("action", WRITES)
def test_each_change_is_one_event_and_a_suspended_tenant_has_none(call: Call, action: str) -> None:
    method, email, more, body = WRITES[action]
    where, before = path(email) + more, events()
    call("acme_member", method, where, body)
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert code(call("acme_admin", method, where, body)) == "tenant_suspended"
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.ACTIVE)
    assert events() == before
    assert call("acme_admin", method, where, body).status_code < 300
    assert events()[len(before) :] == [action]


def test_leaving_and_giving_away_are_events(call: Call) -> None:
    before = events()
    call("acme_viewer", "POST", f"{MEMBERS}/leave")
    call("acme_owner", "POST", TRANSFER, {"member_id": str(member("admin@acme.test").pk), "become": "member"})
    assert events()[len(before) :] == ["member.left", "tenant.ownership_transferred"]
    given = AuditEvent.objects.filter(tenant__slug="acme").latest("sequence")
    assert given.changes == {"role": ["admin", "owner"], "own_role": ["owner", "member"]}
    assert [target["id"] for target in given.targets] == [
        str(member(email).pk) for email in ("admin@acme.test", "owner@acme.test")
    ]
