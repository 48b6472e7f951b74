"""Changing a tenant's connections to its own providers: every function is one transaction, and holds the tenant first
of all.

Whoever has a hand in a connection can come in as anybody whom it admits, so it takes an administrator's standing to
touch one, and an owner's where it admits owners. `by` is the caller's account, and `held` what their own token holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from identity.domains import selectors as domains
from identity.members import services as memberships
from identity.roles import selectors as roles
from identity.roles.selectors import TenantRole
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from identity.sso import secrets, selectors
from identity.sso.errors import ConnectionNotTested, OwnerBySso, SsoRequired, TooManyConnections
from identity.sso.models import Connection, ConnectionStatus, GroupRole, MemberIdentity, SpentLogout
from permissions.roles import Role
from permissions.standing import Standing
from tenants.audit.services import Target, record
from tenants.registry import selectors as tenants
from tenants.registry import services as registry

_PLAIN = ["name", "issuer", "client_id", "scope", "joins", "groups_claim", "trusts_addresses", "admits_owners"]
_SAVED = [*_PLAIN, "default_role", "custom_role", "status", "tested_at", "updated_at"]
_OF_TRIAL = {"issuer", "client_id", "scope", "groups_claim", "trusts_addresses"}  # what a trial is good for
_OF_PROVIDER = {"issuer", "client_id"}  # whoever is somebody at one is nobody, or another, at the next


@dataclass(frozen=True)
class Caller:
    """Who changes a connection, and with what rights."""

    tenant_id: UUID
    by: UUID
    held: frozenset[str]

    def refuse_to_give(self, wanted: Standing) -> None:
        """Refuse what would give away more than the caller has; raises as ``memberships.refuse_to_give``."""
        memberships.refuse_to_give(tenant_id=self.tenant_id, by=self.by, wanted=wanted, held=self.held)


@transaction.atomic
def create_connection(*, caller: Caller, values: Mapping[str, Any]) -> Connection:
    """Add a connection. Nobody comes in by it before it is enabled.

    Args:
        values: what ``api.ConnectionSerializer`` takes.

    Raises:
        Outranked, ScopeNotHeld: the caller is less than an administrator, or gives a role that is more than theirs.
        ValidationError: a role is none of the tenant's, or lets people do too much.
        OwnerBySso: a role is the owner's.
        TooManyConnections: the tenant has as many as there can be.
    """
    registry.hold_tenant(tenant_id=caller.tenant_id)
    if selectors.connections_of(caller.tenant_id).count() >= settings.SSO_CONNECTION_LIMIT:
        raise TooManyConnections
    row = Connection(tenant_id=caller.tenant_id)
    _take(row, {"default_role": Role.MEMBER.value, **values}, caller)
    _refuse_less_than_it_takes(row, caller)
    row.save(force_insert=True)
    _map_groups(row, values.get("group_roles", ()), caller)
    _record("sso_connection.created", row, {name: [None, value] for name, value in _described(row).items()})
    return _shown(row)


@transaction.atomic
def change_connection(*, caller: Caller, connection_id: UUID, values: Mapping[str, Any]) -> Connection:
    """Change a connection. With another provider, or as another client of it, it has to be tried and enabled again,
    whoever came in by it is out, and nobody is known there any more.

    Raises:
        Connection.DoesNotExist: the tenant has no such connection.
        SsoRequired: it would be switched off, and is the last one where the sign-in policy asks for one.
        Outranked, ScopeNotHeld, ValidationError, OwnerBySso: as ``create_connection``.
    """
    row = _locked(caller, connection_id)
    before = _described(row)
    _take(row, values, caller)
    _refuse_less_than_it_takes(row, caller)
    if "group_roles" in values:
        _map_groups(row, values["group_roles"], caller)
    changed = {name: [before[name], value] for name, value in _described(row).items() if value != before[name]}
    if "client_secret" in values:
        changed["client_secret"] = [None, "changed"]
        row.save(update_fields=["client_secret"])
    if changed.keys() & (_OF_TRIAL | {"client_secret"}):
        row.tested_at = None
    if changed.keys() & _OF_PROVIDER:
        _switch_off(row, ConnectionStatus.DRAFT)
        MemberIdentity.objects.filter(connection=row).delete()
    row.save(update_fields=_SAVED)
    if changed:
        _record("sso_connection.changed", row, changed)
    return _shown(row)


@transaction.atomic
def enable_connection(*, caller: Caller, connection_id: UUID) -> Connection:
    """Let people come in by a connection. Doing it twice changes nothing.

    Raises:
        Connection.DoesNotExist: the tenant has no such connection.
        ConnectionNotTested: nobody has signed in by it on trial as it is now.
        Outranked, ScopeNotHeld: as ``create_connection``.
    """
    row = _locked(caller, connection_id)
    _refuse_less_than_it_takes(row, caller)
    if row.tested_at is None:
        raise ConnectionNotTested
    if not row.is_enabled:
        before, row.status = row.status, ConnectionStatus.ENABLED
        row.save(update_fields=["status", "updated_at"])
        _record("sso_connection.enabled", row, {"status": [before, row.status]})
    return _shown(row)


@transaction.atomic
def disable_connection(*, caller: Caller, connection_id: UUID) -> Connection:
    """Let nobody come in by a connection; whoever did is out from their next request on. Doing it twice changes
    nothing.

    Raises:
        Connection.DoesNotExist: the tenant has no such connection.
        SsoRequired: it is the last one, and the sign-in policy asks for one.
    """
    row = _locked(caller, connection_id)
    before = row.status
    if row.is_enabled:
        _switch_off(row, ConnectionStatus.DISABLED)
        row.save(update_fields=["status", "updated_at"])
        _record("sso_connection.disabled", row, {"status": [before, row.status]})
    return _shown(row)


@transaction.atomic
def delete_connection(*, caller: Caller, connection_id: UUID) -> None:
    """Delete a connection; whoever came in by it is out from their next request on. Members stay.

    Raises:
        Connection.DoesNotExist, SsoRequired: as ``disable_connection``.
    """
    row = _locked(caller, connection_id)
    before = row.status
    _switch_off(row, ConnectionStatus.DISABLED)
    _record("sso_connection.deleted", row, {"status": [before, None]})
    row.delete()


@transaction.atomic
def unlink(*, caller: Caller, connection_id: UUID, identity_id: UUID) -> None:
    """Forget who a member is at the provider, and end their sessions by it. With their next sign-in they are known by
    their address again.

    Raises:
        MemberIdentity.DoesNotExist: there is no such identity.
    """
    _locked(caller, connection_id)
    rows = selectors.identities_of(tenant_id=caller.tenant_id, connection_id=connection_id)
    row = rows.select_related("membership").get(pk=identity_id)
    member = row.membership
    row.delete()
    sessions.end_sessions_by(connections=[connection_id], users=[member.user_id], reason=EndReason.ENDED_BY_TENANT)
    targets = [Target("member", member.pk), Target("sso_connection", connection_id)]
    record(action="sso_identity.unlinked", tenant_id=caller.tenant_id, targets=targets)


@transaction.atomic
def note_trial(*, connection_id: UUID, as_of: datetime) -> None:
    """Note that a trial went well, if the connection has not changed since: it was tried as it was at that time."""
    Connection.objects.filter(pk=connection_id, updated_at=as_of).update(tested_at=timezone.now())


@transaction.atomic
def prune_logouts(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` notes of logout tokens that have been too old for `keep`, and return how many."""
    old = SpentLogout.objects.filter(expires_at__lt=timezone.now() - keep).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    SpentLogout.objects.filter(pk__in=batch).delete()
    return len(batch)


def _take(row: Connection, values: Mapping[str, Any], caller: Caller) -> None:
    for name in _PLAIN:
        setattr(row, name, values.get(name, getattr(row, name)))
    if "client_secret" in values:
        row.client_secret = secrets.sealed(values["client_secret"])
    if "default_role" in values:
        role = _given_role(caller, values["default_role"], field="default_role")
        if not domains.is_fit(role):
            message = "Whom no group gives a role gets one with no more than a member's scopes."
            raise ValidationError({"default_role": ValidationError(message, code="unfit_role")})
        row.default_role, row.custom_role = role.name, role.custom


def _map_groups(row: Connection, wanted: Iterable[Mapping[str, str]], caller: Caller) -> None:
    """Let groups give exactly these roles. What somebody else has mapped before may stay."""
    present = {group.name: group for group in row.group_roles.select_related("custom_role")}
    kept = {(group.name, group.role) for group in present.values()}
    names: set[str] = set()
    for each in wanted:
        name, role_name = each["group"], each["role"]
        if name in names:
            raise ValidationError({"group_roles": ValidationError("Name each group once.", code="duplicate")})
        names.add(name)
        if (name, role_name) in kept:
            continue
        role = _given_role(caller, role_name, field="group_roles")
        defaults = {"tenant_id": row.tenant_id, "role": role.name, "custom_role": role.custom}
        GroupRole.objects.update_or_create(connection=row, name=name, defaults=defaults)
    row.group_roles.filter(name__in=present.keys() - names).delete()


def _given_role(caller: Caller, name: str, *, field: str) -> TenantRole:
    role = roles.role_by_name(tenant_id=caller.tenant_id, name=name, field=field, lock=True)
    if role.name == Role.OWNER:
        raise OwnerBySso
    caller.refuse_to_give(role.standing)
    return role


def _refuse_less_than_it_takes(row: Connection, caller: Caller) -> None:
    caller.refuse_to_give(Standing.built_in(Role.OWNER if row.admits_owners else Role.ADMIN))


def _switch_off(row: Connection, status: ConnectionStatus) -> None:
    """Let nobody come in by a connection, and nobody stay who did; whoever calls saves it."""
    is_last = row.is_enabled and not selectors.has_enabled_connection(row.tenant_id, besides=row.pk)
    if is_last and tenants.sign_in_policy(row.tenant_id).is_sso_only:
        raise SsoRequired
    row.status = status
    sessions.end_sessions_by(connections=[row.pk], reason=EndReason.ENDED_BY_TENANT)


def _locked(caller: Caller, connection_id: UUID) -> Connection:
    registry.hold_tenant(tenant_id=caller.tenant_id)
    rows = Connection.objects.select_related("custom_role").select_for_update(of=("self",))
    return rows.get(pk=connection_id, tenant_id=caller.tenant_id)


def _shown(row: Connection) -> Connection:
    return selectors.connections_of(row.tenant_id).get(pk=row.pk)


def _described(row: Connection) -> dict[str, Any]:
    groups = {group.name: group.role for group in row.group_roles.order_by("name")}
    return {name: getattr(row, name) for name in _PLAIN} | {"default_role": row.default_role, "group_roles": groups}


def _record(action: str, row: Connection, changes: dict[str, list[Any]]) -> None:
    targets = [Target("sso_connection", row.pk, row.name)]
    record(action=action, tenant_id=row.tenant_id, targets=targets, changes=changes)
