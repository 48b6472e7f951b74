"""Composing roles: every function is one transaction.

`held` is always what the caller's own token holds: nobody composes, changes or gives a role with more than that.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from identity.roles import selectors
from identity.roles.errors import RoleNameTaken, TooManyRoles
from identity.roles.models import CustomRole, validate_name
from identity.roles.selectors import TenantRole
from identity.roles.signals import role_changed, role_deleting
from permissions import policy
from permissions.errors import ScopeNotHeld
from permissions.standing import Standing
from tenants.audit.services import Target, record
from tenants.registry import services as registry


@transaction.atomic
def create_role(
    *, tenant_id: UUID, name: str, description: str, scopes: Iterable[str], held: frozenset[str]
) -> CustomRole:
    """Compose a role.

    Raises:
        ValidationError: the name is none, or a scope does not exist or is no role's to give.
        ScopeNotHeld: the caller does not hold a scope.
        RoleNameTaken: the tenant has a role of this name.
        TooManyRoles: it has as many as there can be.
    """
    validate_name(name)
    registry.hold_tenant(tenant_id=tenant_id)
    own = CustomRole.objects.filter(tenant_id=tenant_id)
    if own.count() >= settings.CUSTOM_ROLES_LIMIT:
        raise TooManyRoles
    _refuse_taken(tenant_id, name)
    scope = _grantable(scopes, held)
    role = CustomRole.objects.create(tenant_id=tenant_id, name=name, description=description, scope=scope)
    _record("role.created", role, {"scopes": [None, role.scopes]})
    return role


@transaction.atomic
def change_role(*, tenant_id: UUID, role_id: UUID, held: frozenset[str], changes: dict[str, Any]) -> CustomRole:
    """Change a role's name, description or scopes. Whoever has it is refused from their next request on, and gets the
    new scopes by refreshing; a new description alone concerns nobody.

    Args:
        changes: any of ``name``, ``description`` and ``scopes``.

    Raises:
        CustomRole.DoesNotExist: the tenant has no such role.
        ValidationError: as ``create_role``.
        ScopeNotHeld: the role has, or would have, a scope that the caller does not hold.
        RoleNameTaken: the tenant has another role of this name.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    role = _locked(tenant_id, role_id)
    _refuse_more_than(held, role.scopes)
    before = {"name": role.name, "description": role.description, "scopes": role.scopes}
    if changes.get("name", role.name) != role.name:
        validate_name(changes["name"])
        _refuse_taken(tenant_id, changes["name"])
    role.name = changes.get("name", role.name)
    role.description = changes.get("description", role.description)
    if "scopes" in changes:
        role.scope = _grantable(changes["scopes"], held)
    after = {"name": role.name, "description": role.description, "scopes": role.scopes}
    if after == before:
        return role
    role.save(update_fields=["name", "description", "scope", "updated_at"])
    if (role.name, role.scopes) != (before["name"], before["scopes"]):
        role_changed.send(sender=CustomRole, role=role)
    _record("role.changed", role, {key: [before[key], after[key]] for key in after if before[key] != after[key]})
    return role


@transaction.atomic
def delete_role(*, tenant_id: UUID, role_id: UUID, reassign_to: str | None, held: frozenset[str]) -> None:
    """Delete a role; whoever has it gets another one. Their tokens are refused from their next request on.

    Args:
        reassign_to: name of the role that they get; not needed when nobody has it.

    Raises:
        CustomRole.DoesNotExist: the tenant has no such role.
        RoleInUse: somebody has it, and no other role was named.
        ValidationError: there is no such other role, or it is the deleted one, or the owner's.
        ScopeNotHeld: one of the two roles has a scope that the caller does not hold.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    role = _locked(tenant_id, role_id)
    _refuse_more_than(held, role.scopes)
    replacement = None if reassign_to is None else _replacement(tenant_id, role, reassign_to, held)
    role_deleting.send(sender=CustomRole, role=role, replacement=replacement)
    _record("role.deleted", role, {"scopes": [role.scopes, None], "reassigned_to": [None, reassign_to]})
    role.delete()


def _replacement(tenant_id: UUID, role: CustomRole, name: str, held: frozenset[str]) -> TenantRole:
    found = selectors.role_by_name(tenant_id=tenant_id, name=name, field="reassign_to", lock=True)
    # A member's rank is the most that a composed role has: none of its holders rises by its end.
    if found.name == role.name or found.standing.rank > Standing.composed(()).rank:
        message = "Name another role, and none that ranks above a member's."
        raise ValidationError({"reassign_to": ValidationError(message, code="unfit_role")})
    _refuse(found.standing.missing_in(held))
    return found


def _grantable(wanted: Iterable[str], held: frozenset[str]) -> str:
    asked = frozenset(wanted)
    unknown = asked - policy.grantable()
    if unknown or not asked:
        names = " ".join(sorted(unknown))
        message = f"No role can be composed of: {names}." if unknown else "A role needs at least one scope."
        raise ValidationError({"scopes": ValidationError(message, code="scope_not_grantable")})
    _refuse_more_than(held, asked)
    return " ".join(sorted(asked))


def _refuse_more_than(held: frozenset[str], wanted: Iterable[str]) -> None:
    _refuse(Standing.composed(wanted).missing_in(held))


def _refuse(missing: frozenset[str]) -> None:
    if missing:
        raise ScopeNotHeld(missing)


def _refuse_taken(tenant_id: UUID, name: str) -> None:
    if CustomRole.objects.filter(tenant_id=tenant_id, name=name).exists():
        raise RoleNameTaken


def _locked(tenant_id: UUID, role_id: UUID) -> CustomRole:
    return CustomRole.objects.select_for_update().get(pk=role_id, tenant_id=tenant_id)


def _record(action: str, role: CustomRole, changes: dict[str, list[Any]]) -> None:
    record(action=action, tenant_id=role.tenant_id, targets=[Target("role", role.pk, role.name)], changes=changes)
