"""The files that exports are written to, until they expire. Each is named by its job alone.

They lie in ``EXPORT_DIR``, which workers and serving processes share.
"""

from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from jobs.errors import NoExport
from jobs.kinds import JobKind
from jobs.models import Job, JobState

_SUFFIX = ".tenant.zip"


def path_of(job_id: UUID) -> Path:
    """Return where a job writes its export; the folder is made, for nobody else to read."""
    folder = Path(settings.EXPORT_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{job_id}{_SUFFIX}"


def find(export_id: UUID) -> tuple[Job, Path]:
    """Return an export that can be had, and its file.

    Raises:
        NoExport: there is none, or not any more.
    """
    job = Job.objects.filter(pk=export_id, kind=JobKind.EXPORT_TENANT, state=JobState.SUCCEEDED).first()
    if job is None or job.finished_at is None or job.finished_at < timezone.now() - settings.EXPORT_LIFETIME:
        raise NoExport
    path = path_of(job.pk)
    if not path.is_file():
        raise NoExport
    return job, path


def prune_files() -> int:
    """Delete the files of exports that are over, and what killed ones left behind; return how many."""
    count = 0
    for path in path_of(UUID(int=0)).parent.glob(f"*{_SUFFIX}*"):
        if _is_over(path):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _is_over(path: Path) -> bool:
    try:
        job = Job.objects.filter(pk=UUID(path.name.partition(".")[0])).first()
    except ValueError:
        return False  # not ours
    if job is None:
        return True
    return job.finished_at is not None and job.finished_at < timezone.now() - settings.EXPORT_LIFETIME
