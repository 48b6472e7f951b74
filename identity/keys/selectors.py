"""The key ring of this deployment, wherever its keys are kept, and how running processes follow it.

Three places, of which exactly one is used: the environment (``SIGNING_KEYS``), a file (``SIGNING_KEYS_FILE``, read
again when it changes), or else the database. Only keys in the database can be rotated by command and API.

With keys in the database, verifying asks nothing: a key that signs was published long before, a new ``kid`` is looked
up when it is first met, and whether a key was retired is asked by the statement that checks the token's claims
(``usable_condition``). Signing uses a ring at most a second old; what is published is read each time, because another
process may sign with a key that this one has never met.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg import sql

from identity.keys import encryption
from identity.keys.models import StoredKey
from identity.keys.pem import split_pems
from identity.keys.ring import KeyRing, KeyState, RingEntry, SigningKey, load_key, ring_of
from tenants.context.statements import Columns, fetch_all, table

_REFRESH_SECONDS = 1.0  # how old the ring that signs may be
_MISS_SECONDS = 1.0  # how often an unknown kid may make us look: forged ones come in any number
_LEEWAY_SECONDS = 60.0  # between our clocks, on top of the longest life of a token

_KEY = Columns(StoredKey, "key", ("kid", "private_key", "activates_at", "retired_at"))
_KEYS_IN_USE = (
    sql.SQL("SELECT {columns} FROM {keys} key WHERE key.retired_at IS NULL ORDER BY key.activates_at, key.created_at")
    .format(columns=_KEY.selected, keys=table(StoredKey))
    .as_string()
)

log = logging.getLogger(__name__)


def in_database() -> bool:
    """Tell whether the keys are in the database, and so can be rotated here."""
    return not settings.SIGNING_KEYS and not settings.SIGNING_KEYS_FILE


def key_ring() -> KeyRing:
    """Return the ring to sign with.

    Raises:
        ImproperlyConfigured: a key is no private key that we can use.
    """
    return _stored.ring(_REFRESH_SECONDS) if in_database() else _configured()


def active_key_seconds() -> float | None:
    """Return for how long the key that signs now has done so; None where nobody knows: of keys that are configured.

    Raises:
        ImproperlyConfigured: none signs.
    """
    began_at = key_ring().active_entry.activates_at if in_database() else 0
    return time.time() - began_at if began_at else None


def published_keys() -> list[SigningKey]:
    """Return the keys that whoever verifies our tokens has to know at this moment."""
    return (_stored.ring(0) if in_database() else _configured()).published()


def find_key(kid: str) -> SigningKey | None:
    """Return the key of ours with this id; None when there is none."""
    return _stored.find(kid) if in_database() else _configured().by_id.get(kid)


def kid_to_ask_about(kid: str) -> str | None:
    """Return the key that verified a token for ``usable_condition``; None where keys are not in the database, which has
    nothing to say about them.
    """
    return kid if in_database() else None


def usable_condition(kid: sql.Composable) -> sql.Composable:
    """Return the SQL expression that tells whether a key that verified a token has not been retired since; see
    ``kid_to_ask_about``.
    """
    return sql.SQL("({kid} IS NULL OR EXISTS (SELECT FROM {table} WHERE kid = {kid} AND retired_at IS NULL))").format(
        table=sql.Identifier(StoredKey._meta.db_table), kid=kid
    )


def is_usable(kid: str) -> bool:
    """Tell whether a key that verified a token has not been retired since."""
    return not in_database() or StoredKey.objects.filter(pk=kid, retired_at=None).exists()


def stored_keys() -> list[tuple[StoredKey, KeyState]]:
    """Return every key in the database with its state, the newest first."""
    rows = list(StoredKey.objects.order_by("activates_at", "created_at"))
    now = time.time()
    schedule = {row.kid: times for row, *times in _schedule(rows)}

    def state(row: StoredKey) -> KeyState:
        if row.retired_at is not None:
            return KeyState.RETIRED
        activates_at, succeeded_at, expires_at = schedule[row.kid]
        if now < activates_at:
            return KeyState.PENDING
        if now < succeeded_at:
            return KeyState.ACTIVE
        return KeyState.RETIRING if now < expires_at else KeyState.SPENT

    return [(row, state(row)) for row in reversed(rows)]


def forget() -> None:
    """Drop what this process knows of the keys in the database."""
    _stored.forget()


def _configured() -> KeyRing:
    if settings.SIGNING_KEYS:
        return _ring_of(tuple(settings.SIGNING_KEYS))
    file = Path(settings.SIGNING_KEYS_FILE)
    try:
        return _read_file(file, file.stat().st_mtime_ns)
    except OSError as error:
        raise ImproperlyConfigured(f"SIGNING_KEYS_FILE cannot be read: {error.strerror}.") from None


@lru_cache(maxsize=2)
def _ring_of(pems: tuple[str, ...]) -> KeyRing:
    return ring_of(pems)


@lru_cache(maxsize=1)
def _read_file(file: Path, _changed: int) -> KeyRing:
    return ring_of(split_pems(file.read_text()))


def _schedule(rows: Sequence[StoredKey]) -> Iterator[tuple[StoredKey, float, float, float]]:
    """Yield the rows that were not retired, each with when it begins to sign, when the next one does, and when its last
    token is dead.
    """
    live = [row for row in rows if row.retired_at is None]
    times = [*(row.activates_at.timestamp() for row in live), math.inf]
    grace = settings.LONGEST_LIFETIME.total_seconds() + _LEEWAY_SECONDS
    for row, (activates_at, succeeded_at) in zip(live, pairwise(times), strict=True):
        yield row, activates_at, succeeded_at, succeeded_at + grace


class _StoredRing:
    """The keys in the database, as this process knows them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._ring: KeyRing | None = None
        self._loaded_at = self._missed_at = -math.inf
        self._keys: dict[str, SigningKey] = {}

    def ring(self, max_age: float) -> KeyRing:
        ring = self._ring
        if ring is not None and time.monotonic() - self._loaded_at <= max_age:
            return ring
        with self._lock:
            if self._ring is None or time.monotonic() - self._loaded_at > max_age:
                self._ring = self._load()
                self._loaded_at = time.monotonic()
            return self._ring

    def find(self, kid: str) -> SigningKey | None:
        key = self.ring(math.inf).by_id.get(kid)
        if key is None and time.monotonic() - self._missed_at > _MISS_SECONDS:
            self._missed_at = time.monotonic()
            key = self.ring(0).by_id.get(kid)
        return key

    def _load(self) -> KeyRing:
        rows = [row for found in fetch_all(_KEYS_IN_USE) if (row := _KEY.take(iter(found))) is not None]
        known = {row.kid: key for row in rows if (key := self._keys.get(row.kid) or _open(row)) is not None}
        self._keys = known
        return KeyRing([RingEntry(known[row.kid], *times) for row, *times in _schedule(rows) if row.kid in known])


def _open(row: StoredKey) -> SigningKey | None:
    try:
        return load_key(encryption.decrypt(row.private_key))
    except encryption.Undecryptable:
        log.warning("Signing key %s was encrypted under another SECRET_KEY; it is left out.", row.kid)
        return None


_stored = _StoredRing()
