"""The database is restarted again and again under load: no answer is wrong, and nothing acknowledged is lost.

Real server processes, a Postgres that writes to disk, many clients who read and write. ``TENANTRY_TEST_RESTARTS=10`` is
the long form.
"""

import json
import os
import time
from collections.abc import Iterator
from itertools import cycle, islice

import pytest

from tests.leaks import pooler
from tests.leaks.audit import audit
from tests.leaks.chaos import SETTLED_SECONDS, Disturbance
from tests.leaks.database import Mode
from tests.leaks.environment import environment
from tests.leaks.ground import Ground, prepared
from tests.leaks.records import Outcome
from tests.leaks.report import Plan, Report
from tests.leaks.server import serving
from tests.leaks.traffic import Traffic
from tests.working import eventually

RESTARTS = int(os.environ.get("TENANTRY_TEST_RESTARTS", "2"))
TENANTS, CLIENTS = 4, 16
BETWEEN = 100  # right answers, so that each restart comes in the middle of work
# How it is stopped, and for how many seconds it is away: also for longer than a pool waits for it.
WAYS: tuple[tuple[Mode, float], ...] = (("fast", 0.0), ("immediate", 0.0), ("fast", 1.0), ("immediate", 7.0))


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with prepared(TENANTS) as ground:
        yield ground


def restart_under_load(ground: Ground, count: int, url: str) -> Report:
    """Restart the database so many times, with traffic on a server before, during and after; say what came of it.

    Args:
        url: by which the server reaches the database.
    """
    ground.reset()
    told = environment(ground.folder) | {"DATABASE_URL": url}
    disturbances = []
    began = time.monotonic()
    with (
        serving(told, ground.folder / "server.log") as server,
        Traffic(server.port, ground.tenants, clients=CLIENTS) as traffic,
    ):
        for mode, away in islice(cycle(WAYS), count):
            enough = traffic.records.checked + BETWEEN
            eventually(lambda enough=enough: traffic.records.checked >= enough, seconds=60)  # type: ignore[misc]
            moment = time.monotonic()
            ground.database.restart(away=away, mode=mode)
            disturbances.append(Disturbance(f"{mode} {away}", moment, time.monotonic()))
            time.sleep(SETTLED_SECONDS + 0.2)
    found = audit(ground, traffic.records.writes)
    plan = Plan(BETWEEN * count, CLIENTS, log=ground.folder / "server.log")
    return Report(plan, len(ground.tenants), time.monotonic() - began, traffic.records, disturbances, found)


def test_restarts_under_load(ground: Ground) -> None:
    """The right answer, or a 503 problem with Retry-After; every acknowledged write is there, once, and what was
    refused is not; and everybody is served within two seconds of the database's return.
    """
    check(restart_under_load(ground, RESTARTS, ground.database.app_url))


@pytest.mark.skipif(RESTARTS < 10, reason="only in the long form: TENANTRY_TEST_RESTARTS=10")
@pytest.mark.skipif(not pooler.is_installed(), reason="pgbouncer is not on the PATH")
def test_restarts_behind_a_pooler(ground: Ground) -> None:
    """The same through PgBouncer, as it is configured in ``docker/``."""
    with pooler.pooled(ground.database.app_url, ground.folder) as url:
        check(restart_under_load(ground, RESTARTS, url))


def check(report: Report) -> None:
    """Assert that every promise was kept."""
    told = json.dumps(report.as_dict(), indent=2)
    print(told)  # noqa: T201 -- shown with -s, and when it fails
    assert len(report.disturbances) == RESTARTS
    assert report.is_good(), told
    assert set(report.records.counts) <= {Outcome.RIGHT, Outcome.UNAVAILABLE}, told
    assert report.records.counts[Outcome.UNAVAILABLE] > 0, "nobody noticed, so this proves nothing"
    assert report.audit.acknowledged > 0
    assert max(seconds for _, seconds in report.recoveries()) < SETTLED_SECONDS, told
