"""Migrating one tenant, on the connection of the thread that does it: in one transaction with its rows of
``django_migrations`` and its entry in the ledger, unless a migration refuses to be in any.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connections, transaction
from psycopg import sql

from tenants.context.entry import maintain
from tenants.context.ownership import as_owner, routed_to_owner
from tenants.fleet import ledger
from tenants.fleet.errors import ON_ITS_WAY_OUT, OVERTAKEN
from tenants.fleet.ledger import Job
from tenants.fleet.models import FleetEntry
from tenants.fleet.plans import SETTLE, Plan, Step
from tenants.fleet.starting_points import APPLIED, MIGRATED_STATUSES, Key, Member, written
from tenants.lifecycle import locks
from tenants.registry.models import Tenant
from tenants.registry.names import generate_schema_name
from tenants.wall.roles import OWNER

# The tenant must still be there, nobody else may be at its tables, and it must stand where the plan begins.
_HEAD = (
    "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement};"
    "{hold};"
    "SET LOCAL search_path TO {schema};"
    "SELECT CASE"
    " WHEN NOT EXISTS (SELECT FROM public.registry_tenant WHERE id = {id} AND status = ANY ({statuses}))"
    " THEN public.tenant_fleet_refuse({gone}, 'It is on its way out.')"
    " WHEN md5(coalesce((SELECT {found} FROM django_migrations), '')) <> {expected}"
    " THEN public.tenant_fleet_refuse({overtaken}, 'Somebody else migrated it meanwhile.') END"
)
# The commit does not wait for the disk: what a crash of the server takes back is taken back whole, and is done again by
# the next run. The run waits once, at its end.
_UNHURRIED = "SET LOCAL synchronous_commit TO off"
_ANYBODY = Member(uuid4(), "", generate_schema_name(), "")  # stands in for a tenant


def migrate(job: Job, *, run_id: UUID, attempt: int) -> None:
    """Bring a tenant to its plan's target, and say so in the ledger.

    Raises:
        Exception: whatever stopped it; the transaction in which it was is as if it had not begun.
    """
    if is_replay(job):
        replay([job], run_id=run_id, attempt=attempt)
        return
    began, groups = time.monotonic(), job.plan.transactions
    applied = job.plan.point.applied
    for number, steps in enumerate(groups, 1):
        rows = [row for step in steps for row in step.rows]
        tail = []
        if number == len(groups):
            rows += job.plan.rows
            spent = int((time.monotonic() - began) * 1000) if number > 1 else 0
            tail = [ledger.entry(run_id, job, FleetEntry.State.DONE, attempt=attempt, before=spent)]
        closing = [_add_rows(rows), *tail]
        run = _run if all(step.is_atomic for step in steps) else _run_alone
        run(job.member, steps, applied, closing)
        applied = written([*_keys(applied), *rows])


def is_replay(job: Job) -> bool:
    """Tell whether nothing runs in the tenant itself."""
    return all(step.statements is not None for step in job.plan.steps)


def replay(jobs: Sequence[Job], *, run_id: UUID, attempt: int) -> None:
    """Do all that is done to these tenants in one round trip, each in a transaction of its own.

    Raises:
        Exception: what stopped one of them. Those before it are through, those after it are not begun.
    """
    batches = []
    for job in jobs:
        text = _batch_for(job.plan, run_id, attempt).replace(_ANYBODY.schema_name, job.member.schema_name)
        batches.append(text.replace(str(_ANYBODY.id), str(job.member.id)))
    _send(";\n".join(batches))


@lru_cache(maxsize=32)
def _batch_for(plan: Plan, run_id: UUID, attempt: int) -> str:
    """Return all that is done to a tenant of a plan, in one transaction and one round trip, with stand-ins for its
    names: composing it costs about as much as doing it.
    """
    rows = [*(row for step in plan.steps for row in step.rows), *plan.rows]
    return ";\n".join(
        [
            f"BEGIN; {_UNHURRIED}",
            _head(_ANYBODY, plan.point.applied),
            *(statement for step in plan.steps for statement in step.statements or ()),
            _add_rows(rows),
            ledger.entry(run_id, Job(_ANYBODY, plan), FleetEntry.State.DONE, attempt=attempt),
            "COMMIT",
        ]
    )


def _send(batch: str) -> None:
    connection: Any = connections[OWNER]
    try:
        with connection.cursor() as cursor:
            cursor.execute(batch)
    except BaseException:
        # Django does not know that a transaction is open, so nobody else would end it.
        if connection.connection is not None and not connection.connection.closed:
            connection.connection.rollback()
        raise


def _run(member: Member, steps: Sequence[Step], applied: str, closing: list[str]) -> None:
    """Run what computes in this tenant; replay what does not."""
    tenant = Tenant(id=member.id, schema_name=member.schema_name)
    with as_owner():
        _execute(_UNHURRIED, _head(member, applied))
        with maintain(tenant):
            for step in steps:
                if step.statements is not None:
                    _execute(*step.statements)
                else:
                    _forwards(step)
                    _execute(SETTLE)
            _execute(*closing)


def _run_alone(member: Member, steps: Sequence[Step], applied: str, closing: list[str]) -> None:
    """Run a migration that is in no transaction; its rows follow when it is done."""
    with as_owner():
        _execute(_head(member, applied))
    with _inside(member):
        for step in steps:
            _forwards(step)
    with as_owner():
        _execute(_head(member, applied), *closing)


def _forwards(step: Step) -> None:
    """Do what ``Migration.apply`` does, with models that were made once for all tenants."""
    app_label = step.key[0]
    with connections[OWNER].schema_editor(atomic=step.is_atomic) as editor:
        for change in step.changes:
            if not step.is_atomic and change.operation.atomic:
                with transaction.atomic(using=OWNER):
                    change.operation.database_forwards(app_label, editor, change.before, change.after)
            else:
                change.operation.database_forwards(app_label, editor, change.before, change.after)


@contextmanager
def _inside(member: Member) -> Iterator[None]:
    """Be in a tenant's schema without a transaction, on a connection that was opened there and is closed at the end:
    nothing is ever set on a session that others use.
    """
    ours: Any = connections[OWNER]
    inside: Any = ours.copy()
    options = f"-c search_path={member.schema_name} -c lock_timeout={settings.FLEET_LOCK_SECONDS}s"
    inside.settings_dict["OPTIONS"] = {**inside.settings_dict["OPTIONS"], "options": options}
    connections[OWNER] = inside
    try:
        with routed_to_owner(), inside.as_tenant(Tenant(id=member.id, schema_name=member.schema_name)):
            yield
    finally:
        inside.close()
        connections[OWNER] = ours


def _head(member: Member, applied: str) -> str:
    return (
        sql.SQL(_HEAD)
        .format(
            lock=sql.Literal(f"{settings.FLEET_LOCK_SECONDS}s"),
            statement=sql.Literal(f"{settings.FLEET_STATEMENT_SECONDS}s"),
            hold=locks.holding_schema(member.schema_name),
            schema=sql.Identifier(member.schema_name),
            id=sql.Literal(str(member.id)),
            statuses=sql.Literal(list(MIGRATED_STATUSES)),
            found=sql.SQL(APPLIED),
            gone=sql.Literal(ON_ITS_WAY_OUT),
            overtaken=sql.Literal(OVERTAKEN),
            expected=sql.Literal(hashlib.md5(applied.encode(), usedforsecurity=False).hexdigest()),
        )
        .as_string()
    )


def _add_rows(rows: Sequence[Key]) -> str:
    if not rows:
        return "SELECT"
    values = sql.SQL(", ").join(
        sql.SQL("({}, {}, clock_timestamp())").format(sql.Literal(app), sql.Literal(name)) for app, name in rows
    )
    return sql.SQL("INSERT INTO django_migrations (app, name, applied) VALUES {}").format(values).as_string()


def _keys(applied: str) -> list[Key]:
    found = (each.partition(".") for each in applied.split(",") if each)
    return [(app, name) for app, _, name in found]


def _execute(*statements: str) -> None:
    with connections[OWNER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
