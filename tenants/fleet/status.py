"""Where every tenant stands: version, drift, and what failed last. A fixed number of queries, however many tenants."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections, transaction

from tenants.context.ownership import as_owner, routed_to_owner
from tenants.fleet import drift, ledger, starting_points
from tenants.lifecycle import schemas, template
from tenants.lifecycle.fingerprints import catalogue
from tenants.registry.names import generate_schema_name
from tenants.wall.roles import OWNER


@dataclass(frozen=True)
class TenantState:
    """Where a tenant stands.

    Attributes:
        behind: the migrations that it has yet to get.
        is_drifted: its schema is not what its version's is; None while it is behind, because then there is nothing to
            compare it with.
        failure: what stopped its last migration.
    """

    slug: str
    schema_name: str
    status: str
    version: str
    behind: Sequence[str]
    is_drifted: bool | None
    failure: str

    @property
    def is_well(self) -> bool:
        """Tell whether there is nothing to do."""
        return not (self.behind or self.is_drifted or self.failure)


def states(schema_names: Sequence[str] | None = None, *, parallel: int = 2) -> list[TenantState]:
    """Return where all tenants stand, or those with these schemas, ordered by slug."""
    with routed_to_owner():
        fleet = starting_points.look(schema_names)
        failures = ledger.last_failures()
    found = []
    for point in fleet.starting_points:
        executor = starting_points.Executor(starting_points.Loader(point.keys()))
        behind = [f"{app}.{name}" for app, name in executor.rows()]
        drifted = set() if behind else set(drift.find(point.members, parallel=parallel))
        found += [
            TenantState(
                member.slug,
                member.schema_name,
                member.status,
                point.version,
                behind,
                None if behind else member in drifted,
                failures.get(member.id, "") if behind else "",
            )
            for member in point.members
        ]
    found += [
        TenantState(member.slug, member.schema_name, member.status, "-", (), None, "It has no tables: reconcile it.")
        for member in fleet.without_tables
    ]
    return sorted(found, key=lambda state: state.slug)


def differences(schema_name: str) -> tuple[list[str], list[str]]:
    """Return what a schema lacks, and what it has too much, compared with a fresh one of the newest version, which is
    made for this and rolled back.
    """
    with as_owner():
        fresh = generate_schema_name()
        schemas.create_from(template.ensure(), schema_name=fresh)
        expected = catalogue(fresh)
        transaction.set_rollback(True, using=OWNER)
    connections[OWNER].close()
    with routed_to_owner():
        found = catalogue(schema_name)
    return sorted(expected - found), sorted(found - expected)
