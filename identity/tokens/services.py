"""Issuing tokens: signing in, refreshing, entering another tenant, proving again who one is, signing out. What a token
says is read from the database each time one is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients.models import Client
from identity.factors import proving
from identity.factors.proving import Answer
from identity.members import selectors as members
from identity.members import services as memberships
from identity.members.errors import NotAMember
from identity.members.models import Membership
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason
from identity.sessions.proof import Proof
from identity.sessions.rotation import Rotated, continuing, rotating, session_of_refresh_token
from identity.sessions.services import Device
from identity.tokens import second_factors
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidCredentials, InvalidScope, InvalidToken
from identity.tokens.minting import Grant, IssuedTokens, mint_for_client, mint_for_session
from tenants.context.entry import TenantRef
from tenants.registry import states
from tenants.registry.models import Tenant
from tenants.routing.errors import TenantMismatch


@dataclass(frozen=True)
class SignedIn:
    """A person who has proved who they are: which session says so, and in which tenant they are."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None
    scopes: frozenset[str]


def sign_in(
    *, user: User, host_tenant: TenantRef | None, slug: str | None, scope: str, proof: Proof, device: Device
) -> IssuedTokens:
    """Start a session for a person who has just proved who they are, in the tenant of the host, else the named one,
    else the one they used last, else in none.

    Raises:
        NotAMember: there is no such tenant, or they have no active place in it.
        TenantSuspended: they have, but nobody may enter it.
        TenantMismatch: the host says one tenant and the request another.
        InvalidScope: nothing of what was asked for can be had.
        SecondFactorAwaited, InvalidCredentials: as ``start``.
    """
    if host_tenant is not None and slug not in (None, host_tenant.slug):
        raise TenantMismatch
    membership = _membership(user.pk, host_tenant, slug)
    return start(
        user=user,
        authority=Authority.of_person(membership),
        api=Api.TENANT,
        scope=scope,
        proof=proof,
        device=device,
        entering=membership,
    )


def start(
    *,
    user: User,
    authority: Authority,
    api: Api,
    scope: str,
    proof: Proof,
    device: Device,
    entering: Membership | None = None,
) -> IssuedTokens:
    """Start a session with `authority` and issue its first tokens.

    Args:
        entering: by which they enter a tenant.

    Raises:
        InvalidScope: nothing of what was asked for can be had.
        SecondFactorAwaited: that is needed too. What was proved is kept for ``answers``: let it be committed.
        InvalidCredentials: password or account have changed since they were checked.
    """
    authority = authority.bound_to(proof.only_tenant_id)
    scopes = authority.scopes(scope)
    if not scopes:
        raise InvalidScope
    second_factors.refuse_without(user=user, authority=authority, api=api, scope=scope, proof=proof)
    with accounts.credentials_held(user, is_vouched_for=proof.connection_id is not None) as held:
        if not held:
            raise InvalidCredentials
        session, refresh_token = sessions.start_session(
            user_id=user.pk,
            api=api,
            tenant_id=authority.tenant.pk if authority.tenant else None,
            proof=proof,
            device=device,
            scope=scope,
        )
        if entering is not None:
            memberships.note_use(entering)
        return mint_for_session(session, authority, scopes, refresh_token=refresh_token)


def switch(*, caller: SignedIn, slug: str, scope: str = "") -> IssuedTokens:
    """Enter another tenant of the same person: one more family of their session. The present one goes on.

    Raises:
        NotAMember: there is no such tenant, or they have no active place in it.
        TenantSuspended: they have, but nobody may enter it.
        InvalidScope: nothing of what was asked for, now and at sign-in, can be had there.
        SessionOfOneTenant: the sign-in is good for another one alone.
        InvalidToken: the session has ended a moment ago.
    """
    with continuing(session_id=caller.session_id, user_id=caller.user_id) as session:
        if session is None:
            raise InvalidToken
        membership = _membership(caller.user_id, None, slug)
        authority = Authority.of_person(membership).bound_to(session.tenant_id)
        scopes = authority.scopes(session.scope, scope)
        if not scopes:
            raise InvalidScope
        if membership is not None:
            memberships.note_use(membership)
        tenant_id = authority.tenant.pk if authority.tenant else None
        refresh_token = sessions.start_family(session=session, tenant_id=tenant_id, scope=scope)
        return mint_for_session(session, authority, scopes, refresh_token=refresh_token, grant=Grant.SWITCH)


def refresh(
    *, text: str, host_tenant: TenantRef | None, scope: str = "", application_id: UUID | None = None
) -> IssuedTokens:
    """Exchange a refresh token for new tokens that say what is true now.

    Args:
        scope: scopes to which this access token is narrowed (RFC 6749 section 6); the next one is not.
        application_id: the third-party application that presents it, proved; None for ours.

    Raises:
        InvalidToken: the refresh token is no good, or another application's, or its person has no active place in its
            tenant any more.
        TenantSuspended: nobody may enter the tenant for now; the refresh token stays good.
        TenantMismatch: the host belongs to another tenant; the refresh token stays good.
        InvalidScope: nothing of what is asked for can be had; the refresh token stays good.
    """

    def authority_of(rotated: Rotated) -> Authority:
        if rotated.session.application_id != application_id:
            raise InvalidToken
        if host_tenant is not None and rotated.tenant_id != host_tenant.id:
            raise TenantMismatch
        return _authority_of(rotated.membership, rotated.tenant_id)

    return exchange(text=text, api=Api.TENANT, authority_of=authority_of, scope=scope)


def exchange(*, text: str, api: Api, authority_of: Callable[[Rotated], Authority], scope: str = "") -> IssuedTokens:
    """Exchange a refresh token of `api`; `authority_of` says what its family's person may do now, or raises.

    What it raises undoes the exchange. A replayed token ends its session, and that is kept.

    Raises:
        InvalidToken: the refresh token is no good.
        InvalidScope: nothing of what is asked for can be had.
    """
    with rotating(text=text, api=api) as rotated:
        if rotated is not None:
            session = rotated.session
            authority = authority_of(rotated).bound_to(session.tenant_id).through(session.application_id)
            scopes = authority.scopes(session.scope, rotated.scope, scope)
            if scope and not scopes:
                raise InvalidScope
            return mint_for_session(
                session, authority, scopes, refresh_token=rotated.refresh_token, grant=Grant.REFRESH
            )
    raise InvalidToken


def step_up(
    *, caller: SignedIn, api: Api, password: str | None, given: Answer | None, authority: Authority
) -> IssuedTokens:
    """Note that the person of a session has proved again who they are, and return an access token that says so, with
    no more scopes than they come with. Their refresh token stays the same; what it gives from now on says so as well.

    Args:
        password, given: what they prove it by: one of them, or both. Who has second factors needs one.

    Raises:
        WrongProof: one of them is wrong.
        SecondFactorAwaited: a password is not enough.
        TooManyTries: of codes.
        InvalidToken: the session has ended a moment ago.
    """
    if given is not None:
        proving.count_try(user_id=caller.user_id, answer=given)
    with transaction.atomic():
        methods = second_factors.proved_again(user_id=caller.user_id, api=api, password=password, given=given)
        session = sessions.prove_again(session_id=caller.session_id, user_id=caller.user_id, methods=methods)
        if session is None:
            raise InvalidToken
        authority = authority.bound_to(session.tenant_id)
        return mint_for_session(session, authority, authority.scopes(" ".join(caller.scopes)), grant=Grant.STEP_UP)


def client_credentials(*, client: Client, scope: str) -> IssuedTokens:
    """Return an access token for a machine client that has proved who it is.

    Raises:
        TenantSuspended: nobody may enter its tenant.
        InvalidScope: nothing of what was asked for can be had.
    """
    refuse_suspended(client.tenant)
    authority = Authority.of_client(client)
    scopes = authority.scopes(scope)
    if not scopes:
        raise InvalidScope
    return mint_for_client(client.pk, authority, scopes)


def sign_out(*, text: str, api: Api, reason: EndReason = EndReason.LOGOUT) -> None:
    """End the session of a refresh token. One that is no good any more has no session to end."""
    session_id = session_of_refresh_token(text=text, api=api)
    if session_id is not None:
        sessions.end_session(session_id=session_id, reason=reason)


def authority_now(*, user_id: UUID, tenant_id: UUID | None) -> Authority:
    """Return what a person may do in a tenant of theirs, or outside any.

    Raises:
        InvalidToken: they have no active place there (any more).
        TenantSuspended: nobody may enter it for now.
    """
    membership = members.membership(user_id=user_id, tenant_id=tenant_id) if tenant_id is not None else None
    return _authority_of(membership, tenant_id)


def _authority_of(membership: Membership | None, tenant_id: UUID | None) -> Authority:
    """Return what a person may do in the tenant that they mean to be in; raises as ``authority_now``."""
    if membership is not None:
        refuse_suspended(membership.tenant)
    elif tenant_id is not None:
        raise InvalidToken
    return Authority.of_person(membership)


def refuse_suspended(tenant: Tenant) -> None:
    """Refuse a tenant that nobody may enter.

    Raises:
        TenantSuspended: it is one.
    """
    states.refuse_closed(tenant.status)


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
    refuse_suspended(membership.tenant)
    return membership
