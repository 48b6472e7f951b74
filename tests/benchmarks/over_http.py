"""Peers behind a server, and a load from another process; what the server and the database spend meanwhile."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from rich.progress import Progress

from tests.benchmarks.driver import PROGRESS, ROOT, STOCK, Found, Peer, Size, shuffled
from tests.benchmarks.peers.client import Load

CONNECTIONS = 8
CASES = (
    "GET one",
    "list 20",
    "POST",
    "PATCH",
    "refresh",
    "client_credentials",
    "introspect",
    "django",
    "drf",
    "entering",
)


@dataclass(frozen=True)
class Server:
    """A process that serves a peer over HTTP, with its workers."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def workers(self) -> list[int]:
        """The ids of its children."""
        return children(self.process.pid)

    @property
    def megabytes(self) -> float:
        """What its workers have in memory, the mean: proportional set size."""
        return statistics.mean(map(megabytes, self.workers))


@contextmanager
def gunicorn(peer: Peer, *, workers: int = 1, threads: int = 4) -> Iterator[Server]:
    """Serve a peer: all of them by the same server with the same settings, which are the product's."""
    application = "config.wsgi" if peer.name == "ours" else f"{STOCK}.wsgi"
    port = free_port()
    command = [
        "gunicorn",
        f"{application}:application",
        "--config",
        "platform/config/gunicorn.py",
        "--workers",
        workers,
    ]
    command += ["--threads", threads, "--bind", f"127.0.0.1:{port}", "--max-requests", "0", "--keep-alive", "60"]
    with serving([*command, "--log-level", "warning"], peer, port) as server:
        yield server


@contextmanager
def granian(peer: Peer, *, workers: int = 1, threads: int = 4) -> Iterator[Server]:
    """Serve ours by granian."""
    port = free_port()
    command = ["granian", "--interface", "wsgi", "--workers", workers, "--blocking-threads", threads]
    command += ["--port", port, "--log-level", "warning", "config.wsgi:application"]
    with serving(command, peer, port) as server:
        yield server


@contextmanager
def serving(module: list[Any], peer: Peer, port: int) -> Iterator[Server]:
    """Run a server's module until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", *map(str, module)], env=peer.environment, cwd=ROOT)
    try:
        _wait_for(port)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                probe.sendall(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")
                if probe.recv(1):
                    return
        except (ConnectionRefusedError, TimeoutError):  # or it listens, and its workers are not there yet
            time.sleep(0.05)
    raise SystemExit("A server did not start.")


def load_of(peer: Peer, server: Server, *cases: str, seconds: float, **more: Any) -> Load:
    """Return a load of some cases for a peer that is served."""
    numbers = {"connections": CONNECTIONS, "first": 0, "tenants": 1} | more
    return Load(peer.name, str(peer.state), server.port, list(cases), seconds=seconds, **numbers)


def start(peer: Peer, load: Load) -> subprocess.Popen[bytes]:
    """Begin to ask, from a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.peers.client", json.dumps(asdict(load))]
    return subprocess.Popen(command, env=peer.environment, cwd=ROOT, stdout=subprocess.PIPE)


def result(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for a client's end, and return what it found."""
    output, _ = client.communicate()
    if client.returncode:
        raise SystemExit("A client failed.")
    found: dict[str, Any] = json.loads(output)
    return found


def measure(peer: Peer, server: Server, database: int, load: Load) -> dict[str, float]:
    """Send a load, and return answers in a second, percentiles, and the processor's time of an answer, in ms."""
    before = seconds_of(server.process.pid), seconds_of(database)
    found = result(start(peer, load))
    after = seconds_of(server.process.pid), seconds_of(database)
    return {
        "requests_per_second": found["answers"] / found["seconds"],
        "p50": 1000 * statistics.median(found["took"]),
        "p99": 1000 * percentile(found["took"], 0.99),
        "server_cpu": 1000 * (after[0] - before[0]) / found["answers"],
        "database_cpu": 1000 * (after[1] - before[1]) / found["answers"],
    }


def percentile(took: list[float], part: float) -> float:
    """Return below what this part of the values is."""
    return sorted(took)[int(len(took) * part)]


def requests(everybody: list[Peer], size: Size, database: int) -> Found:
    """Return case -> peer -> what `measure` finds, the median of rounds in which peers took turns."""
    samples: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    asked = [case for case in CASES if any(case in peer.cases for peer in everybody)]
    with ExitStack() as stack, Progress(console=PROGRESS) as progress:
        servers = {peer.name: stack.enter_context(gunicorn(peer)) for peer in everybody}
        task = progress.add_task("Over HTTP", total=(size.rounds + 1) * len(asked))
        for number in range(size.rounds + 1):
            for case in asked:
                for peer in shuffled(everybody, case):
                    load = load_of(
                        peer, servers[peer.name], case, seconds=size.seconds if number else min(1, size.seconds)
                    )
                    if case == "refresh":  # the first session of all is used in the process
                        load = replace(load, first=1 + number * CONNECTIONS)
                    found = measure(peer, servers[peer.name], database, load)
                    if number:
                        samples[case, peer.name].append(found)
                    if case == "POST":
                        peer.clean()
                progress.advance(task)
    return {
        case: {
            peer.name: {key: statistics.median(each[key] for each in found) for key in found[0]}
            for peer in everybody
            if (found := samples.get((case, peer.name)))
        }
        for case in asked
    }


def children(parent: int) -> list[int]:
    """Return the ids of a process's children."""
    found = subprocess.run(["pgrep", "-P", str(parent)], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


def seconds_of(parent: int) -> float:
    """Return the processor time of a process and its children, those that have ended included."""
    ticks = 0
    for number, pid in enumerate([parent, *children(parent)]):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        ticks += sum(map(int, fields[11:15] if number == 0 else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int, what: str = "Pss") -> float:
    """Return what a process has in memory: its proportional set size, or another line of the kernel's sums."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def connections_of(url: str) -> list[float]:
    """Return what each of the app's database connections has in memory for itself, in MB."""
    with psycopg.connect(url) as owner:
        rows = owner.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND usesysid IS NOT NULL AND pid <> pg_backend_pid()"
        ).fetchall()
    return [megabytes(pid, "Anonymous") for (pid,) in rows if Path(f"/proc/{pid}").exists()]


def postmaster_of(url: str) -> int:
    """Return the id of the process whose children serve connections."""
    with psycopg.connect(url) as owner:
        return int(Path(f"/proc/{owner.info.backend_pid}/stat").read_text().rpartition(")")[2].split()[1])
