"""How the product's own kinds of work are done: by functions of the layers below, which say how far they are."""

import json
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.db.models import QuerySet

from identity.mail.delivery import deliver
from jobs import exports, services
from jobs.errors import Unsuccessful
from jobs.kinds import JobKind, Kind, Work, register
from tenants.audit import selectors as audit
from tenants.audit.models import AuditEvent
from tenants.fleet import ledger, runner
from tenants.lifecycle import cloning, deletion, exporting, pool, reconcile, replacing, restoring

Result = Mapping[str, Any] | None


def _fill_pool(work: Work) -> Result:
    made = 0

    def count() -> None:
        nonlocal made
        made += 1
        work.progress(made)

    pool.refill(target=settings.POOL_SIZE, made=count)
    return {"made": made}


def _export_tenant(work: Work) -> Result:
    written = exporting.export_tenant(
        tenant_id=_tenant(work), path=exports.path_of(work.job_id), progress=_in_words(work)
    )
    return {"export": work.job_id, "size": written.size, "rows": written.rows, "seal": written.seal}


def _restore_tenant(work: Work) -> Result:
    _, path = exports.find(UUID(work.arguments["export"]))
    if work.tenant_id is not None:
        if not _done_already(work, "tenant.data_restored"):
            restoring.restore_in_place(path=path, tenant_id=work.tenant_id, progress=_in_words(work))
        return {"tenant": work.tenant_id}
    for event in _done_already(work, "tenant.restored_from_file"):
        return {"tenant": event.tenant_id}
    slug, name = work.arguments["slug"], work.arguments.get("name")
    tenant = restoring.restore_tenant(path=path, slug=slug, name=name, progress=_in_words(work))
    return {"tenant": tenant.pk}


def _confirm_restore(work: Work) -> None:
    if _done_already(work, "tenant.restore_confirmed"):
        replacing.drop_former(tenant_id=_tenant(work), progress=_in_words(work))
    else:
        replacing.confirm_restore(tenant_id=_tenant(work), progress=_in_words(work))


def _undo_restore(work: Work) -> None:
    if not _done_already(work, "tenant.restore_undone"):
        replacing.undo_restore(tenant_id=_tenant(work))


def _clone_tenant(work: Work) -> Result:
    for event in _done_already(work, "tenant.cloned").exclude(tenant_id=_tenant(work)):
        return {"tenant": event.tenant_id}
    tenant = cloning.clone_tenant(
        source_id=_tenant(work), owner_id=work.requested_by, progress=_in_words(work), **work.arguments
    )
    return {"tenant": tenant.pk}


def _delete_tenant(work: Work) -> None:
    decisions = audit.events_of(_tenant(work)).filter(action="tenant.deletion_scheduled")
    decided = decisions.order_by("-sequence").first()
    deletion.delete_tenant(tenant_id=_tenant(work), by=decided.actor_id if decided else None, progress=_in_words(work))


def _migrate_fleet(work: Work) -> Result:
    done, total = 0, None

    def count(what: str, more: int) -> None:
        nonlocal done
        done += more
        work.progress(done, total, what)

    def begin_at(through: int, of: int) -> None:
        nonlocal done, total
        done, total = through, of

    only = ledger.failed_schemas() if work.arguments.get("only_failed") else None
    wish = runner.Wish(schema_names=only, canaries=work.arguments.get("canaries", ()))
    report = runner.run(wish, progress=count, found=begin_at)
    result = {
        "run": report.run_id,
        "target": report.target,
        "migrated": len(report.migrated),
        "failed": {member.slug: error for member, error in report.failures.items()},
        "waiting": len(report.waiting),
        "drifted": [member.slug for member in report.drifted],
    }
    if report.failures or report.waiting:
        not_done = len(report.failures) + len(report.waiting)
        raise Unsuccessful(f"{not_done} of {report.tenants} tenants were not migrated.", result)
    return result


def _reconcile(work: Work) -> Result:
    found = reconcile.find()
    repaired = 0
    for number, finding in enumerate(found):
        work.progress(number, len(found), finding.kind)
        if finding.kind is reconcile.Kind.DELETING:
            services.request(kind=JobKind.DELETE_TENANT, tenant_id=finding.tenant_id)
        else:
            repaired += reconcile.repair(finding)
    return {"found": len(found), "repaired": repaired}


def _send_mail(work: Work) -> Result:
    return {str(outcome): count for outcome, count in deliver().items()}


def _run_command(name: str) -> Callable[[Work], Result]:
    def run(work: Work) -> Result:
        output = StringIO()
        call_command(name, json=True, stdout=output)
        result: dict[str, Any] = json.loads(output.getvalue())
        return result

    return run


def _tenant(work: Work) -> UUID:
    assert work.tenant_id is not None  # noqa: S101 -- of jobs that are a tenant's
    return work.tenant_id


def _in_words(work: Work) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        work.progress(done, total or None, what)

    return progress


def _done_already(work: Work, action: str) -> QuerySet[AuditEvent]:
    """Return the events of what an earlier run of this job did in its one transaction, before it was killed and could
    say so.
    """
    events = audit.events_of_request(str(work.job_id), since=work.began_at)
    return events.filter(action=action) if work.run > 1 else events.none()


def register_all() -> None:
    """Register the product's kinds."""
    register(JobKind.FILL_POOL, Kind(_fill_pool))
    register(JobKind.EXPORT_TENANT, Kind(_export_tenant))
    register(JobKind.RESTORE_TENANT, Kind(_restore_tenant))
    register(JobKind.CONFIRM_RESTORE, Kind(_confirm_restore, cancellable=False))
    register(JobKind.UNDO_RESTORE, Kind(_undo_restore))
    register(JobKind.DELETE_TENANT, Kind(_delete_tenant, cancellable=False))
    register(JobKind.CLONE_TENANT, Kind(_clone_tenant))
    register(JobKind.MIGRATE_FLEET, Kind(_migrate_fleet))
    register(JobKind.RECONCILE, Kind(_reconcile))
    register(JobKind.SEND_MAIL, Kind(_send_mail))
    register(JobKind.PRUNE, Kind(_run_command("prune")))
    register(JobKind.CHECK_DOMAINS, Kind(_run_command("check_domains")))
