"""The queue: rows of procrastinate's tables in this database, written in the caller's own transaction.

A row names a ``Job`` and its lock. Of jobs with one lock, one is done at a time, in the order they were asked for.
"""

from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from procrastinate import App
from procrastinate.contrib.django.django_connector import DjangoConnector

from tenants.context.ownership import current_alias

RUN = "jobs.run"
LOOK = "jobs.look"


class _CurrentConnection(DjangoConnector):
    """The connection that queries go to now: the app's, or the owner's while it is at work."""

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[current_alias()]


_app = App(connector=_CurrentConnection())


def put(*, job_id: UUID, lock: str) -> int:
    """Queue a job, in the current transaction, and return the queue's number for it."""
    return _app.configure_task(RUN, lock=lock).defer(job_id=str(job_id))


def is_anything_due() -> bool:
    """Tell whether there is something that nobody has begun with, and that need not wait for its time."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM procrastinate_jobs"
            " WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now())"
        )
        row: tuple[bool] = cursor.fetchone()
        return row[0]


def take_back(*, queue_id: int) -> None:
    """Remove what nobody has begun with; what somebody has stays."""
    _app.job_manager.cancel_job_by_id(queue_id, delete_job=True)
