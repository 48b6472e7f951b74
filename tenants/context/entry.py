"""The only ways into a tenant: ``enter`` for its data, ``maintain`` for its tables.

A tenant context is a transaction, in which one works as the tenant's own role. Entering costs one round trip, whatever
is checked on the way in::

    BEGIN; SELECT <the tenant, what the guard wants to know, search path and role set for this transaction>
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db import connections, transaction
from psycopg import sql

from tenants.context.backend.base import DatabaseWrapper
from tenants.context.errors import AlreadyInTenant, NoSuchSchema, NoSuchTenant, OutsideTenant
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


@dataclass(frozen=True, eq=False)  # by identity, so that what was composed for one can be kept
class Guard:
    """What else must be read on the way in, in the same statement. Composing it takes longer than asking it: make one
    for all callers of a kind, with placeholders (``psycopg.sql.Placeholder``), and say with ``about`` who it is.

    Attributes:
        columns: name to SQL expression; it may use ``tenant`` and the aliases of `joins`. A ``%`` is written twice.
        joins: SQL that follows ``FROM registry_tenant tenant``. It must not multiply rows.
        read_only: the transaction that enters writes nothing; see ``_READ_ONLY``.
        values: what stands in for the placeholders.
        pattern: the guard that has them.
    """

    columns: Mapping[str, sql.Composable]
    joins: sql.Composable
    read_only: bool = False
    values: Mapping[str, UUID | int] = field(default_factory=dict)
    pattern: "Guard | None" = None

    def about(self, **values: UUID | int) -> "Guard":
        """Return this guard with values in place of its placeholders."""
        return Guard(self.columns, self.joins, self.read_only, values, self)


UNGUARDED = Guard({}, sql.SQL(""))

_LOOK = sql.SQL(
    "SELECT tenant.id, tenant.slug, tenant.schema_name, tenant.status {columns}"
    " FROM {tenant_table} tenant {joins} WHERE tenant.id = {tenant_id}"
)
# The role is named like the schema. Postgres takes both back when the transaction ends, however it does.
_BECOME_TENANT = (
    sql.SQL("set_config('search_path', quote_ident(tenant.schema_name) || ', public', true)"),
    sql.SQL("set_config('role', tenant.schema_name, true)"),
    sql.SQL("to_regnamespace(quote_ident(tenant.schema_name)) IS NOT NULL"),  # a path may lead nowhere without an error
)
# Postgres refuses writes with SQLSTATE 25006, and to take this back once a transaction has asked for anything, as this
# statement does.
_READ_ONLY = sql.SQL("set_config('transaction_read_only', 'on', true)")
_REF_COLUMNS = 4


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
    return _entry(tenant_id, guard, _fetch(_connection(), _looking(tenant_id, guard)))


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
    return _about(tenant_id, guard, _compose_entering(guard.pattern or guard))


def _looking(tenant_id: UUID, guard: Guard) -> str:
    return _about(tenant_id, guard, _compose_looking(guard.pattern or guard))


def _about(tenant_id: UUID, guard: Guard, text: str) -> str:
    # A string with several statements takes no parameters, so values are written into it: nothing that needs quoting.
    return text % {name: _literal(value) for name, value in {**guard.values, "tenant_id": tenant_id}.items()}


def _literal(value: UUID | int) -> str:
    if type(value) is UUID:
        return f"'{value}'"
    if type(value) is int:
        return str(value)
    raise TypeError("What a guard is about is told by UUIDs and whole numbers.")


@lru_cache(maxsize=256)
def _compose_entering(pattern: Guard) -> str:
    read_only = (_READ_ONLY,) if pattern.read_only else ()
    return _compose(pattern, *read_only, *_BECOME_TENANT)


@lru_cache(maxsize=256)
def _compose_looking(pattern: Guard) -> str:
    return _compose(pattern)


def _compose(pattern: Guard, *last: sql.Composable) -> str:
    columns = sql.SQL("").join(sql.SQL(", ") + expression for expression in (*pattern.columns.values(), *last))
    return _LOOK.format(
        columns=columns,
        tenant_table=sql.Identifier(Tenant._meta.db_table),
        joins=pattern.joins,
        tenant_id=sql.Placeholder("tenant_id"),
    ).as_string()


def _entry(tenant_id: UUID, guard: Guard, row: tuple[Any, ...] | None) -> Entry:
    if row is None:
        raise NoSuchTenant(tenant_id)
    return Entry(TenantRef(*row[:_REF_COLUMNS]), dict(zip(guard.columns, row[_REF_COLUMNS:], strict=False)))


def _fetch(connection: DatabaseWrapper, statement: str) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cast("tuple[Any, ...] | None", cursor.fetchone())
