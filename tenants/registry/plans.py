"""Plans: what a tenant may use, from the settings, and what its own row says instead.

``settings.PLANS`` names plans, each with any of ``NAMES``; what a plan does not name, it does not limit. A tenant's row
names its plan (an empty name is ``settings.DEFAULT_PLAN``) and may have numbers of its own. So a plan that changes
changes for everybody who has it, and what was agreed with one tenant stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

PLAN_LENGTH = 32
MOST = 1_000_000  # of anything that is limited
NAMES = ("seats", "requests_per_minute", "clients")


@dataclass(frozen=True)
class Limits:
    """What holds for a tenant; None is no limit.

    Attributes:
        seats: active members.
        requests_per_minute: of all its members and machine clients together.
        clients: machine clients, in use or not.
    """

    seats: int | None = None
    requests_per_minute: int | None = None
    clients: int | None = None


class Limited(Protocol):
    """A tenant's row, as far as limits go."""

    plan: str
    seat_limit: int | None
    request_limit: int | None
    client_limit: int | None


def limits_of(tenant: Limited) -> Limits:
    """Return what holds for a tenant."""
    plan = _plan(tenant.plan)
    return Limits(
        seats=_either(tenant.seat_limit, plan.get("seats")),
        requests_per_minute=requests_per_minute(tenant.plan, tenant.request_limit),
        clients=_either(tenant.client_limit, plan.get("clients")),
    )


def requests_per_minute(plan: str, own: int | None) -> int | None:
    """Return how many requests a minute a tenant with this plan, and this number of its own, has."""
    return _either(own, _plan(plan).get("requests_per_minute"))


def name_of(plan: str) -> str:
    """Return what a tenant's plan is called."""
    return plan if plan in settings.PLANS else str(settings.DEFAULT_PLAN)


def _plan(name: str) -> Mapping[str, int | None]:
    # One that the settings no longer name is the default one: a typing error there opens nothing.
    plan: Mapping[str, int | None] = settings.PLANS[name_of(name)]
    return plan


def _either(own: int | None, of_plan: int | None) -> int | None:
    return of_plan if own is None else own


@register(Tags.security)
def check_plans(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each plan that says what cannot be meant."""
    plans = settings.PLANS
    if not isinstance(plans, dict) or settings.DEFAULT_PLAN not in plans:
        return [Error("PLANS is an object of plans by name, and DEFAULT_PLAN is one of them.", id="tenants.E010")]
    return [
        Error(
            f"The plan {name!r} is none: it has any of {', '.join(NAMES)}, each from 1 to {MOST}, or null.",
            id="tenants.E010",
        )
        for name, plan in plans.items()
        if not _is_plan(name, plan)
    ]


def _is_plan(name: str, plan: Any) -> bool:
    return (
        isinstance(plan, dict)
        and 0 < len(name) <= PLAN_LENGTH
        and all(key in NAMES and _is_limit(value) for key, value in plan.items())
    )


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST)
