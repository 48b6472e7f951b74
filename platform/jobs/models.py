"""What is to be done, is being done, and was done."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from tenants.wall.openings import closed

KIND_LENGTH = 32


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # it failed, and is tried again later
    PAUSED = "paused"  # until somebody lets it go on
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@closed
class Job(models.Model):
    """One piece of long work, as people see it. Who does it when is the queue's business (see ``queue.py``), whose row
    holds nothing but this one's id.

    Attributes:
        kind: what is to be done; see ``kinds.JobKind``.
        tenant_id: whom it is about; no foreign key, because the job that deletes a tenant outlives it.
        arguments: for the function that does it. Never a secret.
        key: the same for two jobs that would do the same. Only one of them waits for its turn.
        runs: how often somebody began with it. Whoever does it notes the number, and stops when it has moved.
        failures: how often it came to no end: by an error, or because its worker was killed.
        doing: what it is about at this moment, as people read it.
        done, total: how far it is, in whatever it counts; a total of null is not known.
        result: what came of it: the id of an export, say.
        error: the code and the sentence of the problem that ended it, or the name of the error.
        requested_by: the member of staff who asked for it; null when nobody did.
        trace: the place in a trace that asked for it; see ``tenants.audit.tracing``. Null when it was in none.
        queue_id: the queue's own number for it.
        seen_at: when its run was last heard of.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=KIND_LENGTH)
    tenant_id = models.UUIDField(null=True)
    arguments = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    runs = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    doing = models.CharField(max_length=100, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    result = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    error = models.CharField(max_length=500, blank=True)
    requested_by = models.UUIDField(null=True)
    cancel_requested = models.BooleanField(default=False)
    pause_requested = models.BooleanField(default=False)
    trace = models.JSONField(null=True)
    queue_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(state=JobState.QUEUED), name="jobs_one_of_a_key_waits"
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"]),  # the list
            models.Index(fields=["tenant_id", "created_at"]),
            models.Index(fields=["finished_at"], condition=models.Q(finished_at__isnull=False), name="jobs_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
