"""Peers, each in a process of its own, on one database server; and what a request costs in the process."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.progress import Progress

from config.embedded_postgres import EmbeddedPostgres
from tests.benchmarks.peers import ours

ROOT = Path(__file__).parents[2]
PROGRESS = Console(stderr=True)
STOCK = "tests.benchmarks.peers.stock"
FLOORS = ("django", "drf", "entering", "hash")
PEERS = ("ours", "stock", "tuned", "floors")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: that count; one more goes before, to warm up.
        times: requests of a case in one round, in the process; a tenth of it where a password is hashed.
        seconds: of load over HTTP in one round.
    """

    rounds: int
    times: int
    seconds: float


@dataclass
class Peer:
    """A project that is measured, and the process in which it answers.

    Attributes:
        state: the file with its tenants, tokens and rows.
        database: its database's URL, as the owner.
        started: what its process took from nothing until it could answer, each time, in seconds.
    """

    name: str
    environment: dict[str, str]
    state: Path
    database: str
    process: subprocess.Popen[str] | None = None
    started: list[float] = field(default_factory=list)
    cases: tuple[str, ...] = ()

    def start(self) -> None:
        """Start its process and wait until it can answer."""
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.peers.worker", self.name, str(self.state)],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cases = tuple(self._answer()["cases"])
        self.started.append(time.perf_counter() - began)

    def measure(self, case: str, times: int, tenants: int) -> dict[str, Any]:
        """Have it time a case."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"case": case, "times": times, "tenants": tenants}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """End its process."""
        if self.process is not None:
            self.process.communicate(timeout=30)
            self.process = None

    def clean(self) -> None:
        """Delete what POSTs have made in the first tenant: its list stays as long as everybody's."""
        if self.name == "floors":
            return
        table = sql.Identifier(json.loads(self.state.read_text())["tenants"][0]["schema"], "projects_project")
        with psycopg.connect(self.database, autocommit=True) as owner:
            owner.execute(sql.SQL("DELETE FROM {} WHERE name = 'Posted'").format(table))
            owner.execute(sql.SQL("VACUUM ANALYZE {}").format(table))

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}.")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def prepared(tenants: int, names: tuple[str, ...] = PEERS) -> Iterator[list[Peer]]:
    """Start a database server on a folder of its own, and make these peers' tenants on it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server is another user's if we are root
        with EmbeddedPostgres(folder, durable=True) as database:
            yield _prepare(database, folder, tenants, names)


def _prepare(database: EmbeddedPostgres, folder: Path, tenants: int, names: tuple[str, ...]) -> list[Peer]:
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]), "DATA_DIR": str(folder)}
    of_ours = os.environ | ours.ENVIRONMENT | path
    of_ours |= {"DATABASE_OWNER_URL": database.url, "DATABASE_URL": database.app_url}
    of_stock = os.environ | path | {"BENCHMARK_DATABASE": database.url.rsplit("/", 1)[0] + "/stock"}
    of_stock["DJANGO_SETTINGS_MODULE"] = f"{STOCK}.settings"
    stock_url = of_stock["BENCHMARK_DATABASE"]
    states = {name: folder / f"{name}.json" for name in ("ours", "stock", "floors")}
    _make("tests.benchmarks.peers.ours", of_ours, states["ours"], tenants, database.url)
    if {"stock", "tuned"} & {*names}:
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute("CREATE DATABASE stock")
        _make(f"{STOCK}.prepare", of_stock, states["stock"], tenants, stock_url)
    states["floors"].write_text(json.dumps({"paths": {name: f"/{name}" for name in FLOORS}}))
    of_floors = of_ours | {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.floors.settings"}
    made = {
        "ours": Peer("ours", of_ours, states["ours"], database.url),
        "stock": Peer("stock", of_stock, states["stock"], stock_url),
        "tuned": Peer("tuned", of_stock | {"DJANGO_SETTINGS_MODULE": f"{STOCK}.tuned"}, states["stock"], stock_url),
        "floors": Peer("floors", of_floors, states["floors"], database.url),
    }
    return [made[name] for name in names]


def _make(module: str, environment: Mapping[str, str], state: Path, tenants: int, url: str) -> None:
    with PROGRESS.status(f"{module}: making {tenants:,} tenants"):
        command = [sys.executable, "-m", module, str(tenants)]
        output = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    state.write_bytes(output)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")


@contextmanager
def started(everybody: list[Peer], *, times: int = 1) -> Iterator[None]:
    """Start everybody's process, in turns if more than once, and end the last ones afterwards."""
    with ExitStack() as stack:
        for number in range(times):
            for peer in random.sample(everybody, len(everybody)):
                peer.start()
                if number + 1 < times:
                    peer.stop()
                else:
                    stack.callback(peer.stop)
        yield


Found = dict[str, dict[str, dict[str, float]]]  # such as: case -> peer -> what -> median


def in_process(everybody: list[Peer], size: Size) -> Found:
    """Return case -> peer -> wall and cpu, in milliseconds, each the median of rounds in which peers took turns."""
    wall: dict[tuple[str, str], list[float]] = defaultdict(list)
    cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
    cases = list(dict.fromkeys(case for peer in everybody for case in peer.cases))
    with Progress(console=PROGRESS) as progress:
        task = progress.add_task("In process", total=(size.rounds + 1) * len(cases))
        for number in range(size.rounds + 1):
            for case in cases:
                times = max(1, size.times // 10) if case in {"login", "hash"} else size.times
                for peer in shuffled(everybody, case):
                    found = peer.measure(case, times if number else max(1, times // 5), 1)
                    if number:  # the first round only warms up
                        wall[case, peer.name] += found["wall"]
                        cpu[case, peer.name].append(found["cpu"])
                    if case == "POST":
                        peer.clean()
                progress.advance(task)
    return {
        case: {
            peer.name: {
                "wall": 1000 * statistics.median(wall[case, peer.name]),
                "cpu": 1000 * statistics.median(cpu[case, peer.name]),
            }
            for peer in everybody
            if (case, peer.name) in wall
        }
        for case in cases
    }


def shuffled(everybody: list[Peer], case: str) -> list[Peer]:
    """Return those who have this case, in a new order."""
    return random.sample(found := [peer for peer in everybody if case in peer.cases], len(found))


def growth(everybody: list[Peer], size: Size, counts: list[int]) -> Found:
    """Return peer -> number of tenants -> wall and cpu of a GET of one row, in ms, which goes from tenant to tenant.

    A round asks every tenant once, and a few hundred times at least; before the rounds everybody has met every tenant.
    """
    wall: dict[tuple[str, int], list[float]] = defaultdict(list)
    cpu: dict[tuple[str, int], list[float]] = defaultdict(list)
    asking = [peer for peer in everybody if "GET one" in peer.cases]
    with Progress(console=PROGRESS) as progress:
        task = progress.add_task("Growth", total=(size.rounds + 1) * len(counts) * len(asking))
        for number in range(size.rounds + 1):
            for tenants in sorted(counts):
                for peer in random.sample(asking, len(asking)):
                    found = peer.measure("GET one", max(3 * size.times, tenants), tenants)
                    if number:
                        wall[peer.name, tenants] += found["wall"]
                        cpu[peer.name, tenants].append(found["cpu"])
                    progress.advance(task)
    return {
        peer.name: {
            str(tenants): {
                "wall": 1000 * statistics.median(wall[peer.name, tenants]),
                "cpu": 1000 * statistics.median(cpu[peer.name, tenants]),
            }
            for tenants in counts
        }
        for peer in asking
    }
