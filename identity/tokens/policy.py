"""Changing a tenant's sign-in policy, and not locking oneself out by it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from identity.members import selectors as members
from identity.sessions import selectors as sessions
from identity.sessions.proof import Way
from identity.tokens.errors import BreakGlassRequired, InvalidToken, OwnersDecide, WouldLockOut
from identity.tokens.requirements import unmet
from identity.tokens.services import SignedIn
from permissions.roles import Role
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.sign_in_policy import SignInPolicy


@transaction.atomic
def change(*, tenant_id: UUID, changes: Mapping[str, Any], caller: SignedIn) -> SignInPolicy:
    """Change what a tenant asks of its members' sign-ins, and return all of it. Where it asks more than before, every
    member's token is refused on its next request, and the next one is held to it.

    Args:
        changes: any of the policy's attributes.

    Raises:
        ValidationError: a value does not fit, or an account that may break the glass is no owner's.
        OwnersDecide: only an owner says who may break the glass, or that the tenant's own provider is the only way.
        BreakGlassRequired: the tenant's own provider would be the only way, without an owner who could get past it.
        WouldLockOut: the caller's own session does not meet it.
        InvalidToken: the caller's session or membership has ended a moment ago.
    """
    registry_services.hold_tenant(tenant_id=tenant_id)
    before = registry.sign_in_policy(tenant_id)
    policy = replace(before, **changes).cleaned()
    member = members.membership(user_id=caller.user_id, tenant_id=tenant_id)
    session = sessions.live_sessions().filter(pk=caller.session_id, user_id=caller.user_id).first()
    if member is None or session is None:
        raise InvalidToken
    _refuse_unknown_ways(policy)
    _refuse_break_glass(before, policy, tenant_id=tenant_id, role=member.role)
    for error in unmet(policy, session, member.role):
        raise WouldLockOut(error)
    return registry_services.set_sign_in_policy(tenant_id=tenant_id, policy=policy)


def _refuse_unknown_ways(policy: SignInPolicy) -> None:
    if not policy.ways <= set(Way.values):
        raise ValidationError({"ways": ValidationError(f"Use any of: {', '.join(Way.values)}.", code="invalid_choice")})


def _refuse_break_glass(before: SignInPolicy, policy: SignInPolicy, *, tenant_id: UUID, role: str) -> None:
    becomes_sso_only = policy.is_sso_only and not before.is_sso_only
    if role != Role.OWNER and (becomes_sso_only or policy.break_glass != before.break_glass):
        raise OwnersDecide
    rows = members.owners_of(tenant_id).filter(user__in=policy.break_glass, user__is_active=True)
    owners = dict(rows.values_list("user_id", "user__has_second_factor"))
    if policy.break_glass - before.break_glass - owners.keys():
        message = "Name accounts of this tenant's active owners."
        raise ValidationError({"break_glass": ValidationError(message, code="no_owner")})
    if policy.is_sso_only and not any(owners.values()):
        raise BreakGlassRequired
