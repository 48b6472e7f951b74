"""Reading jobs."""

from uuid import UUID

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from jobs.kinds import JobKind
from jobs.models import Job, JobState


def jobs() -> QuerySet[Job]:
    """Return every job."""
    return Job.objects.all()


def job_by_id(job_id: UUID) -> Job:
    """Return one job.

    Raises:
        Job.DoesNotExist: there is none.
    """
    return Job.objects.get(pk=job_id)


def number_by_kind_and_state() -> dict[tuple[str, str], int]:
    """Return how many jobs are kept, those that are over included; 0 where there is none of the product's kinds."""
    rows = Job.objects.values_list("kind", "state").annotate(number=Count("pk")).order_by()
    none = {(str(kind), str(state)): 0 for kind in JobKind for state in JobState}
    return none | {(kind, state): number for kind, state, number in rows}


def oldest_waiting_seconds() -> float:
    """Return how long the oldest job has waited that nobody has begun with; 0 when none waits."""
    oldest = Job.objects.filter(state=JobState.QUEUED).aggregate(oldest=Min("created_at"))["oldest"]
    return (timezone.now() - oldest).total_seconds() if oldest else 0.0
