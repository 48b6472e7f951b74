"""Platform staff."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from identity.sessions.models import Session
from permissions.roles import OperatorRole
from permissions.versions import first_version
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, closed, opened

ROLES = [(role.value, role.value.title()) for role in OperatorRole]


@closed
class Operator(models.Model):
    """A person who works for the platform, and as what.

    Attributes:
        version: the ``ver`` claim of operator tokens; see ``identity.members.models.Membership``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator")
    role = models.CharField(max_length=32, choices=ROLES)
    is_active = models.BooleanField(default=True)
    version = models.BigIntegerField(default=first_version)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.user_id)


class Access(models.TextChoices):
    """What staff may do inside a tenant."""

    READ = "read"
    WRITE = "write"


class SupportStatus(models.TextChoices):
    """How far a support access is."""

    PENDING = "pending"  # an owner has to decide
    APPROVED = "approved"  # its token waits to be collected
    ACTIVE = "active"
    ENDED = "ended"
    DENIED = "denied"
    EXPIRED = "expired"


OPEN_STATUSES = [SupportStatus.PENDING, SupportStatus.APPROVED, SupportStatus.ACTIVE]
SEEN_BY_TENANTS = [
    "id", "tenant_id", "session_id", "staff_id", "staff_name", "reason", "ticket", "access", "minutes", "status",
    "decided_by", "decided_at", "created_at", "started_at", "expires_at", "ended_at",
]  # fmt: skip


@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=SEEN_BY_TENANTS,
    update=["access", "status", "decided_by", "decided_at", "expires_at", "ended_at"],
)
class SupportAccess(models.Model):
    """That a member of staff wants to look, or looks, or looked into a tenant: why, for how long, and who let them.

    Attributes:
        session: what its token stands on, and where it ends; there is none before the token was collected, nor when it
            has been over for long.
        staff_id, staff_name: the account of whoever it is (``act`` in the audit trail), and what they were called.
        access: what is asked for, until an owner decides; then what there is.
        minutes: how long it goes on, once begun.
        decided_by: the account of the owner who decided; null as long as nobody has, or needed to.
        expires_at: when its present status is over by itself. Of one that is active, the session's end decides.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="support_accesses")
    operator = models.ForeignKey(Operator, on_delete=models.SET_NULL, null=True, related_name="support_accesses")
    session = models.OneToOneField(Session, on_delete=models.SET_NULL, null=True, related_name="support_access")
    staff_id = models.UUIDField()
    staff_name = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=500)
    ticket = models.CharField(max_length=64)
    access = models.CharField(max_length=8, choices=Access, default=Access.READ)
    minutes = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=16, choices=SupportStatus, default=SupportStatus.PENDING)
    decided_by = models.UUIDField(null=True)
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["operator", "tenant"],
                condition=models.Q(status__in=OPEN_STATUSES),
                name="operators_support_one_open",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "id"], name="operators_support_of_tenant"),
            models.Index(fields=["-created_at", "id"], name="operators_support_newest"),
            # For noting that one is over.
            models.Index(
                fields=["expires_at"], condition=models.Q(status__in=OPEN_STATUSES), name="operators_support_open"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def status_now(self) -> SupportStatus:
        """Its status; one that is over says so, whether that was noted or not."""
        if self.status not in OPEN_STATUSES:
            return SupportStatus(self.status)
        if self.expires_at <= timezone.now():
            return SupportStatus.EXPIRED
        if self.status == SupportStatus.ACTIVE and (self.session is None or self.session.ended_at is not None):
            return SupportStatus.ENDED  # with the session: they left the staff, say
        return SupportStatus(self.status)
