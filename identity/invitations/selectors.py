"""Reading invitations."""

from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from identity.invitations.models import Invitation, InvitationStatus


def invitations_of(tenant_id: UUID | None) -> QuerySet[Invitation]:
    """Return a tenant's invitations, whatever became of them; outside any tenant there are none."""
    return Invitation.objects.none() if tenant_id is None else Invitation.objects.filter(tenant_id=tenant_id)


def with_status(invitations: QuerySet[Invitation], status: str) -> QuerySet[Invitation]:
    """Narrow invitations to those whose status is this one now."""
    is_over = Q(expires_at__lte=timezone.now())
    if status == InvitationStatus.PENDING:
        return invitations.filter(~is_over, status=status)
    if status == InvitationStatus.EXPIRED:
        return invitations.filter(Q(status=status) | Q(is_over, status=InvitationStatus.PENDING))
    return invitations.filter(status=status)
