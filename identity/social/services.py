"""Whom a provider's word lets in, and which identities open an account. An account is found by the provider's name for
somebody, never by an address: that would let in whoever gets the provider to say it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from identity.accounts import selectors as accounts_read
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import selectors as factors
from identity.mail.services import enqueue
from identity.oidc.attempts import Outcome
from identity.oidc.errors import InvalidCode
from identity.oidc.providers import Identity
from identity.sessions.proof import FEDERATED, MULTI_FACTOR, Proof, Way
from identity.social import selectors
from identity.social.errors import (
    AddressUnconfirmed,
    AddressUnverified,
    IdentityTaken,
    LastWayIn,
    LinkNeeded,
    TooManyIdentities,
)
from identity.social.models import LinkedIdentity
from identity.social.providers import SocialProvider, providers
from identity.tokens.federated import Admitted
from tenants.audit.services import record

SIGN_IN, LINK = "social", "social_link"  # kinds of attempts

_MOST = 10  # identities of an account


@dataclass(frozen=True)
class Told:
    """What a provider says of somebody, as an attempt keeps it.

    Attributes:
        email: as it is stored; empty if there is none that could be.
        is_vouched_for: whether the provider says that the address is theirs.
    """

    issuer: str
    subject: str
    email: str
    is_vouched_for: bool
    name: str
    has_second_factor: bool

    @classmethod
    def of(cls, provider: SocialProvider, identity: Identity) -> Self:
        """Return what a provider says."""
        return cls(
            issuer=identity.issuer,
            subject=identity.subject,
            email=identity.address,
            is_vouched_for=bool(identity.address) and provider.vouches(identity),
            name=identity.account_name,
            has_second_factor=identity.has_second_factor,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def admit(outcome: Outcome) -> Admitted:
    """Let somebody in by an identity that opens an account; or by one that opens none, and whose address has none
    either, to a new account.

    Raises:
        LinkNeeded: the address has an account.
        AddressUnverified: the provider vouches for no address.
    """
    told = Told(**outcome.content)
    user = _known(told, outcome.provider_key)
    if user is None:
        try:
            user = _newcomer(told, outcome.provider_key)
        except IntegrityError:  # the address has an account; or they came twice at once
            user = _known(told, outcome.provider_key)
            if user is None:
                raise LinkNeeded from None
    methods = (FEDERATED, MULTI_FACTOR) if told.has_second_factor else (FEDERATED,)
    return Admitted(
        user=user,
        proof=Proof(way=Way.SOCIAL, methods=methods),
        slug=outcome.extra["tenant"],
        scope=outcome.extra["scope"],
    )


@transaction.atomic
def link(*, user_id: UUID, outcome: Outcome) -> LinkedIdentity:
    """Let an identity open a person's account. Doing it twice changes nothing.

    Raises:
        InvalidCode: somebody else began the attempt.
        IdentityTaken: it opens another account.
        AddressUnconfirmed: nobody has proved the account's address yet.
        TooManyIdentities: the account has as many as there can be.
        User.DoesNotExist: the account was closed.
    """
    if outcome.user_id != user_id:
        raise InvalidCode
    told = Told(**outcome.content)
    user = accounts.hold_account(user_id=user_id)
    if user.email_verified_at is None:
        raise AddressUnconfirmed
    if selectors.identities_of(user_id).count() >= _MOST:
        raise TooManyIdentities
    row, is_new = LinkedIdentity.objects.get_or_create(
        issuer=told.issuer,
        subject=told.subject,
        defaults={"user": user, "provider": outcome.provider_key, "email": told.email},
    )
    if row.user_id != user_id:
        raise IdentityTaken
    if is_new:
        _tell("identity_linked", user, row)
        _record("account.identity_linked", user, [None, row.provider])
    return row


@transaction.atomic
def unlink(*, user_id: UUID, identity_id: UUID) -> None:
    """Let an identity open a person's account no more. Sessions that it began go on: they are the person's, who ends
    them where they are listed.

    Raises:
        LinkedIdentity.DoesNotExist: they have no such identity.
        LastWayIn: nothing else opens the account.
        User.DoesNotExist: the account was closed.
    """
    user = accounts.hold_account(user_id=user_id)  # two at once take turns
    own = LinkedIdentity.objects.filter(user_id=user_id)
    row = own.get(pk=identity_id)
    known = providers().keys()
    opens = row.provider in known
    if opens and not (
        user.has_usable_password()
        or factors.passkey_ids(user_id)
        or own.exclude(pk=row.pk).filter(provider__in=known).exists()
    ):
        raise LastWayIn
    row.delete()
    _tell("identity_unlinked", user, row)
    _record("account.identity_unlinked", user, [row.provider, None])


@transaction.atomic
def _known(told: Told, provider_key: str) -> User | None:
    """Return whose account an identity opens; a closed one is as good as none of theirs."""
    row = selectors.identity_at(issuer=told.issuer, subject=told.subject)
    if row is None:
        return None
    if not row.user.is_active:
        raise LinkNeeded if told.is_vouched_for else AddressUnverified
    row.provider, row.email, row.last_used_at = provider_key, told.email, timezone.now()
    row.save(update_fields=["provider", "email", "last_used_at"])
    return row.user


@transaction.atomic
def _newcomer(told: Told, provider_key: str) -> User:
    """Make an account for somebody for whose address a provider vouches: it is proved.

    Raises:
        AddressUnverified: it vouches for none.
        IntegrityError: the address has an account, or the identity opens one.
    """
    if not told.is_vouched_for:
        raise AddressUnverified
    user = accounts.create_user_to_be_claimed(email=told.email, name=told.name)
    LinkedIdentity.objects.create(
        user=user,
        provider=provider_key,
        issuer=told.issuer,
        subject=told.subject,
        email=told.email,
        last_used_at=timezone.now(),
    )
    accounts.mark_verified(user_id=user.pk)
    _record("account.identity_linked", user, [None, provider_key])
    made = accounts_read.user_or_none(user.pk)
    assert made is not None  # noqa: S101 -- made above
    return made


def _tell(template: str, user: User, row: LinkedIdentity) -> None:
    enqueue(template=template, to=user.email, context={"user": str(user.pk), "provider": row.provider})


def _record(action: str, user: User, change: list[str | None]) -> None:
    targets = [accounts.target(user)]
    record(action=action, tenant_id=None, person=user.pk, targets=targets, changes={"provider": change})
