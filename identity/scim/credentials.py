"""Tokens of tenants' directories: made, found, checked. Every function is one transaction."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from identity.scim.errors import TooManyScimTokens
from identity.scim.models import ScimToken
from tenants.audit.services import Target, record
from tenants.registry import services as registry

_PREFIX = "tscim_"  # tells people, and secret scanners, what it is
_LIVE = 2
_SECRET_BYTES = 32
_ID_BYTES = 16
_TEXT = re.compile(rf"{_PREFIX}([A-Za-z0-9_-]{{43}})\.[A-Za-z0-9_-]{{43}}", re.ASCII)
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Presented:
    """A token as somebody presents it: which one it says that it is, and what proves that."""

    tenant_id: UUID
    token_id: UUID
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what a token's text says; None when it is none."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        ids = urlsafe_b64decode(match[1] + "=")
        return cls(UUID(bytes=ids[:_ID_BYTES]), UUID(bytes=ids[_ID_BYTES:]), _digest(text))

    def is_genuine(self, digest: bytes | None) -> bool:
        """Tell whether this is the token that was kept as `digest`, in constant time; a token has one spelling."""
        return digest is not None and hmac.compare_digest(self.digest, digest)


@transaction.atomic
def create_token(*, tenant_id: UUID, name: str, by: UUID, expires_at: datetime | None) -> tuple[ScimToken, str]:
    """Make a token and return it with its text; nobody sees the text again.

    Raises:
        TooManyScimTokens: the tenant has two live ones; exact, however many are made at once.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    if _live(tenant_id).count() >= _LIVE:
        raise TooManyScimTokens
    row = ScimToken(tenant_id=tenant_id, name=name, created_by=by, expires_at=expires_at)
    ids = urlsafe_b64encode(tenant_id.bytes + row.pk.bytes).decode().rstrip("=")
    text = f"{_PREFIX}{ids}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    row.digest, row.hint = _digest(text), text[-4:]
    row.save(force_insert=True)
    _record("scim_token.created", row, {"hint": [None, row.hint], "expires_at": [None, expires_at]})
    return row, text


@transaction.atomic
def revoke_token(*, tenant_id: UUID, token_id: UUID) -> None:
    """Delete a token. It is refused from its next request on.

    Raises:
        ScimToken.DoesNotExist: the tenant has no such token.
    """
    row = ScimToken.objects.select_for_update(of=("self",)).get(pk=token_id, tenant_id=tenant_id)
    _record("scim_token.revoked", row, {"hint": [row.hint, None]})
    row.delete()


def note_use(*, token_id: UUID, last_used_at: datetime | None) -> None:
    """Remember when a token was used, at most once a minute: its row is not written on every call."""
    now = timezone.now()
    if last_used_at is None or last_used_at < now - _USE_NOTED_EVERY:
        ScimToken.objects.filter(pk=token_id).update(last_used_at=now)


@transaction.atomic
def prune_tokens(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` tokens that expired `keep` ago, and return how many."""
    old = ScimToken.objects.filter(expires_at__lt=timezone.now() - keep).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    ScimToken.objects.filter(pk__in=batch).delete()
    return len(batch)


def _live(tenant_id: UUID) -> QuerySet[ScimToken]:
    own = ScimToken.objects.filter(tenant_id=tenant_id)
    return own.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _record(action: str, row: ScimToken, changes: dict[str, list[datetime | str | None]]) -> None:
    record(action=action, tenant_id=row.tenant_id, targets=[Target("scim_token", row.pk, row.name)], changes=changes)
