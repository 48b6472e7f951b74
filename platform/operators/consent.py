"""What a tenant's owners say to platform staff who want to look into it, or do so: every function is one transaction,
in the tenant and as its role, and holds the tenant first of all, as ``operators.support`` does.
"""

from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from identity.sessions.models import EndReason
from operators import accesses, support
from operators.errors import SupportOver
from operators.models import OPEN_STATUSES, Access, SupportAccess, SupportStatus
from tenants.registry import services as registry
from tenants.registry.models import SupportPolicy


@transaction.atomic
def approve(*, tenant_id: UUID, access_id: UUID, access: Access | None, by: UUID) -> SupportAccess:
    """Let a member of staff in, once: they collect their token within ``settings.SUPPORT_COLLECT_LIFETIME``.

    Args:
        access: what they may do; what they asked for unless given, and never more than that.
        by: the account of the owner.

    Raises:
        SupportAccess.DoesNotExist: the tenant has no such access.
        SupportOver: there is nothing to decide (any more).
        ValidationError: they have not asked to write.
    """
    row = _pending(tenant_id, access_id)
    if access == Access.WRITE and row.access != Access.WRITE:
        raise ValidationError({"access": ValidationError("They ask to read, and no more.", code="not_asked_for")})
    before, row.access = row.access, access or Access(row.access)
    row.status = SupportStatus.APPROVED
    row.decided_by, row.decided_at = by, timezone.now()
    row.expires_at = row.decided_at + settings.SUPPORT_COLLECT_LIFETIME
    row.save(update_fields=["access", "status", "decided_by", "decided_at", "expires_at"])
    changes = {} if before == row.access else {"access": [str(before), str(row.access)]}
    support.record_status(row, changes)
    return row


@transaction.atomic
def deny(*, tenant_id: UUID, access_id: UUID, by: UUID) -> SupportAccess:
    """Keep a member of staff out who has asked to be let in.

    Raises:
        SupportAccess.DoesNotExist, SupportOver: as ``approve``.
    """
    row = _pending(tenant_id, access_id)
    _deny(row, by)
    return row


@transaction.atomic
def end(*, tenant_id: UUID, access_id: UUID) -> SupportAccess:
    """End a support access, or void it before its token was collected: the token is refused from the next request on.
    Ending it twice changes nothing.

    Raises:
        SupportAccess.DoesNotExist: the tenant has no such access.
        SupportOver: nobody has decided about it yet; it is for an owner to deny it.
    """
    row = _held(tenant_id, access_id)
    if row.status_now == SupportStatus.PENDING:
        raise SupportOver("Nobody was let in: an owner denies the request.")
    if row.status_now in OPEN_STATUSES:
        support.close(row, SupportStatus.ENDED, EndReason.ENDED_BY_TENANT)
    return row


@transaction.atomic
def set_policy(*, tenant_id: UUID, policy: SupportPolicy, by: UUID) -> None:
    """Say what platform staff may do in a tenant, and whether they ask. It holds at once: what is under way ends, if it
    would have to be asked for now and was not; with ``never`` all of it ends, asked for or not.
    """
    registry.set_support_policy(tenant_id=tenant_id, policy=policy)
    for row in accesses.accesses_of(tenant_id).filter(status__in=OPEN_STATUSES):
        if row.status_now not in OPEN_STATUSES:
            continue  # it is over, and will be noted
        if row.status == SupportStatus.PENDING:
            if policy == SupportPolicy.NEVER:
                _deny(row, by)
        elif policy == SupportPolicy.NEVER or not (row.decided_by or support.needs_nobody(policy, row.access)):
            support.close(row, SupportStatus.ENDED, EndReason.ENDED_BY_TENANT)


def _deny(row: SupportAccess, by: UUID) -> None:
    row.decided_by, row.decided_at = by, timezone.now()
    support.close(row, SupportStatus.DENIED, EndReason.ENDED_BY_TENANT)


def _pending(tenant_id: UUID, access_id: UUID) -> SupportAccess:
    row = _held(tenant_id, access_id)
    if row.status_now != SupportStatus.PENDING:
        raise SupportOver
    return row


def _held(tenant_id: UUID, access_id: UUID) -> SupportAccess:
    registry.hold_tenant(tenant_id=tenant_id)
    return accesses.accesses_of(tenant_id).get(pk=access_id)
