"""What groups do about what happens below them."""

from typing import Any
from uuid import UUID

from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from identity.scim.models import ScimGroup, ScimUser


def follow_role(*, role: CustomRole, **signal: Any) -> None:
    """Call a role by its present name."""
    ScimGroup.objects.filter(tenant_id=role.tenant_id, custom_role=role).update(role=role.name)


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Let groups give another role in the place of one that is about to go; without another one, they give none."""
    custom = replacement.custom if replacement else None
    groups = ScimGroup.objects.filter(tenant_id=role.tenant_id, custom_role=role)
    groups.update(role=replacement.name if replacement else "", custom_role=custom)


def is_in_charge(*, tenant_id: UUID, membership_id: UUID, **signal: Any) -> bool:
    """Tell whether the directory gives a member their role: it has provisioned them, and some group of it gives one."""
    is_provisioned = ScimUser.objects.filter(tenant_id=tenant_id, membership_id=membership_id).exists()
    return is_provisioned and ScimGroup.objects.filter(tenant_id=tenant_id).exclude(role="").exists()
