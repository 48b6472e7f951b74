"""Where sessions of browsers are kept: in Django's table, by digests of their keys. Who reads the database gets nothing
that a browser could send.
"""

import hashlib
from typing import Any, cast

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

_LENGTH = 40  # of the column, in hexadecimal digits: 160 bits


class SessionStore(db.SessionStore):
    """Django's, for a key of which the database has a digest."""

    def _get_session_from_db(self) -> Session | None:
        rows = Session.objects.filter(session_key=_digest(self.session_key or ""), expire_date__gt=timezone.now())
        row = rows.first()
        if row is None:
            self._session_key = None  # a key of the client's own choosing is never used
        return row

    def exists(self, session_key: str) -> bool:
        return bool(super().exists(_digest(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = cast("Session", super().create_model_instance(data))
        row.session_key = _digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(_digest(key))


@transaction.atomic
def prune_stored(*, limit: int) -> int:
    """Delete at most `limit` sessions that have expired, however short a time ago, and return how many."""
    old = Session.objects.filter(expire_date__lt=timezone.now()).order_by("expire_date")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    Session.objects.filter(pk__in=batch).delete()
    return len(batch)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_LENGTH]
