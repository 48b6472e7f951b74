"""The hosts that lead to a tenant, and the slug that its own host comes from: every function is one transaction."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from tenants.audit.services import Target, record
from tenants.registry.errors import HostTaken, PrimaryHost, SlugTaken
from tenants.registry.models import Domain, Tenant
from tenants.registry.names import validate_slug
from tenants.registry.services import target_of
from tenants.registry.signals import hosts_changed


@transaction.atomic
def add_host(*, tenant_id: UUID, host: str) -> Domain:
    """Let a host of a tenant's own lead to it, beside the one that comes with its slug. It answers from the next
    request on, once its DNS and the proxy lead here.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: it is no host name, or the platform's own: those below ``BASE_DOMAIN`` come with slugs.
        HostTaken: it leads to a tenant already.
    """
    tenant = _held(tenant_id)
    row = Domain(tenant=tenant, domain=host, is_primary=False)
    row.full_clean(exclude=["tenant"], validate_unique=False)
    if f".{host}".endswith(f".{settings.BASE_DOMAIN}"):
        error = ValidationError("Hosts of the platform's own come with slugs.", code="reserved_domain")
        raise ValidationError({"domain": error})
    try:
        with transaction.atomic():
            Domain.objects.bulk_create([row])
    except IntegrityError:
        raise HostTaken from None
    _changed("tenant.host_added", tenant, row, host=[None, host])
    return row


@transaction.atomic
def remove_host(*, tenant_id: UUID, host_id: UUID) -> None:
    """Let a host no longer lead to a tenant. Other processes may answer on it for ``HOST_CACHE_SECONDS``.

    Raises:
        Tenant.DoesNotExist, Domain.DoesNotExist: there is no such tenant, or it has no such host.
        PrimaryHost: it is the one that comes with the slug.
    """
    tenant = _held(tenant_id)
    row: Domain = Domain.objects.get(pk=host_id, tenant=tenant)
    if row.is_primary:
        raise PrimaryHost
    Domain.objects.filter(pk=row.pk).delete()
    _changed("tenant.host_removed", tenant, row, host=[row.domain, None])


@transaction.atomic
def change_slug(*, tenant_id: UUID, slug: str) -> Tenant:
    """Give a tenant another slug, and with it another host; the former one leads nowhere. Doing it twice changes
    nothing. Tokens stay good: they stand on the tenant's id.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it, or the host that comes with it.
    """
    validate_slug(slug)
    tenant = _held(tenant_id)
    if tenant.slug == slug:
        return tenant
    before, tenant.slug = tenant.slug, slug
    own: Domain = Domain.objects.get(tenant=tenant, is_primary=True)
    own.domain = f"{slug}.{settings.BASE_DOMAIN}"
    own.clean()
    try:
        with transaction.atomic():
            Tenant.objects.filter(pk=tenant.pk).update(slug=slug)
            Domain.objects.filter(pk=own.pk).update(domain=own.domain)
    except IntegrityError:
        raise SlugTaken from None
    _changed("tenant.slug_changed", tenant, own, slug=[before, slug])
    return tenant


def _held(tenant_id: UUID) -> Tenant:
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    return tenant


def _changed(action: str, tenant: Tenant, domain: Domain, **changes: list[str | None]) -> None:
    transaction.on_commit(partial(hosts_changed.send, sender=Tenant))
    targets = [target_of(tenant), Target("host", domain.pk, domain.domain)]
    record(action=action, tenant_id=tenant.pk, targets=targets, changes=changes)
