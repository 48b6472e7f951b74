"""Groups of a tenant's directory: who is in them is the directory's to say, which role they give an administrator's.
Every function is one transaction, and holds the tenant first of all.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower
from scim2_models import PatchOp

from identity.members import services as memberships
from identity.members.models import Membership
from identity.roles import selectors as roles
from identity.scim import resources, selectors, services
from identity.scim.errors import OwnerByGroup, ScimRefusal, ScimUniqueness
from identity.scim.models import ScimGroup, ScimGroupMember
from identity.scim.resources import Group
from permissions.roles import Role
from tenants.audit.services import Target, record
from tenants.registry import services as registry


@transaction.atomic
def create_group(*, tenant_id: UUID, wanted: Group, base: str) -> Group:
    """Make a group, which gives no role until an administrator of the tenant says so.

    Raises:
        ScimUniqueness: the tenant has a group of this name.
        ScimRefusal: somebody in it is no user of the tenant, or it has no name.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    name = _free_name(tenant_id, wanted, besides=None)
    row = ScimGroup.objects.create(tenant_id=tenant_id, display_name=name, external_id=wanted.external_id or "")
    _set_members(row, _ids(wanted))
    _record("scim_group.created", row, {"display_name": [None, name]})
    return _shown(tenant_id, row.pk, base)


@transaction.atomic
def replace_group(*, tenant_id: UUID, group_id: UUID, wanted: Group, if_match: str | None, base: str) -> Group:
    """Describe a group anew (PUT).

    Raises:
        ScimGroup.DoesNotExist: the tenant has no such group.
        VersionMismatch: it has another version than `if_match`.
        ScimUniqueness, ScimRefusal: as ``create_group``.
    """

    def replaced(present: Group) -> Group:
        wanted.replace(present)
        return wanted

    return _change(tenant_id, group_id, replaced, if_match=if_match, base=base)


@transaction.atomic
def patch_group(*, tenant_id: UUID, group_id: UUID, patch: PatchOp[Group], if_match: str | None, base: str) -> Group:
    """Change a group's name or members (PATCH). Raises as ``replace_group``, and what ``PatchOp.patch`` raises."""

    def patched(present: Group) -> Group:
        patch.patch(present, scim_policy=resources.POLICY)
        return present

    return _change(tenant_id, group_id, patched, if_match=if_match, base=base)


@transaction.atomic
def delete_group(*, tenant_id: UUID, group_id: UUID, if_match: str | None, base: str) -> None:
    """Delete a group; its members lose the role that it gave them.

    Raises:
        ScimGroup.DoesNotExist, VersionMismatch: as ``replace_group``.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    services.refuse_version(present=resources.version_of(_shown(tenant_id, group_id, base)), if_match=if_match)
    row = _group(tenant_id, group_id)
    _set_members(row, frozenset())
    _record("scim_group.deleted", row, {"display_name": [row.display_name, None]})
    row.delete()


@transaction.atomic
def map_group(*, tenant_id: UUID, group_id: UUID, role: str | None, by: UUID, held: frozenset[str]) -> ScimGroup:
    """Say which role a group gives its members, or none; it is theirs at once.

    Args:
        role: the role's name.
        by: the account that says so.
        held: what the caller's token holds.

    Raises:
        ScimGroup.DoesNotExist: the tenant has no such group.
        ValidationError: it has no such role.
        OwnerByGroup: it is the owner's.
        Outranked, ScopeNotHeld: the role, or the one that the group gives so far, is more than the caller may give.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    row = _group(tenant_id, group_id)
    wanted = roles.role_by_name(tenant_id=tenant_id, name=role, lock=True) if role else None
    if role == Role.OWNER:
        raise OwnerByGroup
    for concerned in filter(None, (row.tenant_role, wanted)):
        memberships.refuse_to_give(tenant_id=tenant_id, by=by, wanted=concerned.standing, held=held)
    before = row.role
    if (wanted.name if wanted else "") == before:
        return row
    row.role, row.custom_role = (wanted.name, wanted.custom) if wanted else ("", None)
    row.save(update_fields=["role", "custom_role", "updated_at"])
    for member in row.members.order_by("membership_id"):
        services.settle_role(tenant_id=tenant_id, membership_id=member.membership_id)
    _record("scim_group.mapped", row, {"role": [before or None, row.role or None]})
    return row


def _change(
    tenant_id: UUID, group_id: UUID, change: Callable[[Group], Group], *, if_match: str | None, base: str
) -> Group:
    registry.hold_tenant(tenant_id=tenant_id)
    before = _shown(tenant_id, group_id, base)
    services.refuse_version(present=resources.version_of(before), if_match=if_match)
    after = change(before.model_copy(deep=True))
    if resources.version_of(after) == resources.version_of(before):
        return before
    row = _group(tenant_id, group_id)
    former = row.display_name
    row.display_name = _free_name(tenant_id, after, besides=group_id)
    row.external_id = after.external_id or ""
    row.save(update_fields=["display_name", "external_id", "updated_at"])
    added, removed = _set_members(row, _ids(after))
    _record(
        "scim_group.changed",
        row,
        {"display_name": [former, row.display_name], "members": [f"-{removed}", f"+{added}"]},
    )
    return _shown(tenant_id, group_id, base)


def _set_members(group: ScimGroup, wanted: frozenset[UUID]) -> tuple[int, int]:
    """Let exactly these members be in a group, and give each whom that concerns their role; return how many came and
    went.
    """
    present = frozenset(group.members.values_list("membership_id", flat=True))
    added, removed = wanted - present, present - wanted
    own = Membership.objects.filter(tenant_id=group.tenant_id, pk__in=added)
    if len(own) != len(added):
        raise ScimRefusal("A member of the group is no user of this tenant.", scim_type="invalidValue")
    ScimGroupMember.objects.filter(group=group, membership_id__in=removed).delete()
    ScimGroupMember.objects.bulk_create(
        ScimGroupMember(tenant_id=group.tenant_id, group=group, membership_id=pk) for pk in sorted(added)
    )
    if group.role:
        for pk in sorted(added | removed):
            services.settle_role(tenant_id=group.tenant_id, membership_id=pk)
    return len(added), len(removed)


def _ids(group: Group) -> frozenset[UUID]:
    try:
        return frozenset(UUID(member.value or "") for member in group.members or [])
    except ValueError:
        raise ScimRefusal("A member of a group is told by its id.", scim_type="invalidValue") from None


def _free_name(tenant_id: UUID, group: Group, *, besides: UUID | None) -> str:
    name = (group.display_name or "").strip()
    if not name:
        raise ScimRefusal("A group has a displayName.", scim_type="invalidValue")
    is_other = ~Q(pk=besides) if besides else Q()
    others = ScimGroup.objects.filter(is_other, tenant_id=tenant_id)
    if others.alias(name=Lower("display_name")).filter(name=name.lower()).exists():
        raise ScimUniqueness("Another group of the tenant has this displayName.")
    return name


def _group(tenant_id: UUID, group_id: UUID) -> ScimGroup:
    return selectors.groups_of(tenant_id).get(pk=group_id)


def _shown(tenant_id: UUID, group_id: UUID, base: str) -> Group:
    return resources.group_resource(_group(tenant_id, group_id), base)


def _record(action: str, group: ScimGroup, changes: dict[str, list[str | None]]) -> None:
    targets = [Target("scim_group", group.pk, group.display_name)]
    record(action=action, tenant_id=group.tenant_id, targets=targets, changes=changes)
