"""What is asked on the way into a tenant: whether it is there, and whatever a guard wants to know besides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from psycopg import sql

from tenants.registry.models import Tenant

Value = UUID | int | str | None


class Column(NamedTuple):
    """What a guard reads: its type in Postgres, and an expression, in which a ``%`` is written twice."""

    type: str
    expression: sql.Composable


@dataclass(frozen=True, eq=False)  # by identity, so that what was composed for one can be kept
class Guard:
    """What else must be read on the way in, in the same statement. Composing it takes longer than asking it: make one
    for all callers of a kind, with placeholders (``psycopg.sql.Placeholder``), and say with ``about`` who it is.

    Attributes:
        columns: by name; their expressions may use ``tenant`` and the aliases of `joins`.
        joins: SQL that follows ``FROM registry_tenant tenant``. It must not multiply rows.
        parameters: the placeholders, with their types in Postgres.
        read_only: the transaction that enters writes nothing; see ``_READ_ONLY``.
        entrance: the name under which the database keeps how to enter by it (see ``entrances``); a guard without one is
            planned each time.
        values: what stands in for the placeholders.
        pattern: the guard that has them.
    """

    columns: Mapping[str, Column]
    joins: sql.Composable
    parameters: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    entrance: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    pattern: "Guard | None" = None

    def about(self, **values: Value) -> "Guard":
        """Return this guard with values in place of its placeholders."""
        return Guard(self.columns, self.joins, self.parameters, self.read_only, self.entrance, values, self)


UNGUARDED = Guard({}, sql.SQL(""))

REF_COLUMNS = {"id": "uuid", "slug": "text", "schema_name": "text", "status": "text"}  # as in _LOOK
_LOOK = sql.SQL(
    "SELECT tenant.id, tenant.slug, tenant.schema_name, tenant.status {columns}"
    " FROM {tenant_table} tenant {joins} WHERE tenant.id = {tenant_id}"
)
# The role is named like the schema. Postgres takes both back when the transaction ends, however it does.
BECOME_TENANT = (
    Column("text", sql.SQL("set_config('search_path', quote_ident(tenant.schema_name) || ', public', true)")),
    Column("text", sql.SQL("set_config('role', tenant.schema_name, true)")),
    # A path may lead nowhere without an error.
    Column("boolean", sql.SQL("to_regnamespace(quote_ident(tenant.schema_name)) IS NOT NULL")),
)
# Postgres refuses writes with SQLSTATE 25006, and to take this back once a transaction has asked for anything, as this
# statement does.
_READ_ONLY = Column("text", sql.SQL("set_config('transaction_read_only', 'on', true)"))


def columns_to_enter(pattern: Guard) -> tuple[Column, ...]:
    """Return what follows a guard's own columns where its tenant is entered."""
    return (_READ_ONLY, *BECOME_TENANT) if pattern.read_only else BECOME_TENANT


def compose(pattern: Guard, *last: Column) -> str:
    """Return a pattern's statement, whose placeholders are Python's: ``%(tenant_id)s`` and its own.

    Args:
        last: what is read after the guard's own columns.
    """
    columns = [sql.SQL(", ") + column.expression for column in (*pattern.columns.values(), *last)]
    return _LOOK.format(
        columns=sql.SQL("").join(columns),
        tenant_table=sql.Identifier(Tenant._meta.db_table),
        joins=pattern.joins,
        tenant_id=sql.Placeholder("tenant_id"),
    ).as_string()


@lru_cache(maxsize=256)
def entering(pattern: Guard) -> str:
    """Return the statement that asks and enters, for a guard without an entrance."""
    return compose(pattern, *columns_to_enter(pattern))


@lru_cache(maxsize=256)
def looking(pattern: Guard) -> str:
    """Return the statement that asks without entering."""
    return compose(pattern)


def about(tenant_id: UUID, guard: Guard, text: str) -> str:
    """Put values into a statement: a string with several statements takes no parameters.

    Raises:
        TypeError: a value is of a type that cannot be put there.
    """
    return text % {name: _literal(value) for name, value in {**guard.values, "tenant_id": tenant_id}.items()}


def _literal(value: Value) -> str:
    if type(value) is UUID:
        return f"'{value}'"
    if type(value) is int:
        return str(value)
    if value is None or type(value) is str:
        return _text_literal(value)
    raise TypeError("What a guard is about is told by UUIDs, whole numbers and text.")


@lru_cache(maxsize=256)
def _text_literal(value: str | None) -> str:
    return sql.Literal(value).as_string()
