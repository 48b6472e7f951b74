"""The warm pool: schemas that were made ahead, so that a tenant is there without any DDL.

A schema's name is generated and says nothing, so whoever needs a schema takes a finished one: its row is deleted from
the pool in the claimer's own transaction, and is back if that one rolls back.
"""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connections, transaction

from tenants.context.ownership import as_owner, current_alias
from tenants.lifecycle import locks, schemas, template
from tenants.lifecycle.models import Spare
from tenants.lifecycle.signals import spare_claimed
from tenants.registry import names

# The last column counts before anything is deleted.
_CLAIM = f"""
DELETE FROM {Spare._meta.db_table} WHERE schema_name = (
    SELECT schema_name FROM {Spare._meta.db_table}
    WHERE NOT is_retired AND to_regnamespace(schema_name) IS NOT NULL
    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING schema_name, (SELECT count(*) FROM {Spare._meta.db_table} WHERE NOT is_retired)
"""  # noqa: S608 -- a table of ours


def claim() -> str | None:
    """Take a spare out of the pool and return its schema's name; None when there is none to be had. One statement, as
    the app's role or the owner's; to be called in the transaction that registers its tenant.
    """
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(_CLAIM)
        row = cursor.fetchone()
    if row is None:
        return None
    schema_name, size_before = row
    if size_before - 1 <= settings.POOL_SIZE // 2:  # several are made at a time, and not every sign-up asks for it
        transaction.on_commit(partial(spare_claimed.send_robust, sender=Spare), using=current_alias())
    return str(schema_name)


def size() -> int:
    """Return how many spares can be claimed."""
    return Spare.objects.filter(is_retired=False).count()


def refill(*, target: int, made: Callable[[], object] = lambda: None) -> int:
    """Make spares until there are `target`, and return how many were made; then drop those of former templates. Each is
    a transaction of the owner's. It can be killed and run again; of two that run at once neither overshoots.

    Args:
        made: called after each that was made.
    """
    count = 0
    while _make_one(target):
        count += 1
        made()
    drop_retired()
    return count


def drop_retired() -> int:
    """Drop the spares that nobody claims any more, each in one transaction of the owner's, and return how many."""
    return _drop_all(is_retired=True)


def empty() -> int:
    """Drop every spare, and return how many there were."""
    return _drop_all()


def _make_one(target: int) -> bool:
    with as_owner():
        current = template.hold_current()
        locks.hold(locks.POOL)
        if size() >= target:
            return False
        schema_name = names.generate_schema_name()
        schemas.create_from(current, schema_name=schema_name)
        Spare.objects.create(schema_name=schema_name, template=current)
    return True


def _drop_all(**which: bool) -> int:
    count = 0
    while _drop_one(**which):
        count += 1
    return count


def _drop_one(**which: bool) -> bool:
    with as_owner():
        spare = Spare.objects.filter(**which).select_for_update(skip_locked=True).first()
        if spare is None:
            return False
        schemas.drop(spare.schema_name)
        spare.delete()
    return True
