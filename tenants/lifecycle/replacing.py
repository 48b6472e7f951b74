"""A tenant's former data, after a restore put other data in its place: kept, brought back, or dropped.

The name of a schema never changes, and neither does its role's; which schema is the tenant's is in the tenant's row,
and changes by what is here and nothing else. Whoever enters reads it there. A request that is inside at that moment has
the former role: from its next statement on it is refused, so nothing of it is lost without a word.
"""

from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from psycopg import sql

from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner
from tenants.lifecycle import tables
from tenants.lifecycle.dropping import drop_in_steps
from tenants.lifecycle.errors import NoFormerData, NotRestorable
from tenants.lifecycle.models import FormerSchema
from tenants.lifecycle.progress import Progress, no_progress
from tenants.lifecycle.structure import migrate_forward
from tenants.registry import services as registry
from tenants.registry.errors import WrongState
from tenants.registry.models import Tenant, TenantStatus
from tenants.registry.signals import hosts_changed
from tenants.wall.roles import OWNER

_REPLACEABLE = frozenset({TenantStatus.ACTIVE, TenantStatus.SUSPENDED, TenantStatus.ARCHIVED, TenantStatus.FAILED})


def put_in_place(tenant: Tenant, schema_name: str) -> None:
    """Give a tenant, whose row is locked, another schema, and keep the one that it has.

    Raises:
        WrongState: it is on its way in or out.
        NotRestorable: a former schema of it is kept already.
    """
    if tenant.status not in _REPLACEABLE:
        raise WrongState(tenant.status, "restored")
    if FormerSchema.objects.filter(tenant_id=tenant.pk).exists():
        raise NotRestorable("The data from before the last restore is still kept: confirm that one, or undo it, first.")
    former = tenant.schema_name
    if tables.execute(sql.SQL("SELECT to_regnamespace(%s)"), [former])[0][0] is not None:
        FormerSchema.objects.create(schema_name=former, tenant_id=tenant.pk)
        _close(former)
    _point(tenant, schema_name)
    if tenant.status == TenantStatus.FAILED:  # for want of its tables, which are here again
        registry.set_tenant_status(tenant_id=tenant.pk, status=TenantStatus.PROVISIONING)
        registry.set_tenant_status(tenant_id=tenant.pk, status=TenantStatus.ACTIVE)


def undo_restore(*, tenant_id: UUID) -> Tenant:
    """Bring back the data that a restore in place replaced. What was restored is kept in its turn, so undoing it twice
    is where it began.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        NoFormerData: there is nothing to bring back, or nothing any more.
    """
    with as_owner():
        tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        former = FormerSchema.objects.filter(tenant_id=tenant_id, is_dropping=False).first()
        if former is None:
            raise NoFormerData
        schema_name = former.schema_name
        former.delete()
        migrate_forward(schema_name)  # which grants its role what was taken away, too
        put_in_place(tenant, schema_name)
        _record("tenant.restore_undone", tenant)
    return tenant


def confirm_restore(*, tenant_id: UUID, progress: Progress = no_progress) -> None:
    """Drop the data that a restore in place replaced, in steps; killed, it goes on when it is called again.

    Raises:
        NoFormerData: there is none.
    """
    with as_owner():
        former = FormerSchema.objects.select_for_update().filter(tenant_id=tenant_id).first()
        if former is None:
            raise NoFormerData
        if not former.is_dropping:
            former.is_dropping = True
            former.save(update_fields=["is_dropping"])
            _record("tenant.restore_confirmed", Tenant.objects.get(pk=tenant_id))
    drop_former(tenant_id=tenant_id, progress=progress)


def has_former_data(*, tenant_id: UUID, is_whole: bool) -> bool:
    """Tell whether data from before a restore in place is kept: such as can be brought back, or whatever is left."""
    kept = FormerSchema.objects.filter(tenant_id=tenant_id)
    return (kept.filter(is_dropping=False) if is_whole else kept).exists()


def drop_former(*, tenant_id: UUID, progress: Progress = no_progress) -> None:
    """Drop a tenant's former schema in steps, if it has one."""
    with as_owner():
        former = FormerSchema.objects.filter(tenant_id=tenant_id).first()
    if former is not None:
        drop_in_steps(former.schema_name, tell=lambda done: progress("former tables", done, 0))
        with as_owner():
            FormerSchema.objects.filter(pk=former.schema_name).delete()


def _point(tenant: Tenant, schema_name: str) -> None:
    tenant.schema_name = schema_name
    Tenant.objects.filter(pk=tenant.pk).update(schema_name=schema_name, updated_at=timezone.now())
    transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=OWNER)


def _close(schema_name: str) -> None:
    tables.execute(sql.SQL("REVOKE USAGE ON SCHEMA {name} FROM {name}").format(name=sql.Identifier(schema_name)))


def _record(action: str, tenant: Tenant) -> None:
    record(action=action, tenant_id=tenant.pk, targets=[Target("tenant", tenant.pk, tenant.name)])
