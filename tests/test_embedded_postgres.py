"""The database of one's own: first start, next start, and every way a run can die in between."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="this run brings its own server")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A private folder, as a checkout often is: the database's own user cannot enter it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    yield private / "data"
    shutil.rmtree((private / "data" / "postgres").resolve(), ignore_errors=True)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as opened:
        answer = opened.execute(question)  # type: ignore[call-overload]  # a literal of this file
        row = answer.fetchone() if answer.description else None
        return row and row[0]


def test_data_survives_a_stop_and_the_role_is_no_superuser(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        first = server.url
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        for url in (server.url, server.app_url):
            assert ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(psycopg.OperationalError):
        ask(first, "SELECT 1")
    with EmbeddedPostgres(folder, durable=False) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42
        assert server.url == first


def test_secrets_are_for_the_owner_alone(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False):
        home = (folder / "postgres").resolve()
        assert home.stat().st_mode & 0o077 == 0
        for file in home.glob("*.password"):
            assert file.stat().st_mode & 0o077 == 0
            assert file.read_text() not in (home / "log").read_text()


def test_one_folder_serves_one_run(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False), pytest.raises(EmbeddedPostgresError, match="Another run"):
        EmbeddedPostgres(folder).start()


def test_a_killed_creation_is_begun_again(folder: Path) -> None:
    """A draft that a kill left behind is no cluster."""
    with EmbeddedPostgres(folder, durable=False):
        pass
    home = (folder / "postgres").resolve()
    (home / "data").rename(home / "data.draft")
    (home / "data.draft" / "PG_VERSION").unlink()
    with EmbeddedPostgres(folder, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_killed_run_leaves_no_server_behind(folder: Path) -> None:
    """The server goes with its starter, and the next start finds the data."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / "platform")!r})
from pathlib import Path
from config.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path({str(folder)!r}), durable=False)
print(server.start(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with EmbeddedPostgres(folder, durable=False) as server:
        assert server.url.split("@")[0] == killed.stdout.split("@")[0]
        assert ask(server.url, "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False):
        pass
    home = (folder / "postgres").resolve()
    (home / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        EmbeddedPostgres(folder).start()
