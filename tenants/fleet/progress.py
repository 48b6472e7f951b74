"""How far the fleet is, by the ledger: cheap enough to be asked for every few seconds. What each tenant has, ``status``
says.
"""

from dataclasses import dataclass

from django.db.models import Count, Q

from tenants.fleet.models import DriftedTenant, FleetEntry, FleetRun
from tenants.registry.models import Tenant


@dataclass(frozen=True)
class Progress:
    """How many tenants stand where.

    Attributes:
        current: the newest run left them nothing to do.
        behind: it has yet to come to them, or ended before it did.
        failed: it could not migrate them.
        drifted: their schema was not their version's when it was last compared.
    """

    is_running: bool
    current: int
    behind: int
    failed: int
    drifted: int


def progress() -> Progress:
    """Return how far the newest run is."""
    total, drifted = Tenant.objects.count(), DriftedTenant.objects.count()
    run = FleetRun.objects.order_by("-started_at").first()
    if run is None:
        return Progress(is_running=False, current=total, behind=0, failed=0, drifted=drifted)
    failed, done = _ended(run)
    behind = max(run.tenants - failed - done, 0)
    return Progress(
        is_running=run.state == FleetRun.State.RUNNING,
        current=max(total - behind - failed, 0),
        behind=behind,
        failed=failed,
        drifted=drifted,
    )


def _ended(run: FleetRun) -> tuple[int, int]:
    states = FleetEntry.State
    found = FleetEntry.objects.filter(run=run).aggregate(
        failed=Count("pk", filter=Q(state=states.FAILED)), done=Count("pk", filter=Q(state=states.DONE))
    )
    return found["failed"], found["done"]
