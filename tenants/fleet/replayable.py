"""Which migrations can be replayed in tenants that have rows already: those whose SQL is the same in every one of them.

``RunSQL`` may read as it likes: it does so where it is replayed.
"""

from collections.abc import Iterable
from typing import Any

from django.db.migrations import Migration, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED, Field
from django.utils import timezone

from tenants.lifecycle.template import computes

# Defaults that are computed and come to the same for everybody. Others (``uuid4``, a secret) would give all tenants
# what was computed for one.
_ALIKE = (dict, list, set, tuple, str, int, float, bool, bytes, timezone.now)


def is_replayable(migration: Migration) -> bool:
    """Tell whether the SQL of one tenant is that of all, and can be in a transaction."""
    in_transaction = migration.atomic is not False
    return in_transaction and not computes(migration) and not _fills_in(migration.operations)


def _fills_in(operations: Iterable[Operation]) -> bool:
    """Tell whether rows get a default that Python computes."""
    return any(
        _fills_in(operation.database_operations)
        if isinstance(operation, SeparateDatabaseAndState)
        else _is_computed(getattr(operation, "field", None))  # of AddField and AlterField
        for operation in operations
    )


def _is_computed(field: Any) -> bool:
    if not isinstance(field, Field) or field.default is NOT_PROVIDED:
        return False
    return callable(field.default) and field.default not in _ALIKE
