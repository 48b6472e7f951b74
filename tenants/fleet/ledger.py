"""Writing the ledger, as the owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.utils import timezone
from psycopg import sql

from tenants.context.ownership import as_owner
from tenants.fleet.models import FleetEntry, FleetRun
from tenants.fleet.plans import Plan
from tenants.fleet.starting_points import Member
from tenants.registry.models import Tenant
from tenants.wall.roles import OWNER

_ENTER = sql.SQL(
    "INSERT INTO public.tenant_fleet_fleetentry AS entry"
    " (run_id, tenant_id, schema_name, from_version, to_version, state, attempts, error, milliseconds, finished_at)"
    " VALUES ({run}, {tenant}, {schema}, {from}, {to}, {state}, {attempt}, {error},"
    " {before} + extract(milliseconds FROM clock_timestamp() - transaction_timestamp()), clock_timestamp())"
    " ON CONFLICT (run_id, tenant_id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,"
    " error = excluded.error, milliseconds = excluded.milliseconds, finished_at = excluded.finished_at"
)


@dataclass(frozen=True)
class Job:
    """A tenant, and what must be done to it."""

    member: Member
    plan: Plan


def begin(target: str, tenants: int) -> tuple[UUID, int]:
    """Open a run for so many tenants, or take up the one to the same target that was killed or paused. Returns its id,
    and how many tenants it is about.
    """
    with as_owner():
        run = FleetRun.objects.filter(state=FleetRun.State.RUNNING).first()
        if run is not None and run.target != target:
            close(run.pk, FleetRun.State.FAILED)
            run = None
        if run is None:
            run = FleetRun.objects.create(target=target, tenants=tenants)
        elif run.tenants < tenants:  # there are new ones behind, or this run is about more
            FleetRun.objects.filter(pk=run.pk).update(tenants=tenants)
            run.tenants = tenants
    return run.pk, run.tenants


def close(run_id: UUID, state: FleetRun.State) -> None:
    """Close a run. Its commit waits for the disk, and with it for all of the run's commits before it."""
    with as_owner():
        FleetRun.objects.filter(pk=run_id).update(state=state, finished_at=timezone.now())


def close_abandoned() -> None:
    """Close a run that was killed after its last tenant."""
    with as_owner():
        FleetRun.objects.filter(state=FleetRun.State.RUNNING).update(
            state=FleetRun.State.DONE, finished_at=timezone.now()
        )


def entry(run_id: UUID, job: Job, state: FleetEntry.State, *, attempt: int, error: str = "", before: int = 0) -> str:
    """Return the statement that writes how a tenant fared, for the transaction that migrates it.

    Args:
        before: milliseconds that were spent on the tenant before this transaction.
    """
    values = {
        "run": run_id,
        "tenant": str(job.member.id),
        "schema": job.member.schema_name,
        "from": job.plan.point.version,
        "to": job.plan.target,
        "state": str(state),
        "attempt": attempt,
        "error": error,
        "before": before,
    }
    return _ENTER.format(**{name: sql.Literal(value) for name, value in values.items()}).as_string()


def enter(run_id: UUID, job: Job, state: FleetEntry.State, *, attempt: int, error: str = "") -> None:
    """Write how a tenant fared whose transaction is over."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(entry(run_id, job, state, attempt=attempt, error=error))


def failed_schemas() -> list[str]:
    """Return the schemas of the tenants whose last entry is a failure."""
    with as_owner():
        return list(
            Tenant.objects.filter(pk__in=last_failures().keys()).order_by("slug").values_list("schema_name", flat=True)
        )


def last_failures() -> Mapping[UUID, str]:
    """Return the error of each tenant whose last entry is a failure."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, error FROM (SELECT DISTINCT ON (tenant_id) tenant_id, state, error"
            " FROM public.tenant_fleet_fleetentry ORDER BY tenant_id, id DESC) last WHERE state = 'failed'"
        )
        rows: list[tuple[UUID, str]] = cursor.fetchall()
    return dict(rows)


def prune(*, keep: int = 50) -> None:
    """Delete all but the newest runs."""
    with as_owner():
        newest = FleetRun.objects.order_by("-started_at").values("pk")[:keep]
        FleetRun.objects.filter(~Q(pk__in=newest)).delete()
