"""Reading the audit trail."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum

from tenants.audit import chain
from tenants.audit.chain import Fault, Verdict
from tenants.audit.models import PLATFORM, AuditChain, AuditEvent

_AT_ONCE = 1000


def events_of(tenant_id: UUID | None) -> QuerySet[AuditEvent]:
    """Return the events of one tenant; outside any tenant there are none."""
    return AuditEvent.objects.none() if tenant_id is None else AuditEvent.objects.filter(tenant_id=tenant_id)


def events_of_platform() -> QuerySet[AuditEvent]:
    """Return the events that concern no tenant."""
    return AuditEvent.objects.filter(tenant=None)


def numbers() -> tuple[int, int]:
    """Return how many events were written in the platform's chain, and in all tenants' together, deleted ones
    included.
    """
    is_platforms = Q(pk=PLATFORM)
    found = AuditChain.objects.aggregate(
        platform=Sum("last_sequence", filter=is_platforms, default=0),
        tenants=Sum("last_sequence", filter=~is_platforms, default=0),
    )
    return found["platform"], found["tenants"]


def by_actor(events: QuerySet[AuditEvent], actor_id: UUID) -> QuerySet[AuditEvent]:
    """Narrow events to those of somebody, in their own name or behind another one's."""
    return events.filter(Q(actor_id=actor_id) | Q(act=actor_id))


def on_target(events: QuerySet[AuditEvent], target_id: UUID) -> QuerySet[AuditEvent]:
    """Narrow events to those that something was the target of."""
    return events.filter(targets__contains=[{"id": str(target_id)}])


def events_of_request(request_id: str, *, since: datetime) -> QuerySet[AuditEvent]:
    """Return the events of one request, or of one job, in whichever chain; none of them is older than `since`."""
    return AuditEvent.objects.filter(occurred_at__gte=since, request_id=request_id)


def in_chunks(events: QuerySet[AuditEvent]) -> Iterator[AuditEvent]:
    """Yield events, a bounded number of which are in memory at once.

    In a transaction: a cursor on the server outlives none behind a pooler that pools transactions.
    """
    with transaction.atomic(savepoint=False):
        yield from events.iterator(chunk_size=_AT_ONCE)


def chain_ids() -> list[UUID]:
    """Return the ids of all chains."""
    return list(AuditChain.objects.order_by("id").values_list("pk", flat=True))


def verdict_on(chain_id: UUID) -> Verdict:
    """Return whether a chain (a tenant's id, or ``PLATFORM``) is whole, having read all of it, a bounded number of
    events at once. What is written meanwhile is not looked at.
    """
    ends = _ends(chain_id)
    own = events_of_platform() if chain_id == PLATFORM else events_of(chain_id)
    events = own.order_by("sequence")
    last = ends.last_sequence if ends else 0
    verdict = chain.verify(ends, events.filter(sequence__lte=last).iterator(chunk_size=_AT_ONCE))
    beyond = events.filter(sequence__gt=last).aggregate(last=Max("sequence"))["last"]
    now = _ends(chain_id)
    if beyond is not None and (now is None or beyond > now.last_sequence):
        verdict.faults.append(Fault(beyond, "is beyond the end of the chain"))
    return verdict


def _ends(chain_id: UUID) -> AuditChain | None:
    return AuditChain.objects.filter(pk=chain_id).first()
