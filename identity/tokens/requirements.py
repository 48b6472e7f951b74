"""What a tenant's sign-in policy asks of a session, asked whenever a token of one of its members is made. Whichever way
leads to a token (signing in, refreshing, switching, exchanging, proving again, joining) ends here.

A token that is out stays good for its few minutes, unless the policy changes: then every member's version moves.
"""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import APIException

from identity.sessions.models import Api, Session
from identity.sessions.proof import MULTI_FACTOR
from identity.tokens.authority import Authority
from identity.tokens.errors import AddressNotAllowed, SecondFactorRequired, SignInExpired, WayNotAllowed
from permissions.principals import Kind
from permissions.roles import Role
from tenants.audit.acting import acting
from tenants.audit.services import Target, record
from tenants.registry.sign_in_policy import SignInPolicy

NO_POLICY = SignInPolicy()


def policy_for(authority: Authority) -> SignInPolicy:
    """Return the policy that a token with this authority is held to. Machine clients, staff, and people in no tenant
    are held to none.
    """
    if authority.kind is not Kind.MEMBER or authority.tenant is None:
        return NO_POLICY
    return SignInPolicy.of(authority.tenant)


def needs_second_factor(policy: SignInPolicy, *, way: str, user_id: UUID, role: str | None) -> bool:
    """Tell whether a person who came in by `way` has to prove a second factor: all, where the policy says so; and an
    owner who breaks the glass.
    """
    return policy.require_second_factor or (not policy.allows_way(way) and _may_break_glass(policy, user_id, role))


def refuse_unmet(session: Session, authority: Authority, *, notes_use: bool = True) -> None:
    """Refuse a session that does not meet the policy of the tenant that `authority` is in, or the platform's for staff.

    Args:
        notes_use: whether the trail tells of an owner who breaks the glass; a session that merely goes on does not.

    Raises:
        AddressNotAllowed: the request comes from elsewhere.
        WayNotAllowed: the person came in by another way.
        SignInExpired: they proved who they are too long ago.
        SecondFactorRequired: they proved only one factor.
    """
    if session.api == Api.OPERATOR and settings.OPERATOR_SECOND_FACTOR and MULTI_FACTOR not in session.methods:
        raise SecondFactorRequired("The operator API asks for a second factor: sign in, or step up, with one.")
    policy = policy_for(authority)
    if policy == NO_POLICY:
        return
    for error in unmet(policy, session, authority.role):
        raise error
    if notes_use and authority.tenant is not None and not policy.allows_way(session.way):
        record(
            action="sign_in.glass_broken",
            tenant_id=authority.tenant.pk,
            targets=[Target("account", session.user_id)],
            changes={"way": [None, str(session.way)]},
            person=session.user_id,
        )


def unmet(policy: SignInPolicy, session: Session, role: str | None) -> Iterator[APIException]:
    """Yield what of a policy the session of a member with `role` does not meet now, each as its refusal."""
    if not policy.allows_address(acting().address):
        yield AddressNotAllowed()
    if not policy.allows_way(session.way) and not _may_break_glass(policy, session.user_id, role):
        yield WayNotAllowed(policy.ways)
    hours = policy.max_session_hours
    if hours is not None and session.authenticated_at + timedelta(hours=hours) <= timezone.now():
        yield SignInExpired()
    if MULTI_FACTOR not in session.methods and needs_second_factor(
        policy, way=session.way, user_id=session.user_id, role=role
    ):
        yield SecondFactorRequired()


def _may_break_glass(policy: SignInPolicy, user_id: UUID, role: str | None) -> bool:
    return role == Role.OWNER and user_id in policy.break_glass
