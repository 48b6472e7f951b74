"""Changing memberships: every function is one transaction.

Whoever changes who owns a tenant holds the lock on its owners' rows: of two owners who remove each other at the same
time, the second one finds themselves removed.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from identity.members import selectors
from identity.members.errors import LastOwner, Outranked
from identity.members.models import Membership, MembershipStatus
from permissions.roles import Role, outranks


@transaction.atomic
def add_member(*, tenant_id: UUID, user_id: UUID, role: Role) -> Membership:
    """Make a person a member.

    Raises:
        IntegrityError: they are one already.
    """
    return Membership.objects.create(tenant_id=tenant_id, user_id=user_id, role=role)


@transaction.atomic
def change_role(*, tenant_id: UUID, membership_id: UUID, role: Role, by: UUID) -> Membership:
    """Give a member another role. Their tokens are refused from the next request on.

    Args:
        by: the id of the person who asks.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        Outranked: the member, or the role, is above the caller's own role.
        LastOwner: the tenant would have no owner left.
    """
    member, caller = _lock(tenant_id, membership_id, by)
    if outranks(member.role, caller.role) or outranks(role, caller.role):
        raise Outranked
    if member.role == role:
        return member
    if role != Role.OWNER:
        _keep_an_owner(tenant_id, without=member)
    member.role = role
    member.version += 1
    member.save(update_fields=["role", "version"])
    return member


@transaction.atomic
def remove_member(*, tenant_id: UUID, membership_id: UUID, by: UUID) -> None:
    """Remove a member. Their tokens for this tenant are refused from the next request on.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        Outranked: the member is above the caller.
        LastOwner: the tenant would have no owner left.
    """
    member, caller = _lock(tenant_id, membership_id, by)
    if outranks(member.role, caller.role):
        raise Outranked
    _keep_an_owner(tenant_id, without=member)
    member.delete()


@transaction.atomic
def note_use(membership: Membership) -> None:
    """Remember that the person entered this tenant: it is where they land next time."""
    Membership.objects.filter(pk=membership.pk).update(last_used_at=timezone.now())


def _lock(tenant_id: UUID, membership_id: UUID, by: UUID) -> tuple[Membership, Membership]:
    """Lock the member, the caller and the tenant's owners, in one order for everybody, and return the first two.

    The caller's role is read under the lock: it counts what they are now, not what their token says.
    """
    rows = list(
        selectors.with_person(Membership.objects.select_for_update(of=("self",)))
        .filter(tenant_id=tenant_id)
        .filter(Q(pk=membership_id) | Q(user_id=by) | Q(role=Role.OWNER))
        .order_by("id")
    )
    member = next((row for row in rows if row.pk == membership_id), None)
    caller = next((row for row in rows if row.user_id == by and row.status == MembershipStatus.ACTIVE), None)
    if member is None:
        raise Membership.DoesNotExist
    if caller is None:
        raise Outranked
    return member, caller


def _keep_an_owner(tenant_id: UUID, *, without: Membership) -> None:
    owners = Membership.objects.filter(tenant_id=tenant_id, role=Role.OWNER, status=MembershipStatus.ACTIVE)
    if without.role == Role.OWNER and not owners.exclude(pk=without.pk).exists():
        raise LastOwner
