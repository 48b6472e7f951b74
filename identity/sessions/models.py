"""Sign-ins and what keeps them going."""

import secrets
import uuid

from django.db import models

from identity.accounts.models import User
from tenants.registry.models import Tenant


class Api(models.TextChoices):
    """Which API a session is for; it decides the audience of its tokens."""

    TENANT = "tenant"
    OPERATOR = "operator"


class EndReason(models.TextChoices):
    """Why a session is over."""

    LOGOUT = "logout"
    REFRESH_REUSED = "refresh_reused"


class Session(models.Model):
    """One sign-in of one person on one device. Every token says in ``sid`` which session it belongs to."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    api = models.CharField(max_length=16, choices=Api)
    methods = models.JSONField(help_text="How the person proved who they are: RFC 8176 names.")
    authenticated_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Nothing keeps a session going beyond this.")
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=32, choices=EndReason, blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-authenticated_at"])]

    def __str__(self) -> str:
        return str(self.id)


def generate_family_secret() -> bytes:
    """Return the random half of what a family's refresh tokens are made from (256 bits)."""
    return secrets.token_bytes(32)


class RefreshFamily(models.Model):
    """The chain of refresh tokens of one session in one tenant. Only its newest token is good.

    No token is stored: token number `generation` is computed from this row's secret and the server's key, so neither a
    copy of the database nor the key alone is enough to make one.

    Attributes:
        scope: the scopes the client asked for at sign-in, space-separated; empty when it asked for none in particular.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="families")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+")
    scope = models.TextField(blank=True)
    secret = models.BinaryField(default=generate_family_secret)
    generation = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField()
    idle_expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)
