"""Changing memberships: every function is one transaction.

Whoever changes who owns a tenant holds the lock on its owners' rows: of two owners who remove each other at the same
time, the second one finds themselves removed. Should a way be forgotten, Postgres refuses to commit a tenant without
an owner (the trigger in ``migrations``).

`by` is the caller's account, whose role is read under the lock: it counts what they are now. `held` is what their own
token holds: nobody gives more than that.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from psycopg import sql

from identity.members import selectors
from identity.members.errors import (
    AlreadyMember,
    LastOwner,
    MemberSuspended,
    NotTheOwner,
    Outranked,
    OwnerProtected,
    SeatLimit,
)
from identity.members.models import BarredAddress, Membership, MembershipStatus, digests_of
from identity.members.signals import owner_made
from identity.roles import selectors as roles
from identity.roles.selectors import TenantRole
from permissions.errors import ScopeNotHeld
from permissions.roles import Role
from permissions.standing import Standing
from tenants.audit.services import Target, record
from tenants.context.statements import execute, table
from tenants.registry import services as registry
from tenants.registry.plans import Limits

_NOTE_USE = (
    sql.SQL("UPDATE {members} SET last_used_at = %s WHERE id = %s").format(members=table(Membership)).as_string()
)


@transaction.atomic
def add_member(
    *,
    tenant_id: UUID,
    user_id: UUID,
    role: str,
    reason: str = "added",
    status: MembershipStatus = MembershipStatus.ACTIVE,
) -> Membership:
    """Make a person a member. Whether they may become one is the caller's business: see ``selectors.is_barred``.

    Args:
        role: the role's name.
        reason: how they came, for the audit trail: ``invited``, ``domain``, ``created`` (the tenant) and so on.
        status: who is suspended takes no seat.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: the tenant has no such role.
        AlreadyMember: they are one.
        SeatLimit: it has as many active members as it may.
    """
    limits = registry.hold_tenant(tenant_id=tenant_id)
    own = roles.role_by_name(tenant_id=tenant_id, name=role, lock=True)
    member, is_new = Membership.objects.get_or_create(
        tenant_id=tenant_id, user_id=user_id, defaults={"role": own.name, "custom_role": own.custom, "status": status}
    )
    if not is_new:
        raise AlreadyMember
    if status == MembershipStatus.ACTIVE:
        _refuse_beyond(limits, tenant_id)
    BarredAddress.objects.filter(tenant_id=tenant_id, digest__in=digests_of(member.user.email)).delete()
    _tell_of_owner(member)
    record(
        action="member.added",
        tenant_id=tenant_id,
        targets=[Target("member", member.pk), Target("account", user_id)],
        changes={"role": [None, own.name], "reason": [None, reason]},
        person=user_id,
    )
    return member


@transaction.atomic
def change_role(*, tenant_id: UUID, membership_id: UUID, role: str, by: UUID, held: frozenset[str]) -> Membership:
    """Give a member another role. Their tokens are refused from the next request on.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        ValidationError: it has no such role.
        Outranked: the member, or the role, is above the caller's own role.
        ScopeNotHeld: the role holds more than the caller.
        LastOwner: the tenant would have no owner left.
    """
    wanted = roles.role_by_name(tenant_id=tenant_id, name=role, lock=True)
    member, caller = _lock(tenant_id, membership_id, by)
    _refuse_outranked(caller, member)
    if member.role == wanted.name:
        return member
    refuse_above(own=caller.tenant_role.standing, wanted=wanted.standing, held=held)
    if wanted.name != Role.OWNER:
        _keep_an_owner(tenant_id, without=member)
    before = member.role
    member.take(wanted)
    member.save(update_fields=["role", "custom_role", "version"])
    _tell_of_owner(member)
    _record("member.role_changed", member, role=[before, wanted.name])
    return member


@transaction.atomic
def suspend_member(*, tenant_id: UUID, membership_id: UUID, by: UUID) -> Membership:
    """Keep a member out until they are reactivated. Their tokens are refused from the next request on. Doing it twice
    changes nothing.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        Outranked: the member is above the caller.
        LastOwner: the tenant would have no active owner left.
    """
    member, caller = _lock(tenant_id, membership_id, by)
    _refuse_outranked(caller, member)
    if member.status == MembershipStatus.ACTIVE:
        _keep_an_owner(tenant_id, without=member)
        _set_status(member, MembershipStatus.SUSPENDED)
        _record("member.suspended", member)
    return member


@transaction.atomic
def reactivate_member(*, tenant_id: UUID, membership_id: UUID, by: UUID, held: frozenset[str]) -> Membership:
    """Let a suspended member in again, with the role they have. Doing it twice changes nothing.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        Outranked: the member is above the caller.
        ScopeNotHeld: the member's role holds more than the caller.
        SeatLimit: the tenant has as many active members as it may.
    """
    limits = registry.hold_tenant(tenant_id=tenant_id)
    member, caller = _lock(tenant_id, membership_id, by)
    _refuse_outranked(caller, member)
    if member.status == MembershipStatus.SUSPENDED:
        refuse_above(own=caller.tenant_role.standing, wanted=member.tenant_role.standing, held=held)
        _set_status(member, MembershipStatus.ACTIVE)
        _refuse_beyond(limits, tenant_id)
        _record("member.reactivated", member)
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
    _refuse_outranked(caller, member)
    if member.pk != caller.pk:
        _bar(member)
    _remove(member, "member.removed")


@transaction.atomic
def leave(*, tenant_id: UUID, user_id: UUID) -> None:
    """Take oneself out of a tenant. Somebody suspended who does so, with their whole account, stays out.

    Raises:
        Membership.DoesNotExist: one is in it no longer.
        LastOwner: the tenant would have no owner left.
    """
    member = next((row for row in _locked(tenant_id, Q(user_id=user_id)) if row.user_id == user_id), None)
    if member is None:
        raise Membership.DoesNotExist
    if member.status == MembershipStatus.SUSPENDED:
        _bar(member)
    _remove(member, "member.left")


@transaction.atomic
def provision_status(*, tenant_id: UUID, membership_id: UUID, is_active: bool) -> Membership:
    """Suspend or reactivate a member as the tenant's own directory says: its administrators let it. Doing it twice
    changes nothing.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        OwnerProtected: they are an owner.
        SeatLimit: the tenant has as many active members as it may.
    """
    limits = registry.hold_tenant(tenant_id=tenant_id)
    member = _provisioned(tenant_id, membership_id)
    wanted = MembershipStatus.ACTIVE if is_active else MembershipStatus.SUSPENDED
    if member.status == wanted:
        return member
    _refuse_owner(member)
    _set_status(member, wanted)
    if is_active:
        _refuse_beyond(limits, tenant_id)
    _record("member.reactivated" if is_active else "member.suspended", member)
    return member


@transaction.atomic
def provision_role(*, tenant_id: UUID, membership_id: UUID, role: TenantRole) -> Membership:
    """Give a member the role that their groups in the tenant's own directory give. An owner stays one.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        OwnerProtected: it is the owner's role.
    """
    member = _provisioned(tenant_id, membership_id)
    if role.name == Role.OWNER:
        raise OwnerProtected
    if member.role not in {Role.OWNER, role.name}:
        before = member.role
        member.take(role)
        member.save(update_fields=["role", "custom_role", "version"])
        _record("member.role_changed", member, role=[before, role.name])
    return member


@transaction.atomic
def deprovision(*, tenant_id: UUID, membership_id: UUID) -> None:
    """Remove a member whom the tenant's own directory has no more. They do not come back by themselves.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        OwnerProtected: they are an owner.
    """
    member = _provisioned(tenant_id, membership_id)
    _refuse_owner(member)
    _bar(member)
    _remove(member, "member.removed")


@transaction.atomic
def transfer_ownership(
    *, tenant_id: UUID, membership_id: UUID, by: UUID, become: str, held: frozenset[str]
) -> Membership:
    """Make another member owner in the caller's place: both change, or neither.

    Args:
        become: the role that the caller has afterwards.

    Raises:
        Membership.DoesNotExist: this tenant has no such member.
        ValidationError: it has no such role to become.
        NotTheOwner: the caller is none.
        ScopeNotHeld: the owner's role holds more than the caller's token.
        MemberSuspended: a tenant is not given to somebody who cannot enter it.
        AlreadyMember: nothing would change: the member is the caller.
    """
    next_role = roles.role_by_name(tenant_id=tenant_id, name=become, field="become", lock=True)
    member, caller = _lock(tenant_id, membership_id, by)
    if caller.role != Role.OWNER:
        raise NotTheOwner
    refuse_above(own=caller.tenant_role.standing, wanted=Standing.built_in(Role.OWNER), held=held)
    if member.status != MembershipStatus.ACTIVE:
        raise MemberSuspended
    if member.pk == caller.pk:
        raise AlreadyMember("You are the owner already: name another member.")
    changed = ((member, TenantRole(Role.OWNER.value)), (caller, next_role))
    roles_before = [member.role, caller.role]
    for row, role in changed:
        if row.role != role.name:
            row.take(role)
            row.save(update_fields=["role", "custom_role", "version"])
            _tell_of_owner(row)
    record(
        action="tenant.ownership_transferred",
        tenant_id=tenant_id,
        targets=[_target(member), _target(caller)],
        changes={"role": [roles_before[0], member.role], "own_role": [roles_before[1], caller.role]},
    )
    return member


def note_use(membership: Membership) -> None:
    """Remember that the person entered this tenant: it is where they land next time."""
    execute(_NOTE_USE, timezone.now(), membership.pk)


def refuse_to_give(*, tenant_id: UUID, by: UUID, wanted: Standing, held: frozenset[str]) -> None:
    """Refuse to let a person give away a role that is more than their own at this moment, or than their token.

    Raises:
        Outranked: it is above their own, or they are no active member.
        ScopeNotHeld: it holds more.
    """
    own = selectors.standing_of(tenant_id=tenant_id, user_id=by)
    if own is None:
        raise Outranked
    refuse_above(own=own, wanted=wanted, held=held)


def refuse_above(*, own: Standing, wanted: Standing, held: frozenset[str]) -> None:
    """Refuse to let somebody give away a role that is above their own, or holds more than their token.

    Raises:
        Outranked: it is above.
        ScopeNotHeld: it holds more.
    """
    if wanted.outranks(own):
        raise Outranked
    missing = wanted.missing_in(held) | wanted.missing_in(own.scopes)
    if missing:
        raise ScopeNotHeld(missing)


def _lock(tenant_id: UUID, membership_id: UUID, by: UUID) -> tuple[Membership, Membership]:
    """Return a member and the caller, locked."""
    rows = _locked(tenant_id, Q(pk=membership_id) | Q(user_id=by))
    member = next((row for row in rows if row.pk == membership_id), None)
    caller = next((row for row in rows if row.user_id == by and row.status == MembershipStatus.ACTIVE), None)
    if member is None:
        raise Membership.DoesNotExist
    if caller is None:
        raise Outranked
    return member, caller


def _provisioned(tenant_id: UUID, membership_id: UUID) -> Membership:
    member = next((row for row in _locked(tenant_id, Q(pk=membership_id)) if row.pk == membership_id), None)
    if member is None:
        raise Membership.DoesNotExist
    return member


def _refuse_owner(member: Membership) -> None:
    if member.role == Role.OWNER:
        raise OwnerProtected


def _locked(tenant_id: UUID, wanted: Q) -> list[Membership]:
    """Return memberships and those of the tenant's owners, locked in one order for everybody."""
    rows = selectors.with_person(Membership.objects.select_for_update(of=("self",)))
    return list(rows.filter(tenant_id=tenant_id).filter(wanted | Q(role=Role.OWNER)).order_by("id"))


def _refuse_outranked(caller: Membership, member: Membership) -> None:
    if caller.pk != member.pk and member.tenant_role.standing.outranks(caller.tenant_role.standing):
        raise Outranked


def _keep_an_owner(tenant_id: UUID, *, without: Membership) -> None:
    owners = Membership.objects.filter(tenant_id=tenant_id, role=Role.OWNER, status=MembershipStatus.ACTIVE)
    is_active_owner = (without.role, without.status) == (Role.OWNER, MembershipStatus.ACTIVE)
    if is_active_owner and not owners.exclude(pk=without.pk).exists():
        raise LastOwner


def _refuse_beyond(limits: Limits, tenant_id: UUID) -> None:
    """Refuse the change that brought one more active member than there may be. Whoever holds the tenant counts right,
    however many join at once; where there are more already, because the limit was lowered, nobody else is let in.
    """
    if limits.seats is not None and selectors.active_members(tenant_id).count() > limits.seats:
        raise SeatLimit


def _tell_of_owner(member: Membership) -> None:
    """Say that a member whose role is another one now is an owner, if it is that."""
    if member.role == Role.OWNER:
        owner_made.send(sender=Membership, tenant_id=member.tenant_id, user_id=member.user_id)


def _set_status(member: Membership, status: MembershipStatus) -> None:
    member.status = status
    member.version += 1
    member.save(update_fields=["status", "version"])


def _bar(member: Membership) -> None:
    barred = BarredAddress(tenant_id=member.tenant_id, digest=digests_of(member.user.email)[0])
    BarredAddress.objects.bulk_create([barred], ignore_conflicts=True)


def _remove(member: Membership, action: str) -> None:
    _keep_an_owner(member.tenant_id, without=member)
    target = _target(member)
    role = member.role
    Membership.objects.filter(pk=member.pk).delete()
    record(action=action, tenant_id=member.tenant_id, targets=[target], changes={"role": [role, None]})


def _target(member: Membership) -> Target:
    return Target("member", member.pk, member.user.name)


def _record(action: str, member: Membership, **changes: list[str]) -> None:
    record(action=action, tenant_id=member.tenant_id, targets=[_target(member)], changes=changes)
