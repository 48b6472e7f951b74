"""Reading machine clients."""

from uuid import UUID

from django.db.models import QuerySet

from identity.clients.models import Client


def clients_of(tenant_id: UUID | None) -> QuerySet[Client]:
    """Return the machine clients of one tenant, with their secrets' descriptions; outside any tenant there are none."""
    if tenant_id is None:
        return Client.objects.none()
    return Client.objects.filter(tenant_id=tenant_id).prefetch_related("secrets")


def client_of(*, tenant_id: UUID, client_id: UUID) -> Client:
    """Return one machine client of a tenant.

    Raises:
        Client.DoesNotExist: the tenant has no such client.
    """
    return clients_of(tenant_id).get(pk=client_id)
