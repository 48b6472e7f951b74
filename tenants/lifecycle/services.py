"""The life of a tenant: so far, its birth."""

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from tenants.context.entry import maintain
from tenants.registry import services as registry
from tenants.registry.models import Tenant


@transaction.atomic
def provision(*, name: str, slug: str) -> Tenant:
    """Create a tenant: registry rows, schema and tables, all in one transaction.

    Postgres' DDL is transactional, so a crash halfway leaves nothing behind, and a failed migration takes the registry
    row with it.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug.
    """
    tenant = registry.register_tenant(name=name, slug=slug)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(tenant.schema_name)))
    with maintain(tenant):
        migrate_schema()
    return tenant


def migrate_schema() -> None:
    """Bring the schema of the tenant under maintenance to the newest migrations."""
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
