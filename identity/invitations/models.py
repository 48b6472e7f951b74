"""Invitations into a tenant."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from identity.keys.computed import ComputedToken, generate_row_secret
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened


class InvitationToken(ComputedToken):
    """What stands in the invitation's mail. Sending it again makes the next one, and the former is void."""

    label = "tenantry invitation"
    prefix = "ti_"


class InvitationStatus(models.TextChoices):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class InvitationManager(models.Manager["Invitation"]):
    """Invitations without their secret, which nobody inside a tenant may read. Who needs it says ``defer(None)``."""

    def get_queryset(self) -> models.QuerySet["Invitation"]:
        return super().get_queryset().defer("secret")


_COLUMNS = [
    "id", "tenant_id", "email", "role", "custom_role_id", "invited_by", "status", "generation", "expires_at",
    "created_at", "sent_at", "accepted_at", "accepted_by",
]  # fmt: skip


@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_COLUMNS,
    insert=[*_COLUMNS, "secret"],
    update=["role", "custom_role_id", "invited_by", "status", "generation", "expires_at", "sent_at"],
)
class Invitation(models.Model):
    """That somebody may join a tenant, with a role, by the token in their mail; only the address's owner gets it.

    Attributes:
        role, custom_role: as of ``identity.members.models.Membership``.
        invited_by: the account whose rights it stands on: they are looked at again when it is accepted. Null where the
            platform invites the first owner: then it stands on there being none.
        generation: which token is the good one; see ``InvitationToken``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=32)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="invitations")
    invited_by = models.UUIDField(null=True)
    status = models.CharField(max_length=16, choices=InvitationStatus, default=InvitationStatus.PENDING)
    secret = models.BinaryField(default=generate_row_secret)
    generation = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(default=timezone.now)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.UUIDField(null=True)

    objects: ClassVar[InvitationManager] = InvitationManager()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=models.Q(status=InvitationStatus.PENDING),
                name="invitations_one_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "id"]),
            models.Index(fields=["expires_at"]),  # for pruning
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def tenant_role(self) -> TenantRole:
        """The role that it gives, with what it holds."""
        return TenantRole(self.role, self.custom_role)

    @property
    def is_live(self) -> bool:
        """Whether it can be accepted, as far as time and people's decisions go."""
        return self.status == InvitationStatus.PENDING and self.expires_at > timezone.now()

    @property
    def status_now(self) -> str:
        """Its status; one whose time is over says so, whether that was noted or not."""
        over = self.status == InvitationStatus.PENDING and not self.is_live
        return InvitationStatus.EXPIRED.value if over else self.status
