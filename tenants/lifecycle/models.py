"""What tenants are made from: a recorded template, and spare schemas that were made ahead."""

import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from tenants.registry import names
from tenants.wall.openings import app_only, closed


@app_only("SELECT")
@closed
class Template(models.Model):
    """What the tenant apps' migrations of one version of the code come to, recorded once.

    Attributes:
        version: which code; see ``template.current_version``.
        server: the major version of the PostgreSQL that it was recorded on, because catalogues read differently.
        steps: ``[{"sql": ...} or {"sql": ..., "migration": [app, name]}, ...]``, in order. Where a migration is named,
            it is run for each tenant, because it computes; its SQL is what it came to here.
        fingerprint: that of every schema made from it.
        is_current: new tenants are made from this one, whichever code makes them.
    """

    version = models.CharField(max_length=64, primary_key=True)
    server = models.PositiveSmallIntegerField()
    steps = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    is_current = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_current"], condition=models.Q(is_current=True), name="lifecycle_one_current_template"
            ),
        ]

    def __str__(self) -> str:
        return self.version

    @property
    def script(self) -> str:
        """All of it as one batch with unqualified names, whatever a migration computed included."""
        steps: list[dict[str, Any]] = self.steps
        return ";\n".join(step["sql"] for step in steps if step["sql"])


# Locking a row takes the right to update it; only the owner makes spares, with their schemas.
@app_only("SELECT", "UPDATE", "DELETE")
@closed
class Spare(models.Model):
    """A finished schema, with its role, that belongs to no tenant yet. Claiming it deletes the row.

    Attributes:
        is_retired: a newer template is current. Nobody claims it any more, and refilling drops it.
    """

    schema_name = models.CharField(max_length=63, primary_key=True, default=names.generate_schema_name)
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="spares")
    is_retired = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.schema_name


@app_only("SELECT")
@closed
class FormerSchema(models.Model):
    """The tables of a tenant as they were before a restore put others in their place. They are kept until somebody
    confirms it, or takes it back.

    Attributes:
        is_dropping: nobody takes it back any more; its tables are going.
    """

    schema_name = models.CharField(max_length=63, primary_key=True)
    tenant_id = models.UUIDField(unique=True)
    is_dropping = models.BooleanField(default=False)
    replaced_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.schema_name


@app_only("SELECT")
@closed
class Tombstone(models.Model):
    """That there was a tenant, and nothing else of it is left.

    Attributes:
        slug_digest: keyed; a slug may be somebody's name. See ``deletion.digests_of``.
        last_sequence, last_hash: the end of its audit trail: a trail in an export file is the true one if it ends so.
        deleted_by: who decided on it; null when it was a command.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant_id = models.UUIDField(db_index=True)
    slug_digest = models.CharField(max_length=64)
    schema_name = models.CharField(max_length=63, unique=True)
    last_sequence = models.BigIntegerField()
    last_hash = models.BinaryField()
    deleted_by = models.UUIDField(null=True)
    deleted_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.tenant_id)
