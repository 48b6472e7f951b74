"""What a tenant's own directory of people (Okta, Entra ID and the like) keeps with us: its tokens, what it says of our
members, its groups.
"""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Lower

from identity.members.models import Membership
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from permissions.roles import Role
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened

NAME_LENGTH = 255
_BUILT_IN = [role.value for role in Role]
_OF_TENANT = f"tenant_id = {THIS_TENANT}"


class TokenManager(models.Manager["ScimToken"]):
    """Tokens without their digest, which nobody inside a tenant may read; only what checks one asks for it."""

    def get_queryset(self) -> models.QuerySet["ScimToken"]:
        return super().get_queryset().defer("digest")


_TOKEN_COLUMNS = ["id", "tenant_id", "name", "hint", "expires_at", "created_by", "created_at", "last_used_at"]


@opened(
    rows=_OF_TENANT,
    select=_TOKEN_COLUMNS,
    insert=[*_TOKEN_COLUMNS, "digest"],
    update=["last_used_at"],
    delete=True,
)
class ScimToken(models.Model):
    """A token by which a tenant's directory provisions people; two may be live, so that one can be replaced without a
    gap.

    Attributes:
        digest: SHA-256 of the whole token. It holds 256 random bits, which no fast hash gives away (ASVS 5.0, 6.5.2).
        hint: its last characters, to tell it from the other one.
        created_by: the account of whoever made it, for people to ask.
        last_used_at: to within a minute.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32)
    hint = models.CharField(max_length=8)
    expires_at = models.DateTimeField(null=True)
    created_by = models.UUIDField()
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    objects: ClassVar[TokenManager] = TokenManager()

    class Meta:
        base_manager_name = "objects"
        indexes = [
            models.Index(fields=["tenant", "-created_at", "id"]),
            models.Index(
                fields=["expires_at"], condition=models.Q(expires_at__isnull=False), name="scim_token_expires_idx"
            ),  # for pruning
        ]

    def __str__(self) -> str:
        return str(self.id)


_USER_COLUMNS = ["id", "tenant_id", "membership_id", "user_name", "external_id", "attributes", "updated_at"]


@opened(
    rows=_OF_TENANT,
    select=_USER_COLUMNS,
    insert=_USER_COLUMNS,
    update=["user_name", "external_id", "attributes", "updated_at"],
    delete=True,
)
class ScimUser(models.Model):
    """What a directory says of a member. None of it reaches the person's account, which is theirs and not a tenant's: a
    directory that changes an address changes what is shown here, never whose account the membership is.

    Attributes:
        user_name: unique in the tenant, whatever its capitals.
        attributes: the rest, as SCIM names it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    membership = models.OneToOneField(Membership, on_delete=models.CASCADE, related_name="scim")
    user_name = models.CharField(max_length=NAME_LENGTH)
    external_id = models.CharField(max_length=NAME_LENGTH, blank=True)
    attributes = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("tenant", Lower("user_name"), name="scim_user_name_once"),
            models.UniqueConstraint(
                fields=["tenant", "external_id"], condition=~models.Q(external_id=""), name="scim_user_external_once"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


_GROUP_COLUMNS = [
    "id", "tenant_id", "display_name", "external_id", "role", "custom_role_id", "created_at", "updated_at",
]  # fmt: skip


@opened(
    rows=_OF_TENANT,
    select=_GROUP_COLUMNS,
    insert=_GROUP_COLUMNS,
    update=["display_name", "external_id", "role", "custom_role_id", "updated_at"],
    delete=True,
)
class ScimGroup(models.Model):
    """A directory's group. It gives its members a role where an administrator of the tenant says which.

    Attributes:
        role, custom_role: as in ``identity.members.models.Membership``; `role` is empty where the group gives none, and
            never the owner's.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    display_name = models.CharField(max_length=NAME_LENGTH)
    external_id = models.CharField(max_length=NAME_LENGTH, blank=True)
    role = models.CharField(max_length=32, blank=True)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("tenant", Lower("display_name"), name="scim_group_name_once"),
            models.UniqueConstraint(fields=["tenant", "id"], name="scim_group_of_tenant"),
            models.CheckConstraint(
                condition=models.Q(custom_role=None, role__in=["", *_BUILT_IN[1:]])
                | (models.Q(custom_role__isnull=False) & ~models.Q(role__in=["", *_BUILT_IN])),
                name="scim_group_role",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def tenant_role(self) -> TenantRole | None:
        """The role that it gives, if it gives one."""
        return TenantRole(self.role, self.custom_role) if self.role else None


_MEMBER_COLUMNS = ["id", "tenant_id", "group_id", "membership_id"]


@opened(rows=_OF_TENANT, select=_MEMBER_COLUMNS, insert=_MEMBER_COLUMNS, delete=True)
class ScimGroupMember(models.Model):
    """That a member is in a directory's group."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(ScimGroup, on_delete=models.CASCADE, related_name="members")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="scim_groups")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "membership"], name="scim_group_member_once")]

    def __str__(self) -> str:
        return f"{self.membership_id} in {self.group_id}"


def primary_email(attributes: dict[str, Any]) -> str:
    """Return the address among what a directory says: the primary one, else the first; empty without any."""
    emails = [email for email in attributes.get("emails") or [] if email.get("value")]
    found = next((email for email in emails if email.get("primary")), emails[0] if emails else {})
    return str(found.get("value", ""))
