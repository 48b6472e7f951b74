"""Issuing tokens: signing in, refreshing, signing out. What a token says is read from the database each time one is
made.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from identity.accounts.models import User
from identity.members import selectors as members
from identity.members import services as memberships
from identity.members.errors import NotAMember
from identity.members.models import Membership
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason, RefreshFamily, Session
from identity.sessions.refresh_token import RefreshToken
from identity.sessions.services import Device
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidScope, InvalidToken
from identity.tokens.tokens import OperatorAccessToken, TenantAccessToken
from permissions import policy
from permissions.principals import Kind
from tenants.context.entry import TenantRef
from tenants.registry.errors import TenantSuspended
from tenants.registry.models import Tenant, TenantStatus
from tenants.routing.errors import TenantMismatch


@dataclass(frozen=True)
class Authority:
    """What somebody may do, as the database has it now."""

    kind: Kind
    role: str | None = None
    version: int = 0
    tenant: Tenant | None = None

    @classmethod
    def of(cls, membership: Membership | None) -> "Authority":
        """Return what a member may do in their tenant, or a person outside any."""
        if membership is None:
            return cls(Kind.PERSON)
        return cls(Kind.MEMBER, membership.role, membership.version, membership.tenant)

    def scopes(self, requested: str) -> frozenset[str]:
        """Return role ∩ kind of caller ∩ what was asked for."""
        return policy.narrow(policy.granted(self.kind, self.role), requested.split())


@dataclass(frozen=True)
class IssuedTokens:
    """What a client gets: an access token, and a refresh token to get the next one."""

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str
    tenant: str | None
    role: str | None
    token_type: str = "Bearer"  # noqa: S105 -- RFC 6750's name of the kind of token, no secret


def sign_in(
    *, user: User, host_tenant: TenantRef | None, slug: str | None, scope: str, methods: list[str], device: Device
) -> IssuedTokens:
    """Start a session for a person who has just proved who they are, in the tenant of the host, else the named one,
    else the one they used last, else in none.

    Raises:
        NotAMember: there is no such tenant, or they have no active place in it.
        TenantSuspended: they have, but nobody may enter it.
        TenantMismatch: the host says one tenant and the request another.
        InvalidScope: nothing of what was asked for can be had.
    """
    if host_tenant is not None and slug not in (None, host_tenant.slug):
        raise TenantMismatch
    membership = _membership(user.pk, host_tenant, slug)
    return start(
        user_id=user.pk, authority=Authority.of(membership), api=Api.TENANT, scope=scope, methods=methods, device=device
    )


@transaction.atomic
def start(
    *, user_id: UUID, authority: Authority, api: Api, scope: str, methods: list[str], device: Device
) -> IssuedTokens:
    """Start a session with `authority` and issue its first tokens.

    Raises:
        InvalidScope: nothing of what was asked for can be had.
    """
    if not authority.scopes(scope):
        raise InvalidScope
    session = sessions.start_session(user_id=user_id, api=api, methods=methods, device=device)
    tenant_id = authority.tenant.pk if authority.tenant else None
    _, refresh_token = sessions.start_family(session=session, tenant_id=tenant_id, scope=scope)
    return _issue(session, authority, scope, refresh_token)


def refresh(*, text: str, host_tenant: TenantRef | None) -> IssuedTokens:
    """Exchange a refresh token for new tokens that say what is true now.

    Raises:
        InvalidToken: the refresh token is no good, or its person has no active place in its tenant any more.
        TenantSuspended: nobody may enter the tenant for now; the refresh token stays good.
        TenantMismatch: the host belongs to another tenant; the refresh token stays good.
    """
    return exchange(text=text, api=Api.TENANT, authority_of=lambda family: _member_authority(family, host_tenant))


def exchange(*, text: str, api: Api, authority_of: Callable[[RefreshFamily], Authority]) -> IssuedTokens:
    """Exchange a refresh token of `api`; `authority_of` says what its family's person may do now, or raises.

    What it raises undoes the exchange. A replayed token ends its session, and that is kept.

    Raises:
        InvalidToken: the refresh token is no good.
    """
    with transaction.atomic():
        rotated = sessions.rotate(text=text, api=api)
        if rotated is not None:
            family, refresh_token = rotated
            return _issue(family.session, authority_of(family), family.scope, refresh_token)
    raise InvalidToken


def sign_out(*, text: str, api: Api) -> None:
    """End the session of a refresh token. One that is no good any more has no session to end."""
    session_id = sessions.session_of_refresh_token(text=text, api=api)
    if session_id is not None:
        sessions.end_session(session_id=session_id, reason=EndReason.LOGOUT)


def _membership(user_id: UUID, host_tenant: TenantRef | None, slug: str | None) -> Membership | None:
    if host_tenant is not None:
        membership = members.membership(user_id=user_id, tenant_id=host_tenant.id)
    elif slug is not None:
        membership = members.membership_by_slug(user_id=user_id, slug=slug)
    else:
        membership = members.default_membership(user_id)
        if membership is None:
            return None
    if membership is None:
        raise NotAMember
    _refuse_suspended(membership)
    memberships.note_use(membership)
    return membership


def _member_authority(family: RefreshFamily, host_tenant: TenantRef | None) -> Authority:
    if host_tenant is not None and family.tenant_id != host_tenant.id:
        raise TenantMismatch
    if family.tenant_id is None:
        return Authority.of(None)
    membership = members.membership(user_id=family.session.user_id, tenant_id=family.tenant_id)
    if membership is None:
        raise InvalidToken
    _refuse_suspended(membership)
    return Authority.of(membership)


def _refuse_suspended(membership: Membership) -> None:
    if membership.tenant.status != TenantStatus.ACTIVE:
        raise TenantSuspended


_TOKEN_CLASSES = {Api.TENANT: TenantAccessToken, Api.OPERATOR: OperatorAccessToken}


def _issue(session: Session, authority: Authority, requested: str, refresh_token: RefreshToken) -> IssuedTokens:
    token_class = _TOKEN_CLASSES[Api(session.api)]
    scopes = authority.scopes(requested)
    now = int(time.time())
    lifetime = int(settings.ACCESS_LIFETIME.total_seconds())
    claims = Claims(
        iss=settings.ISSUER,
        aud=token_class.audience,
        sub=session.user_id,
        client_id=settings.FIRST_PARTY_CLIENT_ID,
        iat=now,
        exp=now + lifetime,
        jti=uuid4().hex,
        scope=scopes,
        sid=session.pk,
        ver=authority.version,
        auth_time=int(session.authenticated_at.timestamp()),
        amr=tuple(session.methods),
        role=authority.role,
        tenant=authority.tenant.slug if authority.tenant else None,
        tenant_id=authority.tenant.pk if authority.tenant else None,
    )
    return IssuedTokens(
        access_token=str(token_class.for_claims(claims)),
        refresh_token=str(refresh_token),
        expires_in=lifetime,
        scope=" ".join(sorted(scopes)),
        tenant=claims.tenant,
        role=claims.role,
    )
