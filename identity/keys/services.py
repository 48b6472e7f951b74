"""Rotating and retiring signing keys: every function is one transaction, and one at a time."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connections, router, transaction
from django.utils import timezone

from identity.keys import encryption, selectors
from identity.keys.errors import KeyInUse, KeysNotInDatabase
from identity.keys.models import StoredKey
from identity.keys.ring import Algorithm, KeyState, generate_key, load_key
from tenants.audit.services import Target, record

_LOCK = 0x6B657973  # "keys": whoever changes the ring holds this advisory lock


@transaction.atomic
def rotate(*, immediately: bool = False, algorithm: Algorithm | None = None) -> StoredKey:
    """Make the next signing key. It is published now and signs after ``settings.SIGNING_KEY_LEAD``, so that whoever
    keeps a copy of our keys has it by then; the present one stays until its last token is dead.

    Doing it again while a key is waiting changes nothing, so a retry is safe; `immediately` lets the waiting one sign
    now. Every row is encrypted under the present SECRET_KEY on the way.

    Args:
        immediately: sign with it at once, for when the present key is in wrong hands. Verifiers that do not look up
            an unknown ``kid`` refuse its tokens for a while.
        algorithm: ``settings.SIGNING_ALGORITHM`` unless given.

    Raises:
        KeysNotInDatabase: the keys are kept elsewhere.
    """
    _lock()
    _encrypt_again()
    now = timezone.now()
    begin = now if immediately else now + settings.SIGNING_KEY_LEAD
    pending = StoredKey.objects.filter(retired_at=None, activates_at__gt=now).first()
    if pending is None:
        pending = _create(begin, algorithm or Algorithm(settings.SIGNING_ALGORITHM))
    elif immediately:
        pending.activates_at = now
        pending.save(update_fields=["activates_at"])
    transaction.on_commit(selectors.forget)
    _record("key.rotated", pending, activates_at=[None, pending.activates_at])
    return pending


@transaction.atomic
def retire(*, kid: str) -> StoredKey:
    """Take a key out of use: tokens that it signed are refused from their next request on, on every process.

    Retiring it twice changes nothing.

    Raises:
        StoredKey.DoesNotExist: there is no such key.
        KeyInUse: it signs now.
        KeysNotInDatabase: the keys are kept elsewhere.
    """
    _lock()
    row = StoredKey.objects.get(pk=kid)
    if row.retired_at is None:
        if (row, KeyState.ACTIVE) in selectors.stored_keys():
            raise KeyInUse
        row.retired_at = timezone.now()
        row.save(update_fields=["retired_at"])
        transaction.on_commit(selectors.forget)
        _record("key.retired", row)
    return row


@transaction.atomic
def ensure_key() -> None:
    """Make the first key of a deployment that keeps its keys in the database; any further call changes nothing."""
    if not selectors.in_database():
        return
    _lock()
    if not StoredKey.objects.filter(retired_at=None).exists():
        _create(timezone.now(), Algorithm(settings.SIGNING_ALGORITHM))


@transaction.atomic
def prune_keys(*, keep: timedelta) -> int:
    """Delete spent keys that are older than `keep`, and keys that were retired before it; return how many they were."""
    old = timezone.now() - keep
    spent = [
        row.kid
        for row, state in selectors.stored_keys()
        if (state is KeyState.SPENT and row.activates_at < old)
        or (state is KeyState.RETIRED and row.retired_at is not None and row.retired_at < old)
    ]
    deleted, _ = StoredKey.objects.filter(pk__in=spent).delete()
    return deleted


def ensure_key_after_migrating(*, using: str, **signal: Any) -> None:
    """Run ``ensure_key`` once the shared schema is migrated (a receiver of ``post_migrate``)."""
    if StoredKey._meta.db_table in connections[using].introspection.table_names():
        ensure_key()


def _lock() -> None:
    if not selectors.in_database():
        raise KeysNotInDatabase
    with connections[router.db_for_write(StoredKey)].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _create(activates_at: Any, algorithm: Algorithm) -> StoredKey:
    pem = generate_key(algorithm).encode()
    while load_key(pem).kid.startswith("-"):  # one in 64: `signing_keys retire` would take its id for an option
        pem = generate_key(algorithm).encode()
    key = load_key(pem)
    return StoredKey.objects.create(
        kid=key.kid, algorithm=key.algorithm, private_key=encryption.encrypt(pem), activates_at=activates_at
    )


def _encrypt_again() -> None:
    for row in StoredKey.objects.select_for_update().filter(retired_at=None):
        try:
            row.private_key = encryption.encrypt_again(row.private_key)
        except encryption.Undecryptable:
            continue  # it verifies nothing any more either; prune_keys() gets it in its time
        row.save(update_fields=["private_key"])


def _record(action: str, key: StoredKey, **changes: list[Any]) -> None:
    record(action=action, tenant_id=None, targets=[Target("key", key.pk)], changes=changes)
