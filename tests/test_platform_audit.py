"""The platform's audit trail, over the operator API and from commands; and the host that operators may have alone."""

import csv
import io
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts.models import User
from identity.domains.names import refuse_unfit
from identity.mail.models import OutgoingMail
from operators import staff
from operators.models import Operator
from permissions import endpoints
from permissions.roles import OperatorRole
from tenants.audit import selectors
from tenants.audit.acting import acting, commanded
from tenants.audit.chain import canonical
from tenants.audit.commands import NAME_LENGTH, started_by
from tenants.audit.models import PLATFORM, AuditEvent
from tenants.audit.services import Target, record
from tenants.registry.models import Domain, Tenant
from tenants.routing.checks import check_operator_host
from tests.committed import urls
from tests.conftest import ACME, API_HOST, Call
from tests.mailed import token_to
from tests.test_architecture import ROOT
from tests.test_staff import bearer, code, person, tokens_of

EVENTS = "/operator/v1/audit-events"
OPERATORS = "operators.platform.test"


def noted(action: str = "probe.noted", **more: Any) -> AuditEvent:
    record(action=action, tenant_id=None, targets=[Target("probe", "p-1", "Probe")], **more)
    return AuditEvent.objects.filter(tenant=None).latest("sequence")


# --- Over the API -----------------------------------------------------------------------------------------------------


def test_the_platforms_trail_is_listed_and_filtered(call: Call) -> None:
    """Its own chain alone, the newest first, in pages."""
    first, second = noted(), noted("probe.lost")
    rows = call("operator", "GET", EVENTS).json()["results"]
    assert [row["id"] for row in rows[:2]] == [str(second.pk), str(first.pk)]
    assert {row["sequence"] for row in rows} <= set(selectors.events_of_platform().values_list("sequence", flat=True))
    assert call("operator", "GET", f"{EVENTS}/{first.pk}").json()["action"] == "probe.noted"

    def found(query: str) -> list[str]:
        return [row["id"] for row in call("operator", "GET", f"{EVENTS}?{query}").json()["results"]]

    assert found("action=probe.lost") == [str(second.pk)]
    assert str(first.pk) not in found(f"occurred_after={second.occurred_at.isoformat().replace('+', '%2B')}")
    assert found("limit=1") == [str(second.pk)]
    assert "cursor=" in call("operator", "GET", f"{EVENTS}?limit=1").json()["next"]
    tenants = AuditEvent.objects.exclude(tenant=None).first()
    assert tenants is not None
    assert call("operator", "GET", f"{EVENTS}/{tenants.pk}").status_code == 404


def test_one_tenants_trail_is_there_on_demand(call: Call) -> None:
    acme = Tenant.objects.get(slug="acme")
    own = call("acme_owner", "GET", "/api/v1/audit-events").json()["results"]
    assert own
    assert call("operator", "GET", f"{EVENTS}?tenant={acme.pk}").json()["results"] == own
    assert call("operator", "GET", f"{EVENTS}/{own[0]['id']}?tenant={acme.pk}").json() == own[0]
    verdict = call("operator", "GET", f"{EVENTS}/verify?tenant={acme.pk}").json()
    assert (verdict["is_whole"], verdict["last"]) == (True, own[0]["sequence"])
    missing = "00000000-0000-4000-8000-000000000000"
    for path in (EVENTS, f"{EVENTS}/verify", f"{EVENTS}/export?type=csv"):
        joint = "&" if "?" in path else "?"
        assert call("operator", "GET", f"{path}{joint}tenant={missing}").status_code == 404
        refused = call("operator", "GET", f"{path}{joint}tenant=acme")
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, "tenant")


def test_it_is_exported_and_that_is_an_event_of_it(call: Call) -> None:
    """JSON lines with which anybody computes the hashes again; a spreadsheet; of the platform's chain or a tenant's."""
    noted()
    with commanded(command="probe", by="os:ana"):
        noted("probe.commanded")
    response = call("operator", "GET", f"{EVENTS}/export?type=jsonl")
    rows = [json.loads(line) for line in response.getvalue().decode().splitlines()]
    assert [row["sequence"] for row in rows] == list(range(rows[0]["sequence"], rows[-1]["sequence"] + 1))
    assert rows[-1]["action"] == "audit_trail.exported"
    assert rows[-1]["changes"] == {"query": [None, "type=jsonl"]}
    for row in rows[-3:]:
        actor = row["actor"]
        values = [
            row["sequence"], None, row["occurred_at"], row["id"], row["action"], actor["kind"], actor["id"],
            actor["act"], actor["session_id"], row["address"], row["request_id"], row["targets"], row["changes"],
        ]  # fmt: skip
        text = json.dumps([*values, actor["name"]] if actor["name"] else values, ensure_ascii=False)
        if not row["targets"]:  # whose members jsonb orders in its own way
            assert sha256(bytes.fromhex(row["previous_hash"]) + text.encode()).hexdigest() == row["hash"]
    lines = csv.DictReader(io.StringIO(call("operator", "GET", f"{EVENTS}/export?type=csv").getvalue().decode()))
    assert {line["actor.name"] for line in lines} == {"", "os:ana"}
    acme = Tenant.objects.get(slug="acme")
    call("operator", "GET", f"{EVENTS}/export?type=csv&tenant={acme.pk}&action=member.added").getvalue()
    told = call("acme_owner", "GET", "/api/v1/audit-events").json()["results"][0]
    assert (told["action"], told["actor"]["kind"]) == ("audit_trail.exported", "operator")
    assert "action=member.added" in told["changes"]["query"][1]
    assert call("operator", "GET", f"{EVENTS}/export").status_code == 400


def test_who_may_read_it(call: Call) -> None:
    for role, status in ((OperatorRole.OPERATOR, 200), (OperatorRole.SUPPORT, 403)):
        headers = bearer(tokens_of(person(f"{role}@staff.test", role)))
        for path in (EVENTS, f"{EVENTS}/verify", f"{EVENTS}/export?type=csv"):
            assert call("nobody", "GET", path, **headers).status_code == status, (role, path)
    assert call("acme_owner", "GET", EVENTS, host=API_HOST).status_code == 401


def test_it_is_verified_with_the_names_of_commands(call: Call) -> None:
    """Both ways of computing a hash agree on an event whose actor has a name, and an edited name is found."""
    with commanded(command="probe", by='ci:"ünï" (os:runner)'):
        event = noted()
    assert (event.actor_kind, event.actor_name, event.actor_id) == ("command", 'ci:"ünï" (os:runner)', None)
    assert event.request_id.startswith("probe-")
    verdict = call("operator", "GET", f"{EVENTS}/verify").json()
    assert (verdict["is_whole"], verdict["last"]) == (True, event.sequence)
    shown = call("operator", "GET", f"{EVENTS}?actor_kind=command").json()["results"][0]
    assert shown["actor"]["name"] == event.actor_name
    event.actor_name = "os:somebody"
    assert sha256(bytes(event.previous_hash) + canonical(event)).digest() != bytes(event.hash)


# --- From commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "{user}"),
        ({"CI": "false", "GITHUB_ACTOR": "ana"}, "{user}"),
        ({"CI": "true", "GITHUB_ACTOR": "ana"}, "ci:ana ({user})"),
        ({"CI": "true", "GITLAB_USER_LOGIN": "bob"}, "ci:bob ({user})"),
        ({"CI": "1"}, "ci:unknown ({user})"),
        ({"TENANTRY_ACTOR": "deploy bot", "CI": "true", "GITHUB_ACTOR": "ana"}, "deploy bot ({user})"),
        ({"TENANTRY_ACTOR": "os:root\n\x1b[31m"}, "os:root[31m ({user})"),
        ({"SUDO_USER": "ana"}, "{user} by sudo from ana"),
    ],
    ids=str,
)
def test_who_started_a_command(environ: dict[str, str], expected: str) -> None:
    """What the environment says never stands without the user of the operating system."""
    user = f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    assert started_by(environ) == expected.format(user=user)
    assert len(started_by({"TENANTRY_ACTOR": "x" * 1000, "SUDO_USER": "y" * 1000})) <= NAME_LENGTH


def test_a_command_acts_on_every_thread_of_its_own_and_in_no_request(call: Call) -> None:
    with commanded(command="probe", by="os:ana"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: acting().name).result() == "os:ana"
        assert call("operator", "GET", EVENTS).status_code == 200
        assert call("operator", "POST", "/operator/v1/keys/rotate", {}).status_code == 200
    event = AuditEvent.objects.filter(action="key.rotated").latest("sequence")
    assert (event.actor_kind, event.actor_name) == ("operator", "")
    assert acting().kind == "system"


def manage(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own on this run's database."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"CI", "TENANTRY_ACTOR"}}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=inherited | urls() | environ, input=stdin,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def forgotten(unwrapped: None) -> Iterator[None]:
    """Nobody is left whom a test put on the staff by command."""
    yield
    User.objects.filter(email__endswith="@shell.test").delete()
    OutgoingMail.objects.all().delete()


def test_the_first_admin_comes_by_command_and_signs_in(forgotten: None) -> None:
    """The password is read and shown nowhere; a second run changes nothing; both are one event, which says who."""
    before = Operator.objects.count()
    arguments = ("create_operator", "root@shell.test", "--name", "Root", "--password-stdin")
    secret = "correct horse battery staple"
    made = manage(*arguments, stdin=f"{secret}\n", TENANTRY_ACTOR="runbook 7")
    assert (made.returncode, made.stdout) == (0, "root@shell.test is now on the staff, as admin.\n"), made.stderr
    again = manage(*arguments, stdin="another password, which changes nothing\n")
    assert (again.returncode, again.stdout) == (0, "root@shell.test is already on the staff, as admin.\n")
    assert secret not in made.stdout + made.stderr
    assert Operator.objects.count() == before + 1
    user = User.objects.get(email="root@shell.test")
    assert user.check_password(secret)
    events = AuditEvent.objects.filter(targets__contains=[{"id": str(user.pk)}], action="staff.added")
    event = events.get()
    assert event.actor_kind == "command"
    assert event.actor_name.startswith("runbook 7 (os:")
    assert event.request_id.startswith("create_operator-")
    assert secret not in json.dumps([event.targets, event.changes])
    assert selectors.verdict_on(PLATFORM).is_whole


def create(email: str, *arguments: str, **options: Any) -> str:
    """Run the command in this process and return what it printed."""
    out = io.StringIO()
    call_command("create_operator", email, *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


@pytest.mark.usefixtures("db", "nothing_to_read")
def test_what_the_command_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weak password, none at all, an account that nobody proved, another role than they have."""
    with pytest.raises(CommandError, match="No password"):
        create("new@shell.test")
    with pytest.raises(CommandError, match="valid email"):
        create("new")
    monkeypatch.setenv("OPERATOR_PASSWORD", "short")
    with pytest.raises(CommandError, match="characters"):
        create("new@shell.test")
    assert not User.objects.filter(email="new@shell.test").exists()
    User.objects.create(email="claimed@shell.test", password="!")
    with pytest.raises(CommandError, match="nobody has proved"):
        create("claimed@shell.test")
    with pytest.raises(CommandError, match="Already on the staff as admin"):
        create(OPERATOR_EMAIL, "--role", "support")
    assert "already on the staff" in create(OPERATOR_EMAIL.upper())


def test_a_password_may_be_chosen_by_a_mailed_link(call: Call, nothing_to_read: None) -> None:
    told = json.loads(create("linked@shell.test", "--mail-link", "--role", "operator", "--json"))
    assert (told["role"], told["created"]) == ("operator", True)
    login = {"email": "linked@shell.test", "password": PASSWORD}
    assert call("nobody", "POST", "/operator/v1/auth/login", login, host=API_HOST).status_code == 401
    chosen = {"token": token_to("linked@shell.test"), "new_password": PASSWORD}
    assert call("nobody", "POST", "/api/v1/auth/password/reset", chosen, host=API_HOST).status_code == 204
    assert call("nobody", "POST", "/operator/v1/auth/login", login, host=API_HOST).json()["role"] == "operator"


def test_an_account_that_is_there_needs_no_password(call: Call, nothing_to_read: None) -> None:
    person("ana@shell.test")
    assert create("ana@shell.test", "--role", "support") == "ana@shell.test is now on the staff, as support.\n"
    assert tokens_of(User.objects.get(email="ana@shell.test"))["role"] == "support"


def test_what_else_commands_change_is_an_event(forgotten: None) -> None:
    """An account that is closed, a deploy; not a deploy that had nothing to do."""
    person("gone@shell.test")
    for arguments, action in ((("close_account", "gone@shell.test"), "account.closed"), (("migrate_platform",), None)):
        before = AuditEvent.objects.filter(tenant=None).count()
        done = manage(*arguments, CI="true", GITHUB_ACTOR="ana")
        assert done.returncode == 0, done.stderr
        new = AuditEvent.objects.filter(tenant=None).order_by("sequence")[before:]
        assert [event.action for event in new] == ([action] if action else []), arguments
        for event in new:
            assert (event.actor_kind, event.actor_name.partition(" ")[0]) == ("command", "ci:ana")
    first = AuditEvent.objects.filter(tenant=None).earliest("sequence")  # of making this run's database
    assert first.action == "platform.migrated"
    assert "operators.0003_keep_an_admin" in first.changes["migrations"][1]


def test_no_command_sets_somebody_elses_password(db: None) -> None:
    with pytest.raises(CommandError, match="Nobody sets"):
        call_command("changepassword", OPERATOR_EMAIL)


def test_a_command_cannot_close_the_last_admins_account(db: None) -> None:
    with pytest.raises(CommandError, match="at least one active admin"):
        call_command("close_account", OPERATOR_EMAIL)
    staff.put_on_staff(user_id=person("ana@shell.test").pk, role=OperatorRole.ADMIN)
    call_command("close_account", OPERATOR_EMAIL, stdout=io.StringIO())


# --- A host for operators alone ---------------------------------------------------------------------------------------


@pytest.fixture
def apart(settings: Any) -> None:
    settings.OPERATOR_HOST = OPERATORS


def paths(urlconf: str, prefix: str) -> set[str]:
    return {endpoint.route for endpoint in endpoints.endpoints(urlconf) if endpoint.route.startswith(prefix)}


def test_operators_have_a_host_of_their_own(call: Call, apart: None) -> None:
    """It answers the operator API and nothing of the tenants'; no other host answers anything of it."""
    routes = paths(settings.ROOT_URLCONF, "operator/")
    assert paths(settings.OPERATOR_URLCONF, "operator/") == routes
    assert not paths(settings.OPERATOR_URLCONF, "api/") | paths(settings.OPERATOR_URLCONF, "oauth/")
    assert not paths(settings.API_URLCONF, "operator/") | paths(settings.TENANT_URLCONF, "operator/")
    assert paths(settings.API_URLCONF, "") | routes == paths(settings.ROOT_URLCONF, "")
    login = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    for host, status in ((OPERATORS, 200), (OPERATORS.upper(), 200), (API_HOST, 404), (ACME, 404)):
        assert call("nobody", "POST", "/operator/v1/auth/login", login, host=host).status_code == status, host
        seen = call("operator", "GET", "/operator/v1/tenants", host=host)
        assert seen.status_code == status, host
    login = {"email": "owner@acme.test", "password": PASSWORD}
    for host, status in ((OPERATORS, 404), (API_HOST, 200)):
        assert call("nobody", "POST", "/api/v1/auth/login", login, host=host).status_code == status
        assert call("nobody", "GET", "/.well-known/jwks.json", host=host).status_code == status
    for path in ("/api/v1/me", "/oauth/token", "/.well-known/oauth-authorization-server", "/verify-email"):
        assert code(call("nobody", "GET", path, host=OPERATORS)) == (404, "not_found"), path
    assert call("nobody", "GET", "/health/live", host=OPERATORS).status_code == 200


def test_each_host_documents_what_it_answers(call: Call, apart: None) -> None:
    for host, own, foreign in ((OPERATORS, "operator", "tenant"), (API_HOST, "tenant", "operator")):
        assert call("nobody", "GET", f"/docs/{own}.json", host=host).status_code == 200
        assert call("nobody", "GET", f"/docs/{foreign}.json", host=host).status_code == 404
        assert call("nobody", "GET", "/docs", host=host).status_code == 200
        assert call("nobody", "GET", "/docs/problems", host=host).status_code == 200


def test_the_operators_host_is_no_tenants_to_have(call: Call, apart: None) -> None:
    acme = Tenant.objects.get(slug="acme")
    with pytest.raises(ValidationError):
        Domain.objects.create(tenant=acme, domain=OPERATORS, is_primary=False)
    with pytest.raises(ValidationError):
        refuse_unfit(OPERATORS)


@pytest.mark.parametrize(
    ("host", "found"),
    [("", 0), (OPERATORS, 0), (API_HOST, 1), (f"{OPERATORS}:443", 1), (f"{OPERATORS}.", 1)],
)
def test_a_host_that_cannot_be_the_operators_is_found_at_the_start(settings: Any, host: str, found: int) -> None:
    settings.OPERATOR_HOST = host
    assert len(check_operator_host(None)) == found


def test_without_a_host_of_their_own_they_are_on_the_api_hosts(call: Call) -> None:
    assert call("operator", "GET", "/operator/v1/tenants", host=API_HOST).status_code == 200
    assert call("operator", "GET", "/operator/v1/tenants", host=OPERATORS).json()["code"] == "unknown_host"
