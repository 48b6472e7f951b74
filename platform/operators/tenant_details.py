"""What staff look up of tenants: finding them, and how one of them is. A fixed number of queries, whatever is in it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Count, Exists, Max, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from identity.clients.models import Client
from identity.domains import selectors as mail_domains
from identity.domains.models import DomainClaim
from identity.invitations.models import Invitation, InvitationStatus
from identity.members import selectors as members
from identity.members.models import Membership, MembershipStatus
from identity.sessions.models import RefreshFamily
from operators.models import SupportAccess, SupportStatus
from permissions.roles import Role
from tenants.context.ownership import knows_owner
from tenants.fleet import status
from tenants.fleet.models import DriftedTenant
from tenants.fleet.status import TenantState
from tenants.lifecycle.models import FormerSchema
from tenants.registry import plans
from tenants.registry import selectors as registry
from tenants.registry.models import Domain, Tenant
from tenants.registry.plans import Limits

_OWNERS_SHOWN = 20
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(relation.oid)), 0)::bigint FROM pg_class relation"
    " JOIN pg_namespace schema ON schema.oid = relation.relnamespace"
    " WHERE schema.nspname = %s AND relation.relkind IN ('r', 'm', 'S')"  # a table's size has its indexes in it
)


@dataclass(frozen=True)
class Used:
    """How much of what is limited a tenant uses."""

    seats: int
    clients: int


@dataclass(frozen=True)
class Hosts:
    """What names a tenant: hosts that lead to it, and mail domains that it says are its own."""

    hosts: Sequence[Domain]
    mail_domains: Sequence[DomainClaim]


@dataclass(frozen=True)
class TenantDetail:
    """One tenant, looked at closely.

    Attributes:
        owners: the first of its active owners.
        invited_owner: the address that the platform has invited as the first owner, while nobody has accepted.
        size: of its tables with their indexes, in bytes.
        state: where its tables stand; None where this process does not know how to log in as their owner.
        last_active_at: when somebody, or a machine client, last got a token for it.
        supports: support accesses that go on.
        has_former_data: whether the data from before a restore in place is kept.
    """

    tenant: Tenant
    limits: Limits
    used: Used
    suspended_members: int
    pending_invitations: int
    owners: Sequence[Membership]
    invited_owner: str | None
    size: int
    state: TenantState | None
    last_active_at: datetime | None
    supports: Sequence[SupportAccess]
    has_former_data: bool

    @property
    def domains(self) -> list[str]:
        """The hosts that lead to it."""
        return [host.domain for host in self.tenant.domains.all()]


def matching(tenants: QuerySet[Tenant], term: str) -> QuerySet[Tenant]:
    """Narrow tenants to those that a word is about: their name, slug, a host, their id, or an owner's address."""
    hosts = Domain.objects.filter(tenant=OuterRef("pk"), domain__icontains=term)
    owners = Membership.objects.filter(tenant=OuterRef("pk"), role=Role.OWNER, user__email__icontains=term)
    found = Q(name__icontains=term) | Q(slug__icontains=term) | Exists(hosts) | Exists(owners)
    with suppress(ValueError):
        found |= Q(pk=UUID(term))
    return tenants.filter(found)


def with_plan(tenants: QuerySet[Tenant], plan: str) -> QuerySet[Tenant]:
    """Narrow tenants to those for whom a plan holds.

    Raises:
        ValidationError: there is no such plan.
    """
    if plan not in settings.PLANS:
        raise ValidationError({"plan": ValidationError("There is no such plan.", code="unknown_plan")})
    if plan == settings.DEFAULT_PLAN:
        return tenants.exclude(plan__in=set(settings.PLANS) - {plan})
    return tenants.filter(plan=plan)


def drifted(tenants: QuerySet[Tenant], *, are: bool) -> QuerySet[Tenant]:
    """Narrow tenants to those whose tables were not their version's when they were last compared; or to the others."""
    known = Exists(DriftedTenant.objects.filter(tenant_id=OuterRef("pk")))
    return tenants.filter(known if are else ~known)


def detail(tenant_id: UUID) -> TenantDetail:
    """Return one tenant, looked at closely.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    now = timezone.now()
    rows: Any = registry.tenants().annotate(
        seats=_count(Membership, status=MembershipStatus.ACTIVE),
        out=_count(Membership, status=MembershipStatus.SUSPENDED),
        invited=_count(Invitation, status=InvitationStatus.PENDING, expires_at__gt=now),
        machines=_count(Client),
        last_active_at=Greatest(
            _latest(RefreshFamily, "rotated_at"), _latest(Membership, "last_used_at"), _latest(Client, "last_used_at")
        ),
        has_former_data=Exists(FormerSchema.objects.filter(tenant_id=OuterRef("pk"))),
        invited_owner=Invitation.objects.filter(
            tenant=OuterRef("pk"), status=InvitationStatus.PENDING, invited_by=None, expires_at__gt=now
        ).values("email")[:1],
    )
    tenant = rows.get(pk=tenant_id)
    return TenantDetail(
        tenant=tenant,
        limits=plans.limits_of(tenant),
        used=Used(seats=tenant.seats, clients=tenant.machines),
        suspended_members=tenant.out,
        pending_invitations=tenant.invited,
        owners=list(members.with_person(members.owners_of(tenant_id)).order_by("joined_at", "id")[:_OWNERS_SHOWN]),
        invited_owner=tenant.invited_owner,
        size=_size(tenant.schema_name),
        state=_state(tenant.schema_name),
        last_active_at=tenant.last_active_at,
        supports=list(live_supports(tenant_id)),
        has_former_data=tenant.has_former_data,
    )


def used_by(tenant_id: UUID) -> Used:
    """Return how much of what is limited a tenant uses."""
    return Used(
        seats=members.active_members(tenant_id).count(), clients=Client.objects.filter(tenant_id=tenant_id).count()
    )


def live_supports(tenant_id: UUID) -> QuerySet[SupportAccess]:
    """Return the support accesses by which staff are in a tenant now."""
    going_on = SupportAccess.objects.filter(tenant_id=tenant_id, status=SupportStatus.ACTIVE)
    return going_on.filter(session__ended_at=None, session__expires_at__gt=timezone.now()).order_by("created_at")


def hosts_of(tenant_id: UUID) -> Hosts:
    """Return what names a tenant.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    tenant = registry.tenant_by_id(tenant_id)
    return Hosts(
        hosts=list(tenant.domains.order_by("-is_primary", "domain")),
        mail_domains=list(mail_domains.claims_of(tenant_id).order_by("domain")),
    )


def _count(model: type[Model], **conditions: Any) -> Coalesce:
    rows: QuerySet[Any, Any] = QuerySet(model).filter(tenant=OuterRef("pk"), **conditions).order_by().values("tenant")
    return Coalesce(Subquery(rows.annotate(many=Count("*")).values("many")), 0)


def _latest(model: type[Model], column: str) -> Subquery:
    rows: QuerySet[Any, Any] = QuerySet(model).filter(tenant_id=OuterRef("pk")).order_by().values("tenant_id")
    return Subquery(rows.annotate(latest=Max(column)).values("latest"))


def _size(schema_name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_SIZE, [schema_name])
        row: tuple[int] = cursor.fetchone()
        return row[0]


def _state(schema_name: str) -> TenantState | None:
    return next(iter(status.states([schema_name])), None) if knows_owner() else None
