"""Advisory locks of the owner's: who works on which schema, and on what tenants are made from. Postgres lets go of them
with the transaction, or with the connection of a process that was killed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from psycopg import sql

from tenants.wall.roles import OWNER

TEMPLATE = "tenantry template"  # shared by whoever replays the current one; alone by whoever makes another one current
BUILDING = "tenantry template building"
POOL = "tenantry pool"

_KEY = "hashtextextended(%s, 0)"


def of_schema(schema_name: str) -> str:
    """Return the name of the lock that everybody holds who makes, fills or removes a schema. Who reconciles passes over
    a schema whose lock is held.
    """
    return f"tenantry schema {schema_name}"


def hold(name: str, *, shared: bool = False) -> None:
    """Wait for a lock, and hold it until the owner's transaction ends."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}({_KEY})", [name])


def try_hold(name: str) -> bool:
    """Hold a lock until the owner's transaction ends, unless somebody else does; tell whether."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_KEY})", [name])
        row: tuple[bool] = cursor.fetchone()
        return row[0]


def holding_schema(schema_name: str) -> sql.Composable:
    """Return ``hold`` for a schema's lock as a statement, to be sent with others."""
    return sql.SQL("SELECT pg_advisory_xact_lock(hashtextextended({name}, 0))").format(
        name=sql.Literal(of_schema(schema_name))
    )


@contextmanager
def working_on(schema_name: str) -> Iterator[None]:
    """Hold a schema's lock over several transactions of the owner's; begin it outside of any."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock({_KEY})", [of_schema(schema_name)])
    try:
        yield
    finally:
        if connections[OWNER].connection is not None and not connections[OWNER].connection.closed:
            with connections[OWNER].cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock({_KEY})", [of_schema(schema_name)])
