"""Jobs: asked for in the transaction that needs them, done once, by workers that may die at any moment."""

import io
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from jobs import running, services
from jobs.errors import JobNotCancellable, JobOver
from jobs.models import Job, JobState
from jobs.running import Again
from tenants.context.ownership import as_owner
from tenants.lifecycle.signals import spare_claimed, work_requested
from tests import working
from tests.committed import remove_jobs, urls
from tests.leaks import pooler
from tests.test_races import at_once
from tests.working import eventually, worker


@pytest.fixture(autouse=True)
def kinds_of_tests() -> None:
    working.register()


@pytest.fixture
def queue(unwrapped: None) -> Iterator[None]:
    """The queue, empty before and after."""
    remove_jobs()
    yield
    remove_jobs()


def queued() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        (count,) = cursor.fetchone()
        return int(count)


def count_to(steps: int, file: Path, *, tenant_id: UUID | None = None, **more: Any) -> Job:
    arguments = {"steps": steps, "file": str(file), **more}
    return services.request(kind="count", tenant_id=tenant_id, arguments=arguments)


def state_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def lines(file: Path) -> list[str]:
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def not_stopping() -> bool:
    return False


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_a_job_is_of_the_transaction_that_asks_for_it(queue: None, tmp_path: Path) -> None:
    with transaction.atomic():
        count_to(1, tmp_path / "never")
        assert (Job.objects.count(), queued()) == (1, 1)
        transaction.set_rollback(True)
    assert (Job.objects.count(), queued()) == (0, 0)
    with as_owner():
        count_to(1, tmp_path / "never")
        assert Job.objects.count() == 1
        assert (Job.objects.using("default").count(), queued()) == (0, 0)  # another connection, which sees no more
        transaction.set_rollback(True, using="owner")
    assert (Job.objects.count(), queued()) == (0, 0)
    with as_owner():
        count_to(1, tmp_path / "once")
    assert (Job.objects.count(), queued()) == (1, 1)


def test_what_waits_already_is_not_queued_twice(queue: None, tmp_path: Path) -> None:
    first = count_to(1, tmp_path / "file")
    assert count_to(1, tmp_path / "file") == first
    assert count_to(2, tmp_path / "file") != first
    assert count_to(1, tmp_path / "file", tenant_id=uuid4()) != first
    assert queued() == 3
    services.begin(job_id=first.pk)
    assert count_to(1, tmp_path / "file") != first  # what has begun may have looked too early


def test_many_who_ask_at_once_get_one_job(queue: None, tmp_path: Path) -> None:
    def ask() -> UUID:
        with transaction.atomic():
            job = count_to(1, tmp_path / "file")
            time.sleep(0.05)
            return job.pk

    assert len(set(at_once([ask] * 8))) == 1
    assert (Job.objects.count(), queued()) == (1, 1)


def test_those_below_ask_by_a_signal(queue: None) -> None:
    with transaction.atomic():
        work_requested.send(sender=None, kind="count", tenant_id=None, arguments={"steps": 1})
    spare_claimed.send(sender=None)
    assert set(Job.objects.values_list("kind", flat=True)) == {"count", "fill_pool"}


def test_nobody_asks_for_what_does_not_exist(queue: None) -> None:
    with pytest.raises(LookupError):
        services.request(kind="brew_coffee")


# --- Working ----------------------------------------------------------------------------------------------------------


def test_two_workers_do_everything_once(queue: None, tmp_path: Path) -> None:
    jobs = [count_to(1, tmp_path / f"file-{number}") for number in range(30)]
    with worker(), worker():
        eventually(lambda: not Job.objects.exclude(state=JobState.SUCCEEDED).exists())
    for number, job in enumerate(jobs):
        assert lines(tmp_path / f"file-{number}") == ["began", "ended"]
        assert Job.objects.get(pk=job.pk).result == {"steps": 1}
    workers = {(tmp_path / f"file-{number}").read_text().split()[1] for number in range(30)}
    assert len(workers) == 2
    assert queued() == 0


def test_one_tenants_jobs_take_turns(queue: None, tmp_path: Path) -> None:
    tenant_id, file = uuid4(), tmp_path / "file"
    for number in range(4):
        count_to(2, file, tenant_id=tenant_id, number=number)
    with worker(), worker():
        eventually(lambda: Job.objects.filter(state=JobState.SUCCEEDED).count() == 4)
    assert lines(file) == ["began", "ended"] * 4


@pytest.mark.parametrize("listens", ["on", "off"])
def test_a_worker_hears_of_work_or_looks_for_it(queue: None, tmp_path: Path, listens: str) -> None:
    poll = "60" if listens == "on" else "0.2"
    with worker(JOBS_LISTEN=listens, JOBS_POLL_SECONDS=poll):
        first = count_to(0, tmp_path / "first")
        eventually(lambda: state_of(first) == JobState.SUCCEEDED)
        second = count_to(0, tmp_path / "second")
        eventually(lambda: state_of(second) == JobState.SUCCEEDED)


@pytest.mark.parametrize("listens", ["on", "off"])
def test_a_worker_works_through_a_pooler(queue: None, tmp_path: Path, listens: str) -> None:
    """PgBouncer in transaction mode, where nobody is told of anything: also with the setting forgotten."""
    if not pooler.is_installed():
        pytest.skip("PgBouncer is not installed")
    with pooler.pooled(urls()["DATABASE_URL"], settings.DATA_DIR) as through:
        with worker(JOBS_LISTEN=listens, DATABASE_URL=through):
            jobs = [count_to(2, tmp_path / "file", tenant_id=uuid4()) for _ in range(10)]
            eventually(lambda: Job.objects.filter(state=JobState.SUCCEEDED).count() == len(jobs))
        assert sorted(lines(tmp_path / "file")) == ["began"] * 10 + ["ended"] * 10


def test_a_job_says_how_far_it_is(queue: None, tmp_path: Path) -> None:
    job = count_to(30, tmp_path / "file")
    with worker():
        eventually(lambda: 0 < Job.objects.get(pk=job.pk).done < 30)
        job.refresh_from_db()
        assert (job.state, job.total) == (JobState.RUNNING, 30)
        eventually(lambda: state_of(job) == JobState.SUCCEEDED)
    job.refresh_from_db()
    assert (job.done, job.total, job.runs) == (30, 30, 1)
    assert job.started_at is not None
    assert job.finished_at is not None


# --- Ending early -----------------------------------------------------------------------------------------------------


def test_a_job_that_has_not_begun_is_cancelled_at_once(queue: None, tmp_path: Path) -> None:
    job = count_to(1, tmp_path / "file")
    assert services.cancel(job_id=job.pk).state == JobState.CANCELLED
    assert services.cancel(job_id=job.pk).state == JobState.CANCELLED
    assert queued() == 0
    running.run(job.pk, is_stopping=not_stopping)
    assert lines(tmp_path / "file") == []


def test_a_running_job_is_cancelled_at_its_next_step(queue: None, tmp_path: Path) -> None:
    job = count_to(600, tmp_path / "file")
    with worker():
        eventually(lambda: state_of(job) == JobState.RUNNING)
        assert services.cancel(job_id=job.pk).cancel_requested
        eventually(lambda: state_of(job) == JobState.CANCELLED, seconds=5)
    assert lines(tmp_path / "file") == ["began"]
    assert queued() == 0


def test_what_is_over_or_indivisible_is_not_cancelled(queue: None, tmp_path: Path) -> None:
    done = count_to(0, tmp_path / "file")
    running.run(done.pk, is_stopping=not_stopping)
    with pytest.raises(JobOver):
        services.cancel(job_id=done.pk)
    whole = services.request(kind="whole", arguments={"steps": 0, "file": str(tmp_path / "file")})
    services.begin(job_id=whole.pk)
    with pytest.raises(JobNotCancellable):
        services.cancel(job_id=whole.pk)
    with pytest.raises(Job.DoesNotExist):
        services.cancel(job_id=uuid4())


# --- Failing ----------------------------------------------------------------------------------------------------------


def test_a_job_that_fails_is_tried_again_later(queue: None, tmp_path: Path) -> None:
    job = services.request(kind="fail", arguments={"failures": 1, "file": str(tmp_path / "file")})
    with pytest.raises(Again) as again:
        running.run(job.pk, is_stopping=not_stopping)
    assert again.value.seconds == 5
    job.refresh_from_db()
    assert (job.state, job.error, job.failures) == (JobState.WAITING, "RuntimeError", 1)  # and not what it says
    running.run(job.pk, is_stopping=not_stopping)
    assert state_of(job) == JobState.SUCCEEDED
    job.refresh_from_db()
    assert job.error == ""


def test_a_job_fails_for_good_after_some_attempts(
    queue: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = services.request(kind="fail", arguments={"failures": 99, "file": str(tmp_path / "file")})
    for expected in (5, 10):
        with pytest.raises(Again) as again:
            running.run(job.pk, is_stopping=not_stopping)
        assert again.value.seconds == expected
    running.run(job.pk, is_stopping=not_stopping)
    assert state_of(job) == JobState.FAILED
    assert lines(tmp_path / "file") == ["failed"] * 3
    assert "is now failed" in caplog.text


def test_the_queue_brings_a_failed_job_again(queue: None, tmp_path: Path) -> None:
    job = services.request(kind="fail", arguments={"failures": 1, "file": str(tmp_path / "file")})
    with worker():
        eventually(lambda: state_of(job) == JobState.WAITING)
        eventually(lambda: state_of(job) == JobState.SUCCEEDED)
    assert queued() == 0


# --- Dying ------------------------------------------------------------------------------------------------------------


def test_a_job_of_a_killed_worker_is_done_again(queue: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    job = count_to(15, file)
    with worker() as victim:
        eventually(lambda: lines(file) == ["began"])
        victim.kill()
        victim.wait()
    assert state_of(job) == JobState.RUNNING
    with worker():
        eventually(lambda: state_of(job) == JobState.SUCCEEDED)
    assert lines(file) == ["began", "began", "ended"]
    job.refresh_from_db()
    assert (job.runs, job.failures) == (2, 1)
    assert queued() == 0


def test_a_job_that_kills_its_workers_ends(queue: None, tmp_path: Path) -> None:
    job = services.request(kind="fail", arguments={"failures": 0, "file": str(tmp_path / "file")})
    for _ in range(3):
        assert services.begin(job_id=job.pk) is not None
    assert services.begin(job_id=job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.error.partition(":")[0]) == (JobState.FAILED, "gave_up")


def test_who_was_taken_for_dead_stops(queue: None, tmp_path: Path) -> None:
    """It comes back to life, and somebody else has begun."""
    file = tmp_path / "file"
    job = count_to(600, file)
    with worker() as sleeper:
        eventually(lambda: lines(file) == ["began"])
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            with worker():
                eventually(lambda: lines(file) == ["began", "began"])
                os.kill(sleeper.pid, signal.SIGCONT)
                Job.objects.filter(pk=job.pk).update(done=-1)
                eventually(lambda: Job.objects.get(pk=job.pk).done > 0)
                services.cancel(job_id=job.pk)
                eventually(lambda: state_of(job) == JobState.CANCELLED)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
    job.refresh_from_db()
    assert (job.runs, lines(file)) == (2, ["began", "began"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_stops_at_once_and_its_job_goes_on_elsewhere(queue: None, tmp_path: Path, number: int) -> None:
    file = tmp_path / "file"
    job = count_to(20, file)
    with worker() as first:
        eventually(lambda: lines(file) == ["began"])
        began = time.monotonic()
        first.send_signal(number)
        assert first.wait(10) == 0
        assert time.monotonic() - began < 5
        assert first.stderr is not None
        assert "Traceback" not in first.stderr.read()
    job.refresh_from_db()
    assert (job.state, job.failures) == (JobState.WAITING, 0)  # not the job's fault
    with worker():
        eventually(lambda: state_of(job) == JobState.SUCCEEDED)
    job.refresh_from_db()
    assert (job.runs, job.failures) == (2, 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_workers")
        assert cursor.fetchone() == (0,)


def test_a_worker_goes_on_when_the_database_comes_back(queue: None, tmp_path: Path) -> None:
    with worker() as process:
        first = count_to(0, tmp_path / "first")
        eventually(lambda: state_of(first) == JobState.SUCCEEDED)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
            )
            (ended,) = cursor.fetchone()
        assert ended >= 2  # the one that listens, and the one that takes jobs
        connection.close()
        connection.close_pool()
        second = count_to(0, tmp_path / "second")
        eventually(lambda: state_of(second) == JobState.SUCCEEDED)
        assert process.poll() is None


def test_a_worker_ends_when_idle(queue: None, tmp_path: Path) -> None:
    jobs = [count_to(1, tmp_path / f"{number}") for number in range(5)]
    with worker("--until-idle") as process:
        assert process.wait(30) == 0
    assert {state_of(job) for job in jobs} == {JobState.SUCCEEDED}


# --- Cleaning up ------------------------------------------------------------------------------------------------------


def test_old_jobs_are_pruned(queue: None, tmp_path: Path) -> None:
    jobs = [count_to(0, tmp_path / f"{number}") for number in range(3)]
    for job in jobs[:2]:
        running.run(job.pk, is_stopping=not_stopping)
    Job.objects.filter(pk=jobs[0].pk).update(finished_at=timezone.now() - timedelta(days=31))
    assert services.prune_jobs(keep=timedelta(days=30), limit=10) == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {jobs[1].pk, jobs[2].pk}


# --- In the demo ------------------------------------------------------------------------------------------------------


def test_the_demo_has_a_worker(demo: dict[str, Any]) -> None:
    """Ask for an export as staff, wait, and download it."""
    body = {"email": demo["operator"], "password": demo["password"]}
    with httpx.Client(base_url=demo["api"]) as client:
        token = client.post("/operator/v1/auth/login", json=body).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        tenant = client.get("/operator/v1/tenants", params={"slug": "acme"}).json()["results"][0]
        job = client.post(f"/operator/v1/tenants/{tenant['id']}/export")
        assert job.status_code == 202
        path = f"/operator/v1/jobs/{job.json()['id']}"
        eventually(lambda: bool(client.get(path).json()["finished_at"]))
        assert client.get(path).json()["state"] == "succeeded"
        file = client.get(f"/operator/v1/exports/{job.json()['id']}")
        assert file.status_code == 200
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            assert "manifest.json" in archive.namelist()
