"""Roles that tenants compose."""

import re
import uuid

from django.core.exceptions import ValidationError
from django.db import models

from permissions.roles import Role
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened

NAME_LENGTH = 32
_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){0,30}[a-z0-9]", re.ASCII)


def can_be_name(name: str) -> bool:
    """Tell whether a role could be called so; what could not need not be looked for."""
    return bool(_NAME.fullmatch(name))


def validate_name(name: str) -> None:
    """Refuse a name that cannot stand in a token, or means a built-in role.

    Raises:
        ValidationError: code ``invalid_role_name`` or ``reserved_role_name``.
    """
    if not can_be_name(name):
        raise ValidationError(
            "Use 2 to 32 lower-case letters, digits and single hyphens, beginning with a letter.",
            code="invalid_role_name",
        )
    if name in set(Role):
        raise ValidationError("A built-in role has this name.", code="reserved_role_name")


_COLUMNS = ["id", "tenant_id", "name", "description", "scope", "created_at", "updated_at"]


@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_COLUMNS,
    insert=_COLUMNS,
    update=["name", "description", "scope", "updated_at"],
    delete=True,
)
class CustomRole(models.Model):
    """A named set of scopes, one tenant's own.

    Attributes:
        scope: space-separated; what everybody may do for themselves is not in it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=NAME_LENGTH, validators=[validate_name])
    description = models.CharField(max_length=200, blank=True)
    scope = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="roles_customrole_name"),
            # What members and invitations refer to, together with their own tenant: nobody has another tenant's role.
            models.UniqueConstraint(fields=["tenant", "id"], name="roles_customrole_of_tenant"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()
