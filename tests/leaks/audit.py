"""What is in the tables after a trial, seen by their owner, compared with what the clients were told."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.leaks.ground import Ground
from tests.leaks.records import Write


@dataclass(frozen=True)
class Audit:
    """Attributes: see the README of the harness in ``__init__``.

    acknowledged: how many writes were.
    lost, doubled: acknowledged writes that are not there, or more than once.
    misplaced: rows in a schema of another tenant.
    kept_after_503, kept_unanswered: how many writes are there, although the answer was that nothing was changed, or
        there was no answer. The latter is nobody's fault.
    """

    acknowledged: int
    lost: list[str]
    doubled: list[str]
    misplaced: list[str]
    kept_after_503: int
    kept_unanswered: int


def audit(ground: Ground, writes: Sequence[Write]) -> Audit:
    """Read every tenant's rows and compare."""
    found = {schema: Counter(names) for schema, names in _rows(ground)}
    due = [(tenant, row.name) for tenant in ground.tenants for row in tenant.rows]
    acknowledged = [(write.tenant, write.name) for write in writes if write.status == 201]
    due += acknowledged
    owners = {tenant.schema: tenant for tenant in ground.tenants}
    return Audit(
        acknowledged=len(acknowledged),
        lost=[name for tenant, name in due if not found[tenant.schema][name]],
        doubled=[name for tenant, name in due if found[tenant.schema][name] > 1],
        misplaced=[
            f"{name!r} is in the schema of {owners[schema].slug if schema in owners else 'nobody'}"
            for schema, names in found.items()
            for name in names
            if schema not in owners or not owners[schema].owns(name)
        ],
        kept_after_503=sum(found[write.tenant.schema][write.name] for write in writes if write.status == 503),
        kept_unanswered=sum(found[write.tenant.schema][write.name] for write in writes if write.status == 0),
    )


def _rows(ground: Ground) -> Iterator[tuple[str, list[str]]]:
    """Yield every schema that has projects, whoever's it is, with the names of all of them."""
    with psycopg.connect(ground.database.url) as connection:
        schemas = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'projects_project'").fetchall()
        for (schema,) in schemas:
            statement = sql.SQL("SELECT name FROM {}").format(sql.Identifier(schema, "projects_project"))
            yield schema, [name for (name,) in connection.execute(statement).fetchall()]
