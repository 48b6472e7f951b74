"""Administration at the same time: real connections, real commits, and exactly the states that are allowed."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import product
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connections, transaction
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.invitations.models import Invitation, InvitationStatus
from identity.mail.models import OutgoingMail
from identity.members import services as members
from identity.members.models import Membership
from identity.roles.models import CustomRole
from permissions.roles import Role
from tenants.audit import selectors as audit
from tenants.context.entry import enter
from tenants.context.ownership import as_owner, current_alias
from tenants.registry.models import Tenant
from tests.committed import provisioned, remove, schemas, urls
from tests.conftest import API_HOST
from tests.test_invitations import INVITATIONS, mailed_token
from tests.test_members import MEMBERS, TRANSFER
from tests.test_races import at_once, post, tokens
from tests.test_roles import ROLES

OWNERS = ("first@races.test", "second@races.test")
FINE = {200, 201, 204}


@pytest.fixture
def tenant(unwrapped: None) -> Iterator[Tenant]:
    """A tenant of this test's own, with two owners. Nothing is left of anybody who joins it."""
    with provisioned("race-course") as tenant:
        for email in OWNERS:
            user = accounts.create_user(email=email, password=PASSWORD)
            members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.OWNER)
        yield tenant
        assert audit.verdict_on(tenant.pk).is_whole
    forget_people()


def forget_people() -> None:
    User.objects.filter(email__endswith="@races.test").delete()
    OutgoingMail.objects.all().delete()


def rows(tenant: Tenant) -> list[Membership]:
    return list(Membership.objects.filter(tenant=tenant).order_by("joined_at"))


def owners_of(tenant: Tenant) -> int:
    return Membership.objects.filter(tenant=tenant, role="owner", status="active").count()


def ask(token: str, method: str, path: str, body: Any = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
    return APIClient(raise_request_exception=False).generic(method, path, data, "application/json", **headers)


def codes(answers: list[Any]) -> list[str]:
    """What was answered, the successes first."""
    return sorted("" if answer.status_code in FINE else answer.json()["code"] for answer in answers)


# --- A tenant keeps an owner: Postgres holds it -----------------------------------------------------------------------

GONE = [
    "UPDATE members_membership SET role = 'admin' WHERE tenant_id = '{tenant}'",
    "UPDATE members_membership SET status = 'suspended' WHERE tenant_id = '{tenant}'",
    "UPDATE members_membership SET role = 'lead', custom_role_id = '{role}' WHERE tenant_id = '{tenant}'",
    "DELETE FROM members_membership WHERE tenant_id = '{tenant}'",
]
# A tenant's role may not do this one in any case.
MOVED = "UPDATE members_membership SET tenant_id = '{other}' WHERE tenant_id = '{tenant}'"


def run(statement: str) -> int:
    """Run raw SQL and return how many rows it concerned."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.rowcount)


@pytest.mark.parametrize("by", ["app", "tenant", "owner of the tables"])
def test_what_leaves_a_tenant_without_an_owner_is_not_committed(tenant: Tenant, by: str) -> None:
    """Raw SQL, past all of our services, whoever it is that logs in."""
    role = CustomRole.objects.create(tenant=tenant, name="lead", scope="projects:read")
    names = {"tenant": tenant.pk, "role": role.pk, "other": Tenant.objects.get(slug="acme").pk}
    before = list(Membership.objects.filter(tenant=tenant).order_by("id").values())
    for statement in [*GONE, *([] if by == "tenant" else [MOVED])]:
        scope: Any = {"app": transaction.atomic, "tenant": lambda: enter(tenant.pk), "owner of the tables": as_owner}
        with pytest.raises(IntegrityError, match="a tenant keeps an active owner"), scope[by]():
            assert run(statement.format(**names)) == 2
        assert list(Membership.objects.filter(tenant=tenant).order_by("id").values()) == before, statement


def test_an_owner_may_go_when_another_one_comes_in_the_same_transaction(tenant: Tenant) -> None:
    first, second = rows(tenant)
    Membership.objects.filter(pk=second.pk).update(role="viewer")
    with transaction.atomic():
        Membership.objects.filter(pk=first.pk).delete()
        Membership.objects.filter(pk=second.pk).update(role="owner")
    assert [row.pk for row in rows(tenant)] == [second.pk]


def test_a_tenant_goes_with_all_of_its_owners(unwrapped: None) -> None:
    """It is the tenant without an owner that there never is."""
    with provisioned("short-lived") as tenant:
        user = accounts.create_user(email="gone@races.test", password=PASSWORD)
        members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.OWNER)
        CustomRole.objects.create(tenant=tenant, name="lead", scope="projects:read")
        with as_owner():
            assert Tenant.objects.filter(pk=tenant.pk).delete()[0] > 3
        assert not Membership.objects.filter(tenant_id=tenant.pk).exists()
    forget_people()


def test_of_two_who_count_on_each_other_the_second_is_refused(tenant: Tenant) -> None:
    """Each transaction sees the owner whom the other one takes away: two raw connections, committing together."""
    first, second = rows(tenant)
    url, outcomes = urls()["DATABASE_URL"], []

    def commit(raw: Any) -> str:
        try:
            raw.commit()
        except psycopg.errors.CheckViolation:
            return "refused"
        return "kept"

    with closing(psycopg.connect(url)) as one, closing(psycopg.connect(url)) as two:
        for change in ("DELETE FROM members_membership", "UPDATE members_membership SET role = 'admin'") * 10:
            for raw, row in ((one, first), (two, second)):
                raw.execute(f"{change} WHERE id = %s", [row.pk])
            outcomes.append(sorted(at_once([lambda raw=raw: commit(raw) for raw in (one, two)])))
            assert owners_of(tenant) == 1
            put_back([first, second])
    assert outcomes == [["kept", "refused"]] * 20


def put_back(saved: list[Membership]) -> None:
    """Make memberships what they were, version and all, so that the same tokens are good again."""
    with transaction.atomic():
        Membership.objects.filter(tenant_id=saved[0].tenant_id).delete()
        Membership.objects.bulk_create(saved)


# --- The same by the API ----------------------------------------------------------------------------------------------

# Method, path and body; what an owner does to themselves, or to the other one.
WAYS: dict[str, tuple[str, str, Any]] = {
    "remove": ("DELETE", f"{MEMBERS}/{{other}}", None),
    "suspend": ("POST", f"{MEMBERS}/{{other}}/suspend", None),
    "demote": ("PATCH", f"{MEMBERS}/{{other}}", {"role": "viewer"}),
    "leave": ("POST", f"{MEMBERS}/leave", None),
    "step down": ("PATCH", f"{MEMBERS}/{{own}}", {"role": "admin"}),
    "give away": ("POST", TRANSFER, {"member_id": "{other}"}),
}


def go(way: str, token: str, own: Membership, other: Membership) -> Any:
    method, path, body = WAYS[way]
    names = {"own": own.pk, "other": other.pk}
    filled = body and {name: value.format(**names) for name, value in body.items()}
    return ask(token, method, path.format(**names), filled)


def test_two_owners_against_each_other_leave_one(tenant: Tenant) -> None:
    """Each way against each, then removing 50 times: never none, and whoever loses is told, not failed."""
    saved = rows(tenant)
    access = [tokens(email, tenant)["access_token"] for email in OWNERS]
    for first, second in [*product(WAYS, repeat=2), *[("remove", "remove")] * 50]:
        jobs = (partial(go, first, access[0], *saved), partial(go, second, access[1], *saved[::-1]))
        answers = at_once([*jobs])
        assert owners_of(tenant) == 1, (first, second)
        statuses = {answer.status_code for answer in answers}
        assert statuses & FINE, (first, second)
        assert statuses <= {*FINE, 401, 403, 404, 409}, (first, second)
        put_back(saved)


def test_two_owners_who_delete_their_accounts_leave_one(tenant: Tenant) -> None:
    access = [tokens(email, tenant)["access_token"] for email in OWNERS]
    answers = at_once([lambda token=token: ask(token, "DELETE", "/api/v1/me") for token in access])
    assert codes(answers) in (["", "last_owner"], ["", "sole_owner"])
    assert [row.role for row in rows(tenant)] == ["owner"]


# --- Roles ------------------------------------------------------------------------------------------------------------


def test_a_tenant_gets_no_more_roles_than_it_may(tenant: Tenant, settings: Any) -> None:
    settings.CUSTOM_ROLES_LIMIT = 3
    token = tokens(OWNERS[0], tenant)["access_token"]
    bodies = [{"name": f"role-{number}", "scopes": ["projects:read"]} for number in range(12)]
    answers = at_once([lambda body=body: ask(token, "POST", ROLES, body) for body in bodies])
    assert codes(answers) == [""] * 3 + ["too_many_roles"] * 9
    CustomRole.objects.filter(tenant=tenant).delete()
    answers = at_once([lambda: ask(token, "POST", ROLES, bodies[0])] * 8)
    assert codes(answers) == [""] + ["role_name_taken"] * 7


def test_a_role_that_goes_while_it_is_given_is_nobodys(tenant: Tenant) -> None:
    """10 rounds: the member has it no more, or never had it; nobody is left with a role that there is not."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    user = accounts.create_user(email="given@races.test", password=PASSWORD)
    given = members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.VIEWER)
    for _ in range(10):
        role = CustomRole.objects.create(tenant=tenant, name="lead", scope="projects:read")
        answers = at_once(
            [
                lambda: ask(token, "PATCH", f"{MEMBERS}/{given.pk}", {"role": "lead"}),
                lambda role=role: ask(token, "DELETE", f"{ROLES}/{role.pk}?reassign_to=member"),
                lambda: ask(token, "POST", INVITATIONS, {"email": "invited@races.test", "role": "lead"}),
            ]
        )
        assert answers[1].status_code == 204
        assert {answer.status_code for answer in answers} <= {*FINE, 400}
        given.refresh_from_db()
        assert (given.role, given.custom_role) in (("viewer", None), ("member", None))
        assert not Invitation.objects.filter(tenant=tenant, role="lead", status=InvitationStatus.PENDING).exists()
        Membership.objects.filter(pk=given.pk).update(role="viewer")
        Invitation.objects.using("owner").filter(tenant=tenant).delete()


# --- Invitations ------------------------------------------------------------------------------------------------------


def test_one_address_is_invited_once(tenant: Tenant) -> None:
    access = [tokens(email, tenant)["access_token"] for email in OWNERS]
    body = {"email": "vera@races.test", "role": "viewer"}
    answers = at_once([lambda token=token: ask(token, "POST", INVITATIONS, body) for token in access * 5])
    assert codes(answers) == ["", *["already_invited"] * 9]
    assert Invitation.objects.filter(tenant=tenant).count() == OutgoingMail.objects.count() == 1


def test_lists_that_overlap_do_not_wait_for_each_other_for_good(tenant: Tenant) -> None:
    """Two lists of the same addresses, from the top and from the bottom; single ones, and another change, meanwhile."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    CustomRole.objects.create(tenant=tenant, name="lead", scope="projects:read")
    user = accounts.create_user(email="given@races.test", password=PASSWORD)
    given = members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.VIEWER)
    for round_number in range(5):
        roles = ("viewer", "lead")
        wanted = [{"email": f"{round_number}-{n}@races.test", "role": roles[n % 2]} for n in range(12)]
        change = {"role": roles[(round_number + 1) % 2]}
        jobs = [
            lambda wanted=wanted: ask(token, "POST", f"{INVITATIONS}/bulk", {"invitations": wanted}),
            lambda wanted=wanted: ask(token, "POST", f"{INVITATIONS}/bulk", {"invitations": wanted[::-1]}),
            *(lambda body=body: ask(token, "POST", INVITATIONS, body) for body in (wanted[5], wanted[9])),
            lambda change=change: ask(token, "PATCH", f"{MEMBERS}/{given.pk}", change),
        ]
        answers = at_once(jobs)
        assert {answer.status_code for answer in answers} <= {200, 201, 409}, round_number
        assert Invitation.objects.filter(email__startswith=f"{round_number}-").count() == 12


def invited(tenant: Tenant, token: str, email: str, role: str = "viewer") -> str:
    assert ask(token, "POST", INVITATIONS, {"email": email, "role": role}).status_code == 201
    return mailed_token(email)


def accept(text: str, **more: Any) -> Any:
    return post(f"{INVITATIONS}/accept", {"token": text, "password": PASSWORD, **more})


def test_an_invitation_is_good_once(tenant: Tenant) -> None:
    """20 at once, of somebody new and of somebody with an account."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    accounts.create_user(email="known@races.test", password=PASSWORD)
    for email in ("vera@races.test", "known@races.test"):
        text = invited(tenant, token, email)
        assert codes(at_once([lambda text=text: accept(text)] * 20)) == ["", *["invalid_invitation"] * 19]
        assert Membership.objects.filter(tenant=tenant, user__email=email).count() == 1


def test_accepting_while_it_is_taken_back_or_sent_again(tenant: Tenant) -> None:
    """Whoever comes first: then the other one finds it over."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    for number in range(10):
        action, email = ("revoke", "resend")[number % 2], f"{number}@races.test"
        text = invited(tenant, token, email)
        where = f"{INVITATIONS}/{Invitation.objects.get(email=email).pk}/{action}"
        accepted, other = at_once([lambda text=text: accept(text), lambda where=where: ask(token, "POST", where)])
        is_member = Membership.objects.filter(tenant=tenant, user__email=email).exists()
        assert (accepted.status_code, other.status_code) in {(201, 409), (400, 200)}
        assert is_member == (accepted.status_code == 201)


def test_accepting_while_its_role_changes_or_goes(tenant: Tenant) -> None:
    """Nobody waits for the other one for good, and the member has what the role is afterwards."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    for number in range(10):
        role = CustomRole.objects.create(tenant=tenant, name=f"lead-{number}", scope="projects:read")
        text = invited(tenant, token, f"{number}@races.test", role.name)
        change: tuple[Any, ...] = ("PATCH", f"{ROLES}/{role.pk}", {"name": f"chief-{number}"})
        if number % 2:
            change = ("DELETE", f"{ROLES}/{role.pk}?reassign_to=viewer")
        answers = at_once([lambda text=text: accept(text), lambda change=change: ask(token, *change)])
        assert {answer.status_code for answer in answers} <= FINE, number
        joined = Membership.objects.get(tenant=tenant, user__email=f"{number}@races.test")
        assert joined.role == ("viewer" if number % 2 else f"chief-{number}")


def test_accepting_while_others_leave_the_platform(tenant: Tenant) -> None:
    """Both write to the tenant's trail and to the platform's."""
    token = tokens(OWNERS[0], tenant)["access_token"]
    for number in range(5):
        leaving = [accounts.create_user(email=f"leaving-{number}-{n}@races.test", password=PASSWORD) for n in range(3)]
        for user in leaving:
            members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.VIEWER)
        texts = [invited(tenant, token, f"coming-{number}-{n}@races.test") for n in range(3)]
        answers = at_once(
            [
                *(lambda user=user: accounts.delete_account(user_id=user.pk) for user in leaving),
                *(lambda text=text: accept(text) for text in texts),
            ]
        )
        assert [answer.status_code for answer in answers[3:]] == [201] * 3


# --- Tenants of one's own ---------------------------------------------------------------------------------------------


def test_fifty_at_once_create_as_many_tenants_as_one_may(unwrapped: None, settings: Any) -> None:
    settings.OWN_TENANTS_LIMIT = 3
    before = schemas()
    user = accounts.create_user(email="founder@races.test", password=PASSWORD)
    token = post("/api/v1/auth/login", {"email": user.email, "password": PASSWORD}).json()["access_token"]

    def create(thread: int) -> list[Any]:
        slugs = [f"founded-{number}" for number in range(thread, 50, 10)]
        return [post("/api/v1/tenants", {"name": slug, "slug": slug}, token=token) for slug in slugs]

    try:
        found = at_once([lambda thread=thread: create(thread) for thread in range(10)])
        answers = [answer for answers in found for answer in answers]
        assert codes(answers) == [""] * 3 + ["too_many_tenants"] * 47
        created = Tenant.objects.filter(created_by=user.pk)
        assert {tenant.schema_name for tenant in created} == schemas() - before
        owned = Membership.objects.filter(user=user, role="owner", status="active")
        assert set(owned.values_list("tenant_id", flat=True)) == set(created.values_list("pk", flat=True))
    finally:
        for tenant in Tenant.objects.filter(created_by=user.pk):
            remove(tenant)
        forget_people()
