"""What happens to the service meanwhile: all that happens to one in its life, one thing after the other."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from tests.leaks.ground import Ground
from tests.leaks.server import Server

SETTLED_SECONDS = 2.0  # the product promises to be back within this, so nothing else happens earlier
_AWAY_SECONDS = 8.0
_RECOVER_SECONDS = 60
_OURS = "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Disturbance:
    """When something happened, by ``time.monotonic``, and when it was over: from then on the service can be back."""

    kind: str
    began: float
    ended: float


class Chaos:
    """Disturbances of a running trial, made by whoever calls ``step`` again and again."""

    def __init__(self, ground: Ground, server: Server, *, every: int) -> None:
        self.disturbances: list[Disturbance] = []
        self._ground, self._server, self._every = ground, server, every
        self._acts = {
            "backends terminated": self._terminate_backends,
            "database restarted": self._restart_database,
            "worker killed": self._kill_worker,
            "database crashed": self._crash_database,
            "database away": self._take_database_away,
        }
        self._kinds: Iterator[str] = itertools.cycle(self._acts)

    def step(self, checked: int, *, is_enough: bool) -> None:
        """Make the next disturbance if it is its turn.

        Args:
            checked: how many answers there have been.
            is_enough: whether no more answers are needed; what has not happened yet follows at once then.
        """
        is_turn = not self._all_happened if is_enough else checked >= self._every * (len(self.disturbances) + 1)
        if is_turn and self._is_settled:
            kind, began = next(self._kinds), time.monotonic()
            self._acts[kind]()
            self.disturbances.append(Disturbance(kind, began, time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether everything has happened, and long enough ago to tell what came of it."""
        return self._all_happened and self._is_settled

    @property
    def _all_happened(self) -> bool:
        return len(self.disturbances) >= len(self._acts)

    @property
    def _is_settled(self) -> bool:
        return not self.disturbances or time.monotonic() > self.disturbances[-1].ended + SETTLED_SECONDS

    def _terminate_backends(self) -> None:
        """End every connection of the app, as the app: it may do that to its own."""
        with psycopg.connect(self._ground.database.app_url, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {_OURS}")

    def _restart_database(self) -> None:
        self._ground.database.restart()

    def _take_database_away(self) -> None:
        """Keep the database away for longer than anybody waits for it."""
        self._ground.database.restart(away=_AWAY_SECONDS)

    def _kill_worker(self) -> None:
        self._server.kill_worker()

    def _crash_database(self) -> None:
        """Kill one of our server's backends the hard way: Postgres ends all the others and recovers from its log."""
        with psycopg.connect(self._ground.database.app_url, autocommit=True) as connection:
            row = connection.execute(f"SELECT pid {_OURS} LIMIT 1").fetchone()
        assert row is not None, "the app has no connection, although it is under load"
        os.kill(row[0], signal.SIGKILL)
        self._wait_until_it_recovers()

    def _wait_until_it_recovers(self) -> None:
        deadline = time.monotonic() + _RECOVER_SECONDS
        while True:
            time.sleep(0.02)
            try:
                psycopg.connect(self._ground.database.app_url, connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
