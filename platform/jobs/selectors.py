"""Reading jobs."""

from uuid import UUID

from django.db.models import QuerySet

from jobs.models import Job


def jobs() -> QuerySet[Job]:
    """Return every job."""
    return Job.objects.all()


def job_by_id(job_id: UUID) -> Job:
    """Return one job.

    Raises:
        Job.DoesNotExist: there is none.
    """
    return Job.objects.get(pk=job_id)
