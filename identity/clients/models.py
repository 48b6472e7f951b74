"""Machine clients: programs that call a tenant's API in their own name."""

import uuid
from typing import ClassVar

from django.db import models

from permissions.versions import first_version
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened

_CLIENT_COLUMNS = [
    "id",
    "tenant_id",
    "name",
    "scope",
    "is_active",
    "version",
    "expires_at",
    "created_by",
    "created_at",
    "last_used_at",
]


@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_CLIENT_COLUMNS,
    insert=_CLIENT_COLUMNS,
    update=["name", "scope", "is_active", "version", "expires_at"],
    delete=True,
)
class Client(models.Model):
    """A program of one tenant. It belongs to the tenant and not to whoever made it, and no role is behind its scopes:
    they change only when somebody changes them here.

    Attributes:
        id: the OAuth ``client_id``, and ``sub`` of its tokens.
        scope: what it may ask for, space-separated.
        version: the ``ver`` claim; see ``identity.members.models.Membership``.
        created_by: the account of whoever made it, for people to ask.
        last_used_at: when it last got a token, to within a minute.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="clients")
    name = models.CharField(max_length=120)
    scope = models.TextField()
    is_active = models.BooleanField(default=True)
    version = models.BigIntegerField(default=first_version)
    expires_at = models.DateTimeField(null=True)
    created_by = models.UUIDField()
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "-created_at", "id"])]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()


class StoredSecret(models.Model):
    """A secret of a program; two may be live, so that one can be replaced without a gap.

    Attributes:
        digest: SHA-256. The secret is 256 random bits, which no fast hash gives away (ASVS 5.0, 6.5.2).
        hint: its last characters, to tell it from the other one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.BinaryField(max_length=32)
    hint = models.CharField(max_length=8)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.id)


class SecretManager(models.Manager["ClientSecret"]):
    """Secrets without their digest, which nobody inside a tenant may read. ``services.authenticate`` does."""

    def get_queryset(self) -> models.QuerySet["ClientSecret"]:
        return super().get_queryset().defer("digest")


_SECRET_COLUMNS = ["id", "client_id", "hint", "expires_at", "created_at", "last_used_at"]


@opened(
    rows="EXISTS (SELECT FROM clients_client client WHERE client.id = {table}.client_id)",
    select=_SECRET_COLUMNS,
    insert=[*_SECRET_COLUMNS, "digest"],
    delete=True,
)
class ClientSecret(StoredSecret):
    """A secret of a machine client."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="secrets")

    objects: ClassVar[SecretManager] = SecretManager()

    class Meta:
        base_manager_name = "objects"
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(expires_at__isnull=False), name="secret_expires_idx")
        ]
