"""A running demo, for the tests of what it prints and of what the README says about it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_pair() -> int:
    """A free port after which another one is free: the demo's identity provider listens there."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running demo on data of its own: what it printed, and its process."""
    with running(ROOT, tmp_path_factory.mktemp("demo")) as ready:
        yield ready


@contextmanager
def running(checkout: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Run a checkout's demo with its data in `folder`."""
    ours = {"DATABASE_URL", "ISSUER", "THROTTLES", "MAIL_DELIVERY"}  # limits and mail are as for everybody who tries it
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    environment |= {"TENANTRY_ENV": "development", "DATA_DIR": str(folder), "PORT": str(free_pair())}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--json"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the demo did not start"
    try:
        yield {**json.loads(line), "process": process, "environment": environment}
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        process.stdout.close()
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
