"""What the clients have seen, as they saw it."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from tests.leaks.ground import Tenant

_EXAMPLES = 5


class Outcome(StrEnum):
    """What an answer was."""

    RIGHT = "right"
    UNAVAILABLE = "503 with Retry-After"
    DISCONNECTED = "connection lost"
    BROKEN = "broken"  # 5xx otherwise, or not what the API speaks
    REFUSED = "refused"  # 4xx where the caller had every right
    WRONG = "wrong rows"


SERVED = frozenset({Outcome.RIGHT, Outcome.REFUSED, Outcome.WRONG})


@dataclass(frozen=True)
class Exchange:
    """One request: when it was begun and over, by ``time.monotonic``, and what the answer was."""

    began: float
    ended: float
    outcome: Outcome


@dataclass(frozen=True)
class Write:
    """A row that a client asked for, and the status of the answer; 0 when there was none."""

    tenant: Tenant
    name: str
    status: int


@dataclass
class Records:
    """What all clients together have seen. Everything only grows, so it can be read while they are at work."""

    exchanges: list[Exchange] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    wrong_rows: list[str] = field(default_factory=list)
    examples: dict[Outcome, list[str]] = field(default_factory=dict)
    counts: Counter[Outcome] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, exchange: Exchange, what: str) -> None:
        """Keep an exchange; of the first few that went wrong, `what` they were."""
        with self._lock:
            self.exchanges.append(exchange)
            self.counts[exchange.outcome] += 1
            examples = self.examples.setdefault(exchange.outcome, [])
            if exchange.outcome is not Outcome.RIGHT and len(examples) < _EXAMPLES:
                examples.append(what)

    @property
    def checked(self) -> int:
        """How many answers of a working service there were, each checked row by row."""
        return self.counts[Outcome.RIGHT] + self.counts[Outcome.WRONG]
