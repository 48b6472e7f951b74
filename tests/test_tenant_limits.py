"""Plans and limits: seats, machine clients and requests of a tenant, exact however much happens at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identity.accounts.models import User
from identity.clients import services as clients
from identity.clients.errors import ClientLimit
from identity.invitations import services as invitations
from identity.invitations.models import Invitation
from identity.members import services as members
from identity.members.errors import SeatLimit
from identity.members.models import Membership, MembershipStatus
from permissions import limits, policy
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from tenants.lifecycle import cloning, exporting, restoring
from tenants.registry import services as registry
from tenants.registry.models import TENANT_LIMITS, Tenant
from tenants.registry.plans import Limits, limits_of
from tests.committed import provisioned
from tests.conftest import Call
from tests.dns_server import Zone
from tests.mailed import Post
from tests.test_domain_joins import register, role_of
from tests.test_domains import NAME, proved
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_invitations import accept, invited, mailed_token
from tests.test_members import acme, code, events, member, path
from tests.test_operator_lifecycle import as_role
from tests.test_races import at_once
from tests.test_throttles import fields, statuses

PROJECTS, CLIENTS, TENANT = "/api/v1/projects", "/api/v1/clients", "/api/v1/tenant"
ALL = policy.granted(Kind.MEMBER, Role.OWNER)
PLANS = {
    "standard": {},
    "small": {"seats": 5, "requests_per_minute": 3, "clients": 1},
    "large": {"seats": 500, "clients": None},
}
AT_ONCE = 50


@pytest.fixture(autouse=True)
def plans(settings: Any) -> None:
    settings.PLANS, settings.DEFAULT_PLAN = PLANS, "standard"


def to_limits() -> str:
    return f"/operator/v1/tenants/{acme().pk}/limits"


def limit(call: Call, **changes: Any) -> Any:
    response = call("operator", "PATCH", to_limits(), changes)
    assert response.status_code == 200, response.content
    return response.json()


# --- Setting and seeing them ------------------------------------------------------------------------------------------


def test_a_plan_holds_and_a_number_of_ones_own_goes_before_it(call: Call) -> None:
    assert limit(call)["in_effect"] == {"seats": None, "requests_per_minute": None, "clients": None}
    body = limit(call, plan="small", seats=7)
    assert (body["plan"], body["seats"], body["clients"]) == ("small", 7, None)
    assert body["in_effect"] == {"seats": 7, "requests_per_minute": 3, "clients": 1}
    assert body["used"]["seats"] == Membership.objects.filter(tenant=acme(), status="active").count()
    assert call("operator", "GET", to_limits()).json() == body
    seen = call("acme_viewer", "GET", TENANT).json()
    assert (seen["plan"], seen["limits"]) == ("small", body["in_effect"])
    assert limit(call, seats=None)["in_effect"]["seats"] == 5
    assert limit(call, plan="large")["in_effect"] == {"seats": 500, "requests_per_minute": None, "clients": None}
    rows = call("operator", "GET", "/operator/v1/tenants?plan=large").json()["results"]
    assert [row["slug"] for row in rows] == ["acme"]
    rows = call("operator", "GET", "/operator/v1/tenants?plan=standard").json()["results"]
    assert [row["slug"] for row in rows] == ["globex"]
    assert call("operator", "GET", "/operator/v1/tenants?plan=none").status_code == 400


def test_a_change_is_in_the_tenants_trail_once(call: Call) -> None:
    before = events()
    limit(call, plan="small", clients=3)
    limit(call, plan="small", clients=3)
    assert events()[len(before) :] == ["tenant.limits_changed"]
    shown = call("acme_owner", "GET", "/api/v1/audit-events?limit=1").json()["results"][0]
    assert shown["changes"] == {"plan": ["", "small"], "client_limit": [None, 3]}


def test_nobody_sets_their_own(call: Call) -> None:
    refused = call("acme_owner", "PATCH", TENANT, {"plan": "large"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "read_only")
    auth = as_role(OperatorRole.SUPPORT)
    assert call("nobody", "GET", to_limits(), **auth).status_code == 200
    assert call("nobody", "PATCH", to_limits(), {"seats": 9}, **auth).status_code == 403


@pytest.mark.parametrize("body", [{"plan": "gold"}, {"seats": 0}, {"seats": -1}, {"clients": 1_000_001}, {"used": {}}])
def test_what_is_no_limit_is_refused(call: Call, body: dict[str, Any]) -> None:
    response = call("operator", "PATCH", to_limits(), body)
    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert {getattr(acme(), name) for name in TENANT_LIMITS} == {"", None}


@pytest.mark.parametrize(
    "broken",
    [{}, [], {"standard": 5}, {"standard": {"seats": 0}}, {"standard": {"seats": True}}, {"standard": {"chairs": 5}}],
)
def test_plans_that_mean_nothing_do_not_start(settings: Any, broken: Any) -> None:
    settings.PLANS = broken
    assert [error.id for error in run_checks(tags=["security"])] == ["tenants.E010"]


def test_a_plan_that_is_gone_is_the_default_one(settings: Any) -> None:
    settings.PLANS = {"standard": {"seats": 2}}
    assert limits_of(Tenant(plan="large")) == Limits(seats=2)


# --- Seats ------------------------------------------------------------------------------------------------------------


def test_every_way_in_ends_at_the_last_seat(call: Call, post: Post, zone: Zone) -> None:
    first, second = invited(call), invited(call, "second@people.test")
    proved(call, zone, auto_join=True)
    viewer = member("viewer@acme.test")
    assert call("acme_owner", "POST", path("viewer@acme.test", "suspend")).status_code == 200
    seats = Membership.objects.filter(tenant=acme(), status=MembershipStatus.ACTIVE).count()
    limit(call, seats=seats + 1)
    assert accept(call, first).status_code == 201
    refused = accept(call, second)
    assert (refused.status_code, code(refused)) == (409, "seat_limit")
    assert code(call("acme_owner", "POST", f"/api/v1/members/{viewer.pk}/reactivate")) == "seat_limit"
    joined = register(post, f"ada@{NAME}")  # proves their address all the same
    assert (joined.status_code, role_of(f"ada@{NAME}")) == (200, None)
    assert events()[-1] == "domain.join_refused"
    assert Membership.objects.get(pk=viewer.pk).status == MembershipStatus.SUSPENDED
    limit(call, seats=seats + 2)
    assert accept(call, second).status_code == 201  # the invitation stayed good


def test_lowering_a_limit_removes_nobody_and_lets_nobody_in(call: Call) -> None:
    token = invited(call)
    before = set(Membership.objects.filter(tenant=acme()).values_list("pk", "status"))
    assert limit(call, seats=2)["used"]["seats"] == len(before)
    assert set(Membership.objects.filter(tenant=acme()).values_list("pk", "status")) == before
    assert call("acme_viewer", "GET", PROJECTS).status_code == 200
    assert code(accept(call, token)) == "seat_limit"
    for email in ("viewer@acme.test", "member@acme.test"):  # still more than two
        call("acme_owner", "DELETE", path(email))
    assert code(accept(call, token)) == "seat_limit"


@pytest.fixture
def crowd(unwrapped: None) -> Iterator[tuple[Tenant, list[User]]]:
    """A tenant with five seats and one owner, and as many people as come at once."""
    people = [User(email=f"p{number}@crowd.test", password="!") for number in range(AT_ONCE)]
    User.objects.bulk_create(people)
    with provisioned("crowded") as tenant:
        owner = User.objects.create(email="owner@crowd.test", password="!")
        members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
        registry.set_limits(tenant_id=tenant.pk, changes={"plan": "small"})
        yield tenant, people
    User.objects.filter(email__endswith="@crowd.test").delete()


def outcomes(jobs: list[Callable[[], Any]], refusal: type[Exception]) -> Counter[str]:
    def tried(job: Callable[[], Any]) -> str:
        try:
            job()
        except refusal:
            return "refused"
        return "in"

    return Counter(at_once([partial(tried, job) for job in jobs]))


def test_as_many_as_there_are_seats_come_in_at_once(crowd: tuple[Tenant, list[User]]) -> None:
    tenant, people = crowd
    owner = Membership.objects.get(tenant=tenant).user_id
    for person in people:
        invitations.invite(tenant_id=tenant.pk, email=person.email, role="viewer", by=owner, held=ALL, days=1)
    jobs = [
        partial(invitations.accept, text=mailed_token(person.email), host_tenant_id=None, person=person.pk)
        for person in people
    ]
    assert outcomes(jobs, SeatLimit) == {"in": 4, "refused": AT_ONCE - 4}
    assert Membership.objects.filter(tenant=tenant, status="active").count() == 5
    assert Invitation.objects.filter(tenant=tenant, status="accepted").count() == 4


def test_all_ways_in_at_once_count_together(crowd: tuple[Tenant, list[User]]) -> None:
    tenant, people = crowd
    owner = Membership.objects.get(tenant=tenant).user_id
    registry.set_limits(tenant_id=tenant.pk, changes={"seat_limit": 100})
    suspended = [members.add_member(tenant_id=tenant.pk, user_id=p.pk, role="viewer") for p in people[:10]]
    Membership.objects.filter(pk__in=[row.pk for row in suspended]).update(status=MembershipStatus.SUSPENDED)
    registry.set_limits(tenant_id=tenant.pk, changes={"seat_limit": None})
    back = [
        partial(members.reactivate_member, tenant_id=tenant.pk, membership_id=row.pk, by=owner, held=ALL)
        for row in suspended
    ]
    new = [partial(members.add_member, tenant_id=tenant.pk, user_id=p.pk, role="viewer") for p in people[10:20]]
    assert outcomes([*back, *new], SeatLimit) == {"in": 4, "refused": 16}


def test_as_many_clients_as_there_may_be_are_made_at_once(crowd: tuple[Tenant, list[User]]) -> None:
    tenant, people = crowd
    jobs = [
        partial(
            clients.create_client, tenant_id=tenant.pk, name="x", scope=["projects:read"], by=people[0].pk, held=ALL,
            expires_at=None,
        )
        for _ in range(AT_ONCE)
    ]  # fmt: skip
    assert outcomes(jobs, ClientLimit) == {"in": 1, "refused": AT_ONCE - 1}


# --- Machine clients --------------------------------------------------------------------------------------------------


def test_a_client_makes_room_for_another(call: Call) -> None:
    used = limit(call)["used"]["clients"]
    limit(call, clients=used + 1)
    body = {"name": "Report", "scopes": ["projects:read"]}
    made = call("acme_owner", "POST", CLIENTS, body)
    assert made.status_code == 201
    refused = call("acme_owner", "POST", CLIENTS, body)
    assert (refused.status_code, code(refused)) == (409, "client_limit")
    call("acme_owner", "DELETE", f"{CLIENTS}/{made.json()['id']}")
    assert call("acme_owner", "POST", CLIENTS, body).status_code == 201


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(call: Call, settings: Any) -> Iterator[Call]:
    """``call``, with limits on."""
    limits.forget()
    settings.THROTTLES, settings.THROTTLE_RATES = True, {}
    yield call
    limits.forget()


def test_all_of_a_tenants_callers_count_together(counted: Call) -> None:
    limit(counted, plan="small")
    answers = [counted(actor, "GET", PROJECTS) for actor in ("acme_owner", "acme_client", "acme_viewer")]
    assert statuses(answers) == [200, 200, 200]
    assert fields(answers[0].headers["RateLimit-Policy"])["tenant"] == {"q": 3, "w": 60}
    assert fields(answers[2].headers["RateLimit"])["tenant"]["r"] == 0
    refused = counted("acme_member", "GET", PROJECTS)
    assert (refused.status_code, code(refused)) == (429, "throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert counted("globex_owner", "GET", PROJECTS).status_code == 200
    assert counted("acme_support", "GET", PROJECTS).status_code == 200  # staff use up nothing of the tenant's
    assert counted("operator", "GET", to_limits()).status_code == 200
    limit(counted, requests_per_minute=10)
    assert counted("acme_member", "GET", PROJECTS).status_code == 200


def test_who_is_refused_for_lack_of_rights_counts_as_well(counted: Call) -> None:
    limit(counted, requests_per_minute=2)
    assert statuses([counted("acme_viewer", "POST", PROJECTS, {"name": "x"}) for _ in range(3)]) == [403, 403, 429]


def test_what_one_caller_has_too_many_is_not_the_others(counted: Call, settings: Any) -> None:
    settings.THROTTLE_RATES = {"principal": "2/min"}
    limit(counted, requests_per_minute=4)
    assert statuses([counted("acme_viewer", "GET", PROJECTS) for _ in range(10)]) == [200] * 2 + [429] * 8
    assert statuses([counted("acme_owner", "GET", PROJECTS) for _ in range(2)]) == [200, 200]


def test_a_limit_costs_no_statement_more(counted: Call) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert counted("acme_owner", "GET", f"{PROJECTS}?limit=1").status_code == 200
        return len(queries)

    asked()  # what is looked up once
    without = asked()
    limit(counted, requests_per_minute=100)
    assert asked() == without


# --- Files and copies -------------------------------------------------------------------------------------------------


def test_limits_come_along(unwrapped: None, tmp_path: Any) -> None:
    with provisioned("measured") as tenant:
        owner = User.objects.create(email="owner@crowd.test", password="!")
        members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
        registry.set_limits(tenant_id=tenant.pk, changes={"plan": "small", "seat_limit": 9})
        file = exporting.export_tenant(tenant_id=tenant.pk, path=tmp_path / "measured.zip").path
        restored = restoring.restore_tenant(path=file, slug="measured-again")
        copy = cloning.clone_tenant(source_id=tenant.pk, slug="measured-trial", name="Trial", owner_id=owner.pk)
        for made in (restored, copy):
            made.refresh_from_db()
            assert (made.plan, made.seat_limit, made.request_limit) == ("small", 9, None)
    Tenant.objects.using("owner").filter(slug__startswith="measured-").delete()
    owner.delete()
