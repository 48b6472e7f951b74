"""The life of a tenant: so far, its birth."""

from uuid import UUID

from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from tenants.context.entry import maintain
from tenants.context.ownership import as_owner
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.wall import services as wall
from tenants.wall.roles import OWNER


def provision(*, name: str, slug: str, created_by: UUID | None = None) -> Tenant:
    """Create a tenant: registry rows, schema, tables and role, all in one transaction of the owner's.

    Postgres' DDL is transactional, so a crash halfway leaves nothing behind, and a failed migration takes the registry
    row with it.

    Args:
        created_by: the person who creates it for themselves.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug.
    """
    with as_owner():
        tenant = registry.register_tenant(name=name, slug=slug, created_by=created_by)
        with connections[OWNER].cursor() as cursor:
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(tenant.schema_name)))
        with maintain(tenant):
            migrate_schema()
        wall.build_tenant(schema_name=tenant.schema_name)
    return tenant


def migrate_schema() -> None:
    """Bring the schema of the tenant under maintenance to the newest migrations."""
    executor = MigrationExecutor(connections[OWNER])
    executor.migrate(executor.loader.graph.leaf_nodes())
