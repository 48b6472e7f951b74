"""A tenant context is a transaction: what it costs, what it refuses, and that nothing survives it."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import OperationalError, ProgrammingError, connection, connections, models, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext, isolate_apps
from rest_framework.test import APIClient

from examples.projects.models import Project
from tenants.context import entry
from tenants.context.entry import current_tenant, enter, in_tenant, look, maintain
from tenants.context.errors import AlreadyInTenant, NoSuchTenant, OutcomeUnknown, OutsideTenant
from tenants.registry import selectors
from tenants.registry.models import Tenant
from tests.conftest import ACME, CAST, sign_in


def search_path(opened: Any = connection) -> str:
    with opened.cursor() as cursor:
        cursor.execute("SHOW search_path")
        row = cursor.fetchone()
    return str(row[0])


def test_inside_are_the_tenants_rows_and_outside_there_are_none(acme: Tenant, globex: Tenant) -> None:
    with enter(acme.pk):
        assert set(Project.objects.values_list("name", flat=True)) == {"Rocket skates", "Giant magnet"}
        assert current_tenant().slug == "acme"
    with enter(globex.pk):
        assert "Weather machine" in set(Project.objects.values_list("name", flat=True))
    with pytest.raises(OutsideTenant):
        Project.objects.count()
    with pytest.raises(OutsideTenant):
        current_tenant()


def test_raw_sql_outside_finds_no_tenant_table_either(unwrapped: None) -> None:
    """The gate is in front of the ORM, the wall is in the database."""
    with pytest.raises(ProgrammingError, match="does not exist"), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM projects_project")


@pytest.mark.parametrize(
    "access",
    [
        lambda: Project.objects.filter(name="x").first(),
        lambda: Project.objects.update(name="x"),
        lambda: Project.objects.all().delete(),
        lambda: Project(name="x", created_by=uuid4()).save(),
        lambda: Project.objects.bulk_create([Project(name="x", created_by=uuid4())]),
    ],
)
def test_every_kind_of_orm_access_is_gated(unwrapped: None, access: Callable[[], object]) -> None:
    with pytest.raises(OutsideTenant):
        access()


def test_entering_is_one_round_trip_and_leaving_another(acme: Tenant) -> None:
    with CaptureQueriesContext(connection) as queries, enter(acme.pk):
        Project.objects.first()
    statements = [query["sql"] for query in queries]
    assert len(statements) == 3
    assert statements[0].startswith("BEGIN; SELECT tenant.id")
    assert statements[1].startswith('SELECT "projects_project"')
    assert statements[2] == "COMMIT"


def test_an_authenticated_get_costs_entering_the_row_and_the_commit(acme: Tenant) -> None:
    """Who calls and whether all of it still holds needs no statement of its own; the host is in the directory."""
    token = sign_in(CAST["acme_viewer"])["access_token"]
    with enter(acme.pk):
        project = Project.objects.first()
    assert project is not None
    client = APIClient()
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"/api/v1/projects/{project.pk}", HTTP_HOST=ACME, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert response.status_code == 200
    assert [query["sql"].split(" ")[0] for query in queries] == ["BEGIN;", "SELECT", "COMMIT"]


@pytest.mark.parametrize("ending", ["commit", "error", "rollback", "database error"])
def test_nothing_survives_a_context(acme: Tenant, ending: str) -> None:
    """Whatever way it ends, the connection is in no tenant and its search path is the server's default."""
    before = search_path()
    try:
        with enter(acme.pk):
            if ending == "error":
                raise LookupError  # noqa: TRY301 -- the context is what is tested
            if ending == "rollback":
                transaction.set_rollback(True)
            if ending == "database error":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1/0")
    except Exception:  # noqa: BLE001, S110 -- how it ended is the point, not with what
        pass
    assert not in_tenant()
    assert search_path() == before
    assert connection.schema_name == "public"
    with enter(acme.pk):
        assert Project.objects.count() == 2


def test_a_savepoints_rollback_stays_in_the_tenant(acme: Tenant) -> None:
    with enter(acme.pk):
        with contextlib.suppress(LookupError), transaction.atomic():
            Project.objects.create(name="Undone", created_by=acme.pk)
            raise LookupError
        assert set(Project.objects.values_list("name", flat=True)) == {"Rocket skates", "Giant magnet"}


def test_inside_another_transaction_the_path_is_put_back(acme: Tenant, globex: Tenant) -> None:
    with transaction.atomic():
        before = "public"
        for one in (acme, globex):
            with enter(one.pk):
                assert one.schema_name in search_path()
            assert search_path() == before
            with pytest.raises(LookupError), enter(one.pk):
                raise LookupError
            assert search_path() == before


def test_commit_hooks_run_outside(acme: Tenant) -> None:
    seen: list[bool] = []
    with enter(acme.pk):
        transaction.on_commit(lambda: seen.append(in_tenant()))
    assert seen == [False]


def test_one_context_is_one_tenant(acme: Tenant, globex: Tenant) -> None:
    with enter(acme.pk):
        for way in (lambda: enter(globex.pk), lambda: enter(acme.pk), lambda: maintain(globex)):
            with pytest.raises(AlreadyInTenant), way():
                pass
        assert current_tenant().slug == "acme"


def test_an_unknown_tenant_is_not_entered(acme: Tenant) -> None:
    missing = selectors.tenants().values_list("memberships__user_id", flat=True)[0]
    for way in (lambda: enter(missing).__enter__(), lambda: look(missing)):
        with pytest.raises(NoSuchTenant):
            way()
    assert not in_tenant()
    assert look(acme.pk).tenant.slug == "acme"
    assert not in_tenant()


def test_an_opening_statement_that_fails_leaves_the_connection_usable(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django does not know yet that a transaction is open when its first statement fails."""
    monkeypatch.setattr(entry, "_entering", lambda *_: "SELECT no_such_column")
    with pytest.raises(ProgrammingError), enter(acme.pk):
        pass
    monkeypatch.undo()
    assert not in_tenant()
    with enter(acme.pk):
        assert Project.objects.count() == 2


def test_an_entry_without_a_connection_does_not_happen_later(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not begin is forgotten: the next transaction is in no tenant."""

    def refuse() -> None:
        raise OperationalError("no connection")

    connection.close()
    monkeypatch.setattr(connection, "connect", refuse)
    with pytest.raises(OperationalError), enter(acme.pk):
        pass
    monkeypatch.undo()
    with transaction.atomic():
        assert acme.schema_name not in search_path()
        assert not in_tenant()


def test_a_new_thread_is_in_no_tenant(acme: Tenant) -> None:
    seen: list[bool] = []

    def look_around() -> None:
        seen.append(in_tenant())
        connection.close()

    with enter(acme.pk):
        thread = threading.Thread(target=look_around)
        thread.start()
        thread.join()
    assert seen == [False]


def test_maintenance_sees_the_schema_alone(acme: Tenant) -> None:
    with maintain(acme):
        assert search_path(connections["owner"]) == acme.schema_name
        tables = connections["owner"].introspection.table_names()
        assert "projects_project" in tables
        assert "accounts_user" not in tables
    assert not in_tenant()


# --- System checks ----------------------------------------------------------------------------------------------------


def ids() -> set[str]:
    return {error.id or "" for error in run_checks(tags=["models"])}


def test_no_app_is_in_both_lists_or_in_none() -> None:
    assert ids() == set()
    shared = [*apps.get_app_config("registry").name.split(), "examples.projects"]
    with override_settings(SHARED_APPS=shared):
        assert {"tenants.E001", "tenants.E002"} <= ids()


@isolate_apps("examples.projects")
def test_no_foreign_key_crosses_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crossing(models.Model):
        owner = models.ForeignKey("accounts.User", on_delete=models.CASCADE)

        class Meta:
            app_label = "projects"

        def __str__(self) -> str:
            return "crossing"

    monkeypatch.setattr(apps, "get_models", lambda **_: [Crossing])
    Crossing._meta.get_field("owner").remote_field.model = apps.get_model("accounts.User")
    assert "tenants.E003" in ids()


def broken_after(statement: str) -> Any:
    """Let the network break right after a statement on this table: the commit is what fails."""

    def execute(run: Any, sql: Any, *others: Any) -> Any:
        found = run(sql, *others)
        if statement in str(sql):
            with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
        return found

    return connection.execute_wrapper(execute)


def test_a_commit_that_nobody_confirmed_is_told_from_one_that_failed(acme: Tenant) -> None:
    """The server may have kept the change, and gone away before it said so."""
    with pytest.raises(OutcomeUnknown), broken_after("projects_project"), enter(acme.pk):
        Project.objects.exists()


@pytest.mark.parametrize(("method", "code"), [("POST", "outcome_unknown"), ("GET", "unavailable")])
def test_a_write_of_which_nobody_knows_says_so(acme: Tenant, tokens: Any, method: str, code: str) -> None:
    headers = {"HTTP_HOST": ACME, "HTTP_AUTHORIZATION": f"Bearer {tokens['acme_member']['access_token']}"}
    client = APIClient(raise_request_exception=False)
    with broken_after("projects_project"):
        response = client.generic(method, "/api/v1/projects", b'{"name": "x"}', "application/json", **headers)

    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, code, "1")
