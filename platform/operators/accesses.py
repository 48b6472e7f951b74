"""Reading support accesses, from both sides."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from operators.models import OPEN_STATUSES, SEEN_BY_TENANTS, SupportAccess, SupportStatus

_GOES_ON = Q(session__isnull=False, session__ended_at__isnull=True)


def all_accesses() -> QuerySet[SupportAccess]:
    """Return every support access of the platform, with its session's end at hand."""
    return _with_end(SupportAccess.objects.all(), [*SEEN_BY_TENANTS, "operator_id"])


def accesses_of(tenant_id: UUID | None) -> QuerySet[SupportAccess]:
    """Return a tenant's support accesses, with what it may know of each: inside it, other columns are refused. Outside
    any tenant there are none.
    """
    if tenant_id is None:
        return SupportAccess.objects.none()
    return _with_end(SupportAccess.objects.filter(tenant_id=tenant_id), SEEN_BY_TENANTS)


def with_status(accesses: QuerySet[SupportAccess], status: str) -> QuerySet[SupportAccess]:
    """Narrow accesses to those that have a status now; see ``SupportAccess.status_now``."""
    now = timezone.now()
    is_late = Q(status__in=OPEN_STATUSES, expires_at__lte=now)
    has_ended = Q(status=SupportStatus.ACTIVE, expires_at__gt=now) & ~_GOES_ON
    match SupportStatus(status):
        case SupportStatus.EXPIRED:
            return accesses.filter(Q(status=status) | is_late)
        case SupportStatus.ENDED:
            return accesses.filter(Q(status=status) | has_ended)
    return accesses.filter(status=status).exclude(is_late | has_ended)


def overdue() -> QuerySet[SupportAccess]:
    """Return those that are over, by time or with their session, which nobody has noted yet."""
    is_over = Q(expires_at__lte=timezone.now()) | (Q(status=SupportStatus.ACTIVE) & ~_GOES_ON)
    return SupportAccess.objects.filter(is_over, status__in=OPEN_STATUSES)


def _with_end(accesses: QuerySet[SupportAccess], columns: Sequence[str]) -> QuerySet[SupportAccess]:
    return accesses.select_related("session").only(*columns, "session__ended_at")
