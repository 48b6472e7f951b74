"""For tests that need real commits: tenants of their own, and nothing left of them afterwards."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import connections
from psycopg import sql

from jobs.models import Job
from tenants.lifecycle import services
from tenants.lifecycle.models import Spare
from tenants.registry.models import Tenant


def urls() -> dict[str, str]:
    """The environment in which another process works on this run's database."""
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}"
    names = {"DATABASE_URL": "default", "DATABASE_OWNER_URL": "owner"}
    return {name: url.format(**connections[alias].settings_dict) for name, alias in names.items()}


def schemas() -> set[str]:
    """The schemas of all tenants in the database, registered or not."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\_%'")
        return {name for (name,) in cursor.fetchall()}


@contextmanager
def provisioned(slug: str) -> Iterator[Tenant]:
    """A new tenant, committed; its rows, its schema and its role are gone afterwards."""
    tenant = services.provision(name=slug.title(), slug=slug)
    try:
        yield tenant
    finally:
        remove(tenant)


def remove(tenant: Tenant) -> None:
    """Remove all of a tenant for good."""
    Tenant.objects.using("owner").filter(pk=tenant.pk).delete()
    drop_schema(tenant.schema_name)


def remove_spares() -> None:
    """Remove all of the pool for good."""
    for name in list(Spare.objects.using("owner").values_list("pk", flat=True)):
        Spare.objects.using("owner").filter(pk=name).delete()
        drop_schema(name)


def remove_all_but(slugs: Collection[str]) -> None:
    """Remove what tests made as the owner: tenants, spares and jobs, and schemas that nobody knows any more."""
    for tenant in Tenant.objects.using("owner").exclude(slug__in=slugs):
        remove(tenant)
    remove_spares()
    kept = set(Tenant.objects.using("owner").values_list("schema_name", flat=True))
    for name in schemas() - kept:
        drop_schema(name)
    remove_jobs()


def remove_jobs() -> None:
    """Empty the queue."""
    Job.objects.using("owner").all().delete()
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_periodic_defers")
        cursor.execute("DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers")


def drop_schema(name: str) -> None:
    """Remove a tenant's tables and its role for good."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
        cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
