"""What single sign-on does about what happens below it."""

from typing import Any
from uuid import UUID

from identity.domains import selectors as domains
from identity.roles.errors import RoleInUse
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from identity.sessions import services as sessions
from identity.sessions.models import EndReason, Session
from identity.sso import selectors
from identity.sso.errors import ConnectionClosed, SsoUnavailable
from identity.sso.models import Connection, ConnectionStatus, GroupRole, MemberIdentity
from tenants.registry.sign_in_policy import SignInPolicy


def follow_role(*, role: CustomRole, **signal: Any) -> None:
    """Call a role by its present name."""
    Connection.objects.filter(tenant_id=role.tenant_id, custom_role=role).update(default_role=role.name)
    GroupRole.objects.filter(tenant_id=role.tenant_id, custom_role=role).update(role=role.name)


def take_replacement(*, role: CustomRole, replacement: TenantRole | None, **signal: Any) -> None:
    """Let connections and groups give another role in the place of one that is about to go; without another one, groups
    give none.

    Raises:
        RoleInUse: a connection gives it, and no other role was named.
    """
    connections = Connection.objects.filter(tenant_id=role.tenant_id, custom_role=role)
    groups = GroupRole.objects.filter(tenant_id=role.tenant_id, custom_role=role)
    if replacement is not None:
        connections.update(default_role=replacement.name, custom_role=replacement.custom)
        groups.update(role=replacement.name, custom_role=replacement.custom)
    elif connections.exists():
        raise RoleInUse
    else:
        groups.delete()


def admit_session(*, session: Session, **signal: Any) -> None:
    """Let a session begin only as long as its connection is enabled, and no longer than its person's domain is the
    tenant's. Whoever closes either of them ends this session too, or keeps it from beginning: the connection's row is
    held until it has begun.

    Raises:
        ConnectionClosed: one of them is no longer so.
    """
    if session.connection_id is None or session.tenant_id is None:
        return
    rows = Connection.objects.filter(pk=session.connection_id, tenant_id=session.tenant_id)
    connection = rows.filter(status=ConnectionStatus.ENABLED).select_for_update(no_key=True).first()
    own = MemberIdentity.objects.filter(connection_id=session.connection_id, membership__user_id=session.user_id)
    identity = own.first()
    if connection is None or identity is None:
        raise ConnectionClosed
    claim = domains.proof_of(tenant_id=connection.tenant_id, email=identity.email)
    if claim is None:
        raise ConnectionClosed
    session.expires_at = min(session.expires_at, claim.expires_at)


def end_at_domain(*, tenant_id: UUID, domain: str, **signal: Any) -> None:
    """End the sessions of whoever came in with an address at a domain that is the tenant's no longer."""
    rows = MemberIdentity.objects.filter(tenant_id=tenant_id, email__endswith=f"@{domain}")
    people = list(rows.values_list("membership__user_id", flat=True))
    connections = list(selectors.connections_of(tenant_id).select_for_update().values_list("pk", flat=True))
    sessions.end_sessions_by(connections=connections, users=people, reason=EndReason.ENDED_BY_TENANT)


def end_as_owner(*, tenant_id: UUID, user_id: UUID, **signal: Any) -> None:
    """End what a new owner began by connections that admit no owners."""
    rows = selectors.connections_of(tenant_id).filter(admits_owners=False)
    connections = list(rows.values_list("pk", flat=True))
    if connections:
        sessions.end_sessions_by(connections=connections, users=[user_id], reason=EndReason.ENDED_BY_TENANT)


def refuse_policy(*, tenant_id: UUID, before: SignInPolicy, policy: SignInPolicy, **signal: Any) -> None:
    """Let a tenant ask for single sign-on alone where it has some.

    Raises:
        SsoUnavailable: it has no enabled connection.
    """
    if policy.is_sso_only and not before.is_sso_only and not selectors.has_enabled_connection(tenant_id):
        raise SsoUnavailable
