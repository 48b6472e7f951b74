"""Whom a tenant's provider may vouch for, and what that makes of them: one transaction, which holds the tenant first of
all.

A provider speaks for addresses at the domains that its own tenant has proved, as they are now. Whoever signs in for the
first time is known by their address, and from then on by the provider's name for them (``sub``): an address that moves
to somebody else over there takes nobody's place here.
"""

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.db import transaction
from rest_framework.exceptions import APIException

from identity.accounts import selectors as accounts_read
from identity.accounts import services as accounts
from identity.domains import selectors as domains
from identity.members import selectors as members
from identity.members import services as memberships
from identity.members.models import Membership, MembershipStatus
from identity.oidc.providers import Identity
from identity.roles.selectors import TenantRole
from identity.sessions.models import PROVIDER_SESSION_LENGTH
from identity.sso import selectors
from identity.sso.errors import (
    AddressNotVouchedFor,
    ConnectionClosed,
    ForeignIdentity,
    IdentityMismatch,
    NotAdmitted,
    OwnersNotAdmitted,
)
from identity.sso.models import Connection, MemberIdentity
from identity.sso.signals import role_settling
from permissions.roles import Role
from tenants.audit.services import Target, record
from tenants.registry import services as registry
from tenants.registry import states
from tenants.registry.models import Tenant

_GROUPS = 1000  # of one person; nobody's provider sends more than a token carries


@dataclass(frozen=True)
class Told:
    """What a provider says of somebody, as an attempt keeps it.

    Attributes:
        issuer, client_id: who says it, and to which client of theirs.
        email: as it is stored; empty if there is none that could be.
        is_vouched_for: whether the provider says that the address is theirs, or need not.
        sid: its name of the session there; empty if it has none.
    """

    issuer: str
    client_id: str
    subject: str
    email: str
    is_vouched_for: bool
    name: str
    groups: list[str]
    sid: str
    has_second_factor: bool

    @classmethod
    def of(cls, connection: Connection, identity: Identity) -> Self:
        """Return what a connection's provider says."""
        email, sid = identity.address, identity.sid or ""
        is_denied = identity.claims.get("email_verified") not in (None, True)
        is_vouched_for = identity.email_verified or (connection.trusts_addresses and not is_denied)
        return cls(
            issuer=connection.issuer,
            client_id=connection.client_id,
            subject=identity.subject,
            email=email,
            is_vouched_for=bool(email) and is_vouched_for,
            name=identity.account_name,
            groups=_groups(connection, identity),
            sid=sid if sid.isprintable() and len(sid) <= PROVIDER_SESSION_LENGTH else "",
            has_second_factor=identity.has_second_factor,
        )


@dataclass(frozen=True)
class Foreseen:
    """Where a sign-in would have led to.

    Attributes:
        role: of the member; None if it leads nowhere.
        joins: whether they would become one.
        refusal: why it leads nowhere.
    """

    role: str | None = None
    joins: bool = False
    refusal: APIException | None = None


@transaction.atomic
def admit(*, connection_id: UUID, told: Told, on_trial: bool = False) -> Membership:
    """Return the membership of somebody for whom a connection's provider vouches, with their account. It may be new,
    and has the role that their groups give.

    Args:
        on_trial: whether the connection need not be enabled yet.

    Raises:
        ConnectionClosed: the connection is gone or not enabled, or has another provider by now.
        TenantSuspended: nobody may enter the tenant.
        AddressNotVouchedFor: there is no address, or the provider does not say that it is verified.
        ForeignIdentity: it is at no domain that the tenant has proved.
        IdentityMismatch: the address is the account's of somebody else over there.
        NotAdmitted: they are suspended or removed, their account is closed, or nobody joins by this connection.
        OwnersNotAdmitted: they are an owner, and the connection admits none.
        SeatLimit: they would join, and no seat is left.
    """
    connection = _held(connection_id)
    is_same = (told.issuer, told.client_id) == (connection.issuer, connection.client_id)
    if not is_same or not (connection.is_enabled or on_trial):
        raise ConnectionClosed
    states.refuse_closed(connection.tenant.status)
    if not told.is_vouched_for:
        raise AddressNotVouchedFor
    if domains.proof_of(tenant_id=connection.tenant_id, email=told.email) is None:
        raise ForeignIdentity
    member = _known(connection, told)
    if member is not None:
        _settle_role(connection, told, member)
        return member
    return _first_time(connection, told)


def foresee(*, connection_id: UUID, told: Told) -> Foreseen:
    """Return what ``admit`` would do, and do nothing of it."""
    try:
        with transaction.atomic():
            member = admit(connection_id=connection_id, told=told, on_trial=True)
            role = Membership.objects.values_list("role", flat=True).get(pk=member.pk)
            transaction.set_rollback(True)
    except APIException as error:
        return Foreseen(refusal=error)
    return Foreseen(role=role, joins=not Membership.objects.filter(pk=member.pk).exists())


def _held(connection_id: UUID) -> Connection:
    """Return a connection as it is while its tenant is held."""
    try:
        registry.hold_tenant(tenant_id=selectors.connection_to_use(connection_id).tenant_id)
        return selectors.connection_to_use(connection_id)
    except (Connection.DoesNotExist, Tenant.DoesNotExist):
        raise ConnectionClosed from None


def _groups(connection: Connection, identity: Identity) -> list[str]:
    """Return the groups that the provider says somebody is in. What is no list of names says nothing."""
    said: Any = identity.claims.get(connection.groups_claim) if connection.groups_claim else None
    names = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return [name for name in names[:_GROUPS] if isinstance(name, str)]


def _known(connection: Connection, told: Told) -> Membership | None:
    """Return the membership of somebody who has signed in before, if they have; their account keeps its own address."""
    rows = MemberIdentity.objects.filter(connection=connection, subject=told.subject)
    row = rows.select_related("membership__user", "membership__custom_role").first()
    if row is None:
        return None
    account = accounts_read.user_by_email(told.email)
    if account is not None and account.pk != row.membership.user_id:
        raise IdentityMismatch
    _refuse_kept_out(connection, row.membership)
    if row.email != told.email:
        row.email = told.email
        row.save(update_fields=["email"])
    return row.membership


def _first_time(connection: Connection, told: Told) -> Membership:
    """Return the membership of somebody's address, or make one, and remember who they are over there."""
    rows = Membership.objects.filter(tenant_id=connection.tenant_id, user__email=told.email)
    member = rows.select_related("user", "custom_role").first()
    if member is not None:
        _refuse_kept_out(connection, member)
        if MemberIdentity.objects.filter(connection=connection, membership=member).exists():
            raise IdentityMismatch
        _settle_role(connection, told, member)
    else:
        member = _joined(connection, told)
    MemberIdentity.objects.create(
        tenant_id=connection.tenant_id,
        connection=connection,
        membership=member,
        subject=told.subject,
        email=told.email,
    )
    targets = [Target("member", member.pk), Target("sso_connection", connection.pk, connection.name)]
    record(action="sso_identity.linked", tenant_id=connection.tenant_id, targets=targets, person=member.user_id)
    return member


def _joined(connection: Connection, told: Told) -> Membership:
    if not connection.joins or members.is_barred(tenant_id=connection.tenant_id, email=told.email):
        raise NotAdmitted
    account = accounts.vouch_for(email=told.email, name=told.name)
    if not account.is_active:
        raise NotAdmitted
    role = _role_by_groups(connection, told) or _default_role(connection)
    member = memberships.add_member(
        tenant_id=connection.tenant_id, user_id=account.pk, role=role.name, reason="single_sign_on"
    )
    member.user = account
    return member


def _refuse_kept_out(connection: Connection, member: Membership) -> None:
    if member.status != MembershipStatus.ACTIVE or not member.user.is_active:
        raise NotAdmitted
    if member.role == Role.OWNER and not connection.admits_owners:
        raise OwnersNotAdmitted


def _settle_role(connection: Connection, told: Told, member: Membership) -> None:
    """Give a member the role that their groups give, if groups do so here and no directory does. An owner stays one."""
    if not connection.groups_claim or not connection.group_roles.all():
        return
    asked = role_settling.send(sender=Connection, tenant_id=connection.tenant_id, membership_id=member.pk)
    if any(is_managed for _, is_managed in asked):
        return
    role = _role_by_groups(connection, told) or _default_role(connection)
    memberships.provision_role(tenant_id=connection.tenant_id, membership_id=member.pk, role=role)


def _role_by_groups(connection: Connection, told: Told) -> TenantRole | None:
    """Return the strongest role that somebody's groups give, if one gives any."""
    given = [group.tenant_role for group in connection.group_roles.all() if group.name in told.groups]
    return next((role for role in given if not any(other.standing.outranks(role.standing) for other in given)), None)


def _default_role(connection: Connection) -> TenantRole:
    """Return the role of whoever has none by a group: never more than a member's, whatever became of it."""
    role = connection.tenant_role
    return role if domains.is_fit(role) else TenantRole(Role.VIEWER.value)
