"""Sign-ins and what keeps them going."""

import secrets
import uuid

from django.db import models

from identity.accounts.models import User
from identity.sessions.proof import Way
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_PERSON, THIS_TENANT, closed, opened, opened_to_people

PROVIDER_SESSION_LENGTH = 255


class Api(models.TextChoices):
    """What a session is for: it decides which tokens come from it."""

    TENANT = "tenant"
    OPERATOR = "operator"
    SUPPORT = "support"  # staff inside one tenant


class EndReason(models.TextChoices):
    """Why a session is over."""

    LOGOUT = "logout"
    REFRESH_REUSED = "refresh_reused"
    ENDED_BY_PERSON = "ended_by_person"  # from another session of theirs
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 -- a reason, no secret
    ACCOUNT_CLOSED = "account_closed"
    REVOKED = "revoked"  # by a client, at the revocation endpoint
    ENDED_BY_STAFF = "ended_by_staff"
    ENDED_BY_TENANT = "ended_by_tenant"
    ENDED_BY_PROVIDER = "ended_by_provider"


@opened_to_people(
    rows=f"user_id = {THIS_PERSON} AND api = '{Api.TENANT.value}'",
    select=[
        "id",
        "user_id",
        "api",
        "tenant_id",
        "scope",
        "way",
        "connection_id",
        "application_id",
        "provider_session",
        "methods",
        "authenticated_at",
        "expires_at",
        "ended_at",
        "end_reason",
        "ip_address",
        "user_agent",
    ],
    update=["ended_at", "end_reason"],
)
# A tenant ends what is good for it alone, staff's looks into it among that, and knows no more of it than that takes.
@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=["id", "user_id", "tenant_id", "connection_id", "application_id", "ended_at"],
    update=["ended_at", "end_reason"],
)
class Session(models.Model):
    """One sign-in of one person on one device. Every token says in ``sid`` which session it belongs to.

    Attributes:
        scope: the scopes asked for at sign-in, space-separated; empty when none in particular. No token of the session
            holds more, in whichever tenant.
        tenant: the one tenant that it opens, of support access and wherever the proof is good for no other one.
        way, connection_id, application_id, provider_session: see ``proof.Proof``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    api = models.CharField(max_length=16, choices=Api)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+")
    scope = models.TextField(blank=True)
    way = models.CharField(max_length=16, choices=Way, default=Way.PASSWORD)
    connection_id = models.UUIDField(null=True)
    application_id = models.UUIDField(null=True)
    provider_session = models.CharField(max_length=PROVIDER_SESSION_LENGTH, blank=True)
    methods = models.JSONField(help_text="How the person proved who they are: RFC 8176 names.")
    authenticated_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Nothing keeps a session going beyond this.")
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=32, choices=EndReason, blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-authenticated_at"]),
            # For pruning: what is over, oldest first.
            models.Index(fields=["expires_at"]),
            # For ending whatever stands on one of these.
            models.Index(
                fields=["connection_id"], condition=models.Q(connection_id__isnull=False), name="session_connection_idx"
            ),
            models.Index(
                fields=["application_id"],
                condition=models.Q(application_id__isnull=False),
                name="session_application_idx",
            ),
            models.Index(fields=["ended_at"], condition=models.Q(ended_at__isnull=False), name="session_ended_at_idx"),
        ]

    def __str__(self) -> str:
        return str(self.id)


def generate_family_secret() -> bytes:
    """Return the random half of what a family's refresh tokens are made from (256 bits)."""
    return secrets.token_bytes(32)


@opened_to_people(
    rows="EXISTS (SELECT FROM identity_sessions_session session WHERE session.id = {table}.session_id)",
    select=["id", "session_id", "tenant_id", "rotated_at", "idle_expires_at"],
)
@closed
class RefreshFamily(models.Model):
    """The chain of refresh tokens of one session in one tenant. Only its newest token is good.

    No token is stored: token number `generation` is computed from this row's secret and the server's key, so neither a
    copy of the database nor the key alone is enough to make one.

    Attributes:
        scope: the scopes asked for when this tenant was entered, space-separated; empty when none in particular.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="families")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+")
    scope = models.TextField(blank=True)
    secret = models.BinaryField(default=generate_family_secret)
    generation = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField()
    idle_expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["idle_expires_at"])]  # for pruning

    def __str__(self) -> str:
        return str(self.id)
