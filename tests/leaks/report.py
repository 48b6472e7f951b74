"""What came of a trial."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.leaks.audit import Audit
from tests.leaks.chaos import SETTLED_SECONDS, Disturbance
from tests.leaks.records import SERVED, Exchange, Outcome, Records
from tests.leaks.sabotage import Sabotage

_SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """What a trial is to be.

    Attributes:
        requests: how many answers are to be checked at least.
        log: where the server's output is kept; None keeps none.
    """

    requests: int
    clients: int = 32
    pgbouncer: bool = False
    chaos: bool = True
    sabotage: Sabotage = Sabotage.NONE
    log: Path | None = None


@dataclass(frozen=True)
class Report:
    plan: Plan
    tenants: int
    seconds: float
    records: Records
    disturbances: Sequence[Disturbance]
    audit: Audit

    @property
    def bound(self) -> float | None:
        """The rule of three: with no wrong answer among N, at most 3/N of all are wrong, with 95 % confidence."""
        return None if self.records.wrong_rows else 3 / self.records.checked

    def recoveries(self) -> Iterator[tuple[str, float]]:
        """Yield how long after each disturbance the last request was over that failed, or had been waiting for it."""
        for disturbance, following in zip_longest(self.disturbances, self.disturbances[1:]):
            end = following.began if following else math.inf
            late = [
                exchange.ended - disturbance.ended
                for exchange in self.records.exchanges
                if disturbance.ended < exchange.ended <= end and _suffered(exchange, disturbance)
            ]
            yield disturbance.kind, max(late, default=0.0)

    def leaks(self) -> list[str]:
        """Return every sign that the wall does not hold, in words; none is what the product promises."""
        return [*self.records.wrong_rows, *self.audit.misplaced]

    def losses(self) -> list[str]:
        """Return every acknowledged write that is not there exactly once."""
        return [f"{name!r} was acknowledged and is lost" for name in self.audit.lost] + [
            f"{name!r} is there more than once" for name in self.audit.doubled
        ]

    def faults(self) -> list[str]:
        """Return everything else that should not be; a sabotaged server may well have some."""
        counts, examples = self.records.counts, self.records.examples
        bad = (Outcome.BROKEN, Outcome.REFUSED)
        found = [f"{counts[kind]} answers were {kind}, such as {examples[kind][0]}" for kind in bad if counts[kind]]
        if self.audit.kept_after_503:
            found.append(f"{self.audit.kept_after_503} writes are there although the answer was that nothing changed")
        slow = [(kind, seconds) for kind, seconds in self.recoveries() if seconds > SETTLED_SECONDS]
        return found + [f"{kind}: not back until {seconds:.1f} s later" for kind, seconds in slow]

    def is_good(self) -> bool:
        """Tell whether everything promised was kept; of a sabotaged server, whether no row was shown or lost."""
        must_not_be = [*self.leaks(), *self.losses()]
        return not (must_not_be if self.plan.sabotage is not Sabotage.NONE else must_not_be + self.faults())

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for programs."""
        worst: dict[str, float] = {}
        for kind, seconds in self.recoveries():
            worst[kind] = max(round(seconds, 3), worst.get(kind, 0.0))
        return {
            "requests": len(self.records.exchanges),
            "checked": self.records.checked,
            "outcomes": {kind.value: self.records.counts[kind] for kind in Outcome},
            "wrong_rows": len(self.records.wrong_rows),
            "bound": self.bound,
            "writes": {
                name: len(value) if isinstance(value, list) else value for name, value in vars(self.audit).items()
            },
            "disturbances": len(self.disturbances),
            "slowest_recovery_seconds": worst,
            "last_recovery_seconds": round(list(self.recoveries())[-1][1], 3) if self.disturbances else None,
            "latency_seconds": self._latency(),
            "tenants": self.tenants,
            "clients": self.plan.clients,
            "pgbouncer": self.plan.pgbouncer,
            "sabotage": self.plan.sabotage.value,
            "seconds": round(self.seconds, 1),
            "is_good": self.is_good(),
            "signs": [sign for found in (self.leaks(), self.losses(), self.faults()) for sign in found[:_SHOWN]],
        }

    def _latency(self) -> dict[str, float]:
        served = [exchange.ended - exchange.began for exchange in self.records.exchanges if exchange.outcome in SERVED]
        cuts = quantiles(served, n=100)
        return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(served), 3)}


def _suffered(exchange: Exchange, disturbance: Disturbance) -> bool:
    return exchange.outcome not in SERVED or exchange.began < disturbance.ended
