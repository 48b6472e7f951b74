"""What people do about their second factors. Every function is one transaction, which begins by holding the account: it
says whether there are any (``User.has_second_factor``), and signing in holds it too.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import challenges, passkeys, recovery, selectors, totp
from identity.factors.challenges import Begun
from identity.factors.errors import (
    AddressNotProved,
    InvalidFactor,
    NoSecondFactor,
    ProveSecondFactor,
    TooManyFactors,
)
from identity.factors.models import Challenge, Factor, Kind, Purpose, RecoveryCode
from identity.factors.passkeys import Credential, Refused
from identity.factors.signals import factor_added
from identity.keys.encryption import Undecryptable
from identity.mail.services import enqueue
from tenants.audit.services import Target, record

_MOST = 20
_NAMES = {Kind.TOTP: "Authenticator app", Kind.PASSKEY: "Passkey"}


@dataclass(frozen=True)
class Caller:
    """Who changes second factors, and in which sign-in.

    Attributes:
        api: which one's session it is.
        has_proved: whether that sign-in was with a second factor.
    """

    user_id: UUID
    session_id: UUID | None
    api: str
    has_proved: bool


@dataclass(frozen=True)
class Added:
    """A new factor, and the recovery codes that come with the first one; nobody sees them again."""

    factor: Factor
    recovery_codes: list[str] | None


def begin_totp(*, caller: Caller) -> tuple[Begun, bytes, User]:
    """Begin to set up an authenticator app; return the challenge, the app's secret, and whose it is.

    Raises:
        AddressNotProved, TooManyFactors, ProveSecondFactor: as ``_hold``.
    """
    secret = totp.new_secret()
    with transaction.atomic():
        user = _hold(caller, adding=True)
        begun = challenges.begin(
            purpose=Purpose.NEW_TOTP,
            api=caller.api,
            user_id=user.pk,
            secret=totp.seal(secret),
            lifetime=challenges.SET_UP_LIFETIME,
        )
    return begun, secret, user


def confirm_totp(*, caller: Caller, text: str, code: str, name: str) -> Added:
    """Add the app that was being set up, now that it has shown a code. Wrong ones are counted.

    Raises:
        InvalidFactor: the code is wrong, or the challenge is not theirs or is over.
        AddressNotProved, TooManyFactors, ProveSecondFactor: as ``_hold``.
    """
    challenge = challenges.attempt(
        signed=challenges.read(text), purpose=Purpose.NEW_TOTP, api=caller.api, user_id=caller.user_id
    )
    with transaction.atomic():
        user = _hold(caller, adding=True)
        return add_totp(user=user, challenge=challenge, code=code, name=name, session_id=caller.session_id)


@transaction.atomic
def add_totp(*, user: User, challenge: Challenge, code: str, name: str, session_id: UUID | None) -> Added:
    """Add to a held account the app whose secret is in a challenge, if the code is one of its.

    Raises:
        InvalidFactor: it is not, or the challenge was answered meanwhile.
    """
    step = challenge.secret and totp.step_of(challenge.secret, code)
    if not step:
        raise InvalidFactor
    challenges.finish(challenge=challenge)
    factor = Factor(user=user, kind=Kind.TOTP, name=name or _NAMES[Kind.TOTP], secret=challenge.secret, last_step=step)
    return _add(user, factor, session_id)


@transaction.atomic
def begin_passkey(*, caller: Caller) -> tuple[Begun, dict[str, object]]:
    """Begin to make a passkey; return the challenge, and what the browser is to be asked for.

    Raises:
        AddressNotProved, TooManyFactors, ProveSecondFactor: as ``_hold``.
    """
    user = _hold(caller, adding=True)
    begun = challenges.begin(purpose=Purpose.NEW_PASSKEY, api=caller.api, user_id=user.pk)
    options = passkeys.registration_options(
        begun.signed, user_id=user.pk, email=user.email, present=selectors.passkey_ids(user.pk)
    )
    return begun, options


def add_passkey(*, caller: Caller, credential: Credential, name: str) -> Added:
    """Add the passkey that a browser has made.

    Raises:
        InvalidFactor: it was made for no open challenge of theirs, elsewhere, or without its person's consent; or
            somebody has it already.
        AddressNotProved, TooManyFactors, ProveSecondFactor: as ``_hold``.
    """
    signed = passkeys.challenge_of(credential)
    challenge = challenges.attempt(signed=signed, purpose=Purpose.NEW_PASSKEY, api=caller.api, user_id=caller.user_id)
    try:
        made = passkeys.register(signed or b"", credential)
        with transaction.atomic():
            user = _hold(caller, adding=True)
            challenges.finish(challenge=challenge)
            factor = Factor(user=user, kind=Kind.PASSKEY, name=name or _NAMES[Kind.PASSKEY], **vars(made))
            return _add(user, factor, caller.session_id)
    except (Refused, IntegrityError):
        raise InvalidFactor from None


@transaction.atomic
def rename(*, user_id: UUID, factor_id: UUID, name: str) -> Factor:
    """Call a factor something else, as its person.

    Raises:
        Factor.DoesNotExist: they have no such factor.
    """
    factor = selectors.factors_of(user_id).get(pk=factor_id)
    factor.name = name
    factor.save(update_fields=["name"])
    return factor


@transaction.atomic
def remove(*, caller: Caller, factor_id: UUID) -> None:
    """Remove a factor. With the last one, recovery codes go too.

    Raises:
        Factor.DoesNotExist: they have no such factor.
        ProveSecondFactor: as ``_hold``.
    """
    user = _hold(caller)
    factor = selectors.factors_of(user.pk).get(pk=factor_id)
    target, kind = _target(factor), factor.kind
    factor.delete()
    _settle(user)
    enqueue(template="second_factor_removed", to=user.email, context={"user": user.pk, "kind": kind})
    record(
        action="account.second_factor_removed",
        tenant_id=None,
        person=user.pk,
        targets=[accounts.target(user), target],
        changes={"kind": [kind, None]},
    )


@transaction.atomic
def renew_recovery_codes(*, caller: Caller) -> list[str]:
    """Return ten new recovery codes; former ones are good no more.

    Raises:
        NoSecondFactor: there is nothing that they could stand in for.
        ProveSecondFactor: as ``_hold``.
    """
    user = _hold(caller)
    if not user.has_second_factor:
        raise NoSecondFactor
    codes = _new_recovery_codes(user)
    enqueue(template="recovery_codes_made", to=user.email, context={"user": user.pk})
    record(action="account.recovery_codes_made", tenant_id=None, person=user.pk, targets=[accounts.target(user)])
    return codes


@transaction.atomic
def remove_all(*, user_id: UUID) -> int:
    """Remove every factor of somebody who has lost them, and return how many there were. Their sessions stay.

    Raises:
        User.DoesNotExist: there is no such active account.
    """
    user = accounts.hold_account(user_id=user_id)
    kinds = list(Factor.objects.filter(user=user).order_by("created_at").values_list("kind", flat=True))
    Factor.objects.filter(user=user).delete()
    _settle(user)
    if kinds:
        enqueue(template="second_factors_reset", to=user.email, context={"user": user.pk})
        record(
            action="account.second_factors_reset",
            tenant_id=None,
            targets=[accounts.target(user)],
            changes={"kinds": [kinds, []]},
        )
    return len(kinds)


@transaction.atomic
def seal_again() -> int:
    """Keep the secret of every app under the present SECRET_KEY, and return how many there are; one that nobody can
    open is left as it is.
    """
    sealed = 0
    for factor in Factor.objects.filter(kind=Kind.TOTP).select_for_update(no_key=True).iterator():
        try:
            factor.secret = totp.seal_again(factor.secret or b"")
        except Undecryptable:
            continue
        factor.save(update_fields=["secret"])
        sealed += 1
    return sealed


def _hold(caller: Caller, *, adding: bool = False) -> User:
    """Return the caller's account, held until the transaction ends.

    Raises:
        ProveSecondFactor: it has second factors, and the caller has not proved one: who knows a password, and no more,
            must not do away with them, nor add one of their own.
        AddressNotProved: whoever claimed an address first would keep the account by it.
        TooManyFactors: there is no room for another one.
        User.DoesNotExist: it was closed a moment ago.
    """
    user = accounts.hold_account(user_id=caller.user_id)
    if user.has_second_factor and not caller.has_proved:
        raise ProveSecondFactor
    if adding and user.email_verified_at is None:
        raise AddressNotProved
    if adding and Factor.objects.filter(user=user).count() >= _MOST:
        raise TooManyFactors
    return user


def _add(user: User, factor: Factor, session_id: UUID | None) -> Added:
    factor.last_used_at = timezone.now()
    factor.save(force_insert=True)
    codes = None if RecoveryCode.objects.filter(user=user).exists() else _new_recovery_codes(user)
    _settle(user)
    factor_added.send(sender=Factor, user_id=user.pk, session_id=session_id, kind=factor.kind)
    enqueue(template="second_factor_added", to=user.email, context={"user": user.pk, "kind": factor.kind})
    record(
        action="account.second_factor_added",
        tenant_id=None,
        person=user.pk,
        targets=[accounts.target(user), _target(factor)],
        changes={"kind": [None, factor.kind]},
    )
    return Added(factor, codes)


def _new_recovery_codes(user: User) -> list[str]:
    codes = recovery.new_codes()
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, digest=recovery.digest_of(code)) for code in codes])
    return codes


def _settle(user: User) -> None:
    """Have the account say whether there are any, and leave no recovery codes that stand in for nothing."""
    has_any = Factor.objects.filter(user=user).exists()
    if not has_any:
        RecoveryCode.objects.filter(user=user).delete()
    accounts.note_second_factors(user=user, has_any=has_any)


def _target(factor: Factor) -> Target:
    return Target("second_factor", factor.pk)
