"""How fast: ours beside a stock and a tuned peer and the floors, on one server, in one run, with the same rows.

    python tests/benchmarks/speed.py [--quick] [--tenants 1 100] [--output FOLDER]

Every case is measured in rounds, one peer after the other in a new order each time; shown are medians, and how many
times as fast ours is. `wall` is what a request takes in the process, `cpu` what of it is the process's own work;
`requests/s` are over HTTP, from one worker process of gunicorn with four threads and eight connections, on the same
machine as the load and the database. Writes speed.json, and speed.svg and speed.png, into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from config.embedded_postgres import EmbeddedPostgres  # noqa: E402 -- of our own source root
from tests.benchmarks.peers import ours  # noqa: E402
from tests.running_demo import free_port  # noqa: E402

PROGRESS = Console(stderr=True)
CONNECTIONS = 8
HTTP_CASES = ("GET one", "list 20", "refresh", "client_credentials", "django", "drf", "entering")
STOCK = "tests.benchmarks.peers.stock"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        times: requests of a case in one round, in the process; a tenth of it where a password is hashed.
        seconds: of load over HTTP in one round.
    """

    rounds: int
    times: int
    seconds: float


QUICK, FULL = Size(rounds=3, times=60, seconds=1.5), Size(rounds=7, times=300, seconds=4)


@dataclass
class Peer:
    """A project that is measured, and the process in which it answers."""

    name: str
    environment: dict[str, str]
    state: Path
    process: subprocess.Popen[str] | None = None
    started: float = 0
    cases: tuple[str, ...] = ()

    def start(self) -> None:
        """Start its process and wait until it can answer."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.peers.worker", self.name, str(self.state)],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = self._answer()
        self.started, self.cases = found["started"], tuple(found["cases"])

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

    @property
    def megabytes(self) -> float:
        """What its process has in memory."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}.")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def peers(server: EmbeddedPostgres, folder: Path, tenants: int) -> Iterator[list[Peer]]:
    """Make everybody's tenants and start everybody's process."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE stock")
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]), "DATA_DIR": str(folder)}
    of_ours = os.environ | ours.ENVIRONMENT | path
    of_ours |= {"DATABASE_OWNER_URL": server.url, "DATABASE_URL": server.app_url}
    of_stock = os.environ | path | {"BENCHMARK_DATABASE": server.url.rsplit("/", 1)[0] + "/stock"}
    of_stock["DJANGO_SETTINGS_MODULE"] = f"{STOCK}.settings"
    states = {name: folder / f"{name}.json" for name in ("ours", "stock", "floors")}
    for name, module, environment in (
        ("ours", "tests.benchmarks.peers.ours", of_ours),
        ("stock", f"{STOCK}.prepare", of_stock),
    ):
        with PROGRESS.status(f"Making {tenants:,} tenants of {name}"):
            states[name].write_bytes(
                subprocess.run(
                    [sys.executable, "-m", module, str(tenants)],
                    env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE,
                ).stdout
            )  # fmt: skip
    states["floors"].write_text(json.dumps({"paths": {name: f"/{name}" for name in ("django", "drf", "entering")}}))
    for url in (server.url, of_stock["BENCHMARK_DATABASE"]):
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("VACUUM ANALYZE")
    made = [
        Peer("ours", of_ours, states["ours"]),
        Peer("stock", of_stock, states["stock"]),
        Peer("tuned", of_stock | {"DJANGO_SETTINGS_MODULE": f"{STOCK}.tuned"}, states["stock"]),
        Peer(
            "floors", of_ours | {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.floors.settings"}, states["floors"]
        ),
    ]
    with ExitStack() as stack:
        for peer in made:
            peer.start()
            stack.callback(peer.stop)
        yield made


def in_process(everybody: list[Peer], size: Size, tenants: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return case -> peer -> wall and cpu, in milliseconds."""
    wall: dict[tuple[str, str], list[float]] = defaultdict(list)
    cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
    cases = list(dict.fromkeys(case for peer in everybody for case in peer.cases))
    with Progress(console=PROGRESS) as progress:
        task = progress.add_task("In process", total=(size.rounds + 1) * len(cases))
        for number in range(size.rounds + 1):
            for case in cases:
                times = max(3, size.times // 10) if case == "login" else size.times
                for peer in random.sample(everybody, len(everybody)):
                    if case not in peer.cases:
                        continue
                    found = peer.measure(case, times if number else max(3, times // 5), tenants)
                    if number:  # the first round only warms up
                        wall[case, peer.name] += found["wall"]
                        cpu[case, peer.name].append(found["cpu"])
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


def over_http(everybody: list[Peer], size: Size, database: int, tenants: int) -> dict[str, Any]:
    """Return case -> peer -> requests in a second, 99th percentile, processor time of server and database."""
    samples: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with ExitStack() as stack, Progress(console=PROGRESS) as progress:
        servers = {peer.name: stack.enter_context(gunicorn(peer)) for peer in everybody}
        cases = [case for case in HTTP_CASES if any(case in peer.cases for peer in everybody)]
        task = progress.add_task("Over HTTP", total=(size.rounds + 1) * len(cases))
        for number in range(size.rounds + 1):
            for case in cases:
                for peer in random.sample(everybody, len(everybody)):
                    if case not in peer.cases:
                        continue
                    first = 0 if case != "refresh" else 1 + number * CONNECTIONS
                    load = Load(case, first, size.seconds if number else 3, tenants)
                    found = _load(peer, servers[peer.name], database, load)
                    if number:
                        samples[case, peer.name].append(found)
                progress.advance(task)
    return {
        case: {
            peer.name: {key: statistics.median(each[key] for each in found) for key in found[0]}
            for peer in everybody
            if (found := samples.get((case, peer.name)))
        }
        for case in cases
    }


@dataclass(frozen=True)
class Load:
    """What one client process sends: a case over some tenants, from sessions that begin with `first`, for so long."""

    case: str
    first: int
    seconds: float
    tenants: int


def _load(peer: Peer, server: Server, database: int, load: Load) -> dict[str, float]:
    before = _seconds_of(server.process.pid), _seconds_of(database)
    command = [sys.executable, "-m", "tests.benchmarks.peers.client", peer.name, peer.state, server.port, load.case]
    sizes = (CONNECTIONS, load.first, load.seconds, load.tenants)
    output = subprocess.run(
        [str(each) for each in (*command, *sizes)],
        env=peer.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    after = _seconds_of(server.process.pid), _seconds_of(database)
    found = json.loads(output)
    took = sorted(found["took"])
    return {
        "requests_per_second": found["answers"] / found["seconds"],
        "p99": 1000 * took[int(len(took) * 0.99)],
        "server_cpu": 1000 * (after[0] - before[0]) / found["answers"],
        "database_cpu": 1000 * (after[1] - before[1]) / found["answers"],
    }


def _seconds_of(parent: int) -> float:
    """Return the processor time of a process and its children, those that have ended included."""
    ticks = 0
    children = subprocess.run(["pgrep", "-P", str(parent)], stdout=subprocess.PIPE, text=True, check=False).stdout
    for number, pid in enumerate([str(parent), *children.split()]):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        ticks += sum(map(int, fields[11:15] if number == 0 else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _process_of(server: EmbeddedPostgres) -> int:
    """Return the id of the process whose children serve connections."""
    with psycopg.connect(server.url) as owner:
        return int(Path(f"/proc/{owner.info.backend_pid}/stat").read_text().rpartition(")")[2].split()[1])


@dataclass(frozen=True)
class Server:
    """A process that serves a peer over HTTP."""

    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def gunicorn(peer: Peer) -> Iterator[Server]:
    """Serve a peer: all of them by the same server with the same settings."""
    port = free_port()
    application = "config.wsgi" if peer.name == "ours" else f"{STOCK}.wsgi"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", f"{application}:application", "--config", "platform/config/gunicorn.py",
         "--workers", "1", "--threads", "4", "--bind", f"127.0.0.1:{port}", "--max-requests", "0", "--keep-alive", "60",
         "--log-level", "warning"],
        env=peer.environment, cwd=ROOT,
    )  # fmt: skip
    try:
        _wait_for(port)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int) -> None:
    import socket

    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("A server did not start.")


def machine() -> dict[str, Any]:
    """Say on what this was measured."""
    from importlib.metadata import version

    packages = (
        "Django",
        "djangorestframework",
        "djangorestframework-simplejwt",
        "django-tenants",
        "psycopg",
        "gunicorn",
    )
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


def show(report: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(width=130)
    for what, unit in (("cpu", "ms of processor time in the process"), ("wall", "ms in the process")):
        table = Table("case", "ours", "stock", "tuned", "times stock", "times tuned", title=f"{what}: {unit}")
        for case, found in report["in_process"].items():
            _row(table, case, {name: each[what] for name, each in found.items()}, lower_is_better=True)
        console.print(table)
    table = Table("case", "ours", "stock", "tuned", "times stock", "times tuned", title="requests/s over HTTP")
    for case, found in report["http"].items():
        _row(table, case, {name: each["requests_per_second"] for name, each in found.items()}, lower_is_better=False)
    console.print(table)


def _row(table: Table, case: str, found: dict[str, float], *, lower_is_better: bool) -> None:
    if "floors" in found:
        table.add_row(f"floor: {case}", f"({found['floors']:,.2f})")
        return
    mine = found["ours"]
    ratios = [
        (found[peer] / mine if lower_is_better else mine / found[peer]) if peer in found else None
        for peer in ("stock", "tuned")
    ]
    table.add_row(
        case,
        *(f"{found[peer]:,.2f}" if peer in found else "" for peer in ("ours", "stock", "tuned")),
        *(f"{ratio:,.1f}" if ratio else "" for ratio in ratios),
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes in place of half an hour")
    parser.add_argument("--tenants", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--output", type=Path, default=ROOT / ".data" / "benchmarks")
    parser.add_argument("--no-http", action="store_true", help="in the process alone")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    report: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server is another user's if we are root
        with (
            EmbeddedPostgres(folder, durable=True) as server,
            peers(server, folder, max(*options.tenants, 2)) as everybody,
        ):
            report["in_process"] = in_process(everybody, size, 1)
            report["started"] = {peer.name: peer.started for peer in everybody}
            report["megabytes"] = {peer.name: peer.megabytes for peer in everybody}
            if not options.no_http:
                report["http"] = over_http(everybody, size, _process_of(server), 1)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "speed.json").write_text(json.dumps(report, indent=2) + "\n")
    show(report)


if __name__ == "__main__":
    main()
