"""``manage.py demo``: the whole product on this machine, from an empty folder to a served API."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from config import demo_banner, demo_provider
from config.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from config.processes import die_with_parent

_READY_SECONDS = 60
_STOP_SECONDS = 30
_SECONDS_BETWEEN_LOOKS = 0.5
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Serve the demo: database, migrations, seeds, web server and identity provider. Ctrl-C stops all of it."
    requires_system_checks: list[str] = []  # the server runs them, and they need no second time

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--json", action="store_true", help="Print one JSON object when ready.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IN_DEVELOPMENT:
            raise CommandError("The demo's accounts have a public password: set TENANTRY_ENV=development.")
        for port in (options["port"], demo_provider.port_beside(options["port"])):
            _refuse_taken_port(port)
        for number in _ENDINGS:
            signal.signal(number, _interrupt)
        self._console = Console(stderr=options["json"], highlight=False)
        try:
            with ExitStack() as stack:
                self._serve(stack, options["port"], as_json=options["json"])
        except KeyboardInterrupt:
            self._console.print("\nStopped. The data stays; `make demo` goes on with it.")
        except EmbeddedPostgresError as error:
            raise CommandError(str(error)) from error

    def _serve(self, stack: ExitStack, port: int, *, as_json: bool) -> None:
        own = {"PORT": str(port), "BIND": f"127.0.0.1:{port}"}
        environment = {"SOCIAL_PROVIDERS": demo_provider.social_providers(port)} | os.environ | own
        if settings.EMBEDDED_POSTGRES:
            with self._step("Starting PostgreSQL"):
                server = EmbeddedPostgres(settings.DATA_DIR)
                stack.callback(server.stop)
                environment["DATABASE_OWNER_URL"] = server.start()
                environment["DATABASE_URL"] = server.app_url
            for name, file in settings.DATABASE_URL_FILES.items():
                stack.enter_context(_published(file, environment[name]))
        else:
            with self._step("Asking the server of DATABASE_URL"):
                for name in settings.DATABASE_URL_FILES:
                    _refuse_silent_server(name, environment.get(name, ""))
        with self._step("Migrating"):
            _run(["migrate_platform", "--verbosity=0"], environment)
        with self._step("Seeding"):
            _run(["seed_demo"], environment)
        with self._step("Starting the web server"):
            web = _start_web_server(environment)
            stack.callback(_stop, web)
            _wait_until_ready(web, port)
        with self._step("Starting a worker"):
            worker = _start_worker(environment)
            stack.callback(_stop, worker)
        with self._step("Starting an identity provider"):
            stack.enter_context(demo_provider.serving(port))  # last: its thread must not be there when we fork
        if as_json:
            self.stdout.write(demo_banner.as_json(port))
        else:
            self._console.print(demo_banner.as_text(port), markup=True, soft_wrap=True)
        ended = _wait_for_any({"web server": web, "worker": worker})
        if ended is not None:
            raise CommandError(ended)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        with self._console.status(what):
            yield
        self._console.print(f"[green]✓[/] {what} [dim]{time.monotonic() - began:.1f} s[/]")


def _interrupt(number: int, frame: FrameType | None) -> None:
    for ending in _ENDINGS:  # stopping takes a moment: a second Ctrl-C must not leave half of it running
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(f"Port {port} is taken: choose another one, as in `make demo PORT=8001`.") from error


def _refuse_silent_server(name: str, url: str) -> None:
    if not url:
        raise CommandError(f"{name} is not set: the app and the owner of the tables log in as two roles (see README).")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:  # its message names host and user, never the password
        raise CommandError(f"The server of {name} cannot be used: {error}") from error


@contextmanager
def _published(file: Path, url: str) -> Iterator[None]:
    """Let other ``manage.py`` commands find the database while the demo runs."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(url)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _run(command: list[str], environment: dict[str, str]) -> None:
    result = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "manage.py", *command],
        cwd=settings.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise CommandError(f"`manage.py {command[0]}` failed:\n{result.stdout}{result.stderr}")


def _start_web_server(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(settings.ROOT), str(settings.ROOT / "platform")])
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "platform/config/gunicorn.py", "--log-level", "warning"],
        cwd=settings.ROOT,
        env=environment | {"PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C in the terminal is for us, and we decide what stops when
        preexec_fn=die_with_parent(),  # noqa: PLW1509 -- nothing else runs in this process
    )


def _start_worker(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=settings.ROOT,
        env=environment | {"LOG_LEVEL": "WARNING"},
        stdout=subprocess.DEVNULL,  # ours is the caller's, and may be one line of JSON
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 -- as above
    )


def _wait_for_any(processes: dict[str, subprocess.Popen[bytes]]) -> str | None:
    """Wait until the first of them ends, and say which one did; None if it was stopped on purpose."""
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                return f"The {name} ended with status {process.returncode}." if process.returncode else None
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _wait_until_ready(web: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and web.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise CommandError("The web server did not get ready; what it printed stands above.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
