"""Leftovers: what a crash, a kill or a hand at the database left between the registry and the catalogue, and how it is
made whole again. What is alive is not touched, and neither is what somebody is working on (``locks.of_schema``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import connections

from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner
from tenants.lifecycle import locks, schemas
from tenants.lifecycle.deletion import delete_tenant
from tenants.lifecycle.models import FormerSchema, Spare
from tenants.lifecycle.replacing import drop_former
from tenants.registry import services as registry
from tenants.registry.models import Tenant, TenantStatus
from tenants.wall import roles
from tenants.wall import services as wall


class Kind(StrEnum):
    """What is wrong, as people read it."""

    ORPHANED_SCHEMA = "schema that belongs to nobody"
    ORPHANED_ROLE = "role that belongs to nobody"
    MISSING_SCHEMA = "tenant without a schema"
    MISSING_ROLE = "schema without a role"
    UNFINISHED = "tenant that was never finished"
    DELETING = "tenant whose deletion stopped halfway"
    DROPPING = "former data whose removal stopped halfway"
    RETIRED_SPARE = "spare of a former template"
    BROKEN_SPARE = "spare without a schema"


REMEDIES = {
    Kind.ORPHANED_SCHEMA: "dropped",
    Kind.ORPHANED_ROLE: "dropped",
    Kind.MISSING_SCHEMA: "marked as failed",
    Kind.MISSING_ROLE: "role made",
    Kind.UNFINISHED: "removed",
    Kind.DELETING: "deleted",
    Kind.DROPPING: "dropped",
    Kind.RETIRED_SPARE: "dropped",
    Kind.BROKEN_SPARE: "removed",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the schema that it is about and, if it has one, its tenant."""

    kind: Kind
    schema_name: str
    tenant_id: UUID | None = None
    slug: str = ""


_WHATEVER_IS_THERE: dict[str, Kind | None] = {
    TenantStatus.REQUESTED: None,  # nobody has begun
    TenantStatus.PROVISIONING: Kind.UNFINISHED,
    TenantStatus.DELETING: Kind.DELETING,
    TenantStatus.FAILED: None,  # somebody has to decide
    "retired": Kind.RETIRED_SPARE,
    "dropping": Kind.DROPPING,
}
_WITHOUT_SCHEMA = {"spare": Kind.BROKEN_SPARE, "former": Kind.DROPPING}

# One statement, so one snapshot: what is claimed or made in one transaction is seen before it or after it. Roles are
# the whole server's: one of them is ours to drop if it is in our group, and nothing in another database depends on it.
_LOOK = f"""
SELECT name, schema.name IS NOT NULL, coalesce(is_ours, to_regrole(name) IS NOT NULL), status, tenant_id, slug
FROM (
    SELECT schema_name AS name, status, id AS tenant_id, slug FROM registry_tenant
    UNION ALL
    SELECT schema_name, CASE WHEN is_retired THEN 'retired' ELSE 'spare' END, NULL, '' FROM {Spare._meta.db_table}
    UNION ALL
    SELECT former.schema_name, CASE WHEN is_dropping OR id IS NULL THEN 'dropping' ELSE 'former' END, tenant_id, slug
    FROM {FormerSchema._meta.db_table} former LEFT JOIN registry_tenant ON id = tenant_id
) belonging
FULL JOIN (SELECT nspname AS name FROM pg_namespace WHERE nspname ~ '^t_[a-z2-7]{{16}}$') schema USING (name)
FULL JOIN (
    SELECT rolname AS name, true AS is_ours FROM pg_roles
    JOIN pg_auth_members ON member = pg_roles.oid AND roleid = to_regrole(quote_ident(%(group)s))
    WHERE rolname ~ '^t_[a-z2-7]{{16}}$' AND NOT EXISTS (
        SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = pg_roles.oid
        AND dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
) role USING (name)
"""  # noqa: S608 -- a table of ours
_ALL = " ORDER BY name"
_ONE = " WHERE name = %(name)s"


def find() -> list[Finding]:
    """Return everything that is wrong now; what somebody is working on may be among it."""
    with as_owner():
        return list(_find(_ALL))


def repair(finding: Finding) -> bool:
    """Put one thing right, and tell whether that was done: not if somebody is working on the schema, or it is another
    thing by now. It is one transaction of the owner's, or several where much has to go; it can be killed and run again.
    """
    with as_owner():
        if not locks.try_hold(locks.of_schema(finding.schema_name)) or finding not in _find(_ONE, finding.schema_name):
            return False
        if finding.kind not in _IN_STEPS:
            _REPAIRS[finding.kind](finding)
    if finding.kind in _IN_STEPS and finding.tenant_id is not None:
        _IN_STEPS[finding.kind](tenant_id=finding.tenant_id)
    return True


def _find(ending: str, name: str = "") -> Iterator[Finding]:
    with connections[roles.OWNER].cursor() as cursor:
        cursor.execute(_LOOK + ending, {"group": roles.group_role(), "name": name})
        for schema_name, has_schema, has_role, status, tenant_id, slug in cursor.fetchall():
            kind = _kind(status, has_schema=has_schema, has_role=has_role)
            if kind is not None:
                yield Finding(kind, schema_name, tenant_id, slug or "")


def _kind(status: str | None, *, has_schema: bool, has_role: bool) -> Kind | None:
    if status is None:
        return Kind.ORPHANED_SCHEMA if has_schema else Kind.ORPHANED_ROLE
    if status in _WHATEVER_IS_THERE:
        return _WHATEVER_IS_THERE[status]
    if not has_schema:
        return _WITHOUT_SCHEMA.get(status, Kind.MISSING_SCHEMA)
    return None if has_role else Kind.MISSING_ROLE


def _drop(finding: Finding) -> None:
    schemas.drop(finding.schema_name)


def _drop_spare(finding: Finding) -> None:
    # Whoever is claiming it has the row: then this waits, and there is none any more.
    if Spare.objects.filter(pk=finding.schema_name).delete()[0]:
        schemas.drop(finding.schema_name)


def _make_role(finding: Finding) -> None:
    wall.build_tenant(schema_name=finding.schema_name)


def _mark_failed(finding: Finding) -> None:
    assert finding.tenant_id is not None  # noqa: S101 -- a tenant's
    registry.set_tenant_status(tenant_id=finding.tenant_id, status=TenantStatus.FAILED)


def _remove(finding: Finding) -> None:
    schemas.drop(finding.schema_name)
    Tenant.objects.filter(pk=finding.tenant_id).delete()
    target = Target("tenant", str(finding.tenant_id), finding.slug)
    record(action="tenant.removed", tenant_id=None, targets=[target])


_REPAIRS: dict[Kind, Callable[[Finding], None]] = {
    Kind.ORPHANED_SCHEMA: _drop,
    Kind.ORPHANED_ROLE: _drop,
    Kind.MISSING_SCHEMA: _mark_failed,
    Kind.MISSING_ROLE: _make_role,
    Kind.UNFINISHED: _remove,
    Kind.RETIRED_SPARE: _drop_spare,
    Kind.BROKEN_SPARE: _drop_spare,
}
_IN_STEPS: dict[Kind, Callable[..., None]] = {Kind.DELETING: delete_tenant, Kind.DROPPING: drop_former}
