"""Mail that is to be sent."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened


# A tenant puts its own mail (invitations, say) into the outbox, and reads nothing there.
@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=[],
    insert=[
        "id",
        "template",
        "recipient",
        "context",
        "tenant_id",
        "created_at",
        "attempts",
        "next_attempt_at",
        "failed_at",
    ],
)
class OutgoingMail(models.Model):
    """A mail between the transaction that decided on it and the server that takes it; it is deleted when it was sent.

    No secret is in it: what is secret in a mail, its template's builder computes when it is sent.

    Attributes:
        context: what the builder needs to know, such as the id of a row.
        failed_at: when it was given up. It is kept for a while, for whoever looks into it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    template = models.CharField(max_length=64)
    recipient = models.EmailField(max_length=254)
    context = models.JSONField(encoder=DjangoJSONEncoder)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(failed_at__isnull=True), name="mail_next_attempt_idx"
            ),
            # For pruning: what was given up, oldest first.
            models.Index(fields=["failed_at"], condition=models.Q(failed_at__isnull=False), name="mail_failed_at_idx"),
        ]

    def __str__(self) -> str:
        return str(self.id)  # an address does not belong into logs
