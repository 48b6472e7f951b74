"""The only ways into a tenant: ``enter`` for its data, ``maintain`` for its tables.

A tenant context is a transaction, in which one works as the tenant's own role. Entering costs one round trip, whatever
is checked on the way in::

    BEGIN; SELECT <the tenant, what the guard wants to know, search path and role set for this transaction>
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.db import connections, transaction
from psycopg import sql

from tenants.context.backend.base import DatabaseWrapper
from tenants.context.entrances import calling
from tenants.context.errors import AlreadyInTenant, NoSuchSchema, NoSuchTenant, OutsideTenant
from tenants.context.guards import REF_COLUMNS, UNGUARDED, Guard, about, entering, looking
from tenants.context.ownership import as_owner, current_alias
from tenants.registry.models import Tenant
from tenants.wall.roles import OWNER, people_role


@dataclass(frozen=True)
class TenantRef:
    """What a request knows of its tenant without loading it."""

    id: UUID
    slug: str
    schema_name: str
    status: str


@dataclass(frozen=True)
class Entry:
    """An entered tenant and what its guard read."""

    tenant: TenantRef
    found: Mapping[str, Any]


@contextmanager
def enter(tenant_id: UUID, *, guard: Guard = UNGUARDED) -> Iterator[Entry]:
    """Be inside a tenant for one transaction, as its role: its tables first, then what the wall opens of the shared.

    The transaction commits when the block ends and rolls back when it raises. Whether the tenant may be entered at all
    (its status, the caller's membership) is for the caller to decide from the Entry, by raising.

    Raises:
        NoSuchTenant: no tenant has this id.
        NoSuchSchema: the tenant has no tables.
        AlreadyInTenant: one context is one tenant; leave the other first.
    """
    connection = _connection()
    if connection.in_tenant or connection.alias == OWNER:
        raise AlreadyInTenant("One context is one tenant: leave the other one first.")
    statement = _entering(tenant_id, guard)
    nested = connection.in_atomic_block
    with nullcontext() if nested else connection.opening(statement), transaction.atomic():
        row = _fetch(connection, statement) if nested else connection.take_opening_row()
        entry = _entry(tenant_id, guard, row)
        if row is not None and not row[-1]:
            raise NoSuchSchema(entry.tenant.schema_name)
        with connection.as_tenant(entry.tenant), _restored(connection) if nested else nullcontext():
            yield entry


_BECOME_PERSON = sql.SQL("SELECT set_config('tenantry.person', {person_id}, true), set_config('role', {role}, true)")


@contextmanager
def as_person(person_id: UUID) -> Iterator[None]:
    """Be a person, in no tenant, for one transaction: of the shared tables, what the wall opens to them. It begins in
    one round trip, as ``enter`` does.

    Raises:
        AlreadyInTenant: leave the tenant first.
    """
    connection = _connection()
    if connection.in_tenant or connection.alias == OWNER:
        raise AlreadyInTenant("A person is in no tenant here: leave it first.")
    statement = _BECOME_PERSON.format(
        person_id=sql.Literal(str(person_id)), role=sql.Literal(people_role())
    ).as_string()
    nested = connection.in_atomic_block
    with nullcontext() if nested else connection.opening(statement), transaction.atomic():
        if nested:
            _fetch(connection, statement)
        with _restored(connection) if nested else nullcontext():
            yield


def look(tenant_id: UUID, *, guard: Guard = UNGUARDED) -> Entry:
    """Return what ``enter`` would find, without entering.

    Raises:
        NoSuchTenant: no tenant has this id.
    """
    return _entry(tenant_id, guard, _fetch(_connection(), about(tenant_id, guard, looking(guard.pattern or guard))))


@contextmanager
def maintain(tenant: Tenant) -> Iterator[None]:
    """Be inside a tenant's schema alone, as its owner, for one transaction that creates or changes its tables.

    The shared schema is not on the path: a migration that looks for its tables must not find those of ``public``.
    """
    connection = cast("DatabaseWrapper", connections[OWNER])
    if connection.in_tenant or in_tenant():
        raise AlreadyInTenant("One context is one tenant: leave the other one first.")
    nested = connection.in_atomic_block
    with as_owner():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('search_path', quote_ident(%s), true)", [tenant.schema_name])
        with connection.as_tenant(tenant), _restored(connection) if nested else nullcontext():
            yield


def current_tenant() -> TenantRef:
    """Return the tenant that this thread's transaction is in.

    Raises:
        OutsideTenant: it is in none.
    """
    connection = _connection()
    if not connection.in_tenant:
        raise OutsideTenant("There is no tenant here: enter one with tenants.context.enter().")
    return cast("TenantRef", connection.tenant)


def in_tenant() -> bool:
    """Tell whether this thread is in a tenant."""
    return _connection().in_tenant


@contextmanager
def _restored(connection: DatabaseWrapper) -> Iterator[None]:
    """Take a transaction that goes on afterwards back to ``public`` and its own role; one that ends needs no help."""
    yield
    if not connection.needs_rollback:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE NONE; SET LOCAL search_path TO public; SET LOCAL tenantry.person TO ''")


def _connection() -> DatabaseWrapper:
    return cast("DatabaseWrapper", connections[current_alias()])


def _entering(tenant_id: UUID, guard: Guard) -> str:
    pattern = guard.pattern or guard
    return about(tenant_id, guard, calling(pattern) if pattern.entrance else entering(pattern))


def _entry(tenant_id: UUID, guard: Guard, row: tuple[Any, ...] | None) -> Entry:
    if row is None or row[0] is None:  # an entrance always has a row
        raise NoSuchTenant(tenant_id)
    own = len(REF_COLUMNS)
    return Entry(TenantRef(*row[:own]), dict(zip(guard.columns, row[own:], strict=False)))


def _fetch(connection: DatabaseWrapper, statement: str) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cast("tuple[Any, ...] | None", cursor.fetchone())
