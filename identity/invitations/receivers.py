"""What invitations do about what happens below them."""

from typing import Any

from django.db.models import QuerySet

from identity.invitations.models import Invitation, InvitationStatus
from identity.roles.errors import RoleInUse
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole


def follow_name(*, role: CustomRole, **signal: Any) -> None:
    """Call a role by its present name."""
    _giving(role).update(role=role.name)


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Let pending invitations give the role in the place of one that is about to go; those that are over forget it.

    Raises:
        RoleInUse: there are pending ones, and no other role.
    """
    pending = _giving(role).filter(status=InvitationStatus.PENDING)
    if replacement is not None:
        pending.update(role=replacement.name, custom_role=replacement.custom)
    elif pending.exists():
        raise RoleInUse
    _giving(role).update(custom_role=None)


def _giving(role: CustomRole) -> QuerySet[Invitation]:
    return Invitation.objects.filter(tenant_id=role.tenant_id, custom_role=role)
