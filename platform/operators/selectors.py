"""Reading staff, and what they look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from operators.models import Operator
from tenants.fleet import status
from tenants.fleet.status import TenantState

_UNWELL_SHOWN = 100


def active_operator(user_id: UUID) -> Operator | None:
    """Return a person's place on the staff, if they have one and it is active."""
    return Operator.objects.filter(user_id=user_id, is_active=True).first()


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
