"""From the beginning of a sign-in by a provider to what comes of it. Every function is one transaction; what a provider
is asked in between is in none.

Whoever begins it keeps a secret (``code_verifier``) and shows its hash. What the browser brings back in the end is
worth nothing without that secret: nobody is signed in to somebody else's account by a link, and nobody takes a code
from an address bar.
"""

import hashlib
import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from identity.keys.encryption import Undecryptable
from identity.oidc.errors import InvalidCode, UnknownAttempt
from identity.oidc.models import Attempt, seal, unseal

LIFETIME = timedelta(minutes=10)  # for a person to sign in at the provider
CODE_LIFETIME = timedelta(seconds=60)
_BYTES = 32


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt, in the hands of whoever began it.

    Attributes:
        content: what ``finish`` was given.
    """

    kind: str
    provider_key: str
    tenant_id: UUID | None
    user_id: UUID | None
    extra: dict[str, Any]
    content: dict[str, Any]


@transaction.atomic
def begin(
    *,
    kind: str,
    provider_key: str,
    return_to: str,
    code_challenge: str,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
    extra: dict[str, Any] | None = None,
) -> Attempt:
    """Begin a sign-in by a provider.

    Args:
        kind, provider_key, tenant_id, user_id, extra: as ``models.Attempt`` has them.
        return_to: which was checked; see ``origins``.
        code_challenge: of a verifier that only whoever begins it has (RFC 7636, S256).
    """
    state = secrets.token_urlsafe(_BYTES)
    attempt = Attempt.objects.create(
        state_digest=_digest(state),
        kind=kind,
        provider_key=provider_key,
        tenant_id=tenant_id,
        user_id=user_id,
        return_to=return_to,
        code_challenge=code_challenge,
        nonce=secrets.token_urlsafe(_BYTES),
        sealed_verifier=seal(secrets.token_urlsafe(_BYTES)),
        extra=extra or {},
        expires_at=timezone.now() + LIFETIME,
    )
    attempt.state = state
    return attempt


@transaction.atomic
def consume(state: str, *, kinds: Collection[str]) -> Attempt:
    """Return the attempt that a browser has come back for. Of many who come with the same state, one gets it.

    Args:
        kinds: those that whoever asks is about.

    Raises:
        UnknownAttempt: there is none, or it is too old, or somebody came back for it before.
    """
    now = timezone.now()
    waiting = Attempt.objects.filter(state_digest=_digest(state), kind__in=kinds, answered_at=None, expires_at__gt=now)
    if not waiting.update(answered_at=now):
        raise UnknownAttempt
    attempt = Attempt.objects.get(state_digest=_digest(state))
    try:
        _ = attempt.verifier
    except Undecryptable:
        raise UnknownAttempt from None
    return attempt


@transaction.atomic
def finish(attempt: Attempt, content: dict[str, Any]) -> str:
    """Keep what came of a consumed attempt, as JSON, and return the one-time code for it.

    Raises:
        UnknownAttempt: it is gone, or has a code already.
    """
    code = secrets.token_urlsafe(_BYTES)
    rows = Attempt.objects.filter(pk=attempt.pk, answered_at__isnull=False, code_digest=None)
    kept = rows.update(
        code_digest=_digest(code),
        sealed_outcome=seal(json.dumps(content)),
        expires_at=timezone.now() + CODE_LIFETIME,
    )
    if not kept:
        raise UnknownAttempt
    return code


def take(*, code: str, code_verifier: str, kinds: Collection[str]) -> Outcome:
    """Return what came of an attempt, once. A wrong verifier uses the code up as well.

    Args:
        kinds: those that whoever asks is about; a code of another kind stays good where it belongs.

    Raises:
        InvalidCode: the code is unknown, used or too old, or the verifier is not the one of who began it.
    """
    attempt = _used_up(code, kinds)
    if attempt is None or attempt.sealed_outcome is None:
        raise InvalidCode
    if not constant_time_compare(create_s256_code_challenge(code_verifier), attempt.code_challenge):
        raise InvalidCode
    try:
        content = json.loads(unseal(attempt.sealed_outcome))
    except Undecryptable:
        raise InvalidCode from None
    return Outcome(attempt.kind, attempt.provider_key, attempt.tenant_id, attempt.user_id, attempt.extra, content)


@transaction.atomic
def _used_up(code: str, kinds: Collection[str]) -> Attempt | None:
    rows = Attempt.objects.filter(code_digest=_digest(code), kind__in=kinds, expires_at__gt=timezone.now())
    attempt = rows.select_for_update().first()
    if attempt is not None:
        Attempt.objects.filter(pk=attempt.pk).delete()
    return attempt


@transaction.atomic
def prune_attempts(*, limit: int) -> int:
    """Delete at most `limit` attempts that are over, and return how many: nobody asks for them again."""
    old = Attempt.objects.filter(expires_at__lt=timezone.now()).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    Attempt.objects.filter(pk__in=batch).delete()
    return len(batch)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
