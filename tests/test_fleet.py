"""Fleet migrations, on real tenants: replayed or run, in the face of failures, locks, kills and other runners."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings
from psycopg import sql
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from examples.projects.models import Project, Task
from identity.accounts import services as accounts
from identity.members import services as members
from permissions.roles import Role
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.fleet import runner, starting_points, status
from tenants.fleet.errors import AnotherRun
from tenants.fleet.models import DriftedTenant, FleetEntry, FleetRun
from tenants.fleet.runner import Report, Wish
from tenants.lifecycle.fingerprints import fingerprints
from tenants.registry.models import Tenant
from tests import committed
from tests.committed import provisioned
from tests.releases import COLUMN, Release, release
from tests.test_races import at_once

__all__ = ["release"]

ROOT = __file__.rsplit("/tests/", 1)[0]
POISON = "ALTER TABLE projects_project ADD COLUMN note text"
MEMBER = "fleet@member.test"


@pytest.fixture
def fleet(unwrapped: None) -> Iterator[Callable[[int], list[Tenant]]]:
    """``fleet(3)`` provisions three tenants."""
    with ExitStack() as stack:
        yield lambda number: [stack.enter_context(provisioned(f"fleet-{each:03}")) for each in range(number)]
        with as_owner():
            FleetRun.objects.all().delete()
            DriftedTenant.objects.all().delete()


def names(tenants: Sequence[Tenant]) -> list[str]:
    return [tenant.schema_name for tenant in tenants]


def migrate(tenants: Sequence[Tenant], **wish: Any) -> Report:
    return runner.run(Wish(schema_names=names(tenants), **wish))


def query(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


def inside(tenant: Tenant, statement: str) -> list[tuple[Any, ...]]:
    """Do something by hand in a tenant's schema."""
    with as_owner():
        query("SELECT set_config('search_path', %s, true)", tenant.schema_name)
        return query(statement)


def columns(table: str, column: str) -> set[str]:
    """The schemas in which a table has a column."""
    found = query(
        "SELECT table_schema FROM information_schema.columns WHERE table_name = %s AND column_name = %s", table, column
    )
    return {schema for (schema,) in found}


def states(report: Report) -> dict[str, str]:
    rows = FleetEntry.objects.using("owner").filter(run_id=report.run_id)
    return dict(rows.values_list("schema_name", "state"))


def has_row(tenant: Tenant, name: str) -> bool:
    rows = inside(tenant, "SELECT name FROM django_migrations WHERE app = 'projects'")
    return (name,) in rows


def test_a_column_is_replayed_and_nothing_is_left_to_do(fleet: Any, release: Release) -> None:
    tenants = fleet(3)
    release(COLUMN)
    report = migrate(tenants)
    assert (len(report.migrated), report.failures, report.drifted) == (3, {}, [])
    [plan] = report.plans
    [step] = plan.steps
    assert plan.note == ""
    assert 'ADD COLUMN "note" text NULL' in "".join(step.statements or ())
    assert set(states(report).values()) == {"done"}
    for tenant in tenants:
        assert has_row(tenant, "0002")
        with enter(tenant.pk):
            Project.objects.create(name="After", created_by=tenant.pk)  # as the tenant's role
    runs = FleetRun.objects.using("owner").count()
    again = migrate(tenants)
    assert (again.plans, again.migrated, again.run_id) == ([], [], None)
    assert FleetRun.objects.using("owner").count() == runs
    with provisioned("made-since") as fresh:
        assert len(set(fingerprints([fresh.schema_name, *names(tenants)]).values())) == 1


def test_new_tables_are_the_tenants_to_use(fleet: Any, release: Release) -> None:
    [tenant] = fleet(1)
    release("operations = [migrations.CreateModel('Extra', [('id', models.BigAutoField(primary_key=True))])]")
    assert migrate([tenant]).drifted == []
    with enter(tenant.pk), connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO projects_extra DEFAULT VALUES RETURNING id")
        assert cursor.fetchall() == [(1,)]


@contextmanager
def traffic(tenants: Sequence[Tenant]) -> Iterator[list[int]]:
    """Ask every tenant for its projects, over the API, again and again; the status codes are in the list."""
    user = accounts.create_user(email=MEMBER, password=PASSWORD)
    tokens = []
    for tenant in tenants:
        members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.MEMBER)
        body = {"email": MEMBER, "password": PASSWORD}
        answer = APIClient().post("/api/v1/auth/login", body, HTTP_HOST=f"{tenant.slug}.localhost").json()
        tokens.append((f"{tenant.slug}.localhost", f"Bearer {answer['access_token']}"))
    stop, codes = threading.Event(), []

    def ask() -> None:
        try:
            while not stop.is_set():
                for host, token in tokens:
                    answer = APIClient(raise_request_exception=False).get(
                        "/api/v1/projects", HTTP_HOST=host, HTTP_AUTHORIZATION=token
                    )
                    codes.append(answer.status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            yield codes
        finally:
            stop.set()
    for each in asking:
        each.result()
    user.delete()


def test_of_200_tenants_one_is_poisoned(fleet: Any, release: Release) -> None:
    """199 are done while their requests are answered, the failure is named, and a run after the repair finishes."""
    tenants = fleet(200)
    poisoned = tenants[70]
    inside(poisoned, POISON)
    release(COLUMN)
    with traffic([tenants[0], tenants[100], tenants[199]]) as codes:
        report = migrate(tenants)
    assert set(codes) == {200}
    assert len(report.migrated) == 199
    [(member, error)] = report.failures.items()
    assert (member.slug, error) == (
        poisoned.slug, '42701 column "note" of relation "projects_project" already exists'
    )  # fmt: skip
    assert [name for name, state in states(report).items() if state == "failed"] == [poisoned.schema_name]
    assert not has_row(poisoned, "0002")
    inside(poisoned, "ALTER TABLE projects_project DROP COLUMN note")
    again = migrate(tenants)
    assert ([each.slug for each in again.migrated], again.failures) == ([poisoned.slug], {})


def test_migrate_schemas_is_the_same_run_and_names_the_failure(fleet: Any, release: Release) -> None:
    good, poisoned = fleet(2)
    inside(poisoned, POISON)
    release(COLUMN)
    call_command("migrate_schemas", schema_name=good.schema_name, tenant=True, verbosity=0)
    with pytest.raises(CommandError, match=poisoned.schema_name) as refused:
        call_command("migrate_schemas", schema_name=poisoned.schema_name, tenant=True, verbosity=0)
    assert "1 tenant(s) were not migrated" in str(refused.value)
    assert has_row(good, "0002")
    call_command("migrate_schemas", "projects", "0001", schema_name=good.schema_name, tenant=True, verbosity=0)
    assert not has_row(good, "0002")  # backwards, as Django does it
    assert good.schema_name not in columns("projects_project", "note")


def test_canaries_come_first_and_stop_the_rest(fleet: Any, release: Release) -> None:
    tenants = fleet(4)
    inside(tenants[2], POISON)
    release(COLUMN)
    report = migrate(tenants, canaries=[tenants[2].slug])
    assert (report.migrated, len(report.waiting)) == ([], 3)
    assert not columns("projects_project", "note") - {tenants[2].schema_name}
    assert FleetRun.objects.using("owner").get(pk=report.run_id).state == "stopped"
    assert len(migrate(tenants, canaries=1).migrated) == 3  # the first one is well


WITH_PYTHON = """
def fill(apps, schema_editor):
    Project = apps.get_model("projects", "Project")
    Task = apps.get_model("projects", "Task")
    for project in Project.objects.all():
        project.note = project.name.upper()
        project.save()
        Task.objects.create(project=project, title="From Python", created_by=project.created_by)

operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
"""


def test_python_runs_in_every_tenant_between_what_is_replayed(fleet: Any, release: Release) -> None:
    """All of it in one transaction: what Django would settle by committing is settled."""
    tenants = fleet(3)
    for tenant in tenants:
        with enter(tenant.pk):
            Project.objects.create(name=tenant.slug, created_by=tenant.pk)
    release(
        COLUMN,
        WITH_PYTHON,
        "operations = [migrations.AddField('task', 'points', models.IntegerField(default=1))]",
    )
    report = migrate(tenants)
    assert (len(report.migrated), report.failures, report.drifted) == (3, {}, [])
    assert [step.statements is None for step in report.plans[0].steps] == [False, True, False]
    for tenant in tenants:
        assert inside(tenant, "SELECT note FROM projects_project") == [(tenant.slug.upper(),)]
        assert inside(tenant, "SELECT title, points FROM projects_task") == [("From Python", 1)]


def test_python_that_fails_takes_the_tenant_back_and_quotes_nothing(fleet: Any, release: Release) -> None:
    good, bad = fleet(2)
    with enter(bad.pk):
        Project.objects.create(name="Secret plans", created_by=bad.pk)
    release(
        COLUMN,
        "def refuse(apps, editor):\n"
        "    for project in apps.get_model('projects', 'Project').objects.all():\n"
        "        raise ValueError(project.name)\n"
        "operations = [migrations.RunPython(refuse)]",
    )
    report = migrate([good, bad])
    assert [member.slug for member in report.migrated] == [good.slug]
    [error] = report.failures.values()
    assert error == "ValueError in 0003.py:10"
    assert bad.schema_name not in columns("projects_project", "note")


def test_errors_in_rows_are_told_without_the_rows(fleet: Any, release: Release) -> None:
    [tenant] = fleet(1)
    with enter(tenant.pk):
        for _ in range(2):
            Project.objects.create(name="Secret plans", created_by=tenant.pk)
    release("operations = [migrations.RunSQL('CREATE UNIQUE INDEX one ON projects_project (name)')]")
    report = migrate([tenant])
    assert list(report.failures.values()) == ["23505 UniqueViolation projects_project one"]
    assert (
        FleetEntry.objects.using("owner").get(run_id=report.run_id).error
        == "23505 UniqueViolation projects_project one"
    )


def test_a_computed_default_is_each_tenants_own(fleet: Any, release: Release) -> None:
    tenants = fleet(2)
    for tenant in tenants:
        with enter(tenant.pk):
            Project.objects.create(name="One", created_by=tenant.pk)
    release("operations = [migrations.AddField('project', 'key', models.UUIDField(default=uuid.uuid4))]")
    report = migrate(tenants)
    assert report.plans[0].steps[0].statements is None
    keys = [inside(tenant, "SELECT key FROM projects_project") for tenant in tenants]
    assert keys[0] != keys[1]


CONCURRENTLY = """
atomic = False
operations = [AddIndexConcurrently("project", models.Index(fields=["status"], name="by_status"))]
"""


def test_what_refuses_transactions_runs_outside_of_them(fleet: Any, release: Release) -> None:
    tenants = fleet(3)
    release(COLUMN, CONCURRENTLY, "operations = [migrations.RemoveField('project', 'note')]")
    report = migrate(tenants)
    assert (len(report.migrated), report.failures, report.drifted) == (3, {}, [])
    for tenant in tenants:
        found = inside(tenant, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_status'::regclass")
        assert found == [(True,)]
        assert all(has_row(tenant, name) for name in ("0002", "0003", "0004"))


def _let_go_after_a_wait(holder: psycopg.Connection, dsn: str) -> None:
    """Keep the lock until somebody has waited for it and has given up."""
    password = connections["owner"].settings_dict["PASSWORD"]
    with psycopg.connect(dsn, password=password, autocommit=True) as watching:

        def waits() -> bool:
            found = watching.execute(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))",
                [holder.info.backend_pid],
            ).fetchone()
            return bool(found and found[0])

        while not waits():
            time.sleep(0.005)
        while waits():
            time.sleep(0.005)
    holder.rollback()


def test_a_lock_that_somebody_holds_is_waited_for_but_not_long(fleet: Any, release: Release) -> None:
    """A migration that waits would have every later request of the tenant wait behind it."""
    tenants = fleet(3)
    release(COLUMN)
    parameters = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    found = connections["owner"].settings_dict
    with override_settings(FLEET_LOCK_SECONDS=0.1), psycopg.connect(
        **{name: found[key] for name, key in parameters.items()}
    ) as holder:  # fmt: skip
        table = sql.Identifier(tenants[1].schema_name, "projects_project")
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table))
        with override_settings(FLEET_ATTEMPTS=2):
            report = migrate(tenants)
        [(member, error)] = report.failures.items()
        assert (member.slug, error) == (tenants[1].slug, "55P03 canceling statement due to lock timeout")
        releasing = threading.Thread(target=_let_go_after_a_wait, args=(holder, holder.info.dsn))
        releasing.start()
        again = migrate(tenants)
        releasing.join()
    assert [member.slug for member in again.migrated] == [tenants[1].slug]
    assert FleetEntry.objects.using("owner").get(run_id=again.run_id).attempts > 1


SLOWLY = "operations = [migrations.RunSQL('DO $$ BEGIN PERFORM pg_sleep(0.03); END $$')]"


@pytest.mark.parametrize("number", range(int(os.environ.get("TENANTRY_TEST_KILLS", "2"))))
def test_a_killed_run_goes_on_where_it_was(fleet: Any, release: Release, number: int) -> None:
    """At every moment each tenant has all of it or nothing: column, row and ledger."""
    tenants = fleet(30)
    environment = os.environ | committed.urls() | release(SLOWLY, COLUMN)
    path = os.pathsep.join([ROOT, f"{ROOT}/platform", environment["TENANTRY_TEST_PATH"]])
    command = [sys.executable, "manage.py", "fleet", "migrate", "--parallel", "2", "--tenant"]
    running = subprocess.Popen(
        [*command, *(tenant.slug for tenant in tenants)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while FleetEntry.objects.using("owner").filter(state="done").count() < 1 + number * 7 % 25:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    run = FleetRun.objects.using("owner").get(state="running")
    with as_owner():  # one look
        query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        done = set(FleetEntry.objects.filter(run=run, state="done").values_list("schema_name", flat=True))
        have_column = columns("projects_project", "note")
        points = starting_points.look(names(tenants)).starting_points
    have_row = {member.schema_name for point in points for member in point.members if "projects.0003" in point.applied}
    assert done == have_column == have_row
    assert 0 < len(done) < 30
    report = migrate(tenants)
    assert (report.run_id, report.failures, report.drifted) == (run.pk, {}, [])
    assert set(states(report)) == set(names(tenants))  # those of the killed run included
    assert set(states(report).values()) == {"done"}
    assert columns("projects_project", "note") == set(names(tenants))
    assert FleetRun.objects.using("owner").get(pk=run.pk).state == "done"


def test_a_second_runner_waits_or_leaves(fleet: Any, release: Release) -> None:
    tenants = fleet(8)
    release(SLOWLY, COLUMN)

    def leave() -> Any:
        time.sleep(0.15)
        try:
            return migrate(tenants, wait=False)
        except AnotherRun:
            return "left"

    *reports, left = at_once([lambda: migrate(tenants, parallel=1), lambda: migrate(tenants, parallel=1), leave])
    assert left == "left"
    assert sorted(len(report.migrated) for report in reports) == [0, 8]
    assert all(not report.failures for report in reports)


DAMAGE = {
    "ALTER TABLE projects_project ADD COLUMN by_hand text": "+ column projects_project by_hand text",
    'DROP INDEX "projects_pr_created_4f4a52_idx"': "- index CREATE INDEX",
    "REVOKE UPDATE ON projects_task FROM {role}": "+ table projects_task",
    "ALTER TABLE projects_task ALTER COLUMN title DROP NOT NULL": "column projects_task title",
}


def test_drift_is_found_shown_and_can_keep_a_tenant_from_serving(fleet: Any, release: Release) -> None:
    tenants = fleet(5)
    index = query("SELECT indexname FROM pg_indexes WHERE schemaname = %s AND indexname LIKE %s",
                  tenants[1].schema_name, "%created%")[0][0]  # fmt: skip
    damage = list(DAMAGE)
    damage[1] = f'DROP INDEX "{index}"'
    for tenant, statement in zip(tenants, damage, strict=False):
        inside(tenant, statement.format(role=tenant.schema_name))
    found = status.states(names(tenants))
    assert [state.is_drifted for state in found] == [True] * 4 + [False]
    for tenant, line in zip(tenants, DAMAGE.values(), strict=False):
        out = StringIO()
        call_command("fleet", "status", tenant=[tenant.slug], stdout=out)
        assert line in out.getvalue()
    release(COLUMN)
    with override_settings(REFUSE_DRIFTED_TENANTS=True):
        report = migrate(tenants)
        assert [member.slug for member in sorted(report.drifted, key=lambda each: each.slug)] == [
            tenant.slug for tenant in tenants[:4]
        ]
        assert statuses(tenants) == ["suspended"] * 4 + ["active"]
        inside(tenants[0], "ALTER TABLE projects_project DROP COLUMN by_hand")
        assert len(migrate(tenants).drifted) == 3
    assert statuses(tenants) == ["active"] + ["suspended"] * 3 + ["active"]


def statuses(tenants: Sequence[Tenant]) -> list[str]:
    rows = Tenant.objects.using("owner").filter(pk__in=[tenant.pk for tenant in tenants])
    return list(rows.order_by("slug").values_list("status", flat=True))


def test_the_command_plans_reports_and_exits(fleet: Any, release: Release) -> None:
    good, poisoned = fleet(2)
    inside(poisoned, POISON)
    release(COLUMN)
    slugs = [good.slug, poisoned.slug]

    def command(*words: str) -> str:
        out = StringIO()
        call_command("fleet", *words, "--tenant", *slugs, stdout=out)
        return out.getvalue()

    assert "projects.0002 (replayed)" in command("migrate", "--plan")
    assert json.loads(command("migrate", "--plan", "--json"))["plans"][0]["tenants"] == 2
    assert columns("projects_project", "note") == {poisoned.schema_name}  # nothing was done
    with pytest.raises(CommandError, match=poisoned.schema_name) as refused:
        command("migrate", "--json")
    assert refused.value.returncode == 1
    shown = {state["slug"]: state for state in json.loads(command("status", "--json"))}
    assert shown[good.slug]["behind"] == []
    assert shown[poisoned.slug]["behind"] == ["projects.0002"]
    assert shown[poisoned.slug]["failure"].startswith("42701")
    assert "1 of them as they should be" in command("status")
    with pytest.raises(CommandError, match="no tenant"):
        call_command("fleet", "migrate", "--tenant", "nobody")


def test_a_squashed_migration_is_one_that_was_applied(fleet: Any, release: Release) -> None:
    """Its parts are in every tenant; only its row is missing."""
    [tenant] = fleet(1)
    release(COLUMN)
    migrate([tenant])
    release("replaces = [('projects', '0002'), ('projects', '0003')]\n" + COLUMN)
    with as_owner():
        inside(tenant, "INSERT INTO django_migrations (app, name, applied) VALUES ('projects', '0003', now())")
    inside(tenant, "UPDATE django_migrations SET name = '0002_part' WHERE app = 'projects' AND name = '0002'")
    release("replaces = [('projects', '0002_part'), ('projects', '0003')]\n" + COLUMN)
    report = migrate([tenant])
    assert (len(report.migrated), report.failures) == (1, {})
    assert has_row(tenant, "0002")


def test_tenants_on_their_way_out_are_left_alone(fleet: Any, release: Release) -> None:
    staying, leaving = fleet(2)
    release(COLUMN)
    query("UPDATE registry_tenant SET status = 'deleting' WHERE id = %s", leaving.pk)
    assert [member.slug for member in migrate([staying, leaving]).migrated] == [staying.slug]
    assert leaving.schema_name not in columns("projects_project", "note")


def test_tasks_are_still_there(fleet: Any, release: Release) -> None:
    """What is in a tenant stays."""
    [tenant] = fleet(1)
    with enter(tenant.pk):
        project = Project.objects.create(name="Old", created_by=tenant.pk)
        Task.objects.create(project=project, title="Old", created_by=tenant.pk)
    release(COLUMN)
    migrate([tenant])
    with enter(tenant.pk):
        assert Task.objects.get().project.name == "Old"
