"""PgBouncer in transaction mode, between the server and the database: where leaks of sessions come to light. It is
configured as in ``docker/``.
"""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from config.processes import die_with_parent
from tests.leaks.environment import ROOT
from tests.running_demo import free_port

_START_SECONDS = 10
_CONFIG = ROOT / "docker" / "pgbouncer" / "pgbouncer.ini"


def is_installed() -> bool:
    return shutil.which("pgbouncer") is not None


@contextmanager
def pooled(url: str, folder: Path) -> Iterator[str]:
    """Put PgBouncer in front of the database of `url` until the block ends; yields the URL that leads through it."""
    parts, port = urlsplit(url), free_port()
    home = folder / "pgbouncer"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    (home / "pgbouncer_users").write_text(f'"{parts.username}" "{parts.password}"\n')
    (home / "pgbouncer.ini").write_text(_config(url, port, home))
    process = subprocess.Popen(
        ["pgbouncer", "-q", str(home / "pgbouncer.ini")],
        stderr=subprocess.DEVNULL,  # the same as in its log
        preexec_fn=die_with_parent(),  # noqa: PLW1509 -- no other thread runs yet
        **_identity(home),
    )
    through = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    try:
        _wait_until_it_answers(through, home / "log")
        yield through
    finally:
        process.terminate()
        process.wait()


def _config(url: str, port: int, home: Path) -> str:
    """Return the deployment's configuration for a server elsewhere. It has fewer server connections than the app has
    threads, so that they are shared all the time.
    """
    parts, config = urlsplit(url), _CONFIG.read_text()
    for there, here in (
        (
            "tenantry = host=postgres port=5432 dbname=tenantry",
            f"{parts.path[1:]} = host={parts.hostname} port={parts.port} dbname={parts.path[1:]}",
        ),
        ("listen_addr = 0.0.0.0", "listen_addr = 127.0.0.1"),
        ("listen_port = 6432", f"listen_port = {port}"),
        ("auth_file = /run/secrets/", f"auth_file = {home}/"),
        ("default_pool_size = 20", "default_pool_size = 6"),
    ):
        assert config.count(there) == 1, f"the deployment's configuration has no {there!r}"
        config = config.replace(there, here)
    return f"{config}logfile = {home}/log\n"


def _identity(home: Path) -> dict[str, Any]:
    """Give the folder to an unprivileged user where we are root, which PgBouncer refuses, and return who that is."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (home, *home.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_until_it_answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                printed = log.read_text(errors="replace")[-2000:] if log.exists() else "nothing"
                raise RuntimeError(f"PgBouncer does not answer. Its log: {printed}") from error
            time.sleep(0.05)
        else:
            return
