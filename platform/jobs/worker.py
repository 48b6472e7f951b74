"""The worker: takes jobs from the queue and does them in threads, until it is told to stop.

It looks for work every ``JOBS_POLL_SECONDS``, and is told of new work at once where it may listen (``JOBS_LISTEN``;
behind a pooler in transaction mode nobody can). While the database is away it waits.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connections, transaction
from procrastinate import App, BaseRetryStrategy, RetryDecision, exceptions
from procrastinate.contrib.django.utils import connector_params
from procrastinate.jobs import Job as QueuedJob
from procrastinate.psycopg_connector import PsycopgConnector

from jobs import queue, running, schedule
from tenants.wall.roles import APP

_LOOKS_BEFORE_DEAD = 4
_SECONDS_BEFORE_ASKING_AGAIN = 1.0
_SECONDS_UNTIL_BEGINNING_AGAIN = 10.0
_RESCUE_LOCK = 0x6A6F6273  # an advisory lock: one rescues at a time

# What somebody took and nobody has been heard of since: the worker was killed, or could not note in the queue how it
# went. The queue itself asks only whether the worker lives.
_RESCUE = """
    UPDATE procrastinate_jobs queued SET status = 'todo', worker_id = NULL, scheduled_at = now()
    WHERE status = 'doing'
    AND NOT EXISTS (
        SELECT FROM procrastinate_events event
        WHERE event.job_id = queued.id AND event.at > now() - make_interval(secs => %(silence)s)
    )
    AND NOT EXISTS (
        SELECT FROM jobs_job job
        WHERE job.queue_id = queued.id AND job.seen_at > now() - make_interval(secs => %(silence)s)
    )
"""

log = logging.getLogger(__name__)


class Worker:
    """A process that works.

    Attributes:
        until_idle: it ends when nothing is left to do now, instead of waiting for more.
        keeps_schedule: it asks for what is due by time of day (see ``schedule.py``), too.
    """

    def __init__(self, *, until_idle: bool = False, keeps_schedule: bool = True) -> None:
        self._until_idle = until_idle
        self._app = _app(self._is_stopping, keeps_schedule=keeps_schedule)
        self._stops = threading.Event()  # read in the jobs' threads
        self._session: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. Jobs that have begun stop at their next step, and go on at another worker's."""
        try:
            asyncio.run(self._run())
        finally:
            connections.close_all()

    def stop(self) -> None:
        """Take no further job, and end when those that have begun are over."""
        self._stops.set()
        if self._session is not None:
            self._session.cancel()

    def _is_stopping(self) -> bool:
        return self._stops.is_set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        while not self._stops.is_set():
            self._session = asyncio.create_task(self._work())
            try:
                await self._session
            except asyncio.CancelledError:
                return
            except exceptions.ConnectorException as error:
                log.warning("The queue cannot be read: %s. Asking again.", type(error.__cause__ or error).__name__)
            else:
                if self._until_idle and not await _in_thread(queue.is_anything_due)():
                    return
            self._session = asyncio.create_task(asyncio.sleep(_SECONDS_BEFORE_ASKING_AGAIN))
            await asyncio.wait([self._session])

    async def _work(self) -> None:
        silence = settings.JOB_STALLED_SECONDS
        async with self._app.open_async():
            rescuing = asyncio.create_task(_rescue_regularly(silence))
            try:
                await self._app.run_worker_async(
                    concurrency=settings.JOBS_CONCURRENCY,
                    wait=not self._until_idle,
                    fetch_job_polling_interval=settings.JOBS_POLL_SECONDS,
                    listen_notify=settings.JOBS_LISTEN,
                    delete_jobs="always",  # what became of them is in our own rows
                    install_signal_handlers=False,
                    update_heartbeat_interval=silence / _LOOKS_BEFORE_DEAD,
                    stalled_worker_timeout=silence,
                )
            finally:
                rescuing.cancel()


def rescue(*, silence: float) -> int:
    """Put back what has been taken and not been heard of for `silence` seconds, and return how many."""
    with transaction.atomic(), connections[APP].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_RESCUE_LOCK])
        cursor.execute(_RESCUE, {"silence": silence})
        return int(cursor.rowcount)


async def _rescue_regularly(silence: float) -> None:
    while True:
        try:
            count = await _in_thread(rescue)(silence=silence)
        except DatabaseError as error:
            log.warning("Jobs of dead workers could not be put back: %s.", type(error.__cause__ or error).__name__)
        else:
            if count:
                log.warning("%s job(s) of dead workers were put back.", count)
        await asyncio.sleep(silence / _LOOKS_BEFORE_DEAD)


class _Retry(BaseRetryStrategy):
    """Bring a job again when it says so, and whenever it could not even be begun with (the database was away)."""

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision:
        seconds: float = _SECONDS_UNTIL_BEGINNING_AGAIN
        if isinstance(exception, running.Again):
            seconds = exception.seconds
        else:  # a kind of a newer version, too: a worker of that version will know it
            log.warning("Job %s could not be begun with: %s.", job.task_kwargs, type(exception).__name__)
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


def _app(is_stopping: Callable[[], bool], *, keeps_schedule: bool) -> App:
    """Return the queue as a worker sees it, on a connection of its own."""
    parameters = connector_params(APP)
    app = App(connector=PsycopgConnector(kwargs=parameters, min_size=1, max_size=4))

    @app.task(name=queue.RUN, retry=_Retry())
    @_closing_connections
    def run(job_id: str) -> None:
        running.run(UUID(job_id), is_stopping=is_stopping)

    @app.task(name=queue.LOOK)
    @_closing_connections
    def look(timestamp: int, name: str) -> None:
        schedule.look(name)

    if keeps_schedule:
        for name, entry in schedule.SCHEDULE.items():
            app.periodic(
                cron=entry.cron, periodic_id=name, task_kwargs={"name": name}, queueing_lock=f"{queue.LOOK}:{name}"
            )(look)
    return app


def _in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    return sync_to_async(_closing_connections(function), thread_sensitive=False)


def _closing_connections(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` so that it leaves no connection to its thread, which does other things next."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return call
