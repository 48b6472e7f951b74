"""Archiving a tenant, and deleting it: decided on with time to think again, then done in steps.

Every step is a transaction of its own, small enough to be in nobody's way, and the tenant's state says that it goes:
whoever is killed in between, or somebody else, calls ``delete_tenant`` again and it goes on. What is left is a
tombstone. The slug is free again with the last step, and opens nothing of the former tenant: its tokens, links and
invitations name ids that are gone.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tenants.audit.models import AuditChain, AuditEvent
from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner
from tenants.lifecycle import locks
from tenants.lifecycle.belongings import Belonging, all_belongings
from tenants.lifecycle.dropping import drop_in_steps
from tenants.lifecycle.errors import InGrace
from tenants.lifecycle.models import Tombstone
from tenants.lifecycle.progress import Progress, no_progress
from tenants.lifecycle.replacing import drop_former
from tenants.registry import services as registry
from tenants.registry.errors import WrongState
from tenants.registry.models import Domain, Tenant, TenantStatus
from tenants.registry.signals import hosts_changed
from tenants.wall.roles import OWNER

_ROWS_AT_ONCE = 1000
_LAST = frozenset({AuditEvent, AuditChain})  # what tells of the deletion goes at its end


def archive_tenant(*, tenant_id: UUID) -> Tenant:
    """Put a tenant away: nobody enters it, and all of it is kept. Doing it twice changes nothing.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        WrongState: it is on its way in or out.
    """
    return registry.set_tenant_status(tenant_id=tenant_id, status=TenantStatus.ARCHIVED)


@transaction.atomic
def unarchive_tenant(*, tenant_id: UUID) -> Tenant:
    """Bring back a tenant that was archived, whether or not it was to be deleted. Doing it twice changes nothing.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        WrongState: it is not archived.
    """
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    if tenant.status not in (TenantStatus.ARCHIVED, TenantStatus.ACTIVE):
        raise WrongState(tenant.status, "active")
    return registry.set_tenant_status(tenant_id=tenant_id, status=TenantStatus.ACTIVE)


@transaction.atomic
def schedule_deletion(*, tenant_id: UUID) -> Tenant:
    """Archive a tenant, to be deleted after ``settings.TENANT_DELETION_GRACE``. Until then all of it is there, and
    ``unarchive_tenant`` or ``cancel_deletion`` take it back. Doing it twice does not move the day.

    Raises:
        Tenant.DoesNotExist, WrongState: as ``archive_tenant``.
    """
    tenant = archive_tenant(tenant_id=tenant_id)
    if tenant.delete_at is None:
        _set_deletion(tenant, timezone.now() + settings.TENANT_DELETION_GRACE, "tenant.deletion_scheduled")
    return tenant


@transaction.atomic
def cancel_deletion(*, tenant_id: UUID) -> Tenant:
    """Keep a tenant that was to be deleted; it stays archived. Doing it twice changes nothing.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        WrongState: its deletion has begun.
    """
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    if tenant.status == TenantStatus.DELETING:
        raise WrongState(tenant.status, "archived")
    if tenant.delete_at is not None:
        _set_deletion(tenant, None, "tenant.deletion_cancelled")
    return tenant


def tenants_to_delete() -> QuerySet[Tenant]:
    """Return the tenants whose time is over, and those whose deletion has begun."""
    due = Q(status=TenantStatus.ARCHIVED, delete_at__lte=timezone.now())
    tenants: QuerySet[Tenant] = Tenant.objects.filter(due | Q(status=TenantStatus.DELETING)).order_by("delete_at")
    return tenants


def delete_tenant(
    *, tenant_id: UUID, by: UUID | None = None, at_once: bool = False, progress: Progress = no_progress
) -> None:
    """Delete a tenant for good, all of it. Killed at any point, it goes on when it is called again; for a tenant that
    is gone it does nothing.

    Args:
        by: the account of whoever decided on it.
        at_once: without the time to think again.

    Raises:
        InGrace: its time is not over.
        WrongState: it is on its way in.
    """
    schema_name = _begin(tenant_id, at_once=at_once)
    if schema_name is not None:
        with locks.working_on(schema_name):
            _delete(tenant_id, schema_name, by, progress)


def digests_of(slug: str) -> list[str]:
    """Return what a slug is kept as on a tombstone: under the present SECRET_KEY first, then under former ones."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac("tenants.lifecycle.slug", slug, secret=key, algorithm="sha256").hexdigest() for key in keys]


def _delete(tenant_id: UUID, schema_name: str, by: UUID | None, progress: Progress) -> None:
    for belonging in reversed(all_belongings()):
        if belonging.model not in _LAST:
            _delete_rows(belonging, tenant_id, progress)
    drop_former(tenant_id=tenant_id, progress=progress)
    drop_in_steps(schema_name, tell=lambda done: progress("tables", done, 0))
    ends = _end_of_trail(tenant_id)
    for belonging in all_belongings():
        if belonging.model is AuditEvent:
            _delete_rows(belonging, tenant_id, progress)
    _bury(tenant_id, ends, by)


def _begin(tenant_id: UUID, *, at_once: bool) -> str | None:
    """Close a tenant for good and take its hosts; return its schema's name, or None when it is gone."""
    with as_owner():
        tenant: Tenant | None = Tenant.objects.select_for_update().filter(pk=tenant_id).first()
        if tenant is None:
            return None
        if tenant.status != TenantStatus.DELETING:
            is_over = tenant.delete_at is not None and tenant.delete_at <= timezone.now()
            if not at_once and not is_over:
                raise InGrace(tenant.delete_at)
            registry.set_tenant_status(tenant_id=tenant_id, status=TenantStatus.DELETING)
        Domain.objects.filter(tenant_id=tenant_id).delete()
        transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=OWNER)
        return str(tenant.schema_name)


def _delete_rows(belonging: Belonging, tenant_id: UUID, progress: Progress) -> None:
    done = 0
    for count in _in_batches(belonging, tenant_id):
        done += count
        progress(str(belonging.model._meta.verbose_name_plural), done, 0)


def _in_batches(belonging: Belonging, tenant_id: UUID) -> Iterator[int]:
    stays = belonging.stays or Q(pk__in=[])
    while True:
        with as_owner():
            rows = belonging.rows(tenant_id).exclude(stays)
            batch = list(rows.order_by("pk").values_list("pk", flat=True)[:_ROWS_AT_ONCE])
            belonging.rows(tenant_id).filter(pk__in=batch).delete()
        if not batch:
            return
        yield len(batch)


def _end_of_trail(tenant_id: UUID) -> tuple[int, bytes]:
    with as_owner():
        ends = AuditChain.objects.filter(pk=tenant_id).first()
        return (ends.last_sequence, bytes(ends.last_hash)) if ends else (0, b"")


def _bury(tenant_id: UUID, ends: tuple[int, bytes], by: UUID | None) -> None:
    """Delete the tenant's own row, with whatever came meanwhile, and put up the tombstone."""
    with as_owner():
        tenant: Tenant | None = Tenant.objects.select_for_update().filter(pk=tenant_id).first()
        if tenant is None:  # somebody else was at it, too
            return
        stone = Tombstone.objects.create(
            tenant_id=tenant_id,
            slug_digest=digests_of(tenant.slug)[0],
            schema_name=tenant.schema_name,
            last_sequence=ends[0],
            last_hash=ends[1],
            deleted_by=by,
        )
        tenant.delete()
        transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=OWNER)
        record(
            action="tenant.deleted",
            tenant_id=None,
            targets=[Target("tenant", tenant_id)],
            changes={"last_hash": [stone.last_hash.hex(), None], "last_sequence": [stone.last_sequence, None]},
        )


def _set_deletion(tenant: Tenant, when: datetime | None, action: str) -> None:
    before, tenant.delete_at = tenant.delete_at, when
    tenant.save(update_fields=["delete_at", "updated_at"])
    record(
        action=action,
        tenant_id=tenant.pk,
        targets=[Target("tenant", tenant.pk, tenant.name)],
        changes={"delete_at": [before, when]},
    )
