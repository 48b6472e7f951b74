"""Threads that work on the fleet, each with a connection of its own for as long as a run lasts.

A server process that has seen a tenant's tables once is faster on them the second time (measured: a sixth of a run that
adds a column to 1,000 tenants), so whoever looked at a tenant also migrates it, unless others have nothing left to do.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, TypeVar

from django.db import connections

from tenants.context.ownership import routed_to_owner
from tenants.fleet.ledger import Job
from tenants.wall.roles import OWNER

Row = TypeVar("Row")

_WORTH_A_THREAD = 50  # schemas: asking about fewer takes no longer than another connection


class Shares:
    """What is to be done, by who knows it best."""

    def __init__(self, shares: Sequence[deque[Job]]) -> None:
        self._shares = shares

    def take(self, hand: int) -> Job | None:
        """Return the next tenant for a hand: of its own, else the last one of whoever has the most left."""
        while any(self._shares):
            with suppress(IndexError):  # somebody else was faster
                return self._shares[hand].popleft() if self._shares[hand] else max(self._shares, key=len).pop()
        return None


class Crew:
    """So many threads; see ``crew``."""

    def __init__(self, size: int) -> None:
        self._hands = [ThreadPoolExecutor(1) for _ in range(max(1, size))]
        self._known_to: dict[str, int] = {}

    def ask(
        self,
        ask: Callable[[Sequence[str]], Iterable[Row]],
        schema_names: Sequence[str],
        *,
        per_connection: int,
        meanwhile: Callable[[], Any],
    ) -> list[Row]:
        """Ask the database about all these schemas, do something else until it has answered, and return all rows."""
        hands = min(len(self._hands), -(-len(schema_names) // _WORTH_A_THREAD))
        share = -(-len(schema_names) // hands) if hands else 0
        asked: list[Future[list[Row]]] = []
        for number in range(hands):
            names = schema_names[number * share : (number + 1) * share]
            self._known_to.update(dict.fromkeys(names, number))
            asked.append(self._hands[number].submit(_ask, ask, names, per_connection))
        meanwhile()
        return list(chain.from_iterable(future.result() for future in asked))

    def shares(self, jobs: Sequence[Job]) -> Shares:
        """Deal tenants to those who know them."""
        shares: list[deque[Job]] = [deque() for _ in self._hands]
        for number, job in enumerate(jobs):
            shares[self._known_to.get(job.member.schema_name, number % len(shares))].append(job)
        return Shares(shares)

    def work(self, do: Callable[[int], None], *, at_most: int) -> list[Future[None]]:
        """Let everybody do something, with their number; no more of them than there is to do."""
        return [hand.submit(do, number) for number, hand in enumerate(self._hands[:at_most])]

    def dismiss(self) -> None:
        """Close all connections, when everybody has finished."""
        for hand in self._hands:
            hand.submit(_leave)
        for hand in self._hands:
            hand.shutdown()


@contextmanager
def crew(size: int) -> Iterator[Crew]:
    """Have threads for the length of a run."""
    hands = Crew(size)
    try:
        yield hands
    finally:
        hands.dismiss()


def _ask(ask: Callable[[Sequence[str]], Iterable[Row]], schema_names: Sequence[str], per_connection: int) -> list[Row]:
    rows: list[Row] = []
    with routed_to_owner():
        for start in range(0, len(schema_names), per_connection):
            if start:
                _leave()
            rows += ask(schema_names[start : start + per_connection])
    return rows


def _leave() -> None:
    connections[OWNER].close()
