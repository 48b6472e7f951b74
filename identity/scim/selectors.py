"""Reading what a tenant's directory provisions."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from identity.members import selectors as members
from identity.members.models import Membership
from identity.scim.models import ScimGroup, ScimGroupMember, ScimToken


def tokens_of(tenant_id: UUID | None) -> QuerySet[ScimToken]:
    """Return the SCIM tokens of one tenant; outside any tenant there are none."""
    return ScimToken.objects.none() if tenant_id is None else ScimToken.objects.filter(tenant_id=tenant_id)


def users_of(tenant_id: UUID) -> QuerySet[Membership]:
    """Return the members of a tenant with what its directory says of them, oldest first."""
    groups = ScimGroupMember.objects.filter(tenant_id=tenant_id).select_related("group")
    rows = members.members_of(tenant_id).prefetch_related("scim", Prefetch("scim_groups", groups))
    return rows.order_by("joined_at", "id")


def groups_of(tenant_id: UUID | None) -> QuerySet[ScimGroup]:
    """Return the groups of a tenant's directory with their members, oldest first; outside any tenant there are none."""
    if tenant_id is None:
        return ScimGroup.objects.none()
    rows = ScimGroup.objects.filter(tenant_id=tenant_id).select_related("custom_role").prefetch_related("members")
    return rows.order_by("created_at", "id")


def groups_with_role(membership_id: UUID) -> list[ScimGroup]:
    """Return the groups that a member is in and that give a role."""
    rows = ScimGroup.objects.filter(members__membership_id=membership_id).exclude(role="")
    return list(rows.select_related("custom_role").order_by("created_at", "id"))
