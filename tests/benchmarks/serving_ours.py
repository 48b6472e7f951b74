"""Ours behind a server: which server, what a noisy tenant does to its neighbour, memory, and hours of mixed load."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from rich.progress import Progress

from tests.benchmarks import over_http
from tests.benchmarks.driver import PROGRESS, Peer
from tests.benchmarks.over_http import load_of, measure, result, start

LIMIT = 1200  # requests a minute that the noisy tenant has
MIXED = (
    "GET one",
    "list 20",
    "GET one",
    "PATCH",
    "refresh",
    "GET one",
    "client_credentials",
    "list 20",
    "POST",
    "login",
)
_SERVERS = {"gunicorn": over_http.gunicorn, "granian": over_http.granian}
Setting = tuple[str, int, int]  # server, worker processes, threads of each
QUICK_SETTINGS: list[Setting] = [("gunicorn", 1, 4), ("gunicorn", 2, 4), ("granian", 1, 4), ("granian", 2, 4)]
SETTINGS: list[Setting] = [
    (server, workers, threads) for server in _SERVERS for workers in (1, 2) for threads in (2, 4, 8)
]


def servers(peer: Peer, settings: list[Setting], database: int, *, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return what ours answers by server and settings, each the median of rounds in which they took turns."""
    samples: dict[tuple[Setting, str], list[dict[str, float]]] = defaultdict(list)
    with Progress(console=PROGRESS) as progress:
        task = progress.add_task("Servers", total=rounds * len(settings))
        for _ in range(rounds):
            for setting in settings:
                name, workers, threads = setting
                with _SERVERS[name](peer, workers=workers, threads=threads) as server:
                    measure(peer, server, database, load_of(peer, server, "GET one", "list 20", seconds=1))
                    for case in ("GET one", "list 20"):
                        load = load_of(peer, server, case, seconds=seconds)
                        samples[setting, case].append(measure(peer, server, database, load))
                progress.advance(task)
    return [
        {"server": setting[0], "workers": setting[1], "threads": setting[2], "case": case}
        | {key: statistics.median(each[key] for each in found) for key in found[0]}
        for (setting, case), found in samples.items()
    ]


def neighbour(peer: Peer, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Return how long another tenant waits, alone and while one tenant asks ten times as often as it may.

    The other one asks 40 times a second over two connections, the noisy one 200 times over four; two workers serve.
    """
    with psycopg.connect(peer.database, autocommit=True) as owner:
        owner.execute("UPDATE registry_tenant SET request_limit = %s WHERE slug = 'tenant-1'", [LIMIT])
    took: dict[str, list[float]] = {"alone": [], "beside noise": []}
    sent, refused = 0, 0
    with over_http.gunicorn(peer, workers=2) as server, Progress(console=PROGRESS) as progress:
        steady = load_of(peer, server, "GET one", seconds=seconds, connections=2, rate=40)
        noise = load_of(
            peer, server, "GET one", seconds=seconds + 1, connections=4, rate=LIMIT / 6, skip=1, limited=True
        )
        task = progress.add_task("A noisy neighbour", total=2 * rounds)
        for number in range(rounds + 1):
            for what, noisy in (("alone", False), ("beside noise", True)):
                client = start(peer, noise) if noisy else None
                if noisy:
                    time.sleep(0.5)
                found = result(start(peer, steady))
                if client is not None:
                    noises = result(client)
                    sent, refused = sent + noises["answers"], refused + noises["refused"]
                if number:
                    took[what] += found["took"]
                    progress.advance(task)
    with psycopg.connect(peer.database, autocommit=True) as owner:
        owner.execute("UPDATE registry_tenant SET request_limit = NULL")
    percentiles = {
        what: {f"p{round(part * 100)}": 1000 * over_http.percentile(found, part) for part in (0.5, 0.95, 0.99)}
        for what, found in took.items()
    }
    return percentiles | {"limit_per_minute": LIMIT, "noise": {"answers": sent, "refused": refused}}


def memory(everybody: list[Peer], tenants: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return what a worker and its largest database connection have in memory, in MB, before and after a load over
    all tenants.
    """
    found = {}
    for peer in everybody:
        with over_http.gunicorn(peer) as server:
            result(start(peer, load_of(peer, server, "GET one", seconds=0.2)))
            found[peer.name] = {"worker": server.megabytes, "connection": _largest(peer)}
            result(start(peer, load_of(peer, server, "GET one", seconds=seconds, tenants=tenants)))
            found[peer.name] |= {"worker_after": server.megabytes, "connection_after": _largest(peer)}
    return found


def _largest(peer: Peer) -> float:
    return max(over_http.connections_of(peer.database), default=0.0)


@dataclass(frozen=True)
class Moment:
    """One look during a soak: seconds since its begin, megabytes of the largest worker and of database connections."""

    at: float
    worker: float
    connections: int
    connection_mean: float
    connection_max: float


def soak(peer: Peer, *, minutes: float, tenants: int, every: float = 10) -> dict[str, Any]:
    """Return what becomes of memory under a mixed load over many tenants: looks every few seconds, and a verdict."""
    moments: list[Moment] = []
    with over_http.gunicorn(peer, workers=2) as server, Progress(console=PROGRESS) as progress:
        task = progress.add_task("Soak", total=minutes * 60)
        client = start(peer, load_of(peer, server, *MIXED, seconds=minutes * 60, tenants=tenants, reopen=200))
        began = time.monotonic()
        while client.poll() is None and time.monotonic() - began < minutes * 60 - 1:
            time.sleep(max(0.0, min(every, minutes * 60 - 1 - (time.monotonic() - began))))
            connections = over_http.connections_of(peer.database)
            at = time.monotonic() - began
            mean, largest = statistics.mean(connections or [0.0]), max(connections, default=0.0)
            worker = max(map(over_http.megabytes, server.workers))
            moments.append(Moment(at, worker, len(connections), mean, largest))
            progress.update(task, completed=at)
        found = result(client)
    return {
        "minutes": minutes,
        "tenants": tenants,
        "answers": found["answers"],
        "p99": 1000 * over_http.percentile(found["took"], 0.99),
        "moments": [asdict(moment) for moment in moments],
        "worker": verdict([(each.at, each.worker) for each in moments]),
        "connection": verdict([(each.at, each.connection_max) for each in moments]),
    }


def verdict(looks: list[tuple[float, float]]) -> dict[str, Any]:
    """Say whether something is flat in the second half of its looks: grown by less than 3 % from its first third to
    its last, and on a line that would add less than 10 % in half an hour.
    """
    later = looks[len(looks) // 2 :]
    if len(later) < 3:
        return {"verdict": "too short", "megabytes": looks[-1][1] if looks else 0.0}
    third = len(later) // 3
    first, last = (statistics.mean(value for _, value in part) for part in (later[:third], later[-third:]))
    slope, _ = statistics.linear_regression(*zip(*later, strict=True))
    grows = last > first * 1.03 or slope * 1800 > first * 0.10
    return {
        "verdict": "growing" if grows else "flat",
        "megabytes": last,
        "first": looks[0][1],
        "megabytes_per_hour": slope * 3600,
    }
