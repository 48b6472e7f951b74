"""Looking at what somebody gives to prove a second factor. What is good once is used up by it, in the caller's
transaction: of many who give the same at once, one has proved something.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import passkeys, recovery, totp
from identity.factors.errors import TooManyTries
from identity.factors.models import Factor, Kind, RecoveryCode
from identity.factors.passkeys import Credential, Refused
from identity.mail.services import enqueue
from tenants.audit.services import record

_TRIES = 20  # of codes, in an hour: a guess is right with three in a million
_TRIES_WITHIN = timedelta(hours=1)


class Method(StrEnum):
    """By what one proves oneself besides a password."""

    TOTP = Kind.TOTP.value
    PASSKEY = Kind.PASSKEY.value
    RECOVERY_CODE = "recovery_code"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What somebody gives: exactly one of these."""

    code: str | None = None
    recovery_code: str | None = None
    credential: Credential | None = None

    @property
    def field(self) -> str:
        """The name of what is given."""
        return next(name for name, value in vars(self).items() if value is not None)


@transaction.atomic
def count_try(*, user_id: UUID, answer: Answer) -> None:
    """Count the try of a code before it is looked at, in the row of each app that it may be of: whatever process or
    address asks, nobody guesses more often. Let it be committed. Nothing else can be guessed.

    Raises:
        TooManyTries: there were too many within the hour.
    """
    if answer.code is None:
        return
    now = timezone.now()
    apps = Factor.objects.filter(user_id=user_id, kind=Kind.TOTP)
    is_over = Q(tries_since=None) | Q(tries_since__lte=now - _TRIES_WITHIN)
    counted = apps.filter(is_over | Q(tries__lt=_TRIES)).update(
        tries=Case(When(is_over, then=Value(1)), default=F("tries") + 1),
        tries_since=Case(When(is_over, then=Value(now)), default=F("tries_since")),
    )
    if not counted:
        since = apps.order_by("-tries_since").values_list("tries_since", flat=True).first()
        if since is not None:
            raise TooManyTries((since + _TRIES_WITHIN - now).total_seconds())


@transaction.atomic
def prove(*, user: User, answer: Answer, signed: bytes | None = None) -> Method | None:
    """Return by what a person has proved themselves; None when they have not. It is used up.

    Args:
        signed: the challenge that a passkey must have signed.
    """
    ways: dict[str, tuple[Method, Callable[[], bool]]] = {
        "code": (Method.TOTP, lambda: _use_code(user.pk, answer.code or "")),
        "recovery_code": (Method.RECOVERY_CODE, lambda: _use_recovery_code(user, answer.recovery_code or "")),
        "credential": (Method.PASSKEY, lambda: _use_passkey(user.pk, answer.credential or {}, signed)),
    }
    method, is_proved = ways[answer.field]
    return method if is_proved() else None


def _use_code(user_id: UUID, code: str) -> bool:
    now = timezone.now()
    for app in Factor.objects.filter(user_id=user_id, kind=Kind.TOTP).order_by("created_at"):
        step = app.secret and totp.step_of(app.secret, code)
        if step:
            unused = Factor.objects.filter(pk=app.pk, last_step__lt=step)
            return bool(unused.update(last_step=step, last_used_at=now, tries=0, tries_since=None))
    return False


def _use_recovery_code(user: User, code: str) -> bool:
    """Use up a recovery code, and tell its person: it may have been somebody else."""
    if not RecoveryCode.objects.filter(user=user, digest=recovery.digest_of(code)).delete()[0]:
        return False
    enqueue(template="recovery_code_used", to=user.email, context={"user": user.pk})
    record(action="account.recovery_code_used", tenant_id=None, person=user.pk, targets=[accounts.target(user)])
    return True


def _use_passkey(user_id: UUID, credential: Credential, signed: bytes | None) -> bool:
    row = Factor.objects.filter(user_id=user_id, kind=Kind.PASSKEY, credential_id=passkeys.id_of(credential)).first()
    if row is None or row.public_key is None or signed is None:
        return False
    try:
        said = passkeys.verify(signed, credential, user_id=user_id, public_key=bytes(row.public_key))
    except Refused:
        return False
    # One that counts its signatures goes on counting, or there are two of it (WebAuthn section 6.1.1).
    going_on = Q(sign_count__lt=said.sign_count) if said.sign_count else Q(sign_count=0)
    noted: dict[str, Any] = {"sign_count": said.sign_count, "is_backed_up": said.is_backed_up}
    return bool(Factor.objects.filter(going_on, pk=row.pk).update(**noted, last_used_at=timezone.now()))
