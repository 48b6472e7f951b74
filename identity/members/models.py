"""Who belongs to which tenant, as what."""

import uuid

from django.db import models

from identity.accounts.models import User
from permissions.roles import Role
from permissions.versions import first_version
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_PERSON, THIS_TENANT, opened, opened_to_people

ROLES = [(role.value, role.value.title()) for role in Role]


class MembershipStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"


_COLUMNS = ["id", "tenant_id", "user_id", "role", "status", "version", "joined_at", "last_used_at"]


@opened_to_people(rows=f"user_id = {THIS_PERSON}", select=_COLUMNS)
@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_COLUMNS,
    update=["role", "status", "version"],
    delete=True,
)
class Membership(models.Model):
    """One person in one tenant.

    Attributes:
        version: the ``ver`` claim. It moves in the same transaction as anything that changes what the member may do,
            and a token with another version is refused on its next request.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=32, choices=ROLES)
    status = models.CharField(max_length=16, choices=MembershipStatus, default=MembershipStatus.ACTIVE)
    version = models.BigIntegerField(default=first_version)
    joined_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="members_membership_once"),
        ]
        indexes = [models.Index(fields=["tenant", "-joined_at", "id"])]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.tenant_id}"


# Of people, a tenant reaches its own members, and never their password.
opened(
    rows="EXISTS (SELECT FROM members_membership member WHERE member.user_id = {table}.id)",
    select=["id", "email", "name", "is_active"],
)(User)

# A person sees what the tenants are called that they belong to.
opened_to_people(
    rows="EXISTS (SELECT FROM members_membership mine WHERE mine.tenant_id = {table}.id)",
    select=["id", "slug", "schema_name", "name", "status", "created_at", "updated_at"],
)(Tenant)
