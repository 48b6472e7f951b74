"""The ledger of fleet migrations: which runs there were, and how each tenant fared. The truth about what a tenant has
is its own ``django_migrations``, which changes in the same transaction as its entry here.
"""

import uuid

from django.db import models

from tenants.wall.openings import closed


@closed
class FleetRun(models.Model):
    """One run over the fleet; one that was killed is taken up by the next runner.

    Attributes:
        target: the version that tenants are brought to; see ``starting_points.version_of``.
        tenants: how many were behind when it began, or was taken up again.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        STOPPED = "stopped", "Stopped at a canary"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    target = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    tenants = models.PositiveIntegerField()
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="running"), name="tenant_fleet_one_run_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} to {self.target}"


@closed
class FleetEntry(models.Model):
    """How one tenant fared in one run; as long as it waits it has no entry.

    Attributes:
        error: what kind of error, with names from the catalogue, and never a value of a row.
    """

    class State(models.TextChoices):
        DONE = "done"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    # No constraint: it would have all that migrate tenants at the same time lock the one row of their run.
    run = models.ForeignKey(
        FleetRun, on_delete=models.CASCADE, related_name="entries", db_index=False, db_constraint=False
    )
    tenant_id = models.UUIDField()
    schema_name = models.CharField(max_length=63)
    from_version = models.CharField(max_length=16)
    to_version = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=State)
    attempts = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=500, blank=True)
    milliseconds = models.PositiveIntegerField()
    finished_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "tenant_id"], name="tenant_fleet_one_entry_for_each_tenant")
        ]

    def __str__(self) -> str:
        return f"{self.schema_name}: {self.state}"


@closed
class DriftedTenant(models.Model):
    """A tenant whose schema was not what its version's is, when it was last compared.

    Attributes:
        is_held: the fleet suspended it for this, and lets it go when it matches again.
    """

    tenant_id = models.UUIDField(primary_key=True)
    schema_name = models.CharField(max_length=63)
    is_held = models.BooleanField(default=False)
    found_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.schema_name
