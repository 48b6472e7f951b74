"""Joining by one's address: who, into which tenant, as what, and who does not."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from config.demo_data import PASSWORD
from identity.accounts import registration
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.domains import services
from identity.domains.models import DomainClaim
from identity.invitations.models import Invitation, InvitationToken
from identity.mail.models import OutgoingMail
from identity.members import services as members
from identity.members.models import BarredAddress, Membership
from identity.roles import services as roles
from identity.roles.models import CustomRole
from permissions import policy
from permissions.principals import Kind
from permissions.roles import Role
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant, TenantStatus
from tests.committed import provisioned, remove
from tests.conftest import Actor, Call, sign_in
from tests.dns_server import Zone
from tests.mailed import NEW, Post, login, registered
from tests.mailed import prove as verify
from tests.test_account_races import newest_token
from tests.test_domain_proofs import claim_of
from tests.test_domains import DOMAINS, NAME, add, age, error_codes, proved, see
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_members import ask, code, compose, events, join, signed_in
from tests.test_races import at_once

VERA = NEW | {"email": f"vera@{NAME}", "name": "Vera"}
ALL = policy.granted(Kind.MEMBER, Role.OWNER)


def role_of(email: str, tenant: str = "acme") -> str | None:
    """The role of an address's account in a tenant; None when it has none."""
    found = Membership.objects.filter(user__email=email, tenant__slug=tenant).values_list("role", flat=True)
    return found.first()


def register(post: Post, email: str) -> Any:
    """Register an address and prove it."""
    return verify(post, registered(post, NEW | {"email": email}))


def proves(email: str) -> User:
    """Somebody with an account proves its address."""
    user = accounts.create_user(email=email, password=PASSWORD, verified=False)
    accounts.mark_verified(user_id=user.pk)
    user.refresh_from_db()
    return user


def change(call: Call, claim: dict[str, Any], actor: str = "acme_admin", **changes: Any) -> Any:
    return call(actor, "PATCH", f"{DOMAINS}/{claim['id']}", changes)


# --- Who joins --------------------------------------------------------------------------------------------------------


def test_whoever_proves_an_address_there_is_a_member(call: Call, post: Post, zone: Zone, required: None) -> None:
    proved(call, zone, auto_join=True, join_role="viewer")
    token = registered(post, VERA)
    assert role_of(VERA["email"]) is None, "an address that nobody has proved joins nothing"
    before = events()
    assert verify(post, token).json() == {"email": VERA["email"], "tenant": None}
    assert role_of(VERA["email"]) == "viewer"
    assert events()[len(before) :] == ["member.added"]
    event = AuditEvent.objects.filter(action="member.added").latest("occurred_at")
    user = User.objects.get(email=VERA["email"])
    assert (event.actor_kind, event.actor_id) == ("person", user.pk)
    assert event.changes == {"role": [None, "viewer"], "reason": [None, "domain"]}
    tokens = login(post, VERA["email"], VERA["password"]).json()
    assert (tokens["tenant"], tokens["role"]) == ("acme", "viewer")


@pytest.mark.parametrize(
    "email",
    [
        "a@www.marsh.test", "a@evil-marsh.test", "a@marsh.test.evil.test", "a@arsh.test", "a@marsh.tes",
        "a@marsh.test.", '"a@marsh.test"@evil.test', "a.marsh.test@evil.test", "marsh.test@evil.test",
        "a@m\u0430rsh.test", "a@\uff4darsh.test", "a@marsh\u3002test", "a@marsh\u200b.test", "a@mar\u00adsh.test",
        "a@mar\u017fh.test",
    ],
)  # fmt: skip
def test_an_address_elsewhere_joins_nothing(call: Call, zone: Zone, email: str) -> None:
    """Not below the domain, not beside it, and not what only looks like it; but it is proved all the same."""
    proved(call, zone, auto_join=True)
    user = proves(email)
    assert user.email_verified_at is not None
    assert not Membership.objects.filter(user=user).exists()


@pytest.mark.parametrize("domain", ["faß.test", "fass.test"])
def test_where_a_names_mail_goes_is_not_sure_so_it_joins_nothing(call: Call, zone: Zone, domain: str) -> None:
    """IDNA 2003 sends this one's to fass.test, whose owner could prove it; IDNA 2008 does not."""
    proved(call, zone, domain, auto_join=True)
    assert not Membership.objects.filter(user=proves("a@faß.test")).exists()


@pytest.mark.parametrize(
    ("domain", "email"),
    [("Marsh.TEST.", "vera+x@marsh.test"), (NAME, "Vera@MARSH.test"), ("bücher.test", "vera@xn--bcher-kva.test")],
)
def test_another_spelling_is_no_other_domain(call: Call, zone: Zone, domain: str, email: str) -> None:
    proved(call, zone, domain, auto_join=True)
    assert role_of(proves(email).email) == "member"


@pytest.mark.parametrize("state", ["pending", "lapsed", "off", "suspended", "removed"])
def test_nobody_joins_by_a_claim_that_does_not_hold(call: Call, post: Post, zone: Zone, state: str) -> None:
    claim = add(call, auto_join=True) if state == "pending" else proved(call, zone, auto_join=state != "off")
    if state == "lapsed":
        age(claim, days=90)
    elif state == "suspended":
        Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    elif state == "removed":
        call("acme_admin", "DELETE", f"{DOMAINS}/{claim['id']}")
    assert register(post, VERA["email"]).status_code == 200
    assert role_of(VERA["email"]) is None


def test_who_holds_the_domain_now_is_joined(call: Call, post: Post, zone: Zone) -> None:
    age(proved(call, zone, auto_join=True), days=90)
    proved(call, zone, actor="globex_owner", auto_join=True)
    assert register(post, VERA["email"]).status_code == 200
    assert (role_of(VERA["email"]), role_of(VERA["email"], "globex")) == (None, "member")


def test_only_the_first_proof_counts(call: Call, post: Post, zone: Zone) -> None:
    """Whoever proved their address before the domain was proved, or took on one at it, is invited instead."""
    register(post, VERA["email"])
    proved(call, zone, auto_join=True)
    accounts.mark_verified(user_id=User.objects.get(email=VERA["email"]).pk)
    assert role_of(VERA["email"]) is None


def test_members_stay_what_they_are(call: Call, zone: Zone) -> None:
    proved(call, zone, auto_join=True)
    for number, role in enumerate(("admin", "viewer")):
        member = join(f"{number}@{NAME}", role, verified=False)
        accounts.mark_verified(user_id=member.user_id)
        assert role_of(f"{number}@{NAME}") == role


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_an_invitation_goes_first(call: Call, post: Post, zone: Zone, role: str) -> None:
    """It says as what they join, be it more or less."""
    proved(call, zone, auto_join=True)
    invited = call("acme_owner", "POST", "/api/v1/invitations", {"email": VERA["email"], "role": role}).json()
    row = Invitation.objects.defer(None).get(pk=invited["id"])
    token = str(InvitationToken.issue(row.pk, row.generation, row.secret))
    body = {"token": token, "password": VERA["password"], "name": "Vera"}
    assert post("invitations/accept", body).status_code == 201
    assert role_of(VERA["email"]) == role


def test_an_invitation_that_is_over_is_in_nobodys_way(call: Call, post: Post, zone: Zone) -> None:
    proved(call, zone, auto_join=True)
    invited = call("acme_owner", "POST", "/api/v1/invitations", {"email": VERA["email"], "role": "viewer"}).json()
    call("acme_owner", "POST", f"/api/v1/invitations/{invited['id']}/revoke")
    assert register(post, VERA["email"]).status_code == 200
    assert role_of(VERA["email"]) == "member"


# --- As what ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "refusal"),
    [
        ("owner", "unfit_role"),
        ("admin", "unfit_role"),
        ("keeper", "unfit_role"),
        ("theirs", "unknown_role"),
        ("", "blank"),
    ],
)
def test_the_role_is_up_to_a_members(call: Call, role: str, refusal: str) -> None:
    """Whoever asks, and whether it is on or off."""
    compose("keeper", "members:write projects:read")
    compose("theirs", "projects:read", tenant="globex")
    claim = add(call)
    for auto_join in (True, False):
        body = {"domain": "other.test", "auto_join": auto_join, "join_role": role}
        assert error_codes(call("acme_owner", "POST", DOMAINS, body)) == [refusal]
        assert error_codes(change(call, claim, "acme_owner", auto_join=auto_join, join_role=role)) == [refusal]
    assert see(call, claim) == claim


def test_a_role_with_less_than_a_member_fits(call: Call, post: Post, zone: Zone) -> None:
    compose("guest", "projects:read tasks:write")
    proved(call, zone, auto_join=True, join_role="guest")
    register(post, VERA["email"])
    assert role_of(VERA["email"]) == "guest"


def test_nobody_lets_others_in_with_more_than_they_have(call: Call) -> None:
    """Not by adding, not by switching on what somebody else has set; but switching it off takes nothing."""
    compose("hostmaster", "domains:write projects:read")
    compose("guest", "projects:read")
    hostmaster = signed_in("hostmaster@acme.test", "hostmaster")
    claim = add(call, "one.test", auto_join=False, join_role="member")
    path = f"{DOMAINS}/{claim['id']}"
    body = {"domain": NAME, "auto_join": True, "join_role": "member"}
    assert code(ask(call, hostmaster, "POST", DOMAINS, body)) == "scope_not_held"
    assert code(ask(call, hostmaster, "PATCH", path, {"auto_join": True})) == "scope_not_held"
    assert ask(call, hostmaster, "POST", DOMAINS, body | {"auto_join": False}).status_code == 201
    assert ask(call, hostmaster, "PATCH", path, {"join_role": "guest", "auto_join": True}).status_code == 200
    assert change(call, claim, join_role="member").status_code == 200
    assert code(ask(call, hostmaster, "PATCH", path, {"join_role": "viewer"})) == "scope_not_held"
    assert ask(call, hostmaster, "PATCH", path, {"auto_join": False}).status_code == 200
    narrow = sign_in(Actor("owner@acme.test", "acme.localhost"), scope="domains:write")
    assert code(ask(call, narrow, "PATCH", path, {"auto_join": True})) == "scope_not_held"


def test_changes_are_recorded_once(call: Call) -> None:
    claim, before = add(call), events()
    for changes in ({}, {"auto_join": True}, {"auto_join": True, "join_role": "member"}, {"join_role": "viewer"}):
        answer = change(call, claim, **changes)
        assert (answer.status_code, changes.items() <= answer.json().items()) == (200, True)
    assert events()[len(before) :] == ["domain.changed"] * 2
    assert AuditEvent.objects.latest("occurred_at").changes == {"join_role": ["member", "viewer"]}


# --- When roles change ------------------------------------------------------------------------------------------------


def giving(call: Call, zone: Zone, role: CustomRole) -> dict[str, Any]:
    return proved(call, zone, auto_join=True, join_role=role.name)


def test_a_role_that_holds_more_by_now_lets_nobody_in(call: Call, post: Post, zone: Zone) -> None:
    role = compose("guest", "projects:read")
    claim, before = giving(call, zone, role), events()
    path = f"/api/v1/roles/{role.pk}"
    assert call("acme_owner", "PATCH", path, {"name": "visitor", "scopes": ["projects:write"]}).status_code == 200
    assert (see(call, claim)["join_role"], see(call, claim)["auto_join"]) == ("visitor", True)
    assert call("acme_owner", "PATCH", path, {"scopes": ["members:write"]}).status_code == 200
    assert (see(call, claim)["join_role"], see(call, claim)["auto_join"]) == ("visitor", False)
    assert events()[len(before) :] == ["role.changed", "domain.changed", "role.changed"]
    assert error_codes(change(call, claim, auto_join=True)) == ["unfit_role"]
    assert change(call, claim, auto_join=False).status_code == 200
    register(post, VERA["email"])
    assert role_of(VERA["email"]) is None
    assert change(call, claim, auto_join=True, join_role="member").status_code == 200


@pytest.mark.parametrize(
    ("replacement", "auto_join"), [("member", True), ("viewer", True), ("lesser", True), ("greater", False)]
)
def test_a_deleted_role_is_replaced(call: Call, zone: Zone, replacement: str, auto_join: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    role = compose("guest", "projects:read")
    compose("lesser", "tasks:read")
    compose("greater", "members:write")
    claim = giving(call, zone, role)
    path = f"/api/v1/roles/{role.pk}"
    assert code(call("acme_owner", "DELETE", path)) == "role_in_use"
    assert call("acme_owner", "DELETE", f"{path}?reassign_to={replacement}").status_code == 204
    assert (see(call, claim)["join_role"], see(call, claim)["auto_join"]) == (replacement, auto_join)


# --- With real commits ------------------------------------------------------------------------------------------------


@pytest.fixture
def tenant(unwrapped: None, zone: Zone) -> Iterator[Tenant]:
    """A tenant of this test's own, by whose proved domain people join."""
    with provisioned("crowd-home") as tenant:
        claim = claim_of(tenant, auto_join=True)
        zone.publish({"type": "TXT", "name": claim.record.name, "value": claim.record.value})
        services.prove(tenant_id=tenant.pk, claim_id=claim.pk)
        yield tenant
    for own in Tenant.objects.filter(slug="crowd-own"):
        remove(own)
    User.objects.filter(email__endswith=f"@{NAME}").delete()
    OutgoingMail.objects.all().delete()


def members_of(tenant: Tenant) -> list[str]:
    return sorted(Membership.objects.filter(tenant=tenant).values_list("role", flat=True))


def test_a_tenant_of_ones_own_comes_along(tenant: Tenant) -> None:
    """Joining is then part of the owner's transaction."""
    wanted = {"name": "Her own", "slug": "crowd-own"}
    registration.register(
        email=VERA["email"], password=VERA["password"], profile={}, tenant=registration.WantedTenant(**wanted)
    )
    registration.prove(token=newest_token())
    own = Membership.objects.filter(user__email=VERA["email"]).values_list("tenant__slug", "role")
    assert sorted(own) == [("crowd-home", "member"), ("crowd-own", "owner")]


def test_many_who_join_while_their_role_goes_all_get_one(tenant: Tenant) -> None:
    """Each has the role or the one in its place, no proof fails, and nobody waits for good."""
    for number in range(5):
        role = roles.create_role(tenant_id=tenant.pk, name="guest", description="", scopes=["projects:read"], held=ALL)
        DomainClaim.objects.filter(tenant=tenant).update(join_role=role.name, custom_role=role)
        emails = [f"{number}-{n}@{NAME}" for n in range(6)]
        people = [accounts.create_user(email=email, password=PASSWORD, verified=False) for email in emails]
        jobs: list[Any] = [lambda user=user: accounts.mark_verified(user_id=user.pk) for user in people]
        jobs.insert(
            3, lambda role=role: roles.delete_role(tenant_id=tenant.pk, role_id=role.pk, reassign_to="viewer", held=ALL)
        )
        at_once(jobs)
        assert members_of(tenant) == ["viewer"] * 6 * (number + 1)
        assert DomainClaim.objects.get(tenant=tenant).join_role == "viewer"
    connections["owner"].close()


@pytest.mark.parametrize("how", ["removed", "suspended, then gone by themselves"])
def test_who_was_thrown_out_does_not_come_back_with_a_new_account(call: Call, post: Post, zone: Zone, how: str) -> None:
    """By the domain; whoever lets them in again lifts it."""
    proved(call, zone, auto_join=True, join_role="viewer")
    register(post, VERA["email"])
    member = Membership.objects.get(user__email=VERA["email"])
    whom = {"tenant_id": member.tenant_id, "membership_id": member.pk}
    owner = Membership.objects.get(user__email="owner@acme.test").user_id
    (members.remove_member if how == "removed" else members.suspend_member)(**whom, by=owner)
    accounts.delete_account(user_id=member.user_id)
    assert VERA["email"] not in repr(list(BarredAddress.objects.values_list()))
    register(post, VERA["email"])
    assert role_of(VERA["email"]) is None
    back = User.objects.get(email=VERA["email"])
    members.add_member(tenant_id=member.tenant_id, user_id=back.pk, role="member")
    assert not BarredAddress.objects.exists()
    members.leave(tenant_id=member.tenant_id, user_id=back.pk)
    assert not BarredAddress.objects.exists(), "leaving is nothing that keeps one out"
