"""One run over the fleet: canaries first, then everybody, in parallel; one tenant's failure is not the others'."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connections

from tenants.context.ownership import routed_to_owner
from tenants.fleet import drift, ledger, migrating, plans, starting_points
from tenants.fleet.crew import Crew, Shares, crew
from tenants.fleet.errors import AnotherRun, describe, is_disconnected, is_overtaken, is_retryable
from tenants.fleet.ledger import Job
from tenants.fleet.models import FleetEntry, FleetRun
from tenants.fleet.plans import Plan
from tenants.fleet.starting_points import Member
from tenants.wall.roles import OWNER

_LOCK = "tenantry fleet"
_EVERY = 0.5  # seconds between two attempts to be the only run
_TENANTS_PER_CONNECTION = 500  # a server process remembers every table that it touched
_AT_ONCE = 10  # tenants that go to the server together, each in its own transaction
_FIRST_PAUSE = 0.2  # seconds before the second attempt; each further one waits twice as long

Progress = Callable[[str, int], None]  # what is going on, and how many more tenants are through


Found = Callable[[int, int], None]


def _tell_nobody(what: str, more: int) -> None:
    pass


def _expect_nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Wish:
    """What was asked for.

    Attributes:
        schema_names: of these tenants only; None for all.
        canaries: slugs, or how many of those that are behind.
        wait: for another run to end, in place of ``AnotherRun``.
    """

    schema_names: Sequence[str] | None = None
    canaries: Sequence[str] | int = ()
    parallel: int = 4
    wait: bool = True


@dataclass
class Report:
    """How a run went.

    Attributes:
        tenants: how many there are.
        waiting: were not begun, because a canary failed.
    """

    target: str
    tenants: int
    run_id: UUID | None = None
    plans: Sequence[Plan] = ()
    migrated: list[Member] = field(default_factory=list)
    failures: dict[Member, str] = field(default_factory=dict)
    waiting: list[Member] = field(default_factory=list)
    drifted: list[Member] = field(default_factory=list)
    seconds: float = 0
    comparing_seconds: float = 0


def plan(wish: Wish) -> Report:
    """Return what a run would do, and change nothing."""
    with routed_to_owner(), crew(wish.parallel) as hands:
        return _look(wish, hands)[0]


def run(wish: Wish, *, progress: Progress = _tell_nobody, found: Found = _expect_nothing) -> Report:
    """Migrate every tenant that is behind, or those that were asked for, and compare them with the template.

    Args:
        found: is told, before the first tenant, how many are through and how many there are; where a run is taken up,
            with those of before.

    Raises:
        AnotherRun: one is at work, and nobody wants to wait.
    """
    with _alone(wait=wish.wait), routed_to_owner():
        began = time.monotonic()
        progress("Looking", 0)
        with crew(wish.parallel) as hands:
            report, jobs = _look(wish, hands)
            if jobs:
                _migrate(report, jobs, wish, hands, progress, found)
            else:
                ledger.close_abandoned()
        report.seconds = time.monotonic() - began
        _compare(report, wish, progress)
    return report


def _migrate(report: Report, jobs: list[Job], wish: Wish, hands: Crew, progress: Progress, found: Found) -> None:
    report.run_id, tenants = ledger.begin(report.target, len(jobs))
    found(tenants - len(jobs), tenants)
    _in_stages(report, report.run_id, jobs, wish, hands, progress)
    if report.waiting:
        state = FleetRun.State.STOPPED
    else:
        state = FleetRun.State.FAILED if report.failures else FleetRun.State.DONE
    ledger.close(report.run_id, state)
    ledger.prune()


def _look(wish: Wish, hands: Crew) -> tuple[Report, list[Job]]:
    ask = partial(
        hands.ask,
        starting_points.applied_in,
        per_connection=starting_points.PER_CONNECTION,
        meanwhile=starting_points.read,
    )
    fleet = starting_points.look(wish.schema_names, ask=ask)
    found = [(point, plans.make(point)) for point in fleet.starting_points]
    targets = [plan.target if plan else point.version for point, plan in found]
    report = Report(
        target=targets[0] if targets else starting_points.newest(),
        tenants=sum(len(point.members) for point in fleet.starting_points) + len(fleet.without_tables),
        plans=[plan for _, plan in found if plan is not None],
        failures=dict.fromkeys(fleet.without_tables, "It has no tables: reconcile it."),
    )
    return report, [Job(member, plan) for plan in report.plans for member in plan.point.members]


def _in_stages(report: Report, run_id: UUID, jobs: list[Job], wish: Wish, hands: Crew, progress: Progress) -> None:
    if isinstance(wish.canaries, int):
        canaries = jobs[: wish.canaries]
    else:
        canaries = [job for job in jobs if job.member.slug in wish.canaries]
    rest = [job for job in jobs if job not in canaries] if canaries else jobs
    _in_rounds(report, run_id, canaries, hands, lambda more: progress("Canaries", more))
    if any(job.member in report.failures for job in canaries):
        report.waiting = [job.member for job in rest]
        return
    _in_rounds(report, run_id, rest, hands, lambda more: progress("Migrating", more))


def _in_rounds(report: Report, run_id: UUID, jobs: list[Job], hands: Crew, progress: Callable[[int], None]) -> None:
    """Try everybody, then those again who were in somebody's way, ever later."""
    pause = _FIRST_PAUSE
    for attempt in range(1, settings.FLEET_ATTEMPTS + 1):
        if attempt > 1 and jobs:
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
            pause *= 2
        again: list[Job] = []
        for job, error in _in_parallel(jobs, run_id, attempt, hands, waiting=lambda: progress(0)):
            if error is not None and is_retryable(error) and attempt < settings.FLEET_ATTEMPTS:
                again.append(job)
                continue
            if error is None:
                report.migrated.append(job.member)
            else:
                report.failures[job.member] = describe(error)
            progress(1)
        jobs = again


def _in_parallel(
    jobs: list[Job], run_id: UUID, attempt: int, hands: Crew, *, waiting: Callable[[], None]
) -> Iterator[tuple[Job, Exception | None]]:
    """Give each job with what stopped it, as they end. While none does, `waiting` is called again and again; when it
    raises, those that have begun are finished, and no other begins.
    """
    shares, stop = hands.shares(jobs), Event()
    ended: deque[tuple[Job, Exception | None]] = deque()

    def work(hand: int) -> None:
        done = 0
        while not stop.is_set():
            several = _take(shares, hand, _AT_ONCE if attempt == 1 else 1)
            if not several:
                return
            ended.extend(_try_all(several, run_id, attempt))
            done += len(several)
            if done >= _TENANTS_PER_CONNECTION:
                connections[OWNER].close()
                done = 0

    workers = hands.work(work, at_most=len(jobs))
    try:
        while ended or not all(worker.done() for worker in workers):
            if ended:
                yield ended.popleft()
            else:
                waiting()
                time.sleep(0.005)
    finally:
        stop.set()
        wait(workers)
    for worker in workers:
        worker.result()
    yield from ended


def _take(shares: Shares, hand: int, limit: int) -> list[Job]:
    """Take the next tenant, and those behind it that can go along in one round trip."""
    taken: list[Job] = []
    while len(taken) < limit and (job := shares.take(hand)):
        taken.append(job)
        if not migrating.is_replay(job):
            break
    return taken


def _try_all(jobs: list[Job], run_id: UUID, attempt: int) -> list[tuple[Job, Exception | None]]:
    if len(jobs) > 1 and migrating.is_replay(jobs[-1]):
        with suppress(Exception), routed_to_owner():
            migrating.replay(jobs, run_id=run_id, attempt=attempt)
            return [(job, None) for job in jobs]
    # One of them was stopped, and those before it are through: trying each alone finds out.
    return [(job, _try(job, run_id, attempt)) for job in jobs]


def _try(job: Job, run_id: UUID, attempt: int) -> Exception | None:
    try:
        with routed_to_owner():
            migrating.migrate(job, run_id=run_id, attempt=attempt)
    except Exception as error:  # noqa: BLE001 -- one tenant's failure, whatever it is, is not the fleet's
        if is_disconnected(error):
            connections[OWNER].close()
        if is_overtaken(error) and _stands_at_target(job):
            ledger.enter(run_id, job, FleetEntry.State.DONE, attempt=attempt)
            return None
        if not is_retryable(error) or attempt == settings.FLEET_ATTEMPTS:
            ledger.enter(run_id, job, FleetEntry.State.FAILED, attempt=attempt, error=describe(error))
        return error
    return None


def _stands_at_target(job: Job) -> bool:
    with routed_to_owner():
        points = starting_points.look([job.member.schema_name]).starting_points
    return [point.version for point in points] == [job.plan.target]


def _compare(report: Report, wish: Wish, progress: Progress) -> None:
    """Compare those that were migrated, and those that did not match before, with the template."""
    began = time.monotonic()
    names = {member.schema_name: member for member in report.migrated}
    again = [name for name in drift.known() if name not in names]
    if again:
        points = starting_points.look(again).starting_points
        names |= {member.schema_name: member for point in points for member in point.members if _is_newest(point)}
    progress("Comparing", 0)
    if names:
        compared = list(names.values())
        report.drifted = drift.find(compared, parallel=wish.parallel)
        drift.record(compared, report.drifted)
    report.comparing_seconds = time.monotonic() - began


def _is_newest(point: starting_points.StartingPoint) -> bool:
    return not starting_points.Executor(starting_points.Loader(point.keys())).rows()


@contextmanager
def _alone(*, wait: bool) -> Iterator[None]:
    """Be the only run. The lock is a transaction's, on a connection of its own, so it goes with a killed process.

    Whoever waits asks again and again: ``CREATE INDEX CONCURRENTLY`` would wait for a statement that waits.
    """
    connection: Any = connections[OWNER]  # Postgres', which the type does not say
    with psycopg.connect(**connection.get_connection_params()) as alone:
        alone.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        while True:
            found = alone.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK]).fetchone()
            if found is not None and found[0]:
                break
            if not wait:
                raise AnotherRun("Another fleet run is at work.")
            time.sleep(_EVERY)
        yield
