"""What domains do about what happens below them."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from identity.domains import selectors, services
from identity.domains.models import DomainClaim
from identity.roles.errors import RoleInUse
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole


def follow_role(*, role: CustomRole, **signal: Any) -> None:
    """Call a role by its present name; nobody joins with one that holds more than a member's by now."""
    _take(role, TenantRole(role.name, role))


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Let domains give another role in the place of one that is about to go.

    Raises:
        RoleInUse: there are such domains, and no other role.
    """
    if replacement is not None:
        _take(role, replacement)
    elif _giving(role).exists():
        raise RoleInUse


def join(*, user_id: UUID, email: str, **signal: Any) -> None:
    """Let people into the tenant whose domain their address is at; see ``services.join``."""
    services.join(user_id=user_id, email=email)


def _take(role: CustomRole, next_role: TenantRole) -> None:
    claims = list(_giving(role).select_for_update().order_by("id"))
    _giving(role).update(join_role=next_role.name, custom_role=next_role.custom)
    for claim in claims:
        if claim.auto_join and not selectors.is_fit(next_role):
            before, claim.join_role = claim.join_role, next_role.name
            services.switch_off(claim, join_role=before)


def _giving(role: CustomRole) -> QuerySet[DomainClaim]:
    return DomainClaim.objects.filter(tenant_id=role.tenant_id, custom_role=role)
