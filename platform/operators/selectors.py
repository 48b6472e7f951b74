"""Reading staff, and what they look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from operators.models import Operator
from permissions.roles import OperatorRole
from tenants.fleet import status
from tenants.fleet.models import FleetEntry, FleetRun
from tenants.fleet.status import TenantState
from tenants.registry.models import Tenant

_UNWELL_SHOWN = 100


def active_operator(user_id: UUID) -> Operator | None:
    """Return a person's place on the staff, if they have one and it is active."""
    return Operator.objects.filter(user_id=user_id, is_active=True).first()


def staff() -> QuerySet[Operator]:
    """Return everybody on the staff, active or disabled, with their accounts."""
    return Operator.objects.select_related("user").defer("user__password")


def staff_of(user_id: UUID) -> Operator:
    """Return a person's place on the staff.

    Raises:
        Operator.DoesNotExist: they have none.
    """
    return staff().get(user_id=user_id)


def active_admins() -> QuerySet[Operator]:
    """Return the admins who can act: enabled, and with an open account."""
    return Operator.objects.filter(role=OperatorRole.ADMIN, is_active=True, user__is_active=True)


@dataclass(frozen=True)
class Fleet:
    """Where the tenants stand, as numbers, and the first of those that need something."""

    tenants: int
    behind: int
    drifted: int
    failed: int
    unwell: Sequence[TenantState]


def fleet() -> Fleet:
    """Return where all tenants stand. It takes the owner of the tables."""
    states = status.states()
    return Fleet(
        tenants=len(states),
        behind=sum(bool(state.behind) for state in states),
        drifted=sum(bool(state.is_drifted) for state in states),
        failed=sum(bool(state.failure) for state in states),
        unwell=[state for state in states if not state.is_well][:_UNWELL_SHOWN],
    )


def fleet_runs() -> QuerySet[FleetRun]:
    """Return the runs over the fleet, each with how many tenants are ``done`` and have ``failed``."""
    entries = FleetEntry.objects.filter(run=OuterRef("pk")).order_by().values("run")

    def number(state: FleetEntry.State) -> Coalesce:
        return Coalesce(Subquery(entries.filter(state=state).annotate(many=Count("*")).values("many")), 0)

    return FleetRun.objects.annotate(done=number(FleetEntry.State.DONE), failed=number(FleetEntry.State.FAILED))


def last_fleet_entries() -> QuerySet[FleetEntry]:
    """Return how each tenant that there is fared in the last run that was about it, with its ``slug``."""
    later = FleetEntry.objects.filter(tenant_id=OuterRef("tenant_id"), pk__gt=OuterRef("pk"))
    own = Tenant.objects.filter(pk=OuterRef("tenant_id"))
    last = FleetEntry.objects.filter(~Exists(later)).annotate(slug=Subquery(own.values("slug")))
    return last.filter(slug__isnull=False)
