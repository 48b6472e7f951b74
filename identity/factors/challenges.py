"""Asking somebody to prove something, and taking their answer once."""

import hashlib
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from identity.factors.errors import InvalidFactor
from identity.factors.models import Challenge, Purpose

LENGTH = 43  # characters of a challenge's text
LIFETIME = timedelta(minutes=5)
SET_UP_LIFETIME = timedelta(minutes=15)  # for who has to find an app first
_TRIES = 5
_BYTES = 32
_TEXT = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH}}}", re.ASCII)


@dataclass(frozen=True)
class Begun:
    """A challenge that was just made.

    Attributes:
        signed: its 32 bytes: what a passkey signs.
    """

    signed: bytes
    expires_in: int

    @property
    def text(self) -> str:
        """The bytes, as who answers sends them."""
        return urlsafe_b64encode(self.signed).decode().rstrip("=")


def read(text: str) -> bytes | None:
    """Return the bytes of a challenge's text; None when it is none."""
    if not _TEXT.fullmatch(text):
        return None
    signed = urlsafe_b64decode(text + "=")
    return signed if urlsafe_b64encode(signed).decode().rstrip("=") == text else None


@transaction.atomic
def begin(
    *,
    purpose: Purpose,
    api: str,
    user_id: UUID | None = None,
    data: dict[str, Any] | None = None,
    secret: bytes | None = None,
    lifetime: timedelta = LIFETIME,
) -> Begun:
    """Ask somebody (whoever it is, if none is named) to prove something."""
    signed = secrets.token_bytes(_BYTES)
    Challenge.objects.create(
        digest=_digest(signed),
        purpose=purpose,
        api=api,
        user_id=user_id,
        data=data or {},
        secret=secret,
        expires_at=timezone.now() + lifetime,
    )
    return Begun(signed, int(lifetime.total_seconds()))


@transaction.atomic
def attempt(*, signed: bytes | None, purpose: Purpose, api: str, user_id: UUID | None = None) -> Challenge:
    """Return a challenge that is about to be answered. The try counts before the answer is looked at, so that many at
    once are not more of them; let it be committed, whatever becomes of the answer.

    Args:
        user_id: whose it must be, where the caller is known.

    Raises:
        InvalidFactor: there is none, or it is over, was answered, or was tried too often.
    """
    if signed is not None:
        open_ones = Challenge.objects.filter(
            digest=_digest(signed), purpose=purpose, api=api, expires_at__gt=timezone.now(), tries__lt=_TRIES
        )
        if user_id is not None:
            open_ones = open_ones.filter(user_id=user_id)
        if open_ones.update(tries=F("tries") + 1):
            found = Challenge.objects.filter(digest=_digest(signed)).first()
            if found is not None:
                return found
    raise InvalidFactor


def finish(*, challenge: Challenge) -> None:
    """Use a challenge up, in the transaction of what it was for: of many answers at once, one is first.

    Raises:
        InvalidFactor: another one was.
    """
    if not Challenge.objects.filter(pk=challenge.pk).delete()[0]:
        raise InvalidFactor


@transaction.atomic
def put_secret(*, challenge: Challenge, secret: bytes) -> None:
    """Keep in a challenge what its answer will be checked with, and leave time to set that up, once.

    Raises:
        InvalidFactor: it was answered, or somebody else did the same, meanwhile.
    """
    rows = Challenge.objects.filter(pk=challenge.pk, secret=None)
    if not rows.update(secret=secret, expires_at=timezone.now() + SET_UP_LIFETIME):
        raise InvalidFactor


@transaction.atomic
def prune_challenges(*, limit: int) -> int:
    """Delete at most `limit` challenges that are over, and return how many: nobody asks for them again."""
    old = Challenge.objects.filter(expires_at__lt=timezone.now()).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    Challenge.objects.filter(pk__in=batch).delete()
    return len(batch)


def _digest(signed: bytes) -> bytes:
    return hashlib.sha256(signed).digest()
