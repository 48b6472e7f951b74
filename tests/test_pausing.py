"""Jobs that wait until somebody lets them go on, and fleet migrations that are paused, resumed and tried again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from config.demo_data import OPERATOR_EMAIL
from identity.accounts.models import User
from jobs import running, services
from jobs.errors import JobNotPausable, JobOver
from jobs.kinds import JobKind
from jobs.models import Job, JobState
from operators import lifecycle
from permissions.roles import OperatorRole
from tenants.fleet.models import FleetEntry, FleetRun
from tests import working
from tests.conftest import Call
from tests.releases import COLUMN, Release, release
from tests.test_fleet import POISON, fleet, inside, migrate, names
from tests.test_jobs import count_to, lines, not_stopping, queue, queued, state_of
from tests.test_members import acme, code
from tests.test_operator_lifecycle import FLEET, JOBS, as_role, last_action
from tests.working import eventually, worker

__all__ = ["fleet", "queue", "release"]

SLOWLY = "operations = [migrations.RunSQL('DO $$ BEGIN PERFORM pg_sleep(0.1); END $$')]"


@pytest.fixture(autouse=True)
def kinds_of_tests() -> None:
    working.register()


@contextmanager
def being_done(job: Job) -> Iterator[None]:
    """While somebody does a job; it ends by itself."""

    def work() -> None:
        try:
            running.run(job.pk, is_stopping=not_stopping)
        finally:
            connections.close_all()

    runner = threading.Thread(target=work)
    runner.start()
    try:
        yield
    finally:
        runner.join(30)
    assert not runner.is_alive()


# --- Any job ----------------------------------------------------------------------------------------------------------


def test_what_has_not_begun_waits_at_once(queue: None, tmp_path: Path) -> None:
    job = count_to(1, tmp_path / "file")
    for _ in range(2):
        assert services.pause(job_id=job.pk).state == JobState.PAUSED
    assert queued() == 0
    running.run(job.pk, is_stopping=not_stopping)  # somebody had taken it already
    assert (state_of(job), lines(tmp_path / "file")) == (JobState.PAUSED, [])
    for _ in range(2):
        assert services.resume(job_id=job.pk).state == JobState.WAITING
    assert queued() == 1
    with worker("--until-idle") as process:
        process.wait(30)
    assert lines(tmp_path / "file") == ["began", "ended"]
    job.refresh_from_db()
    assert (job.state, job.failures, job.pause_requested) == (JobState.SUCCEEDED, 0, False)


def test_a_running_job_waits_from_its_next_step_and_goes_on(queue: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    job = count_to(100, file)
    with being_done(job):
        eventually(lambda: lines(file) == ["began"])
        assert services.pause(job_id=job.pk).state == JobState.RUNNING
    assert (state_of(job), lines(file)) == (JobState.PAUSED, ["began"])
    Job.objects.filter(pk=job.pk).update(arguments={"steps": 1, "file": str(file)})
    services.resume(job_id=job.pk)
    running.run(job.pk, is_stopping=not_stopping)
    job.refresh_from_db()
    assert (job.state, job.runs, job.failures) == (JobState.SUCCEEDED, 2, 0)
    assert lines(file) == ["began", "began", "ended"]


def test_one_that_is_let_go_on_before_it_stopped_just_goes_on(queue: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    job = count_to(10, file)
    with being_done(job):
        eventually(lambda: lines(file) == ["began"])
        services.pause(job_id=job.pk)
        services.resume(job_id=job.pk)
    assert lines(file) in (["began", "ended"], ["began"])
    assert state_of(job) in (JobState.SUCCEEDED, JobState.WAITING)  # it may just have looked


def test_one_whose_worker_was_killed_waits_all_the_same(queue: None, tmp_path: Path) -> None:
    """Killed between being asked and stopping: whoever takes it over leaves it alone."""
    file = tmp_path / "file"
    job = count_to(600, file)
    with worker() as victim:
        eventually(lambda: lines(file) == ["began"])
        victim.kill()
        victim.wait()
    services.pause(job_id=job.pk)
    assert state_of(job) == JobState.RUNNING
    with worker():
        eventually(lambda: state_of(job) == JobState.PAUSED)
        eventually(lambda: queued() == 0)
    assert lines(file) == ["began"]
    services.cancel(job_id=job.pk)
    assert state_of(job) == JobState.CANCELLED


def test_stopping_and_resuming_at_the_same_moment_loses_nothing(queue: None, tmp_path: Path) -> None:
    """Its run was told to stop, and it was let go on before that was noted: it is queued again."""
    job = count_to(5, tmp_path / "file")
    services.begin(job_id=job.pk)
    services.pause(job_id=job.pk)
    services.resume(job_id=job.pk)
    before = queued()
    services.put_aside(job_id=job.pk, run=1)
    services.put_aside(job_id=job.pk, run=1)
    assert (state_of(job), queued()) == (JobState.WAITING, before + 1)


def test_what_is_over_or_indivisible_does_not_wait(queue: None, tmp_path: Path) -> None:
    done = count_to(0, tmp_path / "file")
    running.run(done.pk, is_stopping=not_stopping)
    whole = services.request(kind=JobKind.DELETE_TENANT, tenant_id=uuid4())
    ending = count_to(9, tmp_path / "other")
    services.begin(job_id=ending.pk)
    services.cancel(job_id=ending.pk)
    for job, error in ((done, JobOver), (whole, JobNotPausable), (ending, JobOver)):
        with pytest.raises(error):
            services.pause(job_id=job.pk)
    with pytest.raises(JobOver):
        services.resume(job_id=done.pk)


def test_over_the_api(call: Call) -> None:
    job = services.request(kind="count", arguments={"steps": 1, "file": "x"})
    path = f"{JOBS}/{job.pk}"
    assert call("operator", "POST", f"{path}/pause").json()["state"] == "paused"
    assert last_action(None) == "job.paused"
    assert [row["id"] for row in call("operator", "GET", f"{JOBS}?state=paused").json()["results"]] == [str(job.pk)]
    assert call("operator", "POST", f"{path}/resume").json()["state"] == "waiting"
    assert last_action(None) == "job.resumed"
    call("operator", "POST", f"{path}/cancel")
    assert code(call("operator", "POST", f"{path}/pause")) == "job_over"
    assert call("operator", "POST", f"{JOBS}/{uuid4()}/pause").status_code == 404
    deletion = services.request(kind=JobKind.DELETE_TENANT, tenant_id=uuid4())
    assert code(call("operator", "POST", f"{JOBS}/{deletion.pk}/pause")) == "job_not_pausable"
    assert call("nobody", "POST", f"{path}/pause", **as_role(OperatorRole.SUPPORT)).status_code == 403


# --- The fleet --------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(fleet: Any, queue: None, release: Release) -> list[str]:
    """Schemas of tenants whose last migration failed, for a reason that is gone."""
    tenants = fleet(50)
    for tenant in tenants:
        inside(tenant, POISON)
    release(COLUMN, SLOWLY)
    assert len(migrate(tenants).failures) == 50
    for tenant in tenants:
        inside(tenant, "ALTER TABLE projects_project DROP COLUMN note")
    return names(tenants)


def through() -> int:
    run = FleetRun.objects.order_by("-started_at").first()
    return FleetEntry.objects.filter(run=run, state="done").count()


def test_a_paused_migration_stops_at_its_next_tenants_and_goes_on_with_the_rest(failed: list[str]) -> None:
    job = lifecycle.request_retry(by=User.objects.get(email=OPERATOR_EMAIL).pk)
    with being_done(job):
        eventually(lambda: through() > 0)
        services.pause(job_id=job.pk)
    done = through()
    assert (state_of(job), 0 < done < 50) == (JobState.PAUSED, True), done
    run = FleetRun.objects.get(state="running")
    job.refresh_from_db()
    assert job.total == 50
    time.sleep(0.2)
    assert through() == done
    services.resume(job_id=job.pk)
    running.run(job.pk, is_stopping=not_stopping)
    job.refresh_from_db()
    assert (job.state, job.result["run"], job.result["migrated"]) == (JobState.SUCCEEDED, str(run.pk), 50 - done)
    assert (job.done, job.total, job.failures) == (50, 50, 0)
    assert dict(FleetEntry.objects.filter(run=run).values_list("schema_name", "state")) == dict.fromkeys(failed, "done")
    assert FleetRun.objects.get(pk=run.pk).state == "done"


def test_where_nothing_failed_nothing_is_tried_again(queue: None) -> None:
    job = lifecycle.request_retry(by=User.objects.get(email=OPERATOR_EMAIL).pk)
    running.run(job.pk, is_stopping=not_stopping)
    job.refresh_from_db()
    assert (job.state, job.result["run"], job.result["migrated"]) == (JobState.SUCCEEDED, None, 0), job.error


def test_runs_and_failures_are_listed_and_tried_again(call: Call) -> None:
    target = "0123456789ab"
    first = FleetRun.objects.create(target=target, tenants=2, state="failed")
    second = FleetRun.objects.create(target=target, tenants=1, state="done")
    entry = {
        "from_version": "a",
        "to_version": target,
        "attempts": 1,
        "milliseconds": 5,
        "finished_at": first.started_at,
    }
    gone, own = uuid4(), acme()
    for run, tenant_id, state in ((first, own.pk, "failed"), (first, gone, "failed"), (second, own.pk, "done")):
        FleetEntry.objects.create(run=run, tenant_id=tenant_id, schema_name=own.schema_name, state=state, **entry)
    listed = call("operator", "GET", f"{FLEET}/runs").json()["results"]
    runs = [row for row in listed if row["id"] in {str(first.pk), str(second.pk)}]
    assert [(row["id"], row["done"], row["failed"]) for row in runs] == [(str(second.pk), 1, 0), (str(first.pk), 0, 2)]
    assert call("operator", "GET", f"{FLEET}/tenants?state=failed").json()["results"] == []
    (shown,) = call("operator", "GET", f"{FLEET}/tenants").json()["results"]
    assert (shown["slug"], shown["state"], shown["run_id"]) == ("acme", "done", str(second.pk))
    FleetEntry.objects.filter(run=second).delete()
    (shown,) = call("operator", "GET", f"{FLEET}/tenants?state=failed&search=acm").json()["results"]
    assert (shown["slug"], shown["to_version"]) == ("acme", target)
    asked = call("operator", "POST", f"{FLEET}/retry")
    assert (asked.status_code, asked.json()["kind"], asked.json()["arguments"]) == (
        202, "migrate_fleet", {"only_failed": True},
    )  # fmt: skip
    assert last_action(None) == "fleet.retry_requested"
    assert Job.objects.get(pk=asked.json()["id"]).state == JobState.QUEUED
    for path in ("runs", "tenants"):
        assert call("nobody", "GET", f"{FLEET}/{path}", **as_role(OperatorRole.SUPPORT)).status_code == 403
