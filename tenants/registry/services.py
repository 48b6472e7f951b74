"""Changing the registry: every function is one transaction."""

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import router, transaction

from tenants.audit.services import Target, record
from tenants.registry.errors import SlugTaken
from tenants.registry.models import TENANT_COLUMNS, TENANT_SETTINGS, Domain, Tenant, TenantStatus
from tenants.registry.names import validate_slug
from tenants.registry.signals import hosts_changed


@transaction.atomic
def register_tenant(*, name: str, slug: str, created_by: UUID | None = None) -> Tenant:
    """Write the registry rows of a new tenant: itself and its first domain, ``<slug>.<BASE_DOMAIN>``.

    Its schema is another matter: see ``tenants.lifecycle.services.provision``.

    Args:
        created_by: the person who creates it for themselves.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug or the domain.
    """
    validate_slug(slug)
    domain = f"{slug}.{settings.BASE_DOMAIN}"
    # Two writers may still pass this together; the unique constraints decide, and the loser gets 409 as well.
    if Tenant.objects.filter(slug=slug).exists() or Domain.objects.filter(domain=domain).exists():
        raise SlugTaken
    tenant: Tenant = Tenant.objects.create(name=name, slug=slug, created_by=created_by)
    Domain.objects.create(tenant=tenant, domain=domain, is_primary=True)
    transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=router.db_for_write(Tenant))
    record(action="tenant.created", tenant_id=tenant.pk, targets=[_target(tenant)], person=created_by)
    return tenant


@transaction.atomic
def change_settings(*, tenant_id: UUID, changes: dict[str, Any]) -> Tenant:
    """Change what a tenant's admins may: any of ``TENANT_SETTINGS``.

    Raises:
        ValidationError: a value does not fit.
    """
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    before = {name: getattr(tenant, name) for name in TENANT_SETTINGS}
    for name in TENANT_SETTINGS:
        setattr(tenant, name, changes.get(name, before[name]))
    tenant.clean_fields(exclude=set(TENANT_COLUMNS) - set(TENANT_SETTINGS))
    changed = {name: [before[name], getattr(tenant, name)] for name in before if getattr(tenant, name) != before[name]}
    if changed:
        tenant.save(update_fields=[*changed, "updated_at"])
        record(action="tenant.changed", tenant_id=tenant_id, targets=[_target(tenant)], changes=changed)
    return tenant


def hold_tenant(*, tenant_id: UUID) -> None:
    """Keep a tenant's row from whoever else would hold it, until the transaction ends: what looks at several things of
    a tenant takes turns, and asks for this first of all.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    Tenant.objects.select_for_update(no_key=True).only("id").get(pk=tenant_id)


@transaction.atomic
def set_tenant_status(*, tenant_id: UUID, status: TenantStatus) -> Tenant:
    """Suspend or resume a tenant; doing it twice changes nothing.

    It holds from the next request on: entering a tenant reads this row.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    if tenant.status != status:
        tenant.status = status
        tenant.save(update_fields=["status", "updated_at"])
        record(
            action="tenant.suspended" if status == TenantStatus.SUSPENDED else "tenant.resumed",
            tenant_id=tenant_id,
            targets=[_target(tenant)],
        )
    return tenant


def _target(tenant: Tenant) -> Target:
    return Target("tenant", tenant.pk, tenant.name)
