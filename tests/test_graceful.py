"""The processes of a deployment, started as the image starts them: they come up, and they go without anybody noticing.

Production settings, the secrets, roles and environment of ``docker/``, a Postgres server, real HTTP and real signals.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from config import draining
from config.draining import DrainingWorker
from tests.deployed import API_HOST, Deployment, ask, compose, deployment
from tests.working import eventually

KEYS = "/.well-known/jwks.json"
BODY = b'{"token": "no token of ours"}'
POST = (
    f"POST /api/v1/auth/verify HTTP/1.1\r\nHost: {API_HOST}\r\nX-Forwarded-Proto: https\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()
GET = f"GET {KEYS} HTTP/1.1\r\nHost: {API_HOST}\r\nX-Forwarded-Proto: https\r\n\r\n".encode()
SPARES = 40  # enough that a worker is not done with them before it is told to stop


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployment]:
    """A deployment on an empty server, migrated by the start command."""
    with deployment() as found:
        result = found.run("migrate", "migrate", POOL_SIZE="0")
        assert result.returncode == 0, result.stderr
        yield found


@contextmanager
def holding(deployed: Deployment, table: str) -> Iterator[None]:
    """Keep everybody waiting who reads a table."""
    with psycopg.connect(deployed.owner_url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def waiting(deployed: Deployment) -> int:
    """How many are waiting for a lock."""
    with psycopg.connect(deployed.owner_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        assert row is not None
        return int(row[0])


def read(deployed: Deployment, query: str) -> Any:
    with psycopg.connect(deployed.owner_url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


class Request(threading.Thread):
    """A request under way. Attributes: `status` and `body` of its answer, once it is over."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__()
        self.status, self.body = 0, b""
        self._port, self._path = port, path
        self.start()

    def run(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request("GET", self._path, headers={"Host": API_HOST, "X-Forwarded-Proto": "https"})
            answer = connection.getresponse()
            self.status, self.body = answer.status, answer.read()


def test_the_app_finishes_what_is_under_way(deployed: Deployment) -> None:
    """Slow requests, one that is still being sent, and a connection that asks for nothing; then SIGTERM: nobody new is
    let in, the requests are answered, and the process ends by itself.
    """
    with deployed.serving() as (process, port), connected(port), connected(port) as sender:
        assert deployed.run("app", "healthy", BIND=f"0.0.0.0:{port}").returncode == 0  # HEALTHCHECK of the image
        assert ask(port, "/docs") == 200
        sender.sendall(POST + BODY[:10])
        with holding(deployed, "keys_storedkey"):
            requests = [Request(port, KEYS) for _ in range(3)]
            eventually(lambda: waiting(deployed) >= 1)  # the others of its process wait behind it, in the process
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            eventually(lambda: is_refused(port), seconds=5)
            time.sleep(0.5)
            assert process.poll() is None
            assert [request.status for request in requests] == [0, 0, 0]
        for request in requests:
            request.join(timeout=10)
        sender.sendall(BODY[10:])
        assert sender.makefile("rb").readline().startswith(b"HTTP/1.1 401 ")
        assert [request.status for request in requests] == [200, 200, 200]
        assert all(json.loads(request.body)["keys"] for request in requests)
        assert process.wait(10) == 0
        assert deployed.run("app", "healthy", BIND=f"0.0.0.0:{port}").returncode != 0


@pytest.mark.parametrize(("at_work", "takes"), [(2, 0), (1, 1)])
def test_a_worker_at_work_lets_an_idle_one_have_the_connection(
    monkeypatch: pytest.MonkeyPatch, at_work: int, takes: int
) -> None:
    """Both are woken; while the one with two threads, both at work, waits, the other one takes the connection."""
    configuration, taken, others = Config(), [], []
    configuration.set("threads", 2)
    worker = DrainingWorker(1, os.getpid(), [], None, 30, configuration, Logger(configuration))
    worker.nr_conns, worker.enqueue_req = at_work, taken.append
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, connected(listener.getsockname()[1]):
        listener.settimeout(0)
        monkeypatch.setattr(draining.time, "sleep", lambda _: others.append(listener.accept()))
        worker.accept(listener)
        for connection in [*(each.sock for each in taken), *(each for each, _ in others), worker.tmp]:
            connection.close()
    assert (len(taken), len(others)) == (takes, 1 - takes)


def test_who_does_not_end_is_ended(deployed: Deployment) -> None:
    """A request that outlasts the grace keeps nobody: SIGTERM ends the process in a bounded time."""
    more = {"GUNICORN_CMD_ARGS": "--graceful-timeout 1"}
    with deployed.serving(**more) as (process, port), connected(port) as client, holding(deployed, "keys_storedkey"):
        client.sendall(GET)
        eventually(lambda: waiting(deployed) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_worker_that_begins_afresh_is_noticed_by_nobody(deployed: Deployment) -> None:
    """Each process ends after forty requests, as after `max_requests`, while others take its place; all are answered,
    each on a connection of its own.
    """
    more = {"GUNICORN_CMD_ARGS": "--max-requests 40 --max-requests-jitter 0"}
    with deployed.serving(**more) as (_, port), ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ask(port, KEYS), range(100)))
        restarts = deployed.log("app").read_text().count("Booting worker")
    assert answers == [200] * 100
    assert restarts >= 3


def test_the_worker_stops_between_two_steps(deployed: Deployment) -> None:
    """SIGTERM in the middle of filling the pool: it ends soon, its job waits again, and another worker goes on."""
    ask_for_it = "from jobs import kinds, services; services.request(kind=kinds.JobKind.FILL_POOL)"
    result = deployed.run("worker", "shell", "--command", ask_for_it)
    assert result.returncode == 0, result.stderr
    with deployed.started("worker", POOL_SIZE=str(SPARES)) as process:
        eventually(lambda: read(deployed, "SELECT count(*) FROM tenant_lifecycle_spare") >= 2, seconds=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, deployed.log("worker").read_text()
    made = read(deployed, "SELECT count(*) FROM tenant_lifecycle_spare")
    assert made < SPARES, "it was done before it was told to stop, so this proves nothing"
    assert read(deployed, "SELECT state FROM jobs_job") == "queued"
    schemas = read(deployed, r"SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\_%'")
    assert schemas == made, "half a schema was left"

    target = made + 2
    result = deployed.run("worker", "worker", "--until-idle", "--no-schedule", POOL_SIZE=str(target))
    assert result.returncode == 0, result.stderr
    assert read(deployed, "SELECT count(*) FROM tenant_lifecycle_spare") == target
    assert read(deployed, "SELECT state FROM jobs_job") == "succeeded"


def test_the_deployment_is_sound(deployed: Deployment) -> None:
    """``check --deploy`` finds nothing to say about what compose and the scripts set up, in the database neither."""
    tags = [word for tag in ("deployment", "security", "database") for word in ("--tag", tag)]
    told = {"REDIS_URL": compose()["services"]["app"]["environment"]["REDIS_URL"]}
    result = deployed.run("app", "check", "--deploy", "--database", "default", "--fail-level", "WARNING", *tags, **told)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(
    not (shutil.which("caddy") and shutil.which("pgbouncer")),
    reason="caddy or pgbouncer is not on the PATH: no Python package brings them, so only some machines run this",
)
def test_the_whole_way(deployed: Deployment) -> None:
    """Client, Caddy with TLS, app, PgBouncer, Postgres, each by its configuration in ``docker/``; and the app is
    replaced meanwhile, which a client sees as a slow answer.
    """
    with deployed.pooled() as url, ExitStack() as stack:
        more = {"DATABASE_URL_FILE": str(url)}
        process, port = stack.enter_context(deployed.serving(**more))
        https, http_ = stack.enter_context(deployed.proxied(port))
        status, headers, body = ask_over_tls(https, KEYS)
        assert status == 200
        assert json.loads(body)["keys"]
        assert "max-age=31536000" in headers["Strict-Transport-Security"]
        assert ask_over_tls(https, "/metrics")[0] == 404
        assert ask(http_, KEYS) == 308
        with pytest.raises(ssl.SSLError):  # nobody's host gets no certificate
            ask_over_tls(https, KEYS, host="nobody.example.com")

        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        late = ThreadPoolExecutor(1).submit(ask_over_tls, https, KEYS)
        stack.enter_context(deployed.serving(port, **more))
        assert late.result(timeout=20)[0] == 200


def ask_over_tls(port: int, path: str, *, host: str = API_HOST) -> tuple[int, Any, bytes]:
    """Ask as a client does: by the name of the host, and claiming to be somebody else."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connected(port) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
        connection = http.client.HTTPConnection(host)
        connection.sock = secure
        connection.request("GET", path, headers={"Host": host, "X-Forwarded-For": "10.0.0.1"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
