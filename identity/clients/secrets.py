"""Secrets of programs, whichever sort of program has them: made here, shown once, kept as digests."""

import hashlib
import secrets
from datetime import timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from identity.clients.models import StoredSecret

S = TypeVar("S", bound=StoredSecret)

LIVE_AT_ONCE = 2  # so that one can be replaced without a gap
USE_NOTED_EVERY = timedelta(minutes=1)
_PREFIX = "ts_"  # tells people, and secret scanners, what it is


def generate() -> tuple[str, dict[str, bytes | str]]:
    """Return a new secret, and the columns that its row has of it."""
    text = _PREFIX + secrets.token_urlsafe(32)
    return text, {"digest": digest_of(text), "hint": text[-4:]}


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def live(rows: QuerySet[S]) -> QuerySet[S]:
    """Narrow secrets to those that have not expired."""
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


@transaction.atomic
def prune(rows: QuerySet[S], *, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` secrets that expired `keep` ago, and return how many."""
    old = rows.filter(expires_at__lt=timezone.now() - keep).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    rows.filter(pk__in=batch).delete()
    return len(batch)


def is_use_to_be_noted(secret: StoredSecret) -> bool:
    """Tell whether the use of a secret is to be written down: at most once a minute, or a busy program's row would be
    written on every call.
    """
    return secret.last_used_at is None or secret.last_used_at < timezone.now() - USE_NOTED_EVERY
