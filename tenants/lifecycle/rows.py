"""A tenant's rows in the shared tables, as JSON objects of their columns: into a file, and out of it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.models import Field, Model
from django.utils import timezone
from psycopg import sql

from tenants.lifecycle.belongings import Belonging, columns_of, people
from tenants.lifecycle.tables import execute
from tenants.wall.roles import OWNER

_AT_ONCE = 500

Row = dict[str, Any]


@dataclass
class Ids:
    """What the ids of a file became here: the same, unless somebody has them already.

    Attributes:
        tenant: former id to present id.
        people: of accounts; only those that differ.
        rows: of rows that belong to the tenant; only those that differ.
    """

    tenant: tuple[UUID, UUID]
    people: dict[UUID, UUID] = field(default_factory=dict)
    rows: dict[UUID, UUID] = field(default_factory=dict)

    def all(self) -> dict[UUID, UUID]:
        """Return every id that became another one."""
        former, present = self.tenant
        return {**self.people, **self.rows, **({former: present} if former != present else {})}

    def of(self, text: str) -> str:
        """Return what became of an id; any other text stays as it is."""
        try:
            wanted = UUID(text)
        except ValueError:
            return text
        former, present = self.tenant
        found = present if wanted == former else self.people.get(wanted) or self.rows.get(wanted)
        return str(found) if found else text


def rows_of(belonging: Belonging, tenant_id: UUID) -> Iterator[str]:
    """Yield the rows that are a tenant's, each as a JSON object, by id."""
    statement = sql.SQL(
        "COPY (SELECT to_jsonb(kept)::text FROM (SELECT {columns} FROM {table} WHERE {tenant} = {id} ORDER BY id) kept)"
        " TO STDOUT"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, belonging.columns)),
        table=sql.Identifier("public", belonging.table),
        tenant=sql.Identifier(belonging.tenant_column),
        id=sql.Literal(tenant_id),
    )
    with connections[OWNER].cursor() as cursor, cursor.copy(statement) as copy:
        for (text,) in copy.rows():
            yield text


def accounts_in(belonging: Belonging, row: Row) -> Iterator[UUID]:
    """Yield the ids of accounts that a row refers to."""
    keys = [column for column, model in belonging.references().items() if model is people().model]
    yield from (UUID(row[column]) for column in (*keys, *belonging.accounts) if row.get(column))


def insert(belonging: Belonging, lines: Iterable[bytes | str], ids: Ids) -> int:
    """Write rows for the tenant and return how many. Ids that are taken become others, and `ids` remembers them."""
    total = 0
    source = iter(lines)
    while chunk := [json.loads(line) for line in islice(source, _AT_ONCE)]:
        _take_other_ids(belonging, chunk, ids)
        _write(belonging.model, [_row(belonging, each, ids) for each in chunk])
        total += len(chunk)
    return total


def _take_other_ids(belonging: Belonging, chunk: list[Row], ids: Ids) -> None:
    statement = sql.SQL("SELECT id FROM {} WHERE id = ANY (%s::uuid[])").format(
        sql.Identifier("public", belonging.table)
    )
    for (taken,) in execute(statement, [[row["id"] for row in chunk]]):
        ids.rows[taken] = uuid4()


def _row(belonging: Belonging, row: Row, ids: Ids) -> Row:
    """Return a row as it is written here: for this tenant, with what is fresh, and without what there is no longer."""
    references = belonging.references()
    result: Row = {}
    for name, column in columns_of(belonging.model).items():
        if name in belonging.fresh:
            value = belonging.fresh[name]()
        elif name == belonging.tenant_column:
            value = ids.tenant[1]
        elif name not in row:
            value = _default(column)
        elif row[name] is not None and (name == "id" or name in references or name in belonging.accounts):
            value = ids.of(row[name])
        else:
            value = row[name]
        result[name] = f"\\x{value.hex()}" if isinstance(value, bytes) else value
    return result


def _default(column: "Field[Any, Any]") -> Any:
    """Return what a column holds that was made after the file."""
    if getattr(column, "auto_now", False) or getattr(column, "auto_now_add", False):
        return timezone.now()
    return column.get_default()


def _write(model: type[Model], rows: list[Row]) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, columns_of(model)))
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    ).format(table=sql.Identifier("public", model._meta.db_table), columns=columns)
    execute(statement, [json.dumps(rows, cls=_Exactly)])


class _Exactly(DjangoJSONEncoder):
    """Times to the microsecond, which Django cuts off."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)
