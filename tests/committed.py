"""For tests that need real commits: tenants of their own, and nothing left of them afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from psycopg import sql

from tenants.lifecycle import services
from tenants.registry.models import Tenant


def schemas() -> set[str]:
    """The schemas of all tenants in the database, registered or not."""
    with connection.cursor() as cursor:
        cursor.execute(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\_%'")
        return {name for (name,) in cursor.fetchall()}


@contextmanager
def provisioned(slug: str) -> Iterator[Tenant]:
    """A new tenant, committed; its rows and its schema are gone afterwards."""
    tenant = services.provision(name=slug.title(), slug=slug)
    try:
        yield tenant
    finally:
        Tenant.objects.filter(pk=tenant.pk).delete()
        drop_schema(tenant.schema_name)


def drop_schema(name: str) -> None:
    """Remove a tenant's tables for good."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
