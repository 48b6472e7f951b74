"""No row of one tenant ever reaches another, whatever happens to the service meanwhile; nothing acknowledged is lost.

Short trials of the harness in ``tests/leaks``; long ones are run by hand, with ``python -m tests.leaks``. Beside them
are their controls: the same trial on a server with a bug in it, which must be noticed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.leaks import pooler, sabotage
from tests.leaks.audit import audit
from tests.leaks.chaos import SETTLED_SECONDS
from tests.leaks.environment import ROOT, environment
from tests.leaks.ground import Ground, prepared
from tests.leaks.records import Outcome, Write
from tests.leaks.report import Plan, Report
from tests.leaks.sabotage import Sabotage
from tests.leaks.trial import run

TENANTS, CLIENTS = 50, 32
REQUESTS = 1_000
SABOTAGED_REQUESTS = 1_200  # the bug strikes once in 100
EVERYTHING = {"backends terminated", "database restarted", "worker killed", "database crashed", "database away"}


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """One database for all trials."""
    with prepared(TENANTS) as ground:
        yield ground


def told(report: Report) -> str:
    return json.dumps(report.as_dict(), indent=2)


def check_that_all_is_well(report: Report) -> None:
    """Everything happened to the service, and every promise was kept."""
    assert report.is_good(), told(report)
    assert report.records.checked >= REQUESTS
    assert report.audit.acknowledged > 0
    recoveries = dict(report.recoveries())
    assert set(recoveries) == EVERYTHING
    assert max(recoveries.values()) < SETTLED_SECONDS, told(report)


def test_nothing_leaks_and_nothing_is_lost(ground: Ground) -> None:
    """50 tenants, 32 clients, two processes of threads; backends ended, the database restarted, a worker killed."""
    check_that_all_is_well(run(ground, Plan(REQUESTS, CLIENTS)))


def test_nothing_leaks_through_a_pooler(ground: Ground) -> None:
    """The same where one database connection serves many tenants' transactions in turn."""
    if not pooler.is_installed():
        pytest.skip("pgbouncer is not on the PATH: no Python package brings it, so only some machines run this trial")
    check_that_all_is_well(run(ground, Plan(REQUESTS, CLIENTS, pgbouncer=True)))


def test_the_wall_holds_against_a_bug(ground: Ground) -> None:
    """A wrong search path is refused by Postgres: some requests fail, and not one shows or changes another's row."""
    report = run(ground, Plan(SABOTAGED_REQUESTS, CLIENTS, chaos=False, sabotage=Sabotage.WALL_ON))
    assert report.records.counts[Outcome.BROKEN] > 0, "the bug has not struck, so this proves nothing"
    assert report.leaks() == report.losses() == [], told(report)
    assert report.is_good()


def test_the_same_bug_without_the_wall_is_noticed(ground: Ground) -> None:
    """The control: what the harness is to find, it does find."""
    report = run(ground, Plan(SABOTAGED_REQUESTS, CLIENTS, chaos=False, sabotage=Sabotage.WALL_OFF))
    assert report.records.counts[Outcome.WRONG] > 0, told(report)
    assert report.leaks()
    assert report.bound is None
    assert not report.is_good()


def test_lost_and_misplaced_writes_are_noticed(ground: Ground) -> None:
    """The control of the audit: one write that never was, one that is there twice, one that is in another's schema."""
    ground.reset()
    one, other = ground.tenants[:2]
    writes = [Write(one, one.name(number), 201) for number in (101, 102, 103)]
    insert = sql.SQL(
        "INSERT INTO {} (id, name, description, status, created_by, created_at, updated_at)"
        " VALUES (gen_random_uuid(), %s, '', 'active', gen_random_uuid(), now(), now())"
    )
    with psycopg.connect(ground.database.url) as connection:
        for tenant, number in ((one, 102), (one, 102), (other, 103)):
            table = sql.Identifier(tenant.schema, "projects_project")
            connection.execute(insert.format(table), [one.name(number)])
    found = audit(ground, writes)
    assert found.lost == [one.name(101), one.name(103)]
    assert found.doubled == [one.name(102)]
    assert [row for row in found.misplaced if one.name(103) in row] == found.misplaced != []


def test_sabotage_is_for_development_alone(ground: Ground) -> None:
    """Nobody deploys the bug by mistake: its settings refuse to be loaded in production."""
    told_so = environment(ground.folder) | {"DJANGO_SETTINGS_MODULE": sabotage.SETTINGS, "TENANTRY_ENV": "production"}
    result = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=ROOT,
        env=os.environ | told_so,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode
    assert "ImproperlyConfigured: Sabotage is for the leak harness" in result.stderr
