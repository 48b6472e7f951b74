"""Statements written by hand, for those few that a sign-in, a refresh and a machine's token wait for.

Composing a statement anew takes Django longer than Postgres takes to answer it; these are composed once. They are made
of names of models' tables and columns by ``psycopg.sql``, and their rows are the models' instances.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Field, JSONField, Model
from psycopg import sql

from tenants.context.backend.base import DatabaseWrapper
from tenants.context.ownership import current_alias
from tenants.registry.models import Tenant

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, eq=False)
class Columns(Generic[M]):
    """Columns of a model's table that a statement selects.

    Attributes:
        alias: of the table, in the statement.
        names: of the columns, the primary key's among them.
    """

    model: type[M]
    alias: str
    names: tuple[str, ...]

    @cached_property
    def selected(self) -> sql.Composable:
        """What stands behind SELECT."""
        return sql.SQL(", ").join([sql.Identifier(self.alias, _column(field)) for field in self._fields])

    def take(self, values: Iterator[Any]) -> M | None:
        """Return the next values of a row as an instance, which loads its other attributes when it is asked for them;
        None where an outer join has found nothing.
        """
        own = list(islice(values, len(self.names)))
        if own[self._key] is None:
            return None
        for place in self._in_json:
            own[place] = json.loads(own[place])  # Django has it as text
        return self.model.from_db(current_alias(), self.names, own)

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        """In the model's order, which is how Django wants their values."""
        return [field for field in self.model._meta.concrete_fields if field.attname in self.names]

    @cached_property
    def _key(self) -> int:
        return next(place for place, field in enumerate(self._fields) if field.primary_key)

    @cached_property
    def _in_json(self) -> list[int]:
        return [place for place, field in enumerate(self._fields) if isinstance(field, JSONField)]


# What is read of a tenant beside something else.
TENANT = Columns(Tenant, "tenant", ("id", "slug", "schema_name", "status", "sign_in_policy"))


def table(model: type[Model]) -> sql.Identifier:
    """Return the name of a model's table."""
    return sql.Identifier(model._meta.db_table)


def fetch_all(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows that a statement finds."""
    with _connection().cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cast("list[tuple[Any, ...]]", cursor.fetchall())


def fetch_one(statement: str, *parameters: Any) -> tuple[Any, ...] | None:
    """Return the first row that a statement finds, if it finds any."""
    with _connection().cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cast("tuple[Any, ...] | None", cursor.fetchone())


def execute(statement: str, *parameters: Any) -> int:
    """Do what a statement says, and return to how many rows."""
    with _connection().cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return int(cursor.rowcount)


@contextmanager
def beginning_with(statement: str, row_id: UUID) -> Iterator[tuple[Any, ...] | None]:
    """Be in a transaction whose first statement goes with its BEGIN, in one round trip; yield the row that it finds.
    Inside another transaction, it is a savepoint.

    Args:
        row_id: its one parameter.
    """
    connection = _connection()
    nested = connection.in_atomic_block
    # A string of several statements takes no parameters: this one is composed into it.
    whole = statement.replace("%s", sql.Literal(row_id).as_string())
    with nullcontext() if nested else connection.opening(whole), transaction.atomic(using=connection.alias):
        yield fetch_one(whole) if nested else connection.take_opening_row()


def insert(*rows: Model) -> None:
    """Insert new rows of several models, in one statement. No signal is sent."""
    connection = _connection()
    values = [
        field.get_db_prep_save(field.pre_save(row, True), connection)  # noqa: FBT003 -- Django's
        for row in rows
        for field in row._meta.concrete_fields
    ]
    execute(_insertion(tuple(map(type, rows))), *values)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 -- Django documents it


@lru_cache(maxsize=16)
def _insertion(models: tuple[type[Model], ...]) -> str:
    *others, last = [
        sql.SQL("INSERT INTO {table} ({columns}) VALUES ({values})").format(
            table=table(model),
            columns=sql.SQL(", ").join([sql.Identifier(_column(field)) for field in model._meta.concrete_fields]),
            values=sql.SQL(", ").join([sql.Placeholder() for _ in model._meta.concrete_fields]),
        )
        for model in models
    ]
    named = [
        sql.SQL("{name} AS ({insertion})").format(name=sql.Identifier(f"part_{place}"), insertion=insertion)
        for place, insertion in enumerate(others)
    ]
    start = sql.SQL("WITH ") + sql.SQL(", ").join(named) + sql.SQL(" ") if named else sql.SQL("")
    return (start + last).as_string()


def _column(field: "Field[Any, Any]") -> str:
    return str(field.column)  # None is for fields without one, and these have one


def _connection() -> DatabaseWrapper:
    return cast("DatabaseWrapper", connections[current_alias()])
