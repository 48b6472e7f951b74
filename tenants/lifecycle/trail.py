"""A tenant's audit trail: into a file, and out of it as a chain that is whole."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from django.db import connections
from psycopg import sql

from tenants.audit import chain
from tenants.audit.models import AuditChain, AuditEvent
from tenants.lifecycle.errors import BrokenExport, NotRestorable
from tenants.lifecycle.rows import Ids
from tenants.lifecycle.tables import execute
from tenants.wall.roles import OWNER

_AT_ONCE = 500
_IDS = ("id", "tenant_id", "actor_id", "act", "session_id")
_BYTES = ("previous_hash", "hash")


def events_of(tenant_id: UUID) -> Iterator[str]:
    """Yield a tenant's events, each as a JSON object, in the order of their chain."""
    statement = sql.SQL(
        "COPY (SELECT to_jsonb(event)::text FROM public.audit_auditevent event WHERE tenant_id = {} ORDER BY sequence)"
        " TO STDOUT"
    ).format(sql.Literal(tenant_id))
    with connections[OWNER].cursor() as cursor, cursor.copy(statement) as copy:
        for (text,) in copy.rows():
            yield text


def ends_of(tenant_id: UUID) -> dict[str, Any] | None:
    """Return both ends of a tenant's chain, with hashes in hexadecimal; None without one."""
    ends = AuditChain.objects.filter(pk=tenant_id).first()
    if ends is None:
        return None
    return {
        "last_sequence": ends.last_sequence,
        "last_hash": bytes(ends.last_hash).hex(),
        "pruned_through": ends.pruned_through,
        "pruned_hash": bytes(ends.pruned_hash).hex(),
    }


def restore(ends: dict[str, Any] | None, lines: Iterable[bytes], ids: Ids) -> None:
    """Write a trail for the tenant, which has none yet. With its former id every event is what it was, hashes and all.
    With another one, which the hashes cover, the chain is computed again.

    Raises:
        BrokenExport: it is not whole, as it was exported.
    """
    former, present = ids.tenant
    if ends is None:
        return
    own = AuditChain(pk=former, **_ends(ends))
    AuditChain.objects.create(pk=present, tenant_id=present, **_ends(ends))
    execute(sql.SQL("SELECT set_config('tenantry.restored_trail', %s, true)"), [str(present)])
    writer = _Writer(ids, bytes(own.pruned_hash))
    verdict = chain.verify(own, writer.passing(map(_event, lines)))
    writer.flush()
    execute(sql.SQL("SELECT set_config('tenantry.restored_trail', '', true)"))
    if not verdict.is_whole:
        fault = verdict.faults[0]
        raise BrokenExport(f"The audit trail is not whole: event {fault.sequence} {fault.problem}.")
    AuditChain.objects.filter(pk=present).update(last_hash=writer.last_hash)
    last = AuditEvent.objects.filter(tenant_id=present).order_by("sequence").last()
    if last is not None and bytes(last.hash) != writer.last_hash:
        raise NotRestorable("An audit trail is restored by the tables' owner, logged in under its own name.")


class _Writer:
    """Writes events that somebody else reads."""

    def __init__(self, ids: Ids, previous_hash: bytes) -> None:
        self._ids, self.last_hash = ids, previous_hash
        self._waiting: list[AuditEvent] = []

    def passing(self, events: Iterable[AuditEvent]) -> Iterator[AuditEvent]:
        for event in events:
            yield event
            self._waiting.append(event)
            if len(self._waiting) >= _AT_ONCE:
                self.flush()

    def flush(self) -> None:
        former, present = self._ids.tenant
        for event in self._waiting:
            if former != present:
                self._renew(event)
            self.last_hash = bytes(event.hash)
        AuditEvent.objects.bulk_create(self._waiting)
        self._waiting.clear()

    def _renew(self, event: AuditEvent) -> None:
        """Make an event another tenant's: other ids, and hashes that cover them."""
        event.pk = uuid4()
        event.tenant_id = self._ids.tenant[1]
        for target in event.targets:
            target["id"] = self._ids.of(str(target.get("id", "")))
        event.previous_hash = self.last_hash
        event.hash = sha256(self.last_hash + chain.canonical(event)).digest()


def _ends(ends: dict[str, Any]) -> dict[str, Any]:
    return {name: bytes.fromhex(value) if name.endswith("hash") else value for name, value in ends.items()}


def _event(line: bytes) -> AuditEvent:
    row = json.loads(line)
    for name in _IDS:
        row[name] = row[name] and UUID(row[name])
    for name in _BYTES:
        row[name] = bytes.fromhex(row[name].removeprefix("\\x"))
    row["occurred_at"] = datetime.fromisoformat(row["occurred_at"])
    return AuditEvent(**row)
