"""When a second factor is needed, in one place; and what is kept of a sign-in that waits for one."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.utils.crypto import constant_time_compare, salted_hmac

from identity.accounts import selectors as accounts
from identity.accounts.models import User
from identity.factors import challenges, passkeys, proving, selectors
from identity.factors.errors import InvalidFactor
from identity.factors.models import Challenge, Purpose
from identity.factors.proving import Answer, Method
from identity.sessions.models import Api
from identity.sessions.proof import FACTORS, MULTI_FACTOR, PASSWORD, Proof, Way, merged
from identity.tokens import requirements
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidToken, SecondFactorAwaited, SecondFactorRequired

_IDS = ("connection_id", "only_tenant_id", "application_id")

_NONE_CAN_BE_SET_UP = (
    "A second factor is needed, and none can be set up in this sign-in: a tenant's provider has to ask for two and to"
    " say so (amr); whoever has an account of their own proves its address, signs in with its password and sets one up."
)


class WrongProof(ValueError):
    """What was given proves nothing; ``field`` is its name."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(field)


def refuse_without(*, user: User, authority: Authority, api: Api, scope: str, proof: Proof) -> None:
    """Refuse to begin a session that needs a second factor, and ask for one.

    Raises:
        SecondFactorAwaited: it does.
        SecondFactorRequired: it does, and the person has none and sets none up here.
    """
    if not is_needed(user=user, authority=authority, api=api, proof=proof):
        return
    methods = selectors.methods_of(user.pk) if user.has_second_factor else []
    enrolls = _may_enroll(user, proof)
    if not methods and not enrolls:
        raise SecondFactorRequired(_NONE_CAN_BE_SET_UP)
    kept = {
        "tenant_id": str(authority.tenant.pk) if authority.tenant else None,
        "scope": scope,
        "proof": _to_json(proof),
        "credentials": _fingerprint(user),
        "enrolls": enrolls,
    }
    begun = challenges.begin(purpose=Purpose.SIGN_IN, api=api, user_id=user.pk, data=kept)
    members: dict[str, Any] = {
        "challenge": begun.text,
        "expires_in": begun.expires_in,
        "methods": methods,
        "enroll": [Method.TOTP] if enrolls else [],
    }
    if Method.PASSKEY in methods:
        allowed = selectors.passkey_ids(user.pk)
        members["passkey_options"] = passkeys.request_options(begun.signed, allowed=allowed)
    raise SecondFactorAwaited(**members)


def is_needed(*, user: User, authority: Authority, api: Api, proof: Proof) -> bool:
    """Tell whether a session with this proof may begin only with a second factor.

    Who has one is asked for it, by the doors that open all of an account. Where a tenant's own provider vouches for
    somebody, that is the provider's business, unless the tenant asks for more. An app acts in a sign-in that was asked
    already; whether that is enough for the tenant is looked at when its token is made.
    """
    if proof.has_second_factor or proof.application_id is not None:
        return False
    if api == Api.OPERATOR and settings.OPERATOR_SECOND_FACTOR:
        return True
    if user.has_second_factor and proof.only_tenant_id is None:
        return True
    policy = requirements.policy_for(authority)
    return requirements.needs_second_factor(policy, way=proof.way, user_id=user.pk, role=authority.role)


def proof_kept(challenge: Challenge) -> Proof:
    """Return what was proved before a challenge."""
    kept = challenge.data["proof"]
    ids = {name: UUID(kept[name]) for name in _IDS if kept[name]}
    return Proof(**{**kept, **dict.fromkeys(_IDS), **ids, "way": Way(kept["way"]), "methods": tuple(kept["methods"])})


def is_unchanged(challenge: Challenge, user: User) -> bool:
    """Tell whether a person's password is what it was when a challenge was made."""
    return constant_time_compare(challenge.data["credentials"], _fingerprint(user))


def methods_with(methods: tuple[str, ...], method: Method) -> tuple[str, ...]:
    """Return what was proved in all."""
    return tuple(merged(*methods, FACTORS[method], MULTI_FACTOR))


def proved_again(*, user_id: UUID, api: Api, password: str | None, given: Answer | None) -> list[str]:
    """Return what the person of a session has proved again; what is good once is used up.

    Raises:
        WrongProof: something is wrong.
        SecondFactorAwaited: a password is not enough: they have second factors, or are staff.
        InvalidToken: the account was closed a moment ago.
    """
    user = accounts.user_or_none(user_id)
    if user is None or not user.is_active:
        raise InvalidToken
    methods: list[str] = []
    if password is not None:
        if not check_password(password, user.password):
            raise WrongProof("password")
        methods.append(PASSWORD)
    if given is not None:
        methods += [FACTORS[_prove_in_session(user, api, given)], MULTI_FACTOR]
    elif user.has_second_factor or (api == Api.OPERATOR and settings.OPERATOR_SECOND_FACTOR):
        raise SecondFactorAwaited(methods=selectors.methods_of(user_id), enroll=[])
    return methods


def _prove_in_session(user: User, api: Api, given: Answer) -> Method:
    signed = None
    try:
        if given.credential is not None:
            signed = passkeys.challenge_of(given.credential)
            challenges.finish(challenge=challenges.attempt(signed=signed, purpose=Purpose.PASSKEY, api=api))
    except InvalidFactor:
        raise WrongProof(given.field) from None
    method = proving.prove(user=user, answer=given, signed=signed)
    if method is None:
        raise WrongProof(given.field)
    return method


def _may_enroll(user: User, proof: Proof) -> bool:
    """Tell whether somebody may set up their first factor while they sign in: whoever vouches for them in one tenant
    alone has no hand in their account.
    """
    return not user.has_second_factor and user.email_verified_at is not None and proof.only_tenant_id is None


def _fingerprint(user: User) -> str:
    """Return what tells one password of a person from their next one, and nothing else about it."""
    return salted_hmac("identity.tokens.second_factors", user.password, algorithm="sha256").hexdigest()


def _to_json(proof: Proof) -> dict[str, Any]:
    return {name: str(value) if name in _IDS and value else value for name, value in asdict(proof).items()}
