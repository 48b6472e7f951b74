"""Dropping a schema in steps, each a transaction of its own: no step locks many tables, and whoever is killed in
between begins again where it was.
"""

from collections.abc import Callable, Sequence
from itertools import count

from django.db import OperationalError
from psycopg import errors, sql

from tenants.context.ownership import as_owner
from tenants.lifecycle import schemas, tables
from tenants.lifecycle.locks import holding_schema

_TABLES_AT_ONCE = 5
_ATTEMPTS = 10
_RELATIONS = """
SELECT relname, CASE relkind
    WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END
FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
ORDER BY relkind = 'r', relname LIMIT %s
"""


def drop_in_steps(schema_name: str, *, tell: Callable[[int], None]) -> None:
    """Drop a schema, whatever is left of it, and its role.

    Args:
        tell: is called with the number of tables that are gone so far.
    """
    done = 0
    while names := _next(schema_name):
        _patiently(names, schema_name)
        done += len(names)
        tell(done)
    with as_owner():
        schemas.drop(schema_name)


def _next(schema_name: str) -> list[tuple[str, str]]:
    with as_owner():
        return [(name, kind) for name, kind in tables.execute(sql.SQL(_RELATIONS), [schema_name, _TABLES_AT_ONCE])]


def _patiently(names: Sequence[tuple[str, str]], schema_name: str) -> None:
    """Drop a few tables; should somebody still be reading one, again."""
    for attempt in count(1):
        try:
            _drop(names, schema_name)
        except OperationalError as error:
            is_locked = isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected)
            if not is_locked or attempt == _ATTEMPTS:
                raise
        else:
            return


def _drop(names: Sequence[tuple[str, str]], schema_name: str) -> None:
    with as_owner():
        tables.execute(sql.SQL("SET LOCAL lock_timeout = '2s'"))
        tables.execute(holding_schema(schema_name))
        for name, kind in names:
            statement = sql.SQL("DROP {} IF EXISTS {} CASCADE")
            tables.execute(statement.format(sql.SQL(kind), sql.Identifier(schema_name, name)))
