"""Errors of the command, not of a request's caller."""

import traceback

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

# Messages of these classes of SQLSTATE speak of structure and locks, TF's are ours; others may quote a row.
_QUOTABLE = frozenset({"0A", "2B", "25", "3F", "40", "42", "53", "55", "57", "TF"})
_RETRYABLE = frozenset({"55P03", "40P01", "40001"})  # lock timeout, deadlock, serialization failure
_AWAY = frozenset({"08", "57"})  # the connection, the server
_LONGEST = 500
ON_ITS_WAY_OUT, OVERTAKEN = "TF001", "TF002"


class AnotherRun(RuntimeError):
    """Another fleet run is at work."""


class NotMigratable(RuntimeError):
    """A tenant is not what the run found at its beginning; the message says how, and quotes nothing of the tenant's."""


def is_overtaken(error: BaseException) -> bool:
    """Tell whether somebody else migrated the tenant meanwhile: what a killed run had already sent still ends."""
    return _sqlstate(error) == OVERTAKEN


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same may succeed a moment later: somebody else held a lock, or the database was away."""
    state = _sqlstate(error)
    return state in _RETRYABLE or is_disconnected(error)


def is_disconnected(error: BaseException) -> bool:
    """Tell whether the connection is of no use any more."""
    state = _sqlstate(error)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state[:2] in _AWAY and state != "57014"  # that one is a statement's timeout


def describe(error: BaseException) -> str:
    """Return what went wrong, without any value that may be a tenant's: of errors in the data only the names of tables,
    columns and constraints, of errors in Python only the type and the place.
    """
    if isinstance(error, NotMigratable):
        return str(error)[:_LONGEST]
    state = _sqlstate(error)
    if state is None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"[:_LONGEST]
    diagnosis = error.__cause__.diag  # type: ignore[union-attr]  # psycopg's, as there is a SQLSTATE
    if state[:2] in _QUOTABLE:
        return f"{state} {diagnosis.message_primary}"[:_LONGEST]
    names = (diagnosis.table_name, diagnosis.column_name, diagnosis.constraint_name)
    return " ".join([state, type(error.__cause__).__name__, *filter(None, names)])[:_LONGEST]


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None) if isinstance(error, DatabaseError) else None
