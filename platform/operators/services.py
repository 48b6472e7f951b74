"""What staff do: signing in, and the tenants they look after."""

from uuid import UUID

from django.db import transaction

from identity.accounts import selectors as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.sessions.models import Api, RefreshFamily
from identity.sessions.services import Device
from identity.tokens import services as tokens
from identity.tokens.errors import InvalidCredentials, InvalidToken
from identity.tokens.services import Authority, IssuedTokens
from operators import selectors
from operators.errors import UnknownOwner
from operators.models import Operator
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from tenants.lifecycle import services as lifecycle
from tenants.registry.models import Tenant


@transaction.atomic
def add_operator(*, user_id: UUID, role: OperatorRole) -> Operator:
    """Put a person on the staff.

    Raises:
        IntegrityError: they are on it already.
    """
    return Operator.objects.create(user_id=user_id, role=role)


def sign_in(*, user: User, scope: str, methods: list[str], device: Device) -> IssuedTokens:
    """Start an operator session for a person who has just proved who they are.

    Raises:
        InvalidCredentials: they are not on the staff; the same answer as for a wrong password.
        InvalidScope: nothing of what was asked for can be had.
    """
    operator = selectors.active_operator(user.pk)
    if operator is None:
        raise InvalidCredentials
    return tokens.start(
        user_id=user.pk, authority=_authority(operator), api=Api.OPERATOR, scope=scope, methods=methods, device=device
    )


def refresh(*, text: str) -> IssuedTokens:
    """Exchange an operator's refresh token.

    Raises:
        InvalidToken: it is no good, or its person is no longer on the staff.
    """
    return tokens.exchange(text=text, api=Api.OPERATOR, authority_of=_current_authority)


@transaction.atomic
def create_tenant(*, name: str, slug: str, owner_email: str | None = None) -> Tenant:
    """Create a tenant, ready to use, and make an existing account its first owner if one is named.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it.
        UnknownOwner: no account has the address.
    """
    tenant = lifecycle.provision(name=name, slug=slug)
    if owner_email is not None:
        owner = accounts.user_by_email(owner_email)
        if owner is None:
            raise UnknownOwner
        members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
    return tenant


def _current_authority(family: RefreshFamily) -> Authority:
    operator = selectors.active_operator(family.session.user_id)
    if operator is None:
        raise InvalidToken
    return _authority(operator)


def _authority(operator: Operator) -> Authority:
    return Authority(Kind.OPERATOR, operator.role, operator.version)
