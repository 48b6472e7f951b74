"""The chain of hashes, and how anybody checks it.

An event's hash is SHA-256 over the hash before it (32 bytes; none for the first) and its canonical form in UTF-8: a
JSON array of its values in the order of ``FIELDS``, as Postgres writes ``jsonb``: ``", "`` and ``": "`` between
things, the members of an object ordered by length and then by bytes, times in UTC with six decimals. An event whose
actor has a name has that as one more value. The trigger in ``migrations`` writes it; this is the second, independent
way.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tenants.audit.models import AuditChain, AuditEvent

FIELDS = (
    "sequence", "tenant_id", "occurred_at", "id", "action", "actor_kind", "actor_id", "act", "session_id", "address",
    "request_id", "targets", "changes",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What is wrong with a chain, and at which place."""

    sequence: int
    problem: str


@dataclass
class Verdict:
    """What became of checking a chain.

    Attributes:
        events: how many were there.
        first, last: the places that they span; 0 without any.
        faults: empty when the chain is whole.
    """

    events: int
    first: int
    last: int
    faults: list[Fault]

    @property
    def is_whole(self) -> bool:
        return not self.faults


def canonical(event: AuditEvent) -> bytes:
    """Return what the hash of an event is over, after the hash before it."""
    values = [_plain(getattr(event, name)) for name in FIELDS]
    return _dump([*values, event.actor_name] if event.actor_name else values).encode()


def verify(chain: AuditChain | None, events: Iterable[AuditEvent], *, most_faults: int = 100) -> Verdict:
    """Check a whole chain: no event edited, left out, put elsewhere, added, or missing at either end.

    Args:
        chain: its ends; None when there is none yet.
        events: all of its events, by sequence.
        most_faults: how many faults are told before it gives up.
    """
    verdict = Verdict(0, 0, 0, [])
    expected = (chain.pruned_through if chain else 0) + 1
    previous = bytes(chain.pruned_hash) if chain else b""
    for event in events:
        verdict.events += 1
        verdict.first = verdict.first or event.sequence
        verdict.last = event.sequence
        verdict.faults += _check(event, expected, previous)
        if len(verdict.faults) >= most_faults:
            return verdict
        expected, previous = event.sequence + 1, bytes(event.hash)
    last, last_hash = (chain.last_sequence, bytes(chain.last_hash)) if chain else (0, b"")
    if expected != last + 1:
        verdict.faults.append(Fault(expected, f"the chain goes on to {last}, its events do not"))
    elif previous != last_hash:
        verdict.faults.append(Fault(last, "the last event is not the one that was written last"))
    return verdict


def _check(event: AuditEvent, expected: int, previous: bytes) -> Iterator[Fault]:
    if event.sequence != expected:
        yield Fault(event.sequence, f"{expected} is missing before it")
    elif bytes(event.previous_hash) != previous:
        yield Fault(event.sequence, "does not follow the event before it")
    if hashlib.sha256(bytes(event.previous_hash) + canonical(event)).digest() != bytes(event.hash):
        yield Fault(event.sequence, "was edited")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value) if isinstance(value, UUID) else value


def _dump(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_dump, value))}]"
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return "{" + ", ".join(f"{_dump(name)}: {_dump(inner)}" for name, inner in members) + "}"
    return json.dumps(value, ensure_ascii=False)
