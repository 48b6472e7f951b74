"""What must be done to the tenants of one starting point: found once, with its SQL, in a schema that is rolled back."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from django.db import connections, transaction
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from psycopg import sql

from tenants.context.entry import maintain
from tenants.context.ownership import as_owner, routed_to_owner
from tenants.context.router import tenant_app_labels
from tenants.fleet.errors import NotMigratable, describe
from tenants.fleet.replayable import is_replayable
from tenants.fleet.starting_points import APPLIED, Executor, Key, Loader, StartingPoint, version_of, written
from tenants.lifecycle.models import Template
from tenants.lifecycle.recording import in_transaction, record
from tenants.registry.models import Tenant
from tenants.registry.names import generate_schema_name
from tenants.wall.roles import OWNER

# Between two migrations Django commits, which checks deferred constraints; in one transaction that must be said.
SETTLE = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"
_CHANGES_ROWS = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|WITH|SELECT|DO|CALL)\b", re.IGNORECASE)
_FORMER_TEMPLATES = 3  # that are tried


@dataclass(frozen=True)
class Change:
    """One operation with the models before and after it."""

    operation: Operation
    before: ProjectState
    after: ProjectState


@dataclass(frozen=True)
class Step:
    """One migration.

    Attributes:
        rows: what it adds to ``django_migrations``.
        statements: what is replayed; None where it is run in every tenant.
        changes: what is run then.
        is_atomic: it can be in a transaction with others.
    """

    key: Key
    rows: Sequence[Key]
    statements: Sequence[str] | None
    changes: Sequence[Change] = ()
    is_atomic: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """All steps from one starting point to the newest migrations.

    Attributes:
        rows: of ``django_migrations``, for what is no step: shared apps' that a step depends on, squashed ones.
        note: why nothing could be recorded.
    """

    point: StartingPoint
    steps: Sequence[Step]
    rows: Sequence[Key]
    note: str = ""

    @cached_property
    def target(self) -> str:
        """The version that it leads to."""
        return version_of(written([*self.point.keys(), *self.rows, *(row for step in self.steps for row in step.rows)]))

    @cached_property
    def transactions(self) -> Sequence[Sequence[Step]]:
        """The steps by transaction: one for all, unless a migration refuses to be in any."""
        groups: list[list[Step]] = []
        for step in self.steps:
            if groups and step.is_atomic and groups[-1][-1].is_atomic:
                groups[-1].append(step)
            else:
                groups.append([step])
        return groups or [[]]

    @property
    def migrations(self) -> list[str]:
        """The names of the steps."""
        return [".".join(step.key) for step in self.steps]


def make(point: StartingPoint) -> Plan | None:
    """Return what must be done from a starting point; None when it is where it should be."""
    executor = Executor(Loader(point.keys()))
    rows = executor.rows()
    if not rows:
        return None
    try:
        steps, note = _record(executor, point), ""
    except Exception as error:  # noqa: BLE001 -- an empty schema may be no ground for them; tenants still are
        steps, note = _only_run(executor), f"Nothing was recorded: {describe(error)}"
    in_steps = {row for step in steps for row in step.rows}
    return Plan(point, steps, [row for row in rows if row not in in_steps], note)


def unfold(migration: Migration, state: ProjectState) -> list[Change]:
    """Return a migration's operations, each with the models around it; the state is moved on."""
    changes = []
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        changes.append(Change(operation, before, state.clone()))
    return changes


def _rows(migration: Migration) -> list[Key]:
    return [*migration.replaces, (migration.app_label, migration.name)]


def _is_tenants(migration: Migration) -> bool:
    return migration.app_label in tenant_app_labels()


def _run_step(migration: Migration, state: ProjectState) -> Step:
    is_atomic = migration.atomic is not False
    key = (migration.app_label, migration.name)
    return Step(key, _rows(migration), None, unfold(migration, state), is_atomic)


def _only_run(executor: Executor) -> list[Step]:
    state, steps = executor.initial_state(), []
    for migration in executor.present():
        migration.mutate_state(state, preserve=False)
    for migration in executor.missing():
        if _is_tenants(migration):
            steps.append(_run_step(migration, state))
        else:
            migration.mutate_state(state, preserve=False)
    return steps


def _record(executor: Executor, point: StartingPoint) -> list[Step]:
    missing = [migration for migration in executor.missing() if _is_tenants(migration)]
    if not any(is_replayable(migration) for migration in missing):
        return _only_run(executor)
    state, steps = executor.initial_state(), []
    with routed_to_owner():
        scripts = [former.script for former in Template.objects.order_by("-created_at")[:_FORMER_TEMPLATES]]
    with _scratch() as schema_name, record(connections[OWNER]) as recording:
        advance = _mutate if _filled_from(scripts, point) else _apply
        for migration in executor.present():
            advance(migration, state)
            _settle()
        recording.take()
        for migration in executor.missing():
            step = None if is_replayable(migration) else _run_step(migration, state.clone())
            _apply(migration, state)
            if any(map(_CHANGES_ROWS.match, recording.statements)):
                _settle()
            statements = recording.take()
            if any(schema_name in statement for statement in statements):
                raise NotMigratable(f"{migration} names the schema that it is in.")
            if _is_tenants(migration):
                key = (migration.app_label, migration.name)
                steps.append(step or Step(key, _rows(migration), statements))
    return steps


def _mutate(migration: Migration, state: ProjectState) -> None:
    migration.mutate_state(state, preserve=False)


def _filled_from(scripts: Iterable[str], point: StartingPoint) -> bool:
    """Fill the scratch schema from a former template, if there is one of just this starting point: several times faster
    than migrating to it. Tell whether.
    """
    with connections[OWNER].cursor() as cursor:
        for script in scripts:
            with transaction.atomic(using=OWNER):
                cursor.execute(script)
                cursor.execute(f"SELECT {APPLIED} FROM django_migrations")  # noqa: S608 -- constants
                if cursor.fetchone() == (point.applied,):
                    return True
                transaction.set_rollback(True, using=OWNER)
    return False


def _apply(migration: Migration, state: ProjectState) -> None:
    """Run a migration in the scratch schema, if it concerns tenants at all."""
    if not _is_tenants(migration):
        _mutate(migration, state)
        return
    state.apps  # noqa: B018 -- rendered once, and kept up to date from here on; Django does it, too
    with connections[OWNER].schema_editor(atomic=True) as editor:
        in_transaction(migration).apply(state, editor)


def _settle() -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(SETTLE)


@contextmanager
def _scratch() -> Iterator[str]:
    """Be in an empty schema that nobody else ever sees: its transaction is rolled back."""
    name = generate_schema_name()
    with as_owner():
        with connections[OWNER].cursor() as cursor:
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        with maintain(Tenant(schema_name=name)):
            yield name
        transaction.set_rollback(True, using=OWNER)
