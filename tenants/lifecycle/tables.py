"""The tables of one schema, as the owner reads and fills them: a stream for each, with Postgres' own COPY."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connections
from psycopg import sql

from tenants.wall.roles import OWNER


@dataclass(frozen=True)
class Table:
    """A table and its columns, but for those that Postgres computes."""

    name: str
    columns: Sequence[str]


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence is."""

    name: str
    value: int
    is_called: bool


# Values look the same whatever the server's and the role's own settings are.
_PLAIN_VALUES = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres';"
    "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C';"
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)
_TABLES = """
SELECT class.relname, array_agg(attname::text ORDER BY attnum) FILTER (WHERE attnum IS NOT NULL)
FROM pg_class class
LEFT JOIN pg_attribute ON attrelid = class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
WHERE relnamespace = %s::regnamespace AND relkind = 'r' GROUP BY class.relname ORDER BY class.relname COLLATE "C"
"""
_FOREIGN_KEYS = """
SELECT format('%%I.%%I', nspname, relname), quote_ident(conname), pg_get_constraintdef(key.oid)
FROM pg_constraint key
JOIN pg_class class ON class.oid = conrelid JOIN pg_namespace namespace ON namespace.oid = relnamespace
WHERE connamespace = %s::regnamespace AND contype = 'f' AND conparentid = 0 ORDER BY conname
"""
_TRIGGERS = """
SELECT format('%%I.%%I', nspname, relname), quote_ident(tgname)
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace namespace ON namespace.oid = relnamespace
WHERE relnamespace = %s::regnamespace AND NOT tgisinternal AND tgenabled = 'O' AND tgparentid = 0
"""
# Columns that may hold the id of a row elsewhere: of this type, and neither a key nor pointing to one.
_LOOSE_IDS = """
SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
AND atttypid = 'uuid'::regtype AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype IN ('p', 'f') AND attnum = ANY (conkey)
) ORDER BY 1, 2
"""


def write_plainly() -> None:
    """Have the transaction write values the same way everywhere, and take the time that it needs."""
    execute(sql.SQL(_PLAIN_VALUES))


def execute(statement: sql.Composable, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Execute as the owner and return the rows, if there are any."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall()) if cursor.description else []


def tables_of(schema_name: str) -> list[Table]:
    """Return a schema's tables, by name."""
    return [Table(name, columns or []) for name, columns in execute(sql.SQL(_TABLES), [schema_name])]


def lock_for_reading(schema_name: str, tables: Iterable[Table]) -> None:
    """Keep the tables as they are (their structure, not their rows) until the transaction ends."""
    names = [sql.Identifier(schema_name, table.name) for table in tables]
    if names:
        execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(names)))


def read(schema_name: str, table: Table) -> Iterator[bytes]:
    """Yield the rows of a table, as COPY writes them."""
    with connections[OWNER].cursor() as cursor, cursor.copy(_copy(schema_name, table, "TO STDOUT")) as copy:
        for block in copy:
            yield bytes(block)


def fill(schema_name: str, table: Table, blocks: Iterable[bytes]) -> int:
    """Write rows into a table, as COPY reads them, and return how many."""
    with connections[OWNER].cursor() as cursor:
        with cursor.copy(_copy(schema_name, table, "FROM STDIN")) as copy:
            for block in blocks:
                copy.write(block)
        return int(cursor.rowcount)


def copy_rows(source: str, target: str, table: Table) -> None:
    """Write the rows of a table in one schema into the same table of another one."""
    statement = "INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {source}"
    names = {
        "target": sql.Identifier(target, table.name),
        "source": sql.Identifier(source, table.name),
        "columns": sql.SQL(", ").join(map(sql.Identifier, table.columns)),
    }
    execute(sql.SQL(statement).format(**names))


def empty(schema_name: str) -> None:
    """Delete all rows of a schema's tables."""
    names = [sql.Identifier(schema_name, table.name) for table in tables_of(schema_name)]
    if names:
        execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))


def sequences_of(schema_name: str) -> list[SequenceState]:
    """Return where a schema's sequences are. They are in no snapshot: at most further on than the rows."""
    names = execute(
        sql.SQL("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'S' ORDER BY 1"),
        [schema_name],
    )
    statement = sql.SQL("SELECT last_value, is_called FROM {}")
    return [SequenceState(name, *execute(statement.format(sql.Identifier(schema_name, name)))[0]) for (name,) in names]


def set_sequences(schema_name: str, sequences: Iterable[SequenceState]) -> None:
    """Set sequences to where they were."""
    for sequence in sequences:
        name = sql.Identifier(schema_name, sequence.name).as_string()
        execute(sql.SQL("SELECT setval(%s::regclass, %s, %s)"), [name, sequence.value, sequence.is_called])


@contextmanager
def without_foreign_keys(schema_name: str) -> Iterator[None]:
    """Let a schema's tables be filled in any order; its foreign keys come back checked against every row."""
    keys = execute(sql.SQL(_FOREIGN_KEYS), [schema_name])
    for table, name, _ in keys:
        _alter(table, "DROP CONSTRAINT", name)
    yield
    for table, name, definition in keys:
        _alter(table, "ADD CONSTRAINT", name, definition)


@contextmanager
def without_triggers(schema_name: str) -> Iterator[None]:
    """Let rows be written as they are: the tables' own triggers do not fire."""
    triggers = execute(sql.SQL(_TRIGGERS), [schema_name])
    for table, name in triggers:
        _alter(table, "DISABLE TRIGGER", name)
    yield
    for table, name in triggers:
        _alter(table, "ENABLE TRIGGER", name)


def _alter(table: str, *quoted: str) -> None:
    execute(sql.SQL(f"ALTER TABLE {table} {' '.join(quoted)}"))  # Postgres' own text


def replace_ids(schema_name: str, ids: Mapping[UUID, UUID]) -> None:
    """Replace ids of rows elsewhere (accounts, say) wherever a column of ids holds them."""
    if not ids:
        return
    statement = sql.SQL(
        "UPDATE {table} SET {column} = other.new FROM unnest(%s::uuid[], %s::uuid[]) AS other (old, new)"
        " WHERE {column} = other.old"
    )
    params = [list(ids.keys()), list(ids.values())]
    for table, column in execute(sql.SQL(_LOOSE_IDS), [schema_name]):
        names = {"table": sql.Identifier(schema_name, table), "column": sql.Identifier(column)}
        execute(statement.format(**names), params)


def _copy(schema_name: str, table: Table, ending: str) -> sql.Composable:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL("COPY {table} ({columns}) {ending}").format(
        table=sql.Identifier(schema_name, table.name), columns=columns, ending=sql.SQL(ending)
    )
