"""Doing one job: how it is told how far it is, how it is ended early, and what becomes of it.

Every function that does a job may be killed at any moment, and be run again from the beginning: it finds out itself
what is left to do.
"""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import connections
from rest_framework.exceptions import APIException

from jobs import kinds, services
from jobs.errors import Cancelled, Interrupted, Paused, Superseded, Unsuccessful
from jobs.models import Job, JobState
from tenants.audit import tracing
from tenants.audit.acting import working

_SECONDS_BETWEEN_REPORTS = 0.5
_FIRST_DELAY, _LONGEST_DELAY = 5, 600  # seconds

log = logging.getLogger(__name__)


class Again(Exception):
    """The queue is to bring the job again, in so many seconds."""

    def __init__(self, seconds: int = 0) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Progress:
    """How far a job is; to be called between its steps, as ``progress(done, total)``.

    Calling costs nothing: a thread with a connection of its own writes it down twice a second, whatever transaction the
    job is in. It reads there too whether the job is to go on.
    """

    def __init__(self, job: Job, *, is_stopping: Callable[[], bool]) -> None:
        self._job_id, self._run = job.pk, job.runs
        self._is_stopping = is_stopping
        self._how_far: tuple[int, int | None, str] = (job.done, job.total, "")
        self._reason: type[Cancelled | Paused | Superseded] | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._report_until_over, name=f"job {job.pk}", daemon=True)

    def __call__(self, done: int, total: int | None = None, doing: str = "") -> None:
        """Say how far the job is.

        Raises:
            Cancelled, Paused, Interrupted, Superseded: it is not to go on.
        """
        self._how_far = (done, total, doing)
        if self._reason is not None:
            raise self._reason
        if self._is_stopping():
            raise Interrupted

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _report_until_over(self) -> None:
        try:
            while not self._is_over.wait(_SECONDS_BETWEEN_REPORTS):
                self._report()
            self._report()
        finally:
            connections.close_all()

    def _report(self) -> None:
        done, total, doing = self._how_far
        try:
            wanted = services.report(job_id=self._job_id, run=self._run, done=done, total=total, doing=doing)
        except Exception:
            log.exception("How far job %s is could not be noted.", self._job_id)
            connections.close_all()
            return
        if wanted is None:
            self._reason = Superseded
        elif wanted.cancelled:
            self._reason = Cancelled
        else:
            self._reason = Paused if wanted.paused else None


def run(job_id: UUID, *, is_stopping: Callable[[], bool]) -> None:
    """Do a job, unless somebody has done it.

    Args:
        is_stopping: tells whether the worker is to stop.

    Raises:
        Again: it is to be tried again.
    """
    job = services.begin(job_id=job_id)
    if job is None:
        return
    with (
        working(job_id=job.pk, kind=job.kind, tenant_id=job.tenant_id),
        tracing.traced(tracing.begin(job.trace or {})),
    ):
        _do(job, is_stopping)


def _do(job: Job, is_stopping: Callable[[], bool]) -> None:
    kind = kinds.of(job.kind)
    try:
        with Progress(job, is_stopping=is_stopping) as progress:
            result = kind.run(_work(job, progress))
    except Superseded:
        log.warning("Job %s (%s) is done by another worker; this one leaves it.", job.pk, job.kind)
    except Cancelled:
        services.end(job_id=job.pk, run=job.runs, state=JobState.CANCELLED)
    except Paused:
        services.put_aside(job_id=job.pk, run=job.runs)
    except Unsuccessful as error:
        services.end(job_id=job.pk, run=job.runs, state=JobState.FAILED, result=error.result, error=str(error))
    except Interrupted:
        services.put_back(job_id=job.pk, run=job.runs)
        raise Again from None
    except Exception as error:
        state = JobState.FAILED if _is_final(error) or job.failures >= kind.attempts else JobState.WAITING
        log.exception("Job %s (%s) failed; it is now %s.", job.pk, job.kind, state)
        services.end(job_id=job.pk, run=job.runs, state=state, error=_told(error))
        if state == JobState.WAITING:
            raise Again(min(_FIRST_DELAY * 2 ** (job.failures - 1), _LONGEST_DELAY)) from None
    else:
        services.end(job_id=job.pk, run=job.runs, state=JobState.SUCCEEDED, result=result)
        log.info("Job %s (%s) is done.", job.pk, job.kind)


def _work(job: Job, progress: Progress) -> kinds.Work:
    began_at = job.started_at or job.created_at
    return kinds.Work(job.pk, job.runs, began_at, job.tenant_id, job.arguments, job.requested_by, progress)


def _is_final(error: Exception) -> bool:
    """Tell whether another attempt would end the same way: what was asked for is refused."""
    return isinstance(error, APIException | ObjectDoesNotExist | ValidationError)


def _told(error: Exception) -> str:
    """Return what is said of an error: our own problems whole; of others no message, which may quote anything."""
    if isinstance(error, APIException):
        return f"{error.default_code}: {error.detail if isinstance(error.detail, str) else error.default_detail}"
    state = getattr(error.__cause__ or error, "sqlstate", None)
    return f"{type(error).__name__} (SQLSTATE {state})" if state else type(error).__name__
