"""What staff do: signing in, and the tenants they look after."""

from uuid import UUID

from django.db import transaction

from identity.accounts import selectors as accounts
from identity.accounts.models import User
from identity.factors.proving import Answer
from identity.invitations import services as invitations
from identity.members import services as members
from identity.sessions.models import Api
from identity.sessions.proof import Proof
from identity.sessions.rotation import Rotated
from identity.sessions.services import Device
from identity.tokens import answers
from identity.tokens import services as tokens
from identity.tokens.answers import Answered, Standing
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidCredentials, InvalidToken
from identity.tokens.minting import IssuedTokens
from operators import selectors
from operators.errors import UnknownOwner
from operators.models import Operator
from permissions.principals import Kind
from permissions.roles import Role
from tenants.lifecycle import services as lifecycle
from tenants.registry import hosts
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.models import Tenant


def sign_in(*, user: User, scope: str, proof: Proof, device: Device) -> IssuedTokens:
    """Start an operator session for a person who has just proved who they are.

    Raises:
        InvalidCredentials: they are not on the staff; the same answer as for a wrong password.
        InvalidScope: nothing of what was asked for can be had.
    """
    operator = selectors.active_operator(user.pk)
    if operator is None:
        raise InvalidCredentials
    return tokens.start(
        user=user, authority=_authority(operator), api=Api.OPERATOR, scope=scope, proof=proof, device=device
    )


def answer(*, text: str, given: Answer, device: Device) -> Answered:
    """Go on with a sign-in of staff that waits for a second factor.

    Raises:
        InvalidFactor, TooManyTries: as ``identity.tokens.answers.answer``.
        InvalidCredentials: they are on the staff no longer.
    """

    def standing(user_id: UUID, tenant_id: UUID | None) -> Standing:
        operator = selectors.active_operator(user_id)
        if operator is None:
            raise InvalidCredentials
        return Standing(_authority(operator), None)

    return answers.complete(text=text, api=Api.OPERATOR, given=given, standing_of=standing, device=device)


def refresh(*, text: str) -> IssuedTokens:
    """Exchange an operator's refresh token.

    Raises:
        InvalidToken: it is no good, or its person is no longer on the staff.
    """
    return tokens.exchange(text=text, api=Api.OPERATOR, authority_of=_of_rotated)


def create_tenant(*, name: str, slug: str, owner_email: str | None = None) -> Tenant:
    """Create a tenant, ready to use. If an address is named, its proved account becomes the first owner; where it has
    none, it is invited.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it.
        UnknownOwner: the account is closed.
    """
    with lifecycle.provisioning():
        tenant = lifecycle.provision(name=name, slug=slug)
        if owner_email is not None:
            owner = accounts.user_by_email(owner_email)
            if owner is not None and not owner.is_active:
                raise UnknownOwner
            if owner is None or owner.email_verified_at is None:  # or whoever claimed the address first would have it
                invitations.invite_owner(tenant_id=tenant.pk, email=owner_email)
            else:
                members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
    return tenant


@transaction.atomic
def rename_tenant(*, tenant_id: UUID, name: str | None = None, slug: str | None = None) -> Tenant:
    """Give a tenant another name, another slug, or both.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it, or the host that comes with it.
    """
    if slug is not None:
        hosts.change_slug(tenant_id=tenant_id, slug=slug)
    if name is not None:
        registry_services.change_settings(tenant_id=tenant_id, changes={"name": name})
    return registry.tenant_by_id(tenant_id)


def current_authority(user_id: UUID) -> Authority:
    """Return what a member of staff may do now.

    Raises:
        InvalidToken: they are no longer on the staff.
    """
    operator = selectors.active_operator(user_id)
    if operator is None:
        raise InvalidToken
    return _authority(operator)


def _of_rotated(rotated: Rotated) -> Authority:
    return current_authority(rotated.session.user_id)


def _authority(operator: Operator) -> Authority:
    return Authority.of_role(Kind.OPERATOR, operator.role, operator.version)
