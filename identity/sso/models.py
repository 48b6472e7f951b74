"""A tenant's own OpenID Connect providers, and which of its members is who there."""

import uuid
from typing import ClassVar

from django.db import models

from identity.members.models import Membership
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from permissions.roles import Role
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, closed, opened

NAME_LENGTH = 120
GROUP_LENGTH = 255
SUBJECT_LENGTH = 255  # OpenID Connect Core section 2
CLIENT_LENGTH = 255
URL_LENGTH = 500
SCOPE_LENGTH = 500
DEFAULT_SCOPE = "openid email profile"
CLAIM_LENGTH = 120
_OF_TENANT = f"tenant_id = {THIS_TENANT}"
_BUILT_IN = [role.value for role in Role]
_GIVEN = _BUILT_IN[1:]  # no provider makes owners


class ConnectionStatus(models.TextChoices):
    DRAFT = "draft"  # nobody has signed in by it on trial yet
    ENABLED = "enabled"
    DISABLED = "disabled"


class ConnectionManager(models.Manager["Connection"]):
    """Connections without their client's secret, which nobody inside a tenant may read; what signs people in does."""

    def get_queryset(self) -> models.QuerySet["Connection"]:
        return super().get_queryset().defer("client_secret")


_COLUMNS = [
    "id", "tenant_id", "name", "status", "issuer", "client_id", "scope", "joins", "default_role", "custom_role_id",
    "groups_claim", "trusts_addresses", "admits_owners", "tested_at", "created_at", "updated_at",
]  # fmt: skip
_CHANGING = [name for name in _COLUMNS if name not in {"id", "tenant_id", "created_at"}]


@opened(
    rows=_OF_TENANT,
    select=_COLUMNS,
    insert=[*_COLUMNS, "client_secret"],
    update=[*_CHANGING, "client_secret"],
    delete=True,
)
class Connection(models.Model):
    """A tenant's connection to a provider of its own. It speaks for people at the domains that the tenant has proved,
    and opens this tenant alone.

    Attributes:
        client_secret: encrypted; see ``secrets``.
        scope: what the provider is asked for, space-separated.
        joins: whoever it vouches for becomes a member, with their first sign-in.
        default_role, custom_role: as what, and what they get whom no group gives a role; as in
            ``identity.members.models.Membership``, and never the owner's.
        groups_claim: the claim with the names of somebody's groups; empty where it has none.
        trusts_addresses: the provider need not say ``email_verified``: nobody there chooses their own address.
        admits_owners: owners come in by it too. An owner alone says so: whoever has a hand in the provider, or in this
            connection, can come in as anybody whom it admits.
        tested_at: when somebody last signed in by it on trial, with these settings; null until then.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=NAME_LENGTH)
    status = models.CharField(max_length=16, choices=ConnectionStatus, default=ConnectionStatus.DRAFT)
    issuer = models.CharField(max_length=URL_LENGTH)
    client_id = models.CharField(max_length=CLIENT_LENGTH)
    client_secret = models.BinaryField()
    scope = models.CharField(max_length=SCOPE_LENGTH, default=DEFAULT_SCOPE)
    joins = models.BooleanField(default=False)
    default_role = models.CharField(max_length=32, default=Role.MEMBER.value)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="+")
    groups_claim = models.CharField(max_length=CLAIM_LENGTH, blank=True)
    trusts_addresses = models.BooleanField(default=False)
    admits_owners = models.BooleanField(default=False)
    tested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ConnectionManager] = ConnectionManager()

    class Meta:
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="sso_connection_of_tenant"),
            models.CheckConstraint(
                condition=models.Q(custom_role=None, default_role__in=_GIVEN)
                | (models.Q(custom_role__isnull=False) & ~models.Q(default_role__in=_BUILT_IN)),
                name="sso_connection_role",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "created_at", "id"])]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_enabled(self) -> bool:
        return self.status == ConnectionStatus.ENABLED

    @property
    def tenant_role(self) -> TenantRole:
        """The role of whoever has none by a group."""
        return TenantRole(self.default_role, self.custom_role)


_GROUP_COLUMNS = ["id", "tenant_id", "connection_id", "name", "role", "custom_role_id"]


@opened(rows=_OF_TENANT, select=_GROUP_COLUMNS, insert=_GROUP_COLUMNS, update=["role", "custom_role_id"], delete=True)
class GroupRole(models.Model):
    """Which role a group at the provider gives.

    Attributes:
        name: the group's, or its id, just as the provider sends it.
        role, custom_role: never the owner's.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="group_roles")
    name = models.CharField(max_length=GROUP_LENGTH)
    role = models.CharField(max_length=32)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "name"], name="sso_group_once"),
            models.CheckConstraint(
                condition=models.Q(custom_role=None, role__in=_GIVEN)
                | (models.Q(custom_role__isnull=False) & ~models.Q(role__in=_BUILT_IN)),
                name="sso_group_role",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def tenant_role(self) -> TenantRole:
        """The role that it gives."""
        return TenantRole(self.role, self.custom_role)


_IDENTITY_COLUMNS = ["id", "tenant_id", "connection_id", "membership_id", "subject", "email", "created_at"]


@opened(rows=_OF_TENANT, select=_IDENTITY_COLUMNS, delete=True)
class MemberIdentity(models.Model):
    """Who a member is at the provider, since their first sign-in by it. It goes with the membership, so whoever is
    removed is nobody there.

    Attributes:
        subject: the provider's name for them, which never changes and is never given to another (``sub``).
        email: the address that it last vouched for.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="identities")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="sso_identities")
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "subject"], name="sso_identity_subject_once"),
            models.UniqueConstraint(fields=["connection", "membership"], name="sso_identity_member_once"),
        ]

    def __str__(self) -> str:
        return str(self.id)


@closed
class SpentLogout(models.Model):
    """A logout token that was used: a provider sends each once (OpenID Connect Back-Channel Logout 1.0 section 2.6).

    Attributes:
        digest: SHA-256 of connection and ``jti``.
        expires_at: when the token itself is too old, and this no longer needed.
    """

    digest = models.BinaryField(max_length=32, primary_key=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"])]  # for pruning

    def __str__(self) -> str:
        return bytes(self.digest).hex()
