"""What the numbers are to be, beside what they are: met or not, it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One of them.

    Attributes:
        limit: what is met, too.
        least: whether the limit is the least there is to be; else it is the most.
    """

    name: str
    found: float
    limit: float
    least: bool
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.found >= self.limit if self.least else self.found <= self.limit


def goals(report: Report) -> list[Goal]:
    """Return those of which this report has the numbers."""
    found: list[Goal] = []
    if "in_process" in report:
        found += _requests(report["in_process"], "processor time")
        found += _tokens(report["in_process"])
    if "http" in report:
        found += _requests(report["http"], "requests/s")
    if "growth" in report:
        by_tenants = report["growth"]["ours"]
        one, *_, most = by_tenants
        ratio = by_tenants[most]["wall"] / by_tenants[one]["wall"]
        found.append(Goal(f"GET one over {int(most):,} tenants, beside one tenant", ratio, 1.15, least=False))
    if "neighbour" in report:
        ratio = report["neighbour"]["beside noise"]["p99"] / report["neighbour"]["alone"]["p99"]
        found.append(Goal("p99 beside a tenant at ten times its limit", ratio, 2, least=False))
    return found


def _requests(found: Report, what: str) -> Iterator[Goal]:
    for case in ("GET one", "list 20"):
        for peer, least in (("stock", 8.0), ("tuned", 2.5)):
            if peer in found[case]:
                yield Goal(f"{case}, {what}, faster than {peer}", _faster(found[case], peer, what), least, least=True)
        if "entering" in found:
            floor = {"ours": found[case]["ours"], "floors": found["entering"]["floors"]}
            yield Goal(f"{case}, {what}, beside the floor", 1 / _faster(floor, "floors", what), 2.5, least=False)


def _faster(of: Report, peer: str, what: str) -> float:
    if what == "requests/s":
        return float(of["ours"]["requests_per_second"] / of[peer]["requests_per_second"])
    return float(of[peer]["cpu"] / of["ours"]["cpu"])


def _tokens(found: Report) -> Iterator[Goal]:
    stock = found["refresh"]["stock"]["cpu"]
    for case in ("refresh", "client_credentials"):
        mine = found[case]["ours"]["cpu"]
        yield Goal(f"{case}, processor time, faster than stock's refresh", stock / mine, 3, least=True)
        yield Goal(f"{case}, in a second of one core", 1000 / mine, 300, least=True, unit="/s")
    overhead = 100 * (found["login"]["ours"]["cpu"] / found["hash"]["floors"]["cpu"] - 1)
    yield Goal("login, beyond comparing the password with its hash", overhead, 10, least=False, unit=" %")
