"""Who belongs to which tenant, as what."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.crypto import salted_hmac

from identity.accounts.models import User
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from permissions.roles import Role
from permissions.versions import first_version
from tenants.registry.models import TENANT_COLUMNS, Tenant
from tenants.wall.openings import THIS_PERSON, THIS_TENANT, opened, opened_to_people


class MembershipStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"


_COLUMNS = ["id", "tenant_id", "user_id", "role", "custom_role_id", "status", "version", "joined_at", "last_used_at"]
_BUILT_IN = [role.value for role in Role]


@opened_to_people(rows=f"user_id = {THIS_PERSON}", select=_COLUMNS)
@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_COLUMNS,
    update=["role", "custom_role_id", "status", "version"],
    delete=True,
)
class Membership(models.Model):
    """One person in one tenant.

    Attributes:
        role: the role's name: a built-in one's, or that of `custom_role`.
        custom_role: the role, where the tenant composed it; of the same tenant, which Postgres holds.
        version: the ``ver`` claim. It moves in the same transaction as anything that changes what the member may do,
            and a token with another version is refused on its next request.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=32)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="memberships")
    status = models.CharField(max_length=16, choices=MembershipStatus, default=MembershipStatus.ACTIVE)
    version = models.BigIntegerField(default=first_version)
    joined_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="members_membership_once"),
            # What refers to members, together with their own tenant.
            models.UniqueConstraint(fields=["tenant", "id"], name="members_membership_of_tenant"),
            models.CheckConstraint(
                condition=models.Q(custom_role=None, role__in=_BUILT_IN)
                | (models.Q(custom_role__isnull=False) & ~models.Q(role__in=_BUILT_IN)),
                name="members_membership_role",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-joined_at", "id"])]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.tenant_id}"

    @property
    def tenant_role(self) -> TenantRole:
        """The role with what it holds."""
        return TenantRole(self.role, self.custom_role)

    def take(self, role: TenantRole) -> None:
        """Take on another role; tokens of the former one are no longer good."""
        self.role, self.custom_role = role.name, role.custom
        self.version += 1


_BARRED_COLUMNS = ["id", "tenant_id", "digest", "created_at"]


@opened(rows=f"tenant_id = {THIS_TENANT}", select=_BARRED_COLUMNS, insert=_BARRED_COLUMNS)
class BarredAddress(models.Model):
    """An address whose owner was thrown out of a tenant: they do not come back by themselves, with a new account and by
    the address's domain. An invitation lifts it.

    Attributes:
        digest: of the address, keyed; an account that was deleted leaves no address behind.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "digest"], name="members_barred_once")]

    def __str__(self) -> str:
        return str(self.id)


def digests_of(email: str) -> list[str]:
    """Return what an address is kept as: under the present SECRET_KEY first, then under former ones."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac("identity.members", email, secret=key, algorithm="sha256").hexdigest() for key in keys]


# Of people, a tenant reaches its own members, and never their password.
opened(
    rows="EXISTS (SELECT FROM members_membership member WHERE member.user_id = {table}.id)",
    select=["id", "email", "name", "is_active"],
)(User)

# A person sees what the tenants are called that they belong to.
opened_to_people(
    rows="EXISTS (SELECT FROM members_membership mine WHERE mine.tenant_id = {table}.id)",
    select=TENANT_COLUMNS,
)(Tenant)

# And what their roles hold.
opened_to_people(
    rows="EXISTS (SELECT FROM members_membership mine WHERE mine.custom_role_id = {table}.id)",
    select=["id", "tenant_id", "name", "description", "scope", "created_at", "updated_at"],
)(CustomRole)
