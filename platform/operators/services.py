"""What staff do: signing in, and the tenants they look after."""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from identity.accounts import selectors as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason, RefreshFamily
from identity.sessions.services import Device
from identity.tokens import services as tokens
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidCredentials, InvalidToken
from identity.tokens.minting import IssuedTokens, mint_for_session
from operators import selectors
from operators.errors import UnknownOwner
from operators.models import Operator, SupportAccess
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from tenants.audit.services import Target, record
from tenants.lifecycle import services as lifecycle
from tenants.registry import selectors as registry
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
        user=user, authority=_authority(operator), api=Api.OPERATOR, scope=scope, methods=methods, device=device
    )


def refresh(*, text: str) -> IssuedTokens:
    """Exchange an operator's refresh token.

    Raises:
        InvalidToken: it is no good, or its person is no longer on the staff.
    """
    return tokens.exchange(text=text, api=Api.OPERATOR, authority_of=_of_family)


def create_tenant(*, name: str, slug: str, owner_email: str | None = None) -> Tenant:
    """Create a tenant, ready to use, and make an existing account its first owner if one is named.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it.
        UnknownOwner: no account has the address, or nobody has proved it.
    """
    with lifecycle.provisioning():
        tenant = lifecycle.provision(name=name, slug=slug)
        if owner_email is not None:
            owner = accounts.user_by_email(owner_email)
            if owner is None or owner.email_verified_at is None:  # or whoever claimed the address first would have it
                raise UnknownOwner
            members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
    return tenant


@transaction.atomic
def start_support(
    *, user_id: UUID, tenant_id: UUID, reason: str, ticket: str, methods: list[str], device: Device
) -> tuple[SupportAccess, IssuedTokens]:
    """Let a member of staff look into a tenant for ``settings.SUPPORT_LIFETIME``, with one access token that reads and
    says in ``act`` who is there. Nothing extends it.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        TenantSuspended: nobody may enter it.
        InvalidToken: the caller is no longer on the staff.
    """
    tenant = registry.tenant_by_id(tenant_id)
    tokens.refuse_suspended(tenant)
    operator = selectors.active_operator(user_id)
    if operator is None:
        raise InvalidToken
    session = sessions.start_support_session(user_id=user_id, tenant_id=tenant_id, methods=methods, device=device)
    access = SupportAccess.objects.create(
        tenant=tenant, operator=operator, session=session, reason=reason, ticket=ticket
    )
    authority = Authority.of_support(tenant, operator.version)
    record(
        action="support_access.started",
        tenant_id=tenant_id,
        targets=[Target("support_access", access.pk)],
        changes={"reason": [None, reason], "ticket": [None, ticket]},
    )
    return access, mint_for_session(
        session, authority, authority.scopes(), lifetime=settings.SUPPORT_LIFETIME, actor=user_id
    )


@transaction.atomic
def end_support(*, access_id: UUID) -> None:
    """End a support access: its token is refused from the next request on. Ending it twice changes nothing.

    Raises:
        SupportAccess.DoesNotExist: there is no such access.
    """
    access = SupportAccess.objects.get(pk=access_id)
    sessions.end_session(session_id=access.session_id, reason=EndReason.ENDED_BY_STAFF)
    record(action="support_access.ended", tenant_id=access.tenant_id, targets=[Target("support_access", access.pk)])


def current_authority(user_id: UUID) -> Authority:
    """Return what a member of staff may do now.

    Raises:
        InvalidToken: they are no longer on the staff.
    """
    operator = selectors.active_operator(user_id)
    if operator is None:
        raise InvalidToken
    return _authority(operator)


def _of_family(family: RefreshFamily) -> Authority:
    return current_authority(family.session.user_id)


def _authority(operator: Operator) -> Authority:
    return Authority.of_role(Kind.OPERATOR, operator.role, operator.version)
