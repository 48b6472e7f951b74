"""Changing the registry: every function is one transaction."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import router, transaction

from tenants.registry.errors import SlugTaken
from tenants.registry.models import Domain, Tenant, TenantStatus
from tenants.registry.names import validate_slug
from tenants.registry.signals import hosts_changed


@transaction.atomic
def register_tenant(*, name: str, slug: str) -> Tenant:
    """Write the registry rows of a new tenant: itself and its first domain, ``<slug>.<BASE_DOMAIN>``.

    Its schema is another matter: see ``tenants.lifecycle.services.provision``.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug or the domain.
    """
    validate_slug(slug)
    domain = f"{slug}.{settings.BASE_DOMAIN}"
    # Two writers may still pass this together; the unique constraints decide, and the loser gets 409 as well.
    if Tenant.objects.filter(slug=slug).exists() or Domain.objects.filter(domain=domain).exists():
        raise SlugTaken
    tenant: Tenant = Tenant.objects.create(name=name, slug=slug)
    Domain.objects.create(tenant=tenant, domain=domain, is_primary=True)
    transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=router.db_for_write(Tenant))
    return tenant


@transaction.atomic
def rename_tenant(*, tenant_id: UUID, name: str) -> Tenant:
    """Give a tenant another display name."""
    if not name.strip():
        raise ValidationError("A tenant has a name.", code="blank")
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    tenant.name = name
    tenant.save(update_fields=["name", "updated_at"])
    return tenant


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
    return tenant
