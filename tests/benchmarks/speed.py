"""How fast: ours beside a stock and a tuned peer and the floors, on one server, in one run, with the same rows.

    make benchmark [ARGS="--quick"]        everything; a few minutes with --quick, most of an hour without
    make benchmark ARGS="--only in_process http"    some parts of it
    make benchmark ARGS="--soak 30"        mixed load over many tenants for so many minutes: does memory grow?

Peers take turns in a new order each round; shown are medians, and how many times as fast ours is. `cpu` is the time of
the processor that a request takes in the process, `wall` the time on the clock; `requests/s` are over HTTP, from one
worker process of gunicorn with four threads and eight connections that stay open, on the same machine as the load and
the database. Writes speed.json, speed.md, speed.svg and speed.png (or soak.…) into `.data/benchmarks`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from tests.benchmarks import driver, fleet, over_http, provisioning, report, serving_ours  # noqa: E402 -- of our root
from tests.benchmarks.driver import Peer, Size  # noqa: E402


@dataclass(frozen=True)
class Plan:
    """How much of everything is measured.

    Attributes:
        size: of what is measured in the process and over HTTP, for each peer.
        tenants: numbers of tenants over which requests go.
        starts: how often every process is started.
        rounds: of everything else (two more beside a noisy neighbour), each of so many seconds, where it is a load.
        provisioning: numbers of tenants that are there when another one is made.
        fleet: so many tenants are migrated.
    """

    size: Size
    tenants: list[int]
    starts: int
    rounds: int
    seconds: float
    settings: list[serving_ours.Setting]
    provisioning: list[int]
    fleet: int


QUICK = Plan(Size(3, 60, 0.8), [1, 100], 1, 1, 2, serving_ours.QUICK_SETTINGS, [10], 10)
FULL = Plan(Size(7, 300, 4), [1, 100, 1000, 5000], 5, 3, 5, serving_ours.SETTINGS, [10, 1000], 1000)


@dataclass(frozen=True)
class Run:
    """Everybody who is measured, and the database server of all of them."""

    everybody: list[Peer]
    plan: Plan
    database: int

    @property
    def ours(self) -> Peer:
        return self.everybody[0]


def _growth(run: Run) -> Any:
    size = replace(run.plan.size, rounds=min(3, run.plan.size.rounds))
    return driver.growth(run.everybody, size, run.plan.tenants)


def _http(run: Run) -> Any:
    return over_http.requests(run.everybody, run.plan.size, run.database)


def _memory(run: Run) -> Any:
    asking = [peer for peer in run.everybody if peer.name != "floors"]
    return serving_ours.memory(asking, run.plan.tenants[-1], 2 * run.plan.seconds)


def _neighbour(run: Run) -> Any:
    return serving_ours.neighbour(run.ours, rounds=2 + run.plan.rounds, seconds=2 * run.plan.seconds)


def _servers(run: Run) -> Any:
    plan = run.plan
    return serving_ours.servers(run.ours, plan.settings, run.database, rounds=plan.rounds, seconds=plan.seconds)


IN_PROCESS: dict[str, Callable[[Run], Any]] = {
    "in_process": lambda run: driver.in_process(run.everybody, run.plan.size),
    "growth": _growth,
    "started": lambda run: {peer.name: peer.started for peer in run.everybody},
}
SERVED: dict[str, Callable[[Run], Any]] = {
    "http": _http,
    "memory": _memory,
    "neighbour": _neighbour,
    "servers": _servers,
}
ALONE: dict[str, Callable[[Plan], Any]] = {  # each with database servers of its own
    "provisioning": lambda plan: {
        str(tenants): provisioning.measure(tenants, 5 * plan.rounds, durable=False) for tenants in plan.provisioning
    },
    "fleet": lambda plan: fleet.run(plan.fleet, 10, durable=False),
}
PARTS = [*IN_PROCESS, *SERVED, *ALONE]


def measure(plan: Plan, parts: list[str], names: tuple[str, ...] = driver.PEERS) -> dict[str, Any]:
    """Return what these parts measure, by part."""
    found: dict[str, Any] = {"machine": report.machine()}
    if {*parts} & {*IN_PROCESS, *SERVED}:
        with driver.prepared(max(*plan.tenants, 2), names) as everybody:
            run = Run(everybody, plan, over_http.postmaster_of(everybody[0].database))
            with driver.started(everybody, times=plan.starts):
                found |= {part: do(run) for part, do in IN_PROCESS.items() if part in parts}
            found |= {part: do(run) for part, do in SERVED.items() if part in parts}
    return found | {part: do(plan) for part, do in ALONE.items() if part in parts}


def soak(minutes: float, tenants: int) -> dict[str, Any]:
    """Return what becomes of memory."""
    with driver.prepared(tenants, ("ours",)) as (ours,):
        return {"machine": report.machine(), "soak": serving_ours.soak(ours, minutes=minutes, tenants=tenants)}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes in place of most of an hour")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="mixed load alone, and memory")
    parser.add_argument("--tenants", type=int, default=200, help="of the soak")
    parser.add_argument("--output", type=Path, default=ROOT / ".data" / "benchmarks")
    options = parser.parse_args()
    from tests.benchmarks import plots  # measuring alone needs no matplotlib

    if options.soak:
        found = soak(options.soak, options.tenants)
        report.write(found, options.output, "soak")
        plots.soak(found, options.output)
    else:
        found = measure(QUICK if options.quick else FULL, options.only)
        report.write(found, options.output, "speed")
        plots.speed(found, options.output)


if __name__ == "__main__":
    main()
