"""Real server processes on the test database, and steady traffic on all of them."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from config.processes import die_with_parent
from tests.committed import urls
from tests.running_demo import free_port

ROOT = Path(__file__).parents[1]
_READY_SECONDS, _STOP_SECONDS, _ANSWER_SECONDS = 60, 30, 20
_COMMAND = [
    *(sys.executable, "-m", "gunicorn", "--config", "platform/config/gunicorn.py", "--log-level", "warning"),
    *("--max-requests", "0", "--keep-alive", "60"),  # no worker begins afresh, and no connection ends, in a trial
]


@contextmanager
def serving(count: int, *, threads: int = 4, workers: int = 1) -> Iterator[list[int]]:
    """Serve the test database with `count` servers, each of `workers` processes with `threads`; yields their ports.

    They share nothing but the database, as on as many machines. Nothing is left of them afterwards.
    """
    ports = [free_port() for _ in range(count)]
    with ExitStack() as stack:
        for server in [stack.enter_context(_server(port, threads, workers)) for port in ports]:
            server.wait_until_ready()
        yield ports


@dataclass(frozen=True)
class _Server:
    port: int
    process: subprocess.Popen[bytes]

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if ask_once(self.port, "GET", "/health/ready", host="127.0.0.1").status == 200:
                return
            time.sleep(0.05)
        raise AssertionError("A server did not get ready.")

    def stop(self) -> None:
        """End the server by its id, wait for it, and see that its worker is gone too."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            assert not _is_anybody_in_group(self.process.pid), "a worker outlived its server"


@contextmanager
def _server(port: int, threads: int, workers: int) -> Iterator[_Server]:
    process = subprocess.Popen(
        _COMMAND,
        cwd=ROOT,
        env=_environment(port, threads, workers),
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 -- only this thread runs yet; a killed run leaves no server
    )
    server = _Server(port, process)
    try:
        yield server
    finally:
        server.stop()


def _environment(port: int, threads: int, workers: int) -> dict[str, str]:
    """What a server has to know; it is not measured for coverage, which would only slow the traffic down."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return inherited | {
        **urls(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": str(workers),
        "WEB_THREADS": str(threads),
    }


def _is_anybody_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Answer:
    """What one request got.

    Attributes:
        began: when it was begun, by ``time.monotonic``: before its first byte was sent.
        status: 0 when there was no answer; `body` then says why.
    """

    port: int
    began: float
    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, if it is a JSON object; else an empty one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def outcome(self) -> tuple[int, str | None]:
        """The status, and the code if it is a problem."""
        return self.status, self.json.get("code")


def ask_once(port: int, method: str, path: str, **more: Any) -> Answer:
    """As ``ask``, on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)) as connection:
        return ask(connection, method, path, **more)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    host: str,
    token: str | None = None,
    body: Any = None,
    content_type: str = "application/json",
) -> Answer:
    """Send one request, and return its answer. `body` is sent as JSON, or as it is when it is bytes."""
    headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
    if body is not None:
        headers["Content-Type"] = content_type
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    began = time.monotonic()
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(connection.port, began, response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it again
        return Answer(connection.port, began, 0, repr(error).encode())


class Traffic:
    """Threads that ask for one path without a pause, each on a connection of its own that stays open.

    They send the token of ``start`` until ``stop``, and wait in between. Every answer is kept.
    """

    def __init__(self, ports: Sequence[int], *, threads_per_port: int, host: str, path: str) -> None:
        self._ports, self._host, self._path = ports, host, path
        self._changed = threading.Condition()
        self._token: str | None = None
        self._is_over = False
        self._done: set[int] = set()
        self._in_flight = 0
        self._answers: list[Answer] = []
        self._threads = [
            threading.Thread(target=self._run, args=(port,)) for port in ports for _ in range(threads_per_port)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._token, self._is_over = None, True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def start(self, token: str) -> None:
        with self._changed:
            self._answers, self._done, self._token = [], set(), token
            self._changed.notify_all()

    def wait(self, number: int, counts: Callable[[Answer], bool]) -> None:
        """Let it go on until each server has given this `number` of answers that count.

        Raises:
            AssertionError: that never came.
        """
        with self._changed:
            enough = self._changed.wait_for(lambda: self._enough(number, counts) == set(self._ports), _ANSWER_SECONDS)
            assert enough, f"waited in vain; the last answers: {self._answers[-3:]}"

    def stop(self, number: int, counts: Callable[[Answer], bool]) -> list[Answer]:
        """As ``wait``, but whoever has answered enough is asked no more; return all answers since ``start``.

        No request is under way any more when it returns.

        Raises:
            AssertionError: as ``wait``.
        """

        def is_idle() -> bool:
            self._done = self._enough(number, counts)
            return self._done == set(self._ports) and self._in_flight == 0

        with self._changed:
            enough = self._changed.wait_for(is_idle, _ANSWER_SECONDS)
            self._token = None
            assert enough, f"waited in vain; the last answers: {self._answers[-3:]}"
            return self._answers

    def _enough(self, number: int, counts: Callable[[Answer], bool]) -> set[int]:
        found = Counter(answer.port for answer in self._answers if counts(answer))
        return {port for port in self._ports if found[port] >= number}

    def _run(self, port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)) as connection:
            while (token := self._next_token(port)) is not None:
                answer = ask(connection, "GET", self._path, host=self._host, token=token)
                with self._changed:
                    self._in_flight -= 1
                    self._answers.append(answer)
                    self._changed.notify_all()

    def _next_token(self, port: int) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or (self._token is not None and port not in self._done))
            self._in_flight += self._token is not None
            return self._token
