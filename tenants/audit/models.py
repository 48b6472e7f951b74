"""The audit trail: one chain of events for each tenant, and one for what concerns no tenant."""

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from tenants.wall.openings import THIS_TENANT, app_only, opened

PLATFORM = uuid.UUID(int=0)  # the chain of what concerns no tenant

_COLUMNS = [
    "id", "tenant_id", "sequence", "occurred_at", "action", "actor_kind", "actor_id", "actor_name", "act", "session_id",
    "address", "request_id", "targets", "changes", "previous_hash", "hash",
]  # fmt: skip


@app_only("SELECT", "INSERT")
@opened(rows=f"tenant_id = {THIS_TENANT}", select=_COLUMNS, insert=_COLUMNS)
class AuditEvent(models.Model):
    """One privileged change. Nobody but the owner of the tables changes or deletes a row, and what Postgres itself
    writes (see the migration's trigger) is not for anybody to choose: sequence, time and hashes.

    Attributes:
        sequence: its place in its chain, from 1, without gaps.
        actor_kind, actor_id: who acted: a kind of principal (``permissions.principals.Kind``), ``command``, ``system``.
        actor_name: of a command, who started it (``commands.started_by``); people are named by their ids alone.
        act: the member of staff who was really acting, in support access (RFC 8693).
        address: where the request came from; empty when there was none.
        targets: ``[{"type", "id", "name"}, ...]``, what was acted upon; the name as it was then.
        changes: ``{field: [before, after]}``.
        hash: SHA-256 over `previous_hash` and the event's canonical form (see ``chain.canonical``).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # By name: the registry is above the audit trail, because it writes to it.
    tenant = models.ForeignKey("registry.Tenant", on_delete=models.CASCADE, null=True, related_name="+")
    sequence = models.BigIntegerField(default=0)
    occurred_at = models.DateTimeField(null=True)
    action = models.CharField(max_length=64)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.UUIDField(null=True)
    # Processes of the version before, which go on during a deploy, know nothing of it.
    actor_name = models.CharField(max_length=150, blank=True, default="", db_default="")
    act = models.UUIDField(null=True)
    session_id = models.UUIDField(null=True)
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    targets = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    changes = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    previous_hash = models.BinaryField(default=b"")
    hash = models.BinaryField(default=b"")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "sequence"], name="audit_event_place", nulls_distinct=False
            ),  # of a chain without a tenant, too
        ]
        indexes = [
            models.Index(fields=["occurred_at"]),  # for pruning
            GinIndex(fields=["targets"], opclasses=["jsonb_path_ops"], name="audit_event_targets"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.id}"


@app_only("SELECT")
@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=["id", "tenant_id", "last_sequence", "last_hash", "pruned_through", "pruned_hash"],
)
class AuditChain(models.Model):
    """Both ends of a chain, so that events missing at either are missed. Only Postgres' trigger, and pruning, write it.

    Attributes:
        id: the tenant's id, or ``PLATFORM``.
        pruned_through, pruned_hash: the last event that was deleted because of its age.
    """

    id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("registry.Tenant", on_delete=models.CASCADE, null=True, related_name="+")
    last_sequence = models.BigIntegerField()
    last_hash = models.BinaryField()
    pruned_through = models.BigIntegerField(default=0)
    pruned_hash = models.BinaryField(default=b"")

    def __str__(self) -> str:
        return str(self.id)
