"""What happens below and needs long work."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from jobs import services
from jobs.kinds import JobKind
from tenants.context.ownership import current_alias


def request_work(
    *,
    kind: str,
    tenant_id: UUID | None = None,
    arguments: Mapping[str, Any] | None = None,
    requested_by: UUID | None = None,
    **signal: Any,
) -> None:
    """Queue what somebody below asks for, in their transaction."""
    services.request(kind=kind, tenant_id=tenant_id, arguments=arguments, requested_by=requested_by)


def refill_soon(**signal: Any) -> None:
    """Have the pool refilled. After the commit: sign-ups would wait for each other at the one job that they all want,
    and one that is forgotten is noticed by the schedule.
    """
    transaction.on_commit(_request_refill, using=current_alias(), robust=True)


def _request_refill() -> None:
    services.request(kind=JobKind.FILL_POOL)
