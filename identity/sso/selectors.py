"""Reading tenants' connections to their own providers."""

from uuid import UUID

from django.db.models import QuerySet

from identity.domains import selectors as domains
from identity.sso.models import Connection, ConnectionStatus, MemberIdentity
from tenants.registry.models import TenantStatus


def connections_of(tenant_id: UUID | None) -> QuerySet[Connection]:
    """Return the connections of one tenant, with what their groups give; outside any tenant there are none."""
    if tenant_id is None:
        return Connection.objects.none()
    rows = Connection.objects.filter(tenant_id=tenant_id).select_related("custom_role")
    return rows.prefetch_related("group_roles")


def identities_of(*, tenant_id: UUID | None, connection_id: UUID | None) -> QuerySet[MemberIdentity]:
    """Return who is who at the provider of a tenant's connection; of none, nobody."""
    if tenant_id is None or connection_id is None:
        return MemberIdentity.objects.none()
    return MemberIdentity.objects.filter(tenant_id=tenant_id, connection_id=connection_id)


def has_enabled_connection(tenant_id: UUID, *, besides: UUID | None = None) -> bool:
    """Tell whether a tenant has an enabled connection, but for one."""
    rows = Connection.objects.filter(tenant_id=tenant_id, status=ConnectionStatus.ENABLED)
    return rows.exclude(pk=besides).exists() if besides else rows.exists()


def usable_connections(tenant_id: UUID) -> QuerySet[Connection]:
    """Return the connections by which people sign in to a tenant now, oldest first, with the tenant."""
    rows = Connection.objects.filter(tenant_id=tenant_id, status=ConnectionStatus.ENABLED)
    return rows.filter(tenant__status=TenantStatus.ACTIVE).select_related("tenant").order_by("created_at", "id")


def connections_for(email: str) -> list[Connection]:
    """Return the connections by which people sign in whose (normalized) address is at this one's domain. Which account
    has it, and whether there is one, is not asked.
    """
    claim = domains.proof_at(email)
    return list(usable_connections(claim.tenant_id)) if claim else []


def connection_to_use(connection_id: UUID) -> Connection:
    """Return a connection with its tenant and its client's secret, whatever its status.

    Raises:
        Connection.DoesNotExist: there is none.
    """
    rows: QuerySet[Connection] = QuerySet(Connection).select_related("tenant", "custom_role")
    rows = rows.prefetch_related("group_roles__custom_role")
    return rows.get(pk=connection_id)
