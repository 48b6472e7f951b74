"""Writing to the audit trail, in the transaction of the change that it tells of: both are kept, or neither."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from permissions.principals import Kind
from tenants.audit.acting import ANONYMOUS, acting
from tenants.audit.models import PLATFORM, AuditChain, AuditEvent

_ACTION = re.compile(r"[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*")


@dataclass(frozen=True)
class Target:
    """What was acted upon.

    Attributes:
        type: a noun, such as ``member``.
        name: what people call it, at this moment.
    """

    type: str
    id: UUID | str
    name: str = ""


def record(
    *,
    action: str,
    tenant_id: UUID | None,
    targets: Sequence[Target] = (),
    changes: Mapping[str, Sequence[Any]] | None = None,
    person: UUID | None = None,
) -> None:
    """Write an event. Make it the last write of a service: the end of the tenant's chain stays locked until its
    transaction ends.

    Args:
        action: ``<noun>.<what happened>``, such as ``member.role_changed``.
        tenant_id: whose trail it goes to; None for what concerns no tenant.
        changes: field to ``[before, after]``; numbers are whole ones. Never a secret.
        person: who acted, where the request has no signed-in caller: whoever proved an address, for instance.

    Raises:
        ValueError: the action's name is none.
    """
    if not _ACTION.fullmatch(action):
        raise ValueError(f"{action!r} is no name of an action.")
    who = acting()
    if person is not None and who.kind == ANONYMOUS:
        who = replace(who, kind=str(Kind.PERSON), id=person)
    AuditEvent.objects.create(
        tenant_id=tenant_id,
        action=action,
        actor_kind=who.kind,
        actor_id=who.id,
        actor_name=who.name,
        act=who.act,
        session_id=who.session_id,
        address=who.address,
        request_id=who.request_id,
        targets=[asdict(target) for target in targets],
        changes={name: list(values) for name, values in (changes or {}).items()},
    )


@transaction.atomic
def note_export(*, tenant_id: UUID | None, query: str) -> None:
    """Note in a trail that somebody takes it away.

    Args:
        query: which part of it: the query string that was asked with.
    """
    record(action="audit_trail.exported", tenant_id=tenant_id, changes={"query": [None, query]})


@transaction.atomic
def prune_events(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` events of one chain that are older than `keep`, oldest first, and return how many. The
    chain remembers where it was cut. It takes the owner of the tables.
    """
    cutoff = timezone.now() - keep
    oldest = AuditEvent.objects.filter(occurred_at__lt=cutoff).order_by("occurred_at").first()
    if oldest is None:
        return 0
    chain = AuditChain.objects.select_for_update().get(pk=oldest.tenant_id or PLATFORM)
    own = AuditEvent.objects.filter(Q(tenant_id=oldest.tenant_id))
    batch = list(own.filter(occurred_at__lt=cutoff).order_by("sequence").values_list("sequence", "hash")[:limit])
    if batch:
        chain.pruned_through, chain.pruned_hash = batch[-1]
        own.filter(sequence__lte=chain.pruned_through).delete()
        chain.save(update_fields=["pruned_through", "pruned_hash"])
    return len(batch)
