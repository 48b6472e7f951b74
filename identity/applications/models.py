"""Third-party applications: programs that act for a tenant's members, as far as each of them agrees."""

import uuid
from typing import ClassVar

from django.db import models

from identity.accounts.models import User
from identity.clients.models import StoredSecret
from identity.sessions.models import Session
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened

URL_LENGTH = 500
_OF_TENANT = f"tenant_id = {THIS_TENANT}"
_OF_APPLICATION = (
    "EXISTS (SELECT FROM applications_application application WHERE application.id = {table}.application_id)"
)
_APPLICATION_COLUMNS = [
    "id",
    "tenant_id",
    "name",
    "homepage_url",
    "logo_url",
    "redirect_uris",
    "is_confidential",
    "scope",
    "is_active",
    "created_by",
    "created_at",
    "last_used_at",
]


@opened(
    rows=_OF_TENANT,
    select=_APPLICATION_COLUMNS,
    insert=_APPLICATION_COLUMNS,
    update=["name", "homepage_url", "logo_url", "redirect_uris", "scope", "is_active"],
    delete=True,
)
class Application(models.Model):
    """A program that somebody else runs, which a tenant lets its members use in their names.

    Attributes:
        id: the OAuth ``client_id``.
        redirect_uris: where a person may be sent back to; see ``redirects``.
        is_confidential: whether it can keep a secret, and therefore has one (RFC 6749 section 2.1).
        scope: the most that anybody may let it do, space-separated; empty where it only asks who somebody is.
        created_by: the account of whoever registered it, for people to ask.
        last_used_at: when it last got tokens, to within a minute.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    homepage_url = models.CharField(max_length=URL_LENGTH, blank=True)
    logo_url = models.CharField(max_length=URL_LENGTH, blank=True)
    redirect_uris = models.JSONField()
    is_confidential = models.BooleanField(default=True)
    scope = models.TextField(blank=True)
    is_active = models.BooleanField(default=True)
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


class SecretManager(models.Manager["ApplicationSecret"]):
    """Secrets without their digest, which nobody inside a tenant may read. ``services.authenticate`` does."""

    def get_queryset(self) -> models.QuerySet["ApplicationSecret"]:
        return super().get_queryset().defer("digest")


_SECRET_COLUMNS = ["id", "application_id", "hint", "expires_at", "created_at", "last_used_at"]


@opened(rows=_OF_APPLICATION, select=_SECRET_COLUMNS, insert=[*_SECRET_COLUMNS, "digest"], delete=True)
class ApplicationSecret(StoredSecret):
    """A secret of an application."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="secrets")

    objects: ClassVar[SecretManager] = SecretManager()

    class Meta:
        base_manager_name = "objects"
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(expires_at__isnull=False),
                name="application_secret_expires_idx",
            )
        ]


@opened(rows=_OF_TENANT, select=["id", "tenant_id", "application_id", "user_id", "scope", "given_at"], delete=True)
class Consent(models.Model):
    """That a person lets an application act for them in one tenant; kept until they, or the tenant, take it back.

    Attributes:
        scope: what they agreed to, space-separated: the scopes of OpenID Connect among it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="consents")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    scope = models.TextField()
    given_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "application"], name="consent_once")]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()


class BareManager(models.Manager["AuthorizationCode"]):
    """Codes as a tenant sees them, whose applications take them along: nothing but whose they are."""

    def get_queryset(self) -> models.QuerySet["AuthorizationCode"]:
        return super().get_queryset().only("id", "application_id")


@opened(rows=_OF_APPLICATION, select=["id", "application_id"], delete=True)
class AuthorizationCode(models.Model):
    """What an application exchanges for tokens, once: proof that a person has just agreed (RFC 6749 section 4.1.2).

    Attributes:
        session: the sign-in, in the person's browser, by which they agreed.
        digest: SHA-256 of the code, which holds 256 random bits.
        code_challenge: SHA-256 of what only the application's own instance knows, in base64url (RFC 7636).
        nonce: of OpenID Connect; goes into the ID token as it came.
        used_at: when it was used; used again, it takes along what it gave (RFC 9700 section 4.5).
        gave: the session of the application that it gave.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)
    redirect_uri = models.CharField(max_length=URL_LENGTH)
    code_challenge = models.CharField(max_length=43)
    scope = models.TextField()
    nonce = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    gave = models.UUIDField(null=True)

    objects: ClassVar[models.Manager["AuthorizationCode"]] = models.Manager()
    bare: ClassVar[BareManager] = BareManager()

    class Meta:
        base_manager_name = "bare"
        indexes = [models.Index(fields=["expires_at"])]  # for pruning

    def __str__(self) -> str:
        return str(self.id)
