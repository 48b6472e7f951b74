"""Signing in by a second factor, after something else was proved; and by a passkey alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import challenges, passkeys, proving, selectors, totp
from identity.factors import services as factors
from identity.factors.challenges import Begun
from identity.factors.errors import InvalidFactor
from identity.factors.models import Challenge, Purpose
from identity.factors.passkeys import Credential
from identity.factors.proving import Answer, Method
from identity.keys.encryption import Undecryptable
from identity.members import selectors as members
from identity.members.errors import NotAMember
from identity.members.models import Membership
from identity.sessions.models import Api
from identity.sessions.proof import MULTI_FACTOR, PASSKEY, Proof, Way
from identity.sessions.services import Device
from identity.tokens import second_factors, services
from identity.tokens.authority import Authority
from identity.tokens.minting import IssuedTokens
from tenants.context.entry import TenantRef
from tenants.routing.errors import TenantMismatch


class Standing(NamedTuple):
    """What somebody may do where they meant to sign in, and by which membership they enter a tenant."""

    authority: Authority
    entering: Membership | None


@dataclass(frozen=True)
class Answered:
    """The tokens of a sign-in, and the recovery codes of who has just set up their first second factor."""

    tokens: IssuedTokens
    recovery_codes: list[str] | None = None


@dataclass(frozen=True)
class Enrolling:
    """An authenticator app that is being set up in the middle of a sign-in."""

    expires_in: int
    secret: bytes
    email: str


def answer(*, text: str, given: Answer, host_tenant: TenantRef | None, device: Device) -> Answered:
    """Go on with a sign-in that waits for a second factor; it ends where it was going.

    Raises:
        InvalidFactor: the factor is wrong, or the challenge is over, or the password has changed.
        TooManyTries: of codes.
        NotAMember, TenantSuspended: they may not enter the tenant any more.
        TenantMismatch: the host belongs to another tenant.
    """

    def standing(user_id: UUID, tenant_id: UUID | None) -> Standing:
        if host_tenant is not None and tenant_id != host_tenant.id:
            raise TenantMismatch
        if tenant_id is None:
            return Standing(Authority.of_person(None), None)
        membership = members.membership(user_id=user_id, tenant_id=tenant_id)
        if membership is None:
            raise NotAMember
        services.refuse_suspended(membership.tenant)
        return Standing(Authority.of_person(membership), membership)

    return complete(text=text, api=Api.TENANT, given=given, standing_of=standing, device=device)


def complete(
    *, text: str, api: Api, given: Answer, standing_of: Callable[[UUID, UUID | None], Standing], device: Device
) -> Answered:
    """As ``answer``, of either API; `standing_of` a user and a tenant says what they may do now, or raises."""
    challenge = _attempt(text, api)
    user_id = challenge.user_id
    if user_id is None:
        raise InvalidFactor
    proving.count_try(user_id=user_id, answer=given)
    with transaction.atomic():
        user = _hold(user_id)
        if not second_factors.is_unchanged(challenge, user):
            raise InvalidFactor
        tenant_id = challenge.data["tenant_id"]
        standing = standing_of(user_id, UUID(tenant_id) if tenant_id else None)
        method, codes = _enroll(user, challenge, given) if challenge.secret else _prove(user, challenge, given, text)
        proof = second_factors.proof_kept(challenge)
        tokens = services.start(
            user=user,
            authority=standing.authority,
            api=api,
            scope=challenge.data["scope"],
            proof=replace(proof, methods=second_factors.methods_with(proof.methods, method)),
            device=device,
            entering=standing.entering,
        )
        return Answered(tokens, codes)


def enroll(*, text: str, api: Api) -> Enrolling:
    """Set up an authenticator app in the middle of a sign-in that needs one, of who has no second factor; the challenge
    is then answered with the app's code. Asking again tells the same.

    Raises:
        InvalidFactor: the challenge is over, or is not for that.
    """
    challenge = _attempt(text, api)
    if challenge.user is None or not challenge.data["enrolls"]:
        raise InvalidFactor
    if challenge.secret is not None:
        secret = _opened(challenge.secret)
    else:
        secret = totp.new_secret()
        challenges.put_secret(challenge=challenge, secret=totp.seal(secret))
    return Enrolling(int(challenges.SET_UP_LIFETIME.total_seconds()), secret, challenge.user.email)


def ask_for_passkey(*, api: Api) -> Begun:
    """Ask whoever it is for a passkey."""
    return challenges.begin(purpose=Purpose.PASSKEY, api=api)


def sign_in_with_passkey(
    *, credential: Credential, host_tenant: TenantRef | None, slug: str | None, scope: str, device: Device
) -> IssuedTokens:
    """Sign in whoever has a passkey that has signed a challenge: what they have, and what unlocks it, are two factors.

    Raises:
        InvalidFactor: it is nobody's, or has not signed an open challenge; which of them is not told.
        NotAMember, TenantSuspended, TenantMismatch, InvalidScope: as ``services.sign_in``.
    """
    signed = passkeys.challenge_of(credential)
    challenge = challenges.attempt(signed=signed, purpose=Purpose.PASSKEY, api=Api.TENANT)
    with transaction.atomic():
        user_id = selectors.owner_of(passkeys.id_of(credential))
        if user_id is None:
            raise InvalidFactor
        user = _hold(user_id)
        challenges.finish(challenge=challenge)
        if proving.prove(user=user, answer=Answer(credential=credential), signed=signed) is None:
            raise InvalidFactor
        return services.sign_in(
            user=user,
            host_tenant=host_tenant,
            slug=slug,
            scope=scope,
            proof=Proof(way=Way.PASSKEY, methods=(PASSKEY, MULTI_FACTOR)),
            device=device,
        )


def _opened(sealed: bytes | memoryview) -> bytes:
    try:
        return totp.unseal(sealed)
    except Undecryptable:
        raise InvalidFactor from None


def _attempt(text: str, api: Api) -> Challenge:
    return challenges.attempt(signed=challenges.read(text), purpose=Purpose.SIGN_IN, api=api)


def _hold(user_id: UUID) -> User:
    try:
        return accounts.hold_account(user_id=user_id)
    except User.DoesNotExist:
        raise InvalidFactor from None


def _prove(user: User, challenge: Challenge, given: Answer, text: str) -> tuple[Method, None]:
    challenges.finish(challenge=challenge)
    method = proving.prove(user=user, answer=given, signed=challenges.read(text))
    if method is None:
        raise InvalidFactor
    return method, None


def _enroll(user: User, challenge: Challenge, given: Answer) -> tuple[Method, list[str] | None]:
    if given.code is None or user.has_second_factor or user.email_verified_at is None:
        raise InvalidFactor
    added = factors.add_totp(user=user, challenge=challenge, code=given.code, name="", session_id=None)
    return Method.TOTP, added.recovery_codes
