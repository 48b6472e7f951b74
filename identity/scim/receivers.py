"""What groups do about what happens below them."""

from typing import Any

from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from identity.scim.models import ScimGroup


def follow_role(*, role: CustomRole, **signal: Any) -> None:
    """Call a role by its present name."""
    ScimGroup.objects.filter(tenant_id=role.tenant_id, custom_role=role).update(role=role.name)


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Let groups give another role in the place of one that is about to go; without another one, they give none."""
    custom = replacement.custom if replacement else None
    groups = ScimGroup.objects.filter(tenant_id=role.tenant_id, custom_role=role)
    groups.update(role=replacement.name if replacement else "", custom_role=custom)
