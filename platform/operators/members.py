"""What staff do about members of a tenant: sign them out, and have them choose another password. They set none, and
see no link. Every function is one transaction.

`by` is the caller's account, whose place on the staff is read now. Whoever is on the staff themselves is an admin's to
deal with, wherever they are a member.
"""

from uuid import UUID

from django.db import transaction

from identity.accounts import recovery
from identity.members import selectors as members
from identity.members.models import Membership
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from operators import selectors
from operators.errors import StaffMember
from permissions.roles import OperatorRole
from tenants.audit.services import Target, record
from tenants.registry import services as registry


@transaction.atomic
def end_sessions(*, tenant_id: UUID, membership_id: UUID, by: UUID) -> Membership:
    """Sign a member out everywhere: their tokens are refused from the next request on, in their other tenants too.

    Raises:
        Tenant.DoesNotExist, Membership.DoesNotExist: there is no such tenant, or it has no such member.
        StaffMember: they are on the staff, and the caller is no admin.
    """
    member = _held(tenant_id, membership_id, by)
    sessions.end_sessions_of(user_id=member.user_id, reason=EndReason.ENDED_BY_STAFF)
    _record("member.sessions_ended", member)
    return member


@transaction.atomic
def reset_password(*, tenant_id: UUID, membership_id: UUID, by: UUID) -> Membership:
    """Have a member choose another password: the present one opens nothing any more, they are signed out everywhere,
    and the link to choose another one is mailed to their address.

    Raises:
        Tenant.DoesNotExist, Membership.DoesNotExist: there is no such tenant, or it has no such member.
        StaffMember: they are on the staff, and the caller is no admin.
        User.DoesNotExist: their account is closed.
    """
    member = _held(tenant_id, membership_id, by)
    recovery.force_reset(user_id=member.user_id)
    _record("member.password_reset_forced", member)
    return member


def _held(tenant_id: UUID, membership_id: UUID, by: UUID) -> Membership:
    registry.hold_tenant(tenant_id=tenant_id)  # before any event is written: others write to the platform's trail first
    member = members.members_of(tenant_id).get(pk=membership_id)
    caller = selectors.active_operator(by)
    is_admin = caller is not None and caller.role == OperatorRole.ADMIN
    if not is_admin and selectors.staff().filter(user_id=member.user_id).exists():
        raise StaffMember
    return member


def _record(action: str, member: Membership) -> None:
    targets = [Target("member", member.pk, member.user.name), Target("account", member.user_id)]
    record(action=action, tenant_id=member.tenant_id, targets=targets)
