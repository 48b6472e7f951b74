"""Making an access token out of what is known of its holder."""

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from django.conf import settings

from identity.sessions.models import Api, Session
from identity.sessions.refresh_token import RefreshToken
from identity.tokens import openid
from identity.tokens.authority import Authority
from identity.tokens.claims import Claims, SignIn
from identity.tokens.requirements import refuse_unmet
from identity.tokens.signals import token_issued
from identity.tokens.tokens import AccessToken, OperatorAccessToken, TenantAccessToken

_TOKEN_CLASSES: dict[str, type[AccessToken]] = {
    Api.TENANT: TenantAccessToken,
    Api.SUPPORT: TenantAccessToken,
    Api.OPERATOR: OperatorAccessToken,
}


class Grant(StrEnum):
    """What an access token is given for."""

    PASSWORD = "password"  # noqa: S105 -- the grant's name
    REFRESH = "refresh_token"
    SWITCH = "switch"
    STEP_UP = "step_up"
    SUPPORT = "support_access"
    CODE = "authorization_code"
    CLIENT = "client_credentials"


@dataclass(frozen=True)
class IssuedTokens:
    """What a client gets: an access token, and a refresh token if there is a session that can go on."""

    access_token: str
    expires_in: int
    scope: str
    tenant: str | None
    role: str | None
    refresh_token: str | None = None
    id_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 -- RFC 6750's name of the kind of token, no secret


def mint_for_session(
    session: Session,
    authority: Authority,
    scopes: frozenset[str],
    *,
    refresh_token: RefreshToken | None = None,
    lifetime: timedelta | None = None,
    actor: UUID | None = None,
    grant: Grant = Grant.PASSWORD,
) -> IssuedTokens:
    """Return tokens of a person's session, for the tenant of `authority`.

    Args:
        grant: what they are given for; with an actor, it is support access.
        lifetime: of the access token; ``settings.ACCESS_LIFETIME`` unless given.
        actor: who is really acting, in support access.

    Raises:
        APIException: the session does not meet the tenant's sign-in policy; see ``requirements.refuse_unmet``.
    """
    refuse_unmet(session, authority, notes_use=grant is not Grant.REFRESH)
    sign_in = SignIn(sid=session.pk, auth_time=int(session.authenticated_at.timestamp()), amr=tuple(session.methods))
    holder = _Holder(_TOKEN_CLASSES[session.api], session.user_id, _client_id(session), sign_in=sign_in, act=actor)
    tokens = _mint(holder, authority, scopes, lifetime or settings.ACCESS_LIFETIME, refresh_token)
    if session.application_id is not None:  # RFC 6749 section 5.1: all that it may, and not at our API alone
        told = [*openid.among(session.scope.split()), *sorted(scopes)]
        tokens = replace(tokens, scope=" ".join(told))
    token_issued.send_robust(sender=None, grant=str(Grant.SUPPORT if actor else grant))
    return tokens


def mint_for_client(client_id: UUID, authority: Authority, scopes: frozenset[str]) -> IssuedTokens:
    """Return the token of a machine client: no refresh token, its secret is good for the next one (RFC 6749 4.4.3)."""
    holder = _Holder(TenantAccessToken, client_id, str(client_id))
    tokens = _mint(holder, authority, scopes, settings.ACCESS_LIFETIME)
    token_issued.send_robust(sender=None, grant=str(Grant.CLIENT))
    return tokens


def _client_id(session: Session) -> str:
    return str(session.application_id) if session.application_id else settings.FIRST_PARTY_CLIENT_ID


@dataclass(frozen=True)
class _Holder:
    """Who gets a token, and through which application."""

    token_class: type[AccessToken]
    subject: UUID
    client_id: str
    sign_in: SignIn | None = None
    act: UUID | None = None


def _mint(
    holder: _Holder,
    authority: Authority,
    scopes: frozenset[str],
    lifetime: timedelta,
    refresh_token: RefreshToken | None = None,
) -> IssuedTokens:
    now, seconds = int(time.time()), int(lifetime.total_seconds())
    tenant = authority.tenant
    claims = Claims(
        iss=settings.ISSUER,
        aud=holder.token_class.audience,
        sub=holder.subject,
        client_id=holder.client_id,
        iat=now,
        exp=now + seconds,
        jti=uuid4().hex,
        scope=scopes,
        ver=authority.version,
        sign_in=holder.sign_in,
        role=authority.role,
        tenant=tenant.slug if tenant else None,
        tenant_id=tenant.pk if tenant else None,
        act=holder.act,
    )
    return IssuedTokens(
        access_token=str(holder.token_class.for_claims(claims)),
        refresh_token=str(refresh_token) if refresh_token else None,
        expires_in=seconds,
        scope=" ".join(sorted(scopes)),
        tenant=claims.tenant,
        role=claims.role,
    )
