"""Support access with consent: a tenant's owners say whether staff come in, what for, and when it ends."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import DatabaseError, InternalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone
from psycopg.errors import ReadOnlySqlTransaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from examples.projects.models import Project
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.mail.delivery import deliver
from identity.members import services as members
from identity.sessions.models import EndReason, Session
from identity.sessions.services import Device
from identity.tokens.backends import BearerBackend
from jobs import schedule
from operators import accesses, consent, support
from operators.errors import SupportOpen, SupportOver, SupportRefused
from operators.models import Access, Operator, SupportAccess, SupportStatus
from operators.staff import put_on_staff
from operators.support import Case
from permissions import callers, endpoints, policy
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from permissions.scopes import Scope
from tenants.audit import selectors as audit
from tenants.audit.models import AuditEvent
from tenants.audit.services import record
from tenants.context.entry import enter
from tenants.context.guards import UNGUARDED, Guard
from tenants.registry.models import SupportPolicy, Tenant
from tests.committed import provisioned
from tests.conftest import ACME, API_HOST, CAST, Actor, Call, sign_in
from tests.test_races import at_once

PASSWORD = "lantern gravel teapot"
CASE = {"reason": "The May report is empty", "ticket": "T-4711"}
MINE = "/api/v1/support-access"
POLICY = f"{MINE}/policy"
PROJECTS = "/api/v1/projects"
SOMEBODY = "00000000-0000-4000-8000-000000000000"
DEVICE = Device(ip_address=None, user_agent="")

Support = Callable[..., Any]


def bearer(token: dict[str, Any], host: str = ACME) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}", "host": host}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def actions() -> list[str]:
    rows = AuditEvent.objects.filter(tenant__slug="acme", action__contains="support").order_by("sequence")
    return list(rows.values_list("action", flat=True))


@pytest.fixture
def staff(call: Call) -> dict[str, Any]:
    """A member of staff who has no access yet: their token response."""
    user = accounts.create_user(email="sam@staff.test", password=PASSWORD, name="Sam")
    put_on_staff(user_id=user.pk, role=OperatorRole.SUPPORT)
    return sign_in(Actor("sam@staff.test", API_HOST, CAST["operator"].login_path), password=PASSWORD)


@pytest.fixture
def ask(call: Call, staff: dict[str, Any]) -> Support:
    """``ask(access="write")`` asks to be let into acme, and returns the response."""
    target = f"/operator/v1/tenants/{Tenant.objects.get(slug='acme').pk}/support-access"
    return lambda **more: call("nobody", "POST", target, CASE | more, **bearer(staff, API_HOST))


@pytest.fixture
def collect(call: Call, staff: dict[str, Any]) -> Support:
    """``collect(id)`` asks for the token of an approved access, and returns the response."""
    target = "/operator/v1/support-access/{}/token"
    return lambda access_id: call("nobody", "POST", target.format(access_id), **bearer(staff, API_HOST))


@pytest.fixture
def allow(call: Call) -> Support:
    """``allow("write")`` has acme's owner set the policy."""

    def allow(name: str) -> None:
        answer = call("acme_owner", "PUT", POLICY, {"policy": name})
        assert (answer.status_code, answer.json()) == (200, {"policy": name})

    return allow


def approved(call: Call, ask: Support, collect: Support, **more: str) -> dict[str, Any]:
    """Ask, let the owner approve, and collect the token."""
    asked = ask(**more)
    assert asked.status_code == 202, asked.content
    assert call("acme_owner", "POST", f"{MINE}/{asked.json()['id']}/approve", {}).status_code == 200
    result: dict[str, Any] = collect(asked.json()["id"]).json()
    return result


# --- What a policy lets staff do --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "access", "status"),
    [
        ("never", "read", 403), ("never", "write", 403),
        ("ask", "read", 202), ("ask", "write", 202),
        ("read", "read", 201), ("read", "write", 202),
        ("write", "read", 201), ("write", "write", 201),
    ],
)  # fmt: skip
def test_what_each_policy_lets_staff_do(
    call: Call, ask: Support, allow: Support, name: str, access: str, status: int
) -> None:
    """Refused, asked about, or let in at once; whoever is let in without write access holds nothing that writes."""
    allow(name)
    answer = ask(access=access)
    assert answer.status_code == status, answer.content
    body = answer.json()
    if status == 403:
        assert body["code"] == "support_refused"
        assert not SupportAccess.objects.filter(staff_name="Sam").exists()
    elif status == 202:
        assert (body["status"], body["access"], "access_token" in body) == ("pending", access, False)
    else:
        assert (body["status"], body["access"], "refresh_token" in body) == ("active", access, False)
        writes = {scope for scope in body["scope"].split() if not scope.endswith(":read")}
        assert writes == ({"projects:write", "tasks:write"} if access == "write" else set())


def test_the_policy_is_the_owners(call: Call, tokens: dict[str, Any]) -> None:
    """Admins see it; nobody but an owner, who has proved lately who they are, sets it, and it is in the trail."""
    assert call("acme_admin", "GET", POLICY).json() == {"policy": "read"}
    for actor in ("acme_admin", "acme_member", "acme_viewer", "acme_client", "acme_support"):
        assert code(call(actor, "PUT", POLICY, {"policy": "write"})) == (403, "insufficient_scope"), actor
    assert code(call("acme_owner", "PATCH", "/api/v1/tenant", {"support_policy": "write"})) == (400, "validation_error")
    old = sign_in(CAST["acme_owner"])
    claims = BearerBackend().introspect(old["access_token"])
    assert claims.sign_in is not None
    long_ago = timezone.now() - settings.STEP_UP_MAX_AGE - timedelta(minutes=1)
    Session.objects.filter(pk=claims.sign_in.sid).update(authenticated_at=long_ago)
    body = {"refresh_token": old["refresh_token"]}
    old = call("nobody", "POST", "/api/v1/auth/refresh", body).json()
    refused = call("nobody", "PUT", POLICY, {"policy": "write"}, **bearer(old))
    assert code(refused) == (401, "insufficient_user_authentication")
    for _ in range(2):
        assert call("acme_owner", "PUT", POLICY, {"policy": "ask"}).status_code == 200
    events = AuditEvent.objects.filter(tenant__slug="acme", action="tenant.support_policy_changed")
    assert [event.changes for event in events] == [{"policy": ["read", "ask"]}]


def test_less_policy_ends_what_it_would_not_have_allowed(
    call: Call, ask: Support, allow: Support, collect: Support
) -> None:
    """Whoever would have had to ask is out at once; what an owner approved goes on, until nobody is let in at all."""
    allow("write")
    token = ask(access="write").json()
    for name, status in (("write", 200), ("read", 401)):
        allow(name)
        assert call("nobody", "GET", PROJECTS, **bearer(token)).status_code == status, name
    token = approved(call, ask, collect, access="write")
    for name, status in (("ask", 200), ("never", 401)):
        allow(name)
        assert call("nobody", "GET", PROJECTS, **bearer(token)).status_code == status, name


def test_never_denies_what_is_asked_and_voids_what_is_approved(
    call: Call, ask: Support, allow: Support, collect: Support
) -> None:
    allow("ask")
    pending = ask().json()
    allow("never")
    assert SupportAccess.objects.get(pk=pending["id"]).status == SupportStatus.DENIED
    allow("ask")
    waiting = ask().json()
    call("acme_owner", "POST", f"{MINE}/{waiting['id']}/approve", {})
    allow("never")
    assert code(collect(waiting["id"])) == (409, "support_over")


# --- Asking, deciding, collecting -------------------------------------------------------------------------------------


def test_the_life_of_a_request(call: Call, ask: Support, allow: Support, collect: Support) -> None:
    """Asked, approved for less than was asked, collected once, seen by the tenant all the way, and in its trail."""
    allow("ask")
    access_id = ask(access="write", minutes=5).json()["id"]
    assert code(collect(access_id)) == (409, "support_not_decided")
    (seen,) = call("acme_admin", "GET", f"{MINE}?status=pending").json()["results"]
    assert (seen["staff_name"], seen["reason"], seen["ticket"]) == ("Sam", CASE["reason"], CASE["ticket"])
    assert "sam@staff.test" not in str(seen)

    refused = call("acme_admin", "POST", f"{MINE}/{access_id}/approve", {})
    assert code(refused) == (403, "insufficient_scope")
    approval = call("acme_owner", "POST", f"{MINE}/{access_id}/approve", {"access": "read"}).json()
    owner = User.objects.get(email="owner@acme.test")
    assert (approval["status"], approval["access"], approval["decided_by"]) == ("approved", "read", str(owner.pk))
    for action, body in (("approve", {}), ("deny", None)):
        assert code(call("acme_owner", "POST", f"{MINE}/{access_id}/{action}", body)) == (409, "support_over")

    token = collect(access_id).json()
    assert (token["access"], token["expires_in"], token["tenant"], token["role"]) == ("read", 300, "acme", None)
    assert all(scope.endswith(":read") for scope in token["scope"].split())
    assert code(collect(access_id)) == (409, "support_over")
    assert call("nobody", "GET", PROJECTS, **bearer(token)).status_code == 200
    (seen,) = call("acme_admin", "GET", f"{MINE}?status=active").json()["results"][:1]
    assert seen["id"] == access_id

    ended = call("acme_admin", "POST", f"{MINE}/{access_id}/end")
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    assert call("nobody", "GET", PROJECTS, **bearer(token)).status_code == 401
    assert Session.objects.get(support_access=access_id).end_reason == EndReason.ENDED_BY_TENANT
    assert actions()[-4:] == [f"support_access.{what}" for what in ("requested", "approved", "started", "ended")]
    assert audit.verdict_on(Tenant.objects.get(slug="acme").pk).is_whole


def test_an_owner_says_no(call: Call, ask: Support, allow: Support, collect: Support) -> None:
    allow("ask")
    access_id = ask().json()["id"]
    assert code(call("acme_owner", "POST", f"{MINE}/{access_id}/end")) == (409, "support_over")
    assert call("acme_owner", "POST", f"{MINE}/{access_id}/deny").json()["status"] == "denied"
    assert code(collect(access_id)) == (409, "support_over")
    assert actions()[-1] == "support_access.denied"
    assert ask().status_code == 202  # they may ask again


def test_nobody_gets_more_than_they_asked_for(call: Call, ask: Support, allow: Support) -> None:
    allow("ask")
    access_id = ask(access="read").json()["id"]
    refused = call("acme_owner", "POST", f"{MINE}/{access_id}/approve", {"access": "write"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "not_asked_for")
    assert SupportAccess.objects.get(pk=access_id).status == SupportStatus.PENDING


def test_one_at_a_time_in_one_tenant(call: Call, ask: Support, allow: Support, staff: dict[str, Any]) -> None:
    """Asked for, or going on; whoever ends theirs may ask again."""
    for name, first in (("ask", 202), ("read", 201)):
        allow(name)
        asked = ask()
        assert asked.status_code == first
        assert code(ask()) == (409, "support_open")
        target = f"/operator/v1/support-access/{asked.json()['id']}"
        assert call("nobody", "DELETE", target, **bearer(staff, API_HOST)).status_code == 204


def test_what_nobody_decides_or_collects_is_over(call: Call, ask: Support, allow: Support, collect: Support) -> None:
    """After a day, and after half an hour; the schedule notes it in the trail, once."""
    allow("ask")
    access_id = ask().json()["id"]
    row = SupportAccess.objects.get(pk=access_id)
    assert timedelta(hours=23) < row.expires_at - row.created_at <= timedelta(hours=25)
    late = SupportAccess.objects.filter(pk=access_id)
    late.update(expires_at=timezone.now())
    assert code(call("acme_owner", "POST", f"{MINE}/{access_id}/approve", {})) == (409, "support_over")
    assert [row["id"] for row in call("acme_owner", "GET", f"{MINE}?status=expired").json()["results"]] == [access_id]
    assert call("acme_owner", "GET", f"{MINE}?status=pending").json()["results"] == []
    schedule.look("support")
    schedule.look("support")
    assert (late.get().status, actions()[-1]) == ("expired", "support_access.expired")
    assert actions().count("support_access.expired") == 1

    access_id = ask().json()["id"]
    until = call("acme_owner", "POST", f"{MINE}/{access_id}/approve", {}).json()["expires_at"]
    assert until < (timezone.now() + timedelta(minutes=31)).isoformat()
    SupportAccess.objects.filter(pk=access_id).update(expires_at=timezone.now())
    assert code(collect(access_id)) == (409, "support_over")
    assert ask().status_code == 202  # the former one stands in nobody's way
    assert actions()[-2:] == ["support_access.expired", "support_access.requested"]


def test_owners_learn_of_it_by_mail(call: Call, ask: Support, allow: Support, collect: Support) -> None:
    """Of a request, and of a beginning; what a stranger may call themselves makes no link."""
    User.objects.filter(email="sam@staff.test").update(name="Sam at evil.test")
    allow("ask")
    approved_id = ask(access="write").json()["id"]
    deliver()
    call("acme_owner", "POST", f"{MINE}/{approved_id}/approve", {})
    collect(approved_id)
    deliver()
    asked, begun = (message for message in mail.outbox if CASE["ticket"] in str(message.body))
    assert (asked.to, begun.to) == (["owner@acme.test"], ["owner@acme.test"])
    assert asked.subject == "Tenantry support asks to look into Acme Corporation"
    for message in (asked, begun):
        text = " ".join(str(message.body).split())
        assert f"Reason: {CASE['reason']} Ticket: {CASE['ticket']}" in text
        assert approved_id in text
        assert "read and write" in text
        assert "evil.test" not in text


# --- Whose it is ------------------------------------------------------------------------------------------------------


def test_only_who_asked_collects(call: Call, ask: Support, allow: Support) -> None:
    """The others on the staff see it, and end it."""
    allow("ask")
    access_id = ask().json()["id"]
    call("acme_owner", "POST", f"{MINE}/{access_id}/approve", {})
    target = f"/operator/v1/support-access/{access_id}"
    assert call("operator", "POST", f"{target}/token").status_code == 404
    assert call("operator", "GET", target).json()["status"] == "approved"
    staff_id = User.objects.get(email="sam@staff.test").pk
    listed = call("operator", "GET", f"/operator/v1/support-access?staff_id={staff_id}").json()["results"]
    assert [row["id"] for row in listed] == [access_id]
    assert call("operator", "DELETE", target).status_code == 204
    assert actions()[-1] == "support_access.ended"


@pytest.mark.parametrize("how", ["demoted", "disabled"])
def test_whoever_is_staff_no_longer_or_as_something_else_is_out(
    call: Call, ask: Support, collect: Support, how: str
) -> None:
    """On the next request; the tenant sees that it is over, and in its trail as well."""
    token = ask().json()
    place = Operator.objects.get(user__email="sam@staff.test")
    if how == "demoted":
        assert call("operator", "PATCH", f"/operator/v1/staff/{place.pk}", {"role": "operator"}).status_code == 200
    else:
        assert call("operator", "POST", f"/operator/v1/staff/{place.pk}/disable").status_code == 200
    assert call("nobody", "GET", PROJECTS, **bearer(token)).status_code == 401
    assert call("acme_owner", "GET", f"{MINE}/{token['id']}").json()["status"] == "ended"
    assert actions()[-1] == "support_access.ended"


def test_a_session_that_ended_elsewhere_ends_the_access(call: Call, ask: Support) -> None:
    """A revoked token, say: the tenant sees it at once, and the schedule notes it."""
    token = ask().json()
    Session.objects.filter(support_access=token["id"]).update(ended_at=timezone.now())
    assert call("acme_owner", "GET", f"{MINE}/{token['id']}").json()["status"] == "ended"
    found = [row["id"] for row in call("acme_owner", "GET", f"{MINE}?status=ended").json()["results"]]
    assert token["id"] in found
    assert token["id"] not in str(call("acme_owner", "GET", f"{MINE}?status=active").json())
    schedule.look("support")
    assert SupportAccess.objects.get(pk=token["id"]).status == SupportStatus.ENDED


def test_history_stays_when_sessions_are_pruned(call: Call, ask: Support) -> None:
    token = ask().json()
    Session.objects.filter(support_access=token["id"]).delete()
    assert call("acme_owner", "GET", f"{MINE}/{token['id']}").json()["status"] == "ended"
    SupportAccess.objects.update(created_at=timezone.now() - timedelta(days=500))
    support.note_all_overdue()
    assert support.prune_accesses(keep=timedelta(days=400), limit=100) >= 1
    assert not SupportAccess.objects.filter(pk=token["id"]).exists()


@pytest.mark.parametrize("minutes", [0, 61, 600, -1, 1.5, "60", None])
def test_an_hour_at_most(call: Call, ask: Support, minutes: Any) -> None:
    answer = ask(minutes=minutes)
    assert answer.status_code == (201 if minutes == "60" else 400), minutes


def test_nothing_extends_it_and_nothing_begins_inside(call: Call, ask: Support, collect: Support) -> None:
    """The token is the last one of its access, and opens neither the staff's API nor what consents to it."""
    token = ask(minutes=1).json()
    session = Session.objects.get(support_access=token["id"])
    assert (token["expires_in"], session.families.count()) == (60, 0)
    assert session.expires_at - session.authenticated_at == timedelta(minutes=1)
    assert code(collect(token["id"])) == (409, "support_over")
    tenant = Tenant.objects.get(slug="acme").pk
    for target in (f"tenants/{tenant}/support-access", f"support-access/{token['id']}/token", "auth/step-up"):
        nested = call("nobody", "POST", f"/operator/v1/{target}", CASE, **bearer(token, API_HOST))
        assert nested.status_code == 401, target
    for method, target, body in (
        ("PUT", POLICY, {"policy": "write"}),
        ("POST", f"{MINE}/{token['id']}/approve", {}),
        ("GET", MINE, None),
    ):
        assert code(call("nobody", method, target, body, **bearer(token))) == (403, "insufficient_scope")


# --- What is forbidden, whatever the policy ---------------------------------------------------------------------------


def _asked(method: str, route: str) -> tuple[str, str]:
    return method, "/" + re.sub(r"<\w+:\w+>", SOMEBODY, route.replace("<slug:name>", "tenant"))


@pytest.mark.parametrize("access", ["read", "write"])
def test_every_other_write_is_refused(call: Call, ask: Support, allow: Support, access: str) -> None:
    """Over all routes of the tenant API: with write access, what a tenant app opens to support, and nothing else."""
    allow("write")
    token = ask(access=access).json()
    passed = set()
    for endpoint in endpoints.endpoints(settings.TENANT_URLCONF):
        for method in endpoint.keys if not endpoint.is_public else ():
            with transaction.atomic():
                answer = call("nobody", *_asked(method, endpoint.route), {}, **bearer(token))
                transaction.set_rollback(True)
            if endpoint.route.startswith("scim/"):
                assert answer.status_code == 401, (method, endpoint.route)  # for a directory's own tokens alone
            elif answer.status_code == 403:
                assert answer.json()["code"] == "insufficient_scope", (method, endpoint.route)
            else:
                assert answer.status_code in {200, 400, 404}, (method, endpoint.route, answer.content)
                passed.add((method, endpoint.route))
    written = {route.split("/")[2] for method, route in passed if method != "GET"}
    assert written == ({"projects", "tasks"} | opened_by_other_apps("write") if access == "write" else set())
    read = {route.split("/")[2] for _, route in passed}
    assert read == {"tenant", "members", "projects", "tasks"} | opened_by_other_apps("read")


def opened_by_other_apps(action: str) -> set[str]:
    """What an adopter's apps, beside the example, let support do: none in a checkout without any."""
    example_or_ours = {*Scope, "projects:read", "projects:write", "tasks:read", "tasks:write"}
    opened = policy.ceiling(Kind.SUPPORT) - example_or_ours
    return {scope.partition(":")[0] for scope in opened if scope.endswith(f":{action}")}


def test_what_support_may_write_is_said_by_tenant_apps_alone() -> None:
    """In the table of rights: none of the product's own scopes that writes may ever be in a support token."""
    for scope in policy.ceiling(Kind.SUPPORT):
        assert scope.endswith(":read") or scope in {"projects:write", "tasks:write"}


def test_write_access_writes(call: Call, ask: Support, allow: Support) -> None:
    """And says in the row and in the trail who it was."""
    allow("write")
    token = ask(access="write").json()
    made = call("nobody", "POST", PROJECTS, {"name": "Repaired"}, **bearer(token))
    assert made.status_code == 201
    assert made.json()["created_by"] == str(User.objects.get(email="sam@staff.test").pk)
    assert call("nobody", "DELETE", f"{PROJECTS}/{made.json()['id']}", **bearer(token)).status_code == 204


# --- Postgres itself refuses to write ---------------------------------------------------------------------------------


class WritingView(APIView):
    """A read that writes, as a careless one would, and one that tells the trail."""

    scopes = {"GET": "projects:read", "POST": "projects:write"}

    def get(self, request: Request) -> Response:
        Project.objects.create(name="Written", created_by=callers.caller_id(request))
        return Response("written")

    def post(self, request: Request) -> Response:
        record(action="probe.done", tenant_id=callers.tenant_id(request))
        return Response("done")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a view that writes where it says that it reads."""
    urls = ModuleType("tests.writing_urls")
    urls.urlpatterns = [  # type: ignore[attr-defined]  # made at run time
        path("api/v1/probe", WritingView.as_view()),
        path("", include(settings.TENANT_URLCONF)),
    ]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    monkeypatch.setattr(settings, "TENANT_URLCONF", urls.__name__)
    return "/api/v1/probe"


def test_a_write_in_read_access_is_refused_by_postgres(call: Call, ask: Support, probe: str) -> None:
    """Past every check of ours: the answer is a refusal and no failure, and nothing was written."""
    token = ask().json()
    assert call("acme_member", "GET", probe).status_code == 200
    before = call("nobody", "GET", PROJECTS, **bearer(token)).json()
    assert code(call("nobody", "GET", probe, **bearer(token))) == (403, "read_only")
    assert call("nobody", "GET", PROJECTS, **bearer(token)).json() == before


def test_a_database_that_only_reads_is_away_for_everybody_else(call: Call) -> None:
    """It became a replica: the other one is elsewhere by now."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only TO on")
    answer = call("acme_member", "POST", PROJECTS, {"name": "x"})
    assert (code(answer), answer.headers["Retry-After"]) == ((503, "unavailable"), "1")


def test_what_staff_do_says_who_they_are(call: Call, ask: Support, allow: Support, probe: str) -> None:
    allow("write")
    token = ask(access="write").json()
    assert call("nobody", "POST", probe, {}, **bearer(token)).status_code == 200
    event = AuditEvent.objects.get(action="probe.done")
    sam = User.objects.get(email="sam@staff.test").pk
    session = Session.objects.get(support_access=token["id"])
    assert (event.actor_kind, event.actor_id, event.act, event.session_id) == ("support", sam, sam, session.pk)


READ_ONLY = Guard({}, UNGUARDED.joins, read_only=True)


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO projects_project SELECT * FROM projects_project",
        "UPDATE projects_project SET name = 'x'",
        "DELETE FROM projects_project",
        "SELECT * FROM projects_project FOR UPDATE",
        "UPDATE registry_tenant SET name = 'x'",
        "INSERT INTO audit_auditevent (id) VALUES (gen_random_uuid())",
    ],
)
def test_a_read_only_context_writes_nothing(acme: Tenant, statement: str) -> None:
    """SQLSTATE 25006, as the tenant's role."""
    with enter(acme.pk, guard=READ_ONLY):
        with pytest.raises(InternalError) as refused:
            run(statement)
        assert isinstance(refused.value.__cause__, ReadOnlySqlTransaction)
        assert refused.value.__cause__.sqlstate == "25006"
        assert Project.objects.count() == 2


@pytest.mark.parametrize(
    "statement",
    [
        "SET TRANSACTION READ WRITE",
        "SET LOCAL transaction_read_only TO off",
        "SET transaction_read_only TO off",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "RESET transaction_read_only",
        "RESET ALL; UPDATE projects_project SET name = 'x'",
        "SET default_transaction_read_only TO off; UPDATE projects_project SET name = 'x'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; UPDATE projects_project SET name = 'x'",
    ],
)
def test_a_read_only_context_cannot_be_undone(acme: Tenant, statement: str) -> None:
    """Neither in the transaction itself nor in a savepoint of it."""
    with enter(acme.pk, guard=READ_ONLY):
        with pytest.raises(DatabaseError):
            run(statement)
        with connection.cursor() as cursor, pytest.raises(DatabaseError):
            cursor.execute(statement)
        transaction.set_rollback(True)


def test_a_read_only_context_is_one_round_trip_and_ends_with_it(acme: Tenant) -> None:
    with CaptureQueriesContext(connection) as queries, enter(acme.pk, guard=READ_ONLY):
        Project.objects.first()
    assert len(queries) == 3
    with enter(acme.pk), transaction.atomic():
        assert Project.objects.update(name="x") == 2
        transaction.set_rollback(True)


# --- The wall ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def club(unwrapped: None) -> Iterator[tuple[Tenant, User, User]]:
    """A tenant of this test's own, its owner, and a member of staff; nothing is left of them."""
    with provisioned("support-club") as tenant:
        owner = accounts.create_user(email="owner@club.test", password=PASSWORD)
        staff = accounts.create_user(email="staff@club.test", password=PASSWORD)
        members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
        put_on_staff(user_id=staff.pk, role=OperatorRole.SUPPORT)
        yield tenant, owner, staff
    User.objects.filter(email__endswith="@club.test").delete()


def asked_for(tenant: Tenant, staff: User, access: str = "write") -> SupportAccess:
    case = Case(reason="x", ticket="T-1", access=access)
    return support.ask(user_id=staff.pk, tenant_id=tenant.pk, case=case, methods=["pwd"], device=DEVICE)[0]


def test_a_tenants_role_reaches_what_concerns_it(club: tuple[Tenant, User, User], acme: Tenant) -> None:
    """Its own accesses, without the staff's own ids; of sessions nothing but the end of support in it."""
    tenant, owner, staff = club
    row = asked_for(tenant, staff, "read")
    with enter(acme.pk):
        assert not SupportAccess.objects.filter(pk=row.pk).only("id").exists()
        assert Session.objects.filter(pk=row.session_id).update(end_reason="revoked") == 0
    with enter(tenant.pk):
        assert accesses.accesses_of(tenant.pk).get().status_now == SupportStatus.ACTIVE
        for statement in (
            "SELECT operator_id FROM operators_supportaccess",
            "UPDATE operators_supportaccess SET tenant_id = tenant_id",
            "UPDATE operators_supportaccess SET session_id = NULL",
            "UPDATE operators_supportaccess SET started_at = now()",
            "DELETE FROM operators_supportaccess",
            "INSERT INTO operators_supportaccess (id) VALUES (gen_random_uuid())",
            "SELECT user_agent FROM identity_sessions_session",
            "UPDATE identity_sessions_session SET expires_at = now() + interval '1 year'",
            "UPDATE identity_sessions_session SET api = 'tenant'",
        ):
            with pytest.raises(ProgrammingError, match="permission denied"):
                run(statement)
        assert list(Session.objects.values_list("pk", flat=True)) == [row.session_id]
        consent.set_policy(tenant_id=tenant.pk, policy=SupportPolicy.NEVER, by=owner.pk)
    row.refresh_from_db()
    assert (row.status, row.session and row.session.end_reason) == ("ended", "ended_by_tenant")


def test_a_token_is_collected_once_whatever_races(club: tuple[Tenant, User, User]) -> None:
    """Twenty at once: one token, one session, one beginning in the trail."""
    tenant, owner, staff = club
    row = asked_for(tenant, staff)
    with enter(tenant.pk):
        consent.approve(tenant_id=tenant.pk, access_id=row.pk, access=Access.WRITE, by=owner.pk)

    def collect() -> str | None:
        try:
            return support.collect(user_id=staff.pk, access_id=row.pk, methods=["pwd"], device=DEVICE)[1].access_token
        except SupportOver:
            return None

    found = [token for token in at_once([collect] * 20) if token is not None]
    assert len(found) == 1
    assert Session.objects.filter(tenant=tenant).count() == 1
    assert AuditEvent.objects.filter(tenant=tenant, action="support_access.started").count() == 1
    assert audit.verdict_on(tenant.pk).is_whole


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_look_costs_entering_the_row_and_the_commit(club: tuple[Tenant, User, User], access: str) -> None:
    """Whether the access goes on, and that it only reads, is asked and said by the statement that enters."""
    tenant, owner, staff = club
    with enter(tenant.pk):
        consent.set_policy(tenant_id=tenant.pk, policy=SupportPolicy.WRITE, by=owner.pk)
        project = Project.objects.create(name="x", created_by=owner.pk)
    case = Case(reason="x", ticket="T-1", access=access)
    _, issued = support.ask(user_id=staff.pk, tenant_id=tenant.pk, case=case, methods=["pwd"], device=DEVICE)
    assert issued is not None
    headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {issued.access_token}"}
    client = APIClient()
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"{PROJECTS}/{project.pk}", **headers).status_code == 200
    statements = [query["sql"] for query in queries]
    assert [statement.split(" ")[0] for statement in statements] == ["BEGIN;", "SELECT", "COMMIT"]
    assert ("enter_reading_support_" in statements[0]) == (access == "read")


def test_asking_and_shutting_out_at_once(club: tuple[Tenant, User, User]) -> None:
    """Ten who ask and an owner who lets nobody in: nobody is in afterwards, in whichever order they came."""
    tenant, owner, staff = club

    def ask() -> None:
        with contextlib.suppress(SupportRefused, SupportOpen):
            asked_for(tenant, staff, "read")

    def shut() -> None:
        with enter(tenant.pk):
            consent.set_policy(tenant_id=tenant.pk, policy=SupportPolicy.NEVER, by=owner.pk)

    at_once([*[ask] * 5, shut, *[ask] * 5])
    assert not SupportAccess.objects.filter(tenant=tenant, status=SupportStatus.ACTIVE).exists()
    assert not Session.objects.filter(tenant=tenant, ended_at=None).exists()
