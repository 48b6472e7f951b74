"""Recording what a connection changes, as SQL that another schema can replay.

Migrations run once, in a schema of their own, while a recording is open; what Django sent is then replayed in every
other schema as one batch. Names in it are unqualified, so it works wherever the search path leads.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import AddIndex, Migration, RemoveIndex
from django.db.migrations.operations.base import Operation
from psycopg import sql

# What reads, and what belongs to the recording's own transaction. A SELECT may change something all the same:
# ``SELECT setval(…)``, as Django itself sends it for sequences.
_READS = re.compile(r"\s*(SELECT|SHOW|EXPLAIN|VALUES|TABLE|FETCH)\b", re.IGNORECASE)
_WRITING_SELECT = re.compile(r"\b(setval|nextval|lo_create|lo_unlink)\s*\(", re.IGNORECASE)
_OWN = re.compile(
    r"\s*(BEGIN|COMMIT|START\s+TRANSACTION|SET\s+(LOCAL\s+|SESSION\s+)?(search_path|role)\b)", re.IGNORECASE
)
_SAVEPOINT = re.compile(r"\s*(SAVEPOINT|RELEASE\s+SAVEPOINT|ROLLBACK\s+TO\s+SAVEPOINT)\s+(\S+?);?\s*$", re.IGNORECASE)
# An index of an empty table need not be built concurrently, and in a transaction it cannot.
_CONCURRENTLY = re.compile(r"^(\s*(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+INDEX))\s+CONCURRENTLY\b", re.IGNORECASE)


@dataclass
class Recording:
    """What was changed, in order.

    Attributes:
        statements: complete statements, with their values in them.
    """

    statements: list[str] = field(default_factory=list)
    _savepoints: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def script(self) -> str:
        """All statements as one batch."""
        return ";\n".join(self.statements)

    def take(self) -> list[str]:
        """Return the statements so far and begin anew: for whoever records several parts one after the other."""
        taken, self.statements, self._savepoints = self.statements, [], {}
        return taken

    def note(self, statement: str) -> None:
        """Keep a statement that succeeded, if it changed something; forget those that a savepoint took back."""
        savepoint = _SAVEPOINT.match(statement)
        if savepoint is not None:
            verb, name = savepoint.group(1).upper(), savepoint.group(2)
            if verb == "SAVEPOINT":
                self._savepoints[name] = len(self.statements)
            elif verb.startswith("ROLLBACK"):
                del self.statements[self._savepoints.get(name, 0) :]
        elif not _OWN.match(statement) and _changes(statement):
            self.statements.append(statement.strip().rstrip(";"))


@contextmanager
def record(connection: BaseDatabaseWrapper) -> Iterator[Recording]:
    """Keep every statement that changes something and that Django sends on this connection while the block is open.

    What psycopg sends past Django (``COPY``, a cursor of the driver's own) is not kept, and reads are not either:
    whatever decides in Python by what it reads is recorded as it decided here. ``CONCURRENTLY`` is left out, in what is
    sent as well as in what is kept.
    """
    recording = Recording()
    with connection.execute_wrapper(partial(_record, recording)):
        yield recording


def in_transaction(migration: Migration) -> Migration:
    """Return a migration that can run in a transaction and leaves the same tables: a non-atomic one builds its indexes
    without ``CONCURRENTLY``. One that needs no change is returned as it is.
    """
    if migration.atomic is not False:
        return migration
    copy = Migration(migration.name, migration.app_label)
    attributes = {name: getattr(migration, name) for name in ("dependencies", "run_before", "replaces", "initial")}
    attributes["operations"] = [_in_transaction(operation) for operation in migration.operations]
    vars(copy).update(attributes)
    return copy


def _in_transaction(operation: Operation) -> Operation:
    if isinstance(operation, AddIndexConcurrently):
        return AddIndex(operation.model_name, operation.index)
    if isinstance(operation, RemoveIndexConcurrently):
        return RemoveIndex(operation.model_name, operation.name)
    return operation


def _record(
    recording: Recording,
    execute: Callable[..., Any],
    statement: Any,
    params: Any,
    many: bool,  # noqa: FBT001 -- Django's
    context: dict[str, Any],
) -> Any:
    """Execute a statement and note it: one of Django's execute wrappers."""
    cursor = context["cursor"].cursor  # psycopg's, inside Django's
    text = statement.as_string(cursor) if isinstance(statement, sql.Composable) else str(statement)
    text = _CONCURRENTLY.sub(r"\1", text)
    sets: Sequence[Any] = list(params) if many else [params]
    complete = [
        text if values is None else cursor.mogrify(text, values) for values in sets
    ]  # it forgets results: first
    result = execute(text, sets if many else params, many, context)
    for each in complete:
        recording.note(each)
    return result


def _changes(statement: str) -> bool:
    return not _READS.match(statement) or _WRITING_SELECT.search(statement) is not None
