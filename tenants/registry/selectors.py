"""Reading the registry."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, QuerySet

from tenants.registry.models import Domain, SupportPolicy, Tenant
from tenants.registry.sign_in_policy import SignInPolicy


def tenants() -> QuerySet[Tenant]:
    """Return every tenant, with its domains at hand."""
    return _all().prefetch_related("domains")


def tenant_by_id(tenant_id: UUID) -> Tenant:
    """Return one tenant.

    Raises:
        Tenant.DoesNotExist: there is none.
    """
    return _all().get(pk=tenant_id)


def tenant_by_host(host: str) -> Tenant | None:
    """Return the tenant that a normalized host name leads to."""
    return _all().filter(domains__domain=host).first()


def tenants_by_host(hosts: Sequence[str]) -> dict[str, tuple[UUID, str, str, str]]:
    """Return id, slug, schema name and status of the tenant that each normalized host name leads to, if any does."""
    rows = Domain.objects.filter(domain__in=hosts).values_list(
        "domain", "tenant_id", "tenant__slug", "tenant__schema_name", "tenant__status"
    )
    return {row[0]: row[1:] for row in rows}


def tenant_by_slug(slug: str) -> Tenant | None:
    """Return the tenant with this slug."""
    return _all().filter(slug=slug).first()


def number_by_status() -> dict[str, int]:
    """Return how many tenants have which status."""
    rows = Tenant.objects.values_list("status").annotate(number=Count("pk")).order_by()
    return dict(rows)


def created_by(user_id: UUID) -> QuerySet[Tenant]:
    """Return the tenants that a person created for themselves."""
    return _all().filter(created_by=user_id)


def shows_addresses(tenant_id: UUID) -> bool:
    """Tell whether a tenant lets every member see the others' addresses."""
    return bool(_all().values_list("shows_addresses", flat=True).get(pk=tenant_id))


def support_policy(tenant_id: UUID) -> SupportPolicy:
    """Return what a tenant's owners let platform staff do inside."""
    return SupportPolicy(_all().values_list("support_policy", flat=True).get(pk=tenant_id))


def sign_in_policy(tenant_id: UUID) -> SignInPolicy:
    """Return what a tenant asks of its members' sign-ins."""
    return SignInPolicy.from_json(_all().values_list("sign_in_policy", flat=True).get(pk=tenant_id))


def _all() -> QuerySet[Tenant]:
    # TenantMixin has no types, and what derives from it loses its manager's.
    rows: QuerySet[Tenant] = Tenant.objects.all()
    return rows
