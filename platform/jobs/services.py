"""Asking for long work, and how it goes: every function is one transaction, on the connection that is current."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs import kinds, queue
from jobs.errors import JobNotCancellable, JobNotPausable, JobOver
from jobs.models import OVER, Job, JobState
from tenants.audit import tracing
from tenants.audit.services import Target, record
from tenants.context.ownership import current_alias

_GAVE_UP = "gave_up: It was begun too often without coming to an end."


class Wanted(NamedTuple):
    """What somebody wants of a running job."""

    cancelled: bool
    paused: bool


def request(
    *,
    kind: str,
    tenant_id: UUID | None = None,
    arguments: Mapping[str, Any] | None = None,
    requested_by: UUID | None = None,
) -> Job:
    """Ask for a job, in the caller's transaction: it is done after the commit, or never. One that would do the same and
    has not begun yet is returned instead of a second one.

    Args:
        arguments: for the kind's function, as JSON. Never a secret.

    Raises:
        LookupError: there is no such kind.
    """
    kinds.of(kind)
    key = _key(kind, tenant_id, arguments or {})
    with transaction.atomic(using=current_alias()):
        while True:
            # Two may ask at the same moment. The second one waits for the first one's transaction, and finds its job.
            queued = Job.objects.filter(key=key, state=JobState.QUEUED).first()
            if queued is not None:
                return queued
            job = Job(
                kind=kind,
                tenant_id=tenant_id,
                arguments=arguments or {},
                key=key,
                requested_by=requested_by,
                trace=_trace(),
            )
            Job.objects.bulk_create([job], ignore_conflicts=True)
            if Job.objects.filter(pk=job.pk).exists():
                queue_id = queue.put(job_id=job.pk, lock=_lock(kind, tenant_id))
                Job.objects.filter(pk=job.pk).update(queue_id=queue_id)
                return Job.objects.get(pk=job.pk)


@transaction.atomic
def cancel(*, job_id: UUID) -> Job:
    """End a job: at once, or where it has begun, at its next step. Doing it twice changes nothing.

    Raises:
        Job.DoesNotExist: there is no such job.
        JobOver: it has ended.
        JobNotCancellable: it has begun, and is not to be left half done.
    """
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state == JobState.CANCELLED or job.cancel_requested:
        return job
    if job.state in OVER:
        raise JobOver
    if job.state == JobState.RUNNING:
        if not kinds.of(job.kind).cancellable:
            raise JobNotCancellable
        job.cancel_requested = True
    else:
        job.state, job.cancel_requested, job.finished_at = JobState.CANCELLED, True, timezone.now()
        if job.queue_id is not None:
            queue.take_back(queue_id=job.queue_id)
    job.save(update_fields=["state", "cancel_requested", "finished_at"])
    record(action="job.cancelled", tenant_id=None, targets=[Target("job", job.pk, job.kind)])
    return job


@transaction.atomic
def pause(*, job_id: UUID) -> Job:
    """Have a job wait until somebody lets it go on: at once, or where it has begun, from its next step. Doing it twice
    changes nothing.

    Raises:
        Job.DoesNotExist: there is no such job.
        JobOver: it has ended, or is about to.
        JobNotPausable: one of its kind is not to be left half done.
    """
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state in OVER or job.cancel_requested:
        raise JobOver
    if job.pause_requested:
        return job
    if not kinds.of(job.kind).cancellable:
        raise JobNotPausable
    job.pause_requested = True
    if job.state != JobState.RUNNING:
        job.state = JobState.PAUSED
        if job.queue_id is not None:
            queue.take_back(queue_id=job.queue_id)
    job.save(update_fields=["state", "pause_requested"])
    record(action="job.paused", tenant_id=None, targets=[Target("job", job.pk, job.kind)])
    return job


@transaction.atomic
def resume(*, job_id: UUID) -> Job:
    """Let a job go on that was to wait. Doing it twice changes nothing.

    Raises:
        Job.DoesNotExist: there is no such job.
        JobOver: it has ended.
    """
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state in OVER:
        raise JobOver
    if not job.pause_requested:
        return job
    job.pause_requested = False
    if job.state == JobState.PAUSED:  # else it has not stopped yet, and just goes on
        job.state = JobState.WAITING
        job.queue_id = queue.put(job_id=job.pk, lock=_lock(job.kind, job.tenant_id))
    job.save(update_fields=["state", "pause_requested", "queue_id"])
    record(action="job.resumed", tenant_id=None, targets=[Target("job", job.pk, job.kind)])
    return job


@transaction.atomic
def begin(*, job_id: UUID) -> Job | None:
    """Note that a worker begins with a job, and return it; None when there is nothing to do any more.

    It counts as failed until it has come to an end, so that a job that kills its worker is not done for ever.
    """
    job = Job.objects.select_for_update().filter(pk=job_id).first()
    if job is None or job.state in (*OVER, JobState.PAUSED):  # whoever resumes a paused one queues it again
        return None
    job.state, job.runs = JobState.RUNNING, job.runs + 1
    job.seen_at = timezone.now()
    job.started_at = job.started_at or job.seen_at
    if job.cancel_requested:
        job.state, job.finished_at = JobState.CANCELLED, timezone.now()
    elif job.pause_requested:  # its worker was killed before it came to that
        job.state = JobState.PAUSED
    elif job.failures >= kinds.of(job.kind).attempts:
        job.state, job.finished_at, job.error = JobState.FAILED, timezone.now(), _GAVE_UP
    else:
        job.failures += 1
    job.save(update_fields=["state", "runs", "started_at", "seen_at", "finished_at", "error", "failures"])
    return job if job.state == JobState.RUNNING else None


@transaction.atomic
def report(*, job_id: UUID, run: int, done: int, total: int | None, doing: str = "") -> Wanted | None:
    """Note how far a job is, and return what somebody wants of it; None when this is no longer its run."""
    mine = Job.objects.filter(pk=job_id, runs=run, state=JobState.RUNNING)
    mine.update(done=done, total=total, doing=doing[:100], seen_at=timezone.now())
    asked = mine.values_list("cancel_requested", "pause_requested").first()
    return None if asked is None else Wanted(*asked)


@transaction.atomic
def end(*, job_id: UUID, run: int, state: JobState, result: Mapping[str, Any] | None = None, error: str = "") -> None:
    """Note how a run ended; a run that is no longer the job's notes nothing."""
    Job.objects.filter(pk=job_id, runs=run, state=JobState.RUNNING).update(
        state=state,
        result=result or {},
        error=error[:500],
        failures=F("failures") - (1 if state == JobState.SUCCEEDED else 0),  # this run was none
        finished_at=timezone.now() if state in OVER else None,
    )


@transaction.atomic
def put_back(*, job_id: UUID, run: int) -> None:
    """Note that a worker stopped in the middle of a job, which is no failure of the job's."""
    Job.objects.filter(pk=job_id, runs=run, state=JobState.RUNNING).update(
        state=JobState.WAITING, failures=F("failures") - 1
    )


@transaction.atomic
def put_aside(*, job_id: UUID, run: int) -> None:
    """Note that a run has stopped because its job is to wait, or, where it was let go on meanwhile, queue it again."""
    job = Job.objects.select_for_update().filter(pk=job_id, runs=run, state=JobState.RUNNING).first()
    if job is None:
        return
    job.failures -= 1  # this run was none
    if job.pause_requested:
        job.state = JobState.PAUSED
    else:
        job.state = JobState.WAITING
        job.queue_id = queue.put(job_id=job.pk, lock=_lock(job.kind, job.tenant_id))
    job.save(update_fields=["state", "failures", "queue_id"])


@transaction.atomic
def prune_jobs(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` jobs that ended `keep` ago, and return how many."""
    old = Job.objects.filter(finished_at__lt=timezone.now() - keep).order_by("finished_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    Job.objects.filter(pk__in=batch).delete()
    return len(batch)


def _trace() -> dict[str, str] | None:
    trace = tracing.current()
    return trace.carrier if trace else None


def _key(kind: str, tenant_id: UUID | None, arguments: Mapping[str, Any]) -> str:
    text = json.dumps([kind, tenant_id, arguments], cls=DjangoJSONEncoder, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _lock(kind: str, tenant_id: UUID | None) -> str:
    return f"tenant:{tenant_id}" if tenant_id else f"kind:{kind}"
