"""The product as it is deployed: gunicorn with two worker processes of several threads."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.processes import die_with_parent
from tests.leaks.environment import ROOT
from tests.running_demo import free_port

WORKERS, THREADS = 2, 8
_READY_SECONDS, _STOP_SECONDS = 60, 30
_COMMAND = [
    *(sys.executable, "-m", "gunicorn", "--config", "platform/config/gunicorn.py", "--log-level", "warning"),
    *("--max-requests", "0", "--keep-alive", "60"),  # no worker and no connection ends but by a disturbance
]


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        log: what its processes have printed.
    """

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return sorted(_children(self.process.pid))

    def kill_worker(self) -> None:
        """Kill one worker the hard way: the oldest, which is surely serving."""
        os.kill(self.workers()[0], signal.SIGKILL)


@contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Serve with `environment` until the block ends; start it in the main thread."""
    port = free_port()
    more = {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS)}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            _COMMAND,
            cwd=ROOT,
            env={**environment, **more},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 -- no other thread runs yet; a killed run leaves no server
        )
    server = Server(port, log, process)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        if _is_ready(server.port) and len(server.workers()) == WORKERS:
            return
        time.sleep(0.05)
    raise RuntimeError(f"The server did not get ready. It printed:\n{server.log.read_text(errors='replace')[-3000:]}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the group of its own that it was started in
        process.wait()


def _children(parent: int) -> Iterator[int]:
    """Yield the living children of a process: from ``/proc``, or where that is not, from ps."""
    if Path("/proc/self/stat").exists():
        lines = (line for line in map(_stat, Path("/proc").glob("[0-9]*/stat")) if line)
    else:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,stat=,ppid="], capture_output=True, text=True, check=True)
        lines = (line.split() for line in listed.stdout.splitlines())
    for pid, state, its_parent, *_ in lines:
        if int(its_parent) == parent and not state.startswith("Z"):
            yield int(pid)


def _stat(file: Path) -> list[str]:
    """Return process id, state and parent; nothing when the process is gone."""
    try:
        pid, _, rest = file.read_text().partition(" (")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *rest.rpartition(")")[2].split()]
