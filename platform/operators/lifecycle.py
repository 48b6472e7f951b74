"""What staff decide about a tenant's life and about the fleet. What takes long is asked for as a job, in the
transaction of the decision.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from django.db import transaction

from jobs import exports, services
from jobs.kinds import JobKind
from jobs.models import Job
from tenants.audit.services import Target, record
from tenants.lifecycle import replacing
from tenants.lifecycle.errors import NoFormerData
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant
from tenants.registry.names import validate_slug


@transaction.atomic
def request_export(*, tenant_id: UUID, by: UUID) -> Job:
    """Have a tenant exported; the job's id is the export's.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    tenant = registry.tenant_by_id(tenant_id)
    job = services.request(kind=JobKind.EXPORT_TENANT, tenant_id=tenant_id, requested_by=by)
    _record("tenant.export_requested", tenant)
    return job


@transaction.atomic
def request_clone(*, tenant_id: UUID, slug: str, name: str, with_data: bool, with_members: bool, by: UUID) -> Job:
    """Have a tenant copied as a sandbox. Whoever asks owns it, unless its members come along.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: the slug is malformed or reserved.
    """
    tenant = registry.tenant_by_id(tenant_id)
    validate_slug(slug)
    arguments = {"slug": slug, "name": name, "with_data": with_data, "with_members": with_members}
    job = services.request(kind=JobKind.CLONE_TENANT, tenant_id=tenant_id, arguments=arguments, requested_by=by)
    _record("tenant.clone_requested", tenant, slug=[None, slug])
    return job


@transaction.atomic
def request_restore(*, export_id: UUID, slug: str | None, name: str | None, by: UUID) -> Job:
    """Have an export restored: as a tenant of its own if a slug is given, else in place of its tenant's present data.

    Raises:
        NoExport: there is none, or not any more.
        Tenant.DoesNotExist: the tenant whose data is to be replaced is gone.
        ValidationError: the slug is malformed or reserved.
    """
    export, _ = exports.find(export_id)
    if slug is None:
        tenant_id = registry.tenant_by_id(_tenant_of(export)).pk
    else:
        validate_slug(slug)
        tenant_id = None
    arguments = {"export": export_id, "slug": slug, "name": name}
    job = services.request(kind=JobKind.RESTORE_TENANT, tenant_id=tenant_id, arguments=arguments, requested_by=by)
    changes = {"slug": [None, slug]}
    targets = [Target("export", export_id)]
    record(action="tenant.restore_requested", tenant_id=tenant_id, targets=targets, changes=changes)
    return job


@transaction.atomic
def request_undo(*, tenant_id: UUID, by: UUID) -> Job:
    """Have the data brought back that a restore in place put aside.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        NoFormerData: there is nothing to bring back, or nothing any more.
    """
    return _about_former_data(JobKind.UNDO_RESTORE, "tenant.restore_undo_requested", tenant_id, by, is_whole=True)


@transaction.atomic
def request_confirmation(*, tenant_id: UUID, by: UUID) -> Job:
    """Have the data deleted that a restore in place put aside.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        NoFormerData: there is none.
    """
    action = "tenant.restore_confirmation_requested"
    return _about_former_data(JobKind.CONFIRM_RESTORE, action, tenant_id, by, is_whole=False)


def _about_former_data(kind: JobKind, action: str, tenant_id: UUID, by: UUID, *, is_whole: bool) -> Job:
    tenant = registry.tenant_by_id(tenant_id)
    if not replacing.has_former_data(tenant_id=tenant_id, is_whole=is_whole):
        raise NoFormerData
    job = services.request(kind=kind, tenant_id=tenant_id, requested_by=by)
    _record(action, tenant)
    return job


@transaction.atomic
def fetch_export(*, export_id: UUID) -> Path:
    """Return the file of an export, noting in the tenant's trail who took it.

    Raises:
        NoExport: there is none, or not any more.
    """
    export, path = exports.find(export_id)
    tenant = registry.tenants().filter(pk=export.tenant_id).first()
    record(
        action="tenant.export_downloaded",
        tenant_id=tenant and tenant.pk,
        targets=[Target("tenant", _tenant_of(export)), Target("export", export_id)],
    )
    return path


@transaction.atomic
def request_migration(*, canaries: Sequence[str], by: UUID) -> Job:
    """Have every tenant brought to the newest migrations, these first."""
    arguments = {"canaries": list(canaries)}
    job = services.request(kind=JobKind.MIGRATE_FLEET, arguments=arguments, requested_by=by)
    record(action="fleet.migration_requested", tenant_id=None, changes={"canaries": [None, list(canaries)]})
    return job


@transaction.atomic
def request_retry(*, by: UUID) -> Job:
    """Have those tenants migrated again whose last migration failed."""
    job = services.request(kind=JobKind.MIGRATE_FLEET, arguments={"only_failed": True}, requested_by=by)
    record(action="fleet.retry_requested", tenant_id=None)
    return job


def _tenant_of(export: Job) -> UUID:
    assert export.tenant_id is not None  # noqa: S101 -- an export's
    return export.tenant_id


def _record(action: str, tenant: Tenant, **changes: Sequence[str | None]) -> None:
    record(action=action, tenant_id=tenant.pk, targets=[Target("tenant", tenant.pk, tenant.name)], changes=changes)
