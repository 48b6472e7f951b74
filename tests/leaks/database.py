"""``python -m tests.leaks.database <folder>``: a Postgres server that restarts when told to, in a process of its own.

A process that runs client threads must not fork, and the database's process ends with the thread that started it: so
somebody else starts it. Each line on standard input is a restart, and says how the server is stopped and for how many
seconds it stays away; the end of it, which comes with the death of whoever holds the other end, is the end.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from config.embedded_postgres import EmbeddedPostgres
from tests.leaks.environment import ROOT, environment

Mode = Literal["fast", "immediate"]


class Database:
    """A running server.

    Attributes:
        url, app_url: how its owner, and how the app, reaches it; they stay the same.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url, self.app_url = self._read()

    def restart(self, *, away: float = 0.0, mode: Mode = "fast") -> None:
        """Stop the server, start it again after `away` seconds, and return when it answers.

        Args:
            mode: as of ``pg_ctl stop``; `immediate` is a crash, after which it recovers from its log.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode} {away}\n")
        self._process.stdin.flush()
        assert self._read() == (self.url, self.app_url), "the database has come back elsewhere"

    def _read(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The database did not start; what it printed stands above.")
        url, app_url = json.loads(line)
        return url, app_url


@contextmanager
def running(folder: Path) -> Iterator[Database]:
    """Run a server on the data in `folder` until the block ends.

    It is durable: what is acknowledged has to survive its crash.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.leaks.database", str(folder)],
        cwd=ROOT,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C in the terminal is for us, and we decide what stops when
    )
    with process:  # leaving it closes the input, and waits
        yield Database(process)


def main() -> None:
    """Serve until standard input ends."""
    server = EmbeddedPostgres(Path(sys.argv[1]))
    with server:
        _tell(server)
        for line in sys.stdin:
            mode, away = line.split()
            if mode == "immediate":
                assert server._process is not None
                server._process.send_signal(signal.SIGQUIT)
                server._process.wait()
            server.stop()
            time.sleep(float(away))
            server.start()
            _tell(server)


def _tell(server: EmbeddedPostgres) -> None:
    sys.stdout.write(json.dumps([server.url, server.app_url]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
