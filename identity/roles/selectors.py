"""Reading roles: built-in ones, and those of one tenant."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from identity.roles.models import CustomRole, can_be_name
from permissions.roles import Role
from permissions.standing import Standing

_BUILT_IN = {
    Role.OWNER: "Everything, and who else owns the tenant.",
    Role.ADMIN: "Everything but ownership.",
    Role.MEMBER: "Works with the tenant's data.",
    Role.VIEWER: "Sees the tenant's data.",
}


@dataclass(frozen=True)
class TenantRole:
    """A role that somebody in a tenant can have: a built-in one, or one that the tenant composed."""

    name: str
    custom: CustomRole | None = None

    @property
    def id(self) -> UUID | None:
        return self.custom.pk if self.custom else None

    @property
    def description(self) -> str:
        return self.custom.description if self.custom else _BUILT_IN[Role(self.name)]

    @property
    def is_built_in(self) -> bool:
        return self.custom is None

    @property
    def standing(self) -> Standing:
        return Standing.composed(self.custom.scopes) if self.custom else Standing.built_in(Role(self.name))

    @property
    def scopes(self) -> list[str]:
        """What it lets one do in the tenant, in alphabetical order."""
        return sorted(self.standing.scopes)


def roles_of(tenant_id: UUID) -> list[TenantRole]:
    """Return every role of a tenant, the built-in ones first."""
    custom = CustomRole.objects.filter(tenant_id=tenant_id).order_by("name")
    return [*(TenantRole(role.value) for role in Role), *(TenantRole(role.name, role) for role in custom)]


def custom_role(*, tenant_id: UUID, role_id: UUID) -> CustomRole:
    """Return one of the roles that a tenant composed.

    Raises:
        CustomRole.DoesNotExist: it has no such role.
    """
    return CustomRole.objects.get(pk=role_id, tenant_id=tenant_id)


def role_by_name(*, tenant_id: UUID, name: str, field: str = "role", lock: bool = False) -> TenantRole:
    """Return the role of this name.

    Args:
        field: the input field that named it, for the error.
        lock: keep it as it is until the transaction ends.

    Raises:
        ValidationError: the tenant has no such role; code ``unknown_role``.
    """
    if name in set(Role):
        return TenantRole(Role(name).value)
    found = next(_named(tenant_id, name, lock=lock), None) if can_be_name(name) else None
    if found is None:
        raise ValidationError({field: ValidationError("This tenant has no such role.", code="unknown_role")})
    return TenantRole(found.name, found)


def _named(tenant_id: UUID, name: str, *, lock: bool) -> Iterator[CustomRole]:
    rows: QuerySet[CustomRole] = CustomRole.objects.filter(tenant_id=tenant_id, name=name)
    # Whoever takes a role on must not miss that it changes: a share lock would do, Django has the stronger one.
    return iter(rows.select_for_update(no_key=True) if lock else rows)
