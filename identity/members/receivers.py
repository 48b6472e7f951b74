"""What memberships do about what happens below them."""

from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from identity.members import selectors, services
from identity.members.errors import SoleOwner
from identity.members.models import Membership
from identity.roles.errors import RoleInUse
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from tenants.registry import services as registry
from tenants.registry.sign_in_policy import SignInPolicy


def move_versions(*, role: CustomRole, **signal: Any) -> None:
    """Refuse the tokens of everybody whose role is another one now, and call the role by its present name."""
    _held(role).update(role=role.name, version=F("version") + 1)


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Give everybody who has a role that is about to go the one in its place.

    Raises:
        RoleInUse: there are such members, and no other role.
    """
    members = _held(role)
    if replacement is not None:
        members.update(role=replacement.name, custom_role=replacement.custom, version=F("version") + 1)
    elif members.exists():
        raise RoleInUse


def move_all_versions(*, tenant_id: UUID, before: SignInPolicy, policy: SignInPolicy, **signal: Any) -> None:
    """Refuse the tokens of every member whose tenant asks more of their sign-in now: the next ones are held to it."""
    if policy.asks_more_than(before):
        _locked(Membership.objects.filter(tenant_id=tenant_id)).update(version=F("version") + 1)


def leave_everywhere(*, user_id: UUID, **signal: Any) -> None:
    """Take somebody whose account goes out of all their tenants.

    Raises:
        SoleOwner: they are the only owner of the tenants that it names.
    """
    slugs = [membership.tenant.slug for membership in selectors.sole_ownerships(user_id)]
    if slugs:
        raise SoleOwner(slugs)
    tenant_ids = list(selectors.memberships_of(user_id).order_by("tenant_id").values_list("tenant_id", flat=True))
    for tenant_id in tenant_ids:  # before any event is written: others write to the platform's trail first
        registry.hold_tenant(tenant_id=tenant_id)
    for tenant_id in tenant_ids:
        services.leave(tenant_id=tenant_id, user_id=user_id)


def _held(role: CustomRole) -> QuerySet[Membership]:
    """Return the memberships with a role, locked."""
    return _locked(Membership.objects.filter(tenant_id=role.tenant_id, custom_role=role))


def _locked(rows: QuerySet[Membership]) -> QuerySet[Membership]:
    """Return memberships, locked in the order in which everybody locks memberships."""
    locked = list(rows.select_for_update().order_by("id").values_list("pk", flat=True))
    return Membership.objects.filter(pk__in=locked)
