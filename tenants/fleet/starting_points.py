"""Where each tenant stands: the migrations in its ``django_migrations``, read for all tenants together.

Tenants with the same set share everything that follows from it, so there is little to do for each of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from psycopg import sql

from tenants.context.ownership import current_alias, routed_to_owner
from tenants.context.router import tenant_app_labels
from tenants.lifecycle.template import targets
from tenants.wall.roles import OWNER

Key = tuple[str, str]  # app label, name
Row = TypeVar("Row")
Ask = Callable[[Sequence[str]], Iterable[tuple[str, str | None]]]

MIGRATED_STATUSES = ("active", "suspended", "archived")  # the others are being made, or on their way out
PER_CONNECTION = 250  # schemas: a server process remembers every table that it touched
_BATCH = 25  # schemas in one statement: planning many together takes longer than planning them in turn

# How a set of migrations is written: by the database here, and again when a tenant is migrated.
APPLIED = """string_agg(app || '.' || name, ',' ORDER BY app COLLATE "C", name COLLATE "C")"""

_TENANTS = sql.SQL(
    "SELECT id, slug, schema_name, status, to_regclass(quote_ident(schema_name) || '.django_migrations') IS NOT NULL"
    " FROM public.registry_tenant WHERE status = ANY (%s) AND (%s::text[] IS NULL OR schema_name = ANY (%s))"
    " ORDER BY created_at, id"
)
_APPLIED_IN = sql.SQL("SELECT {name}, (SELECT {applied} FROM {schema}.django_migrations)")


@dataclass(frozen=True)
class Member:
    """A tenant of the fleet."""

    id: UUID
    slug: str
    schema_name: str
    status: str


@dataclass(frozen=True)
class StartingPoint:
    """A set of applied migrations, and the tenants that have it.

    Attributes:
        applied: ``app.name``, sorted, joined by commas: as the database has it.
    """

    applied: str
    members: Sequence[Member]

    @property
    def version(self) -> str:
        """The short name of this set."""
        return version_of(self.applied)

    def keys(self) -> list[Key]:
        """Return the migrations as Django names them."""
        found = (each.partition(".") for each in self.applied.split(",") if each)
        return [(app, name) for app, _, name in found]


@dataclass(frozen=True)
class Fleet:
    """Where all tenants stand.

    Attributes:
        without_tables: have a row in the registry, and no ``django_migrations``.
    """

    starting_points: Sequence[StartingPoint]
    without_tables: Sequence[Member]


class Loader(MigrationLoader):
    """Django's graph of migrations as it is for one set of applied ones; squashed migrations depend on it."""

    def __init__(self, applied: Iterable[Key]) -> None:
        self.given = dict.fromkeys(applied)
        super().__init__(None)

    @property
    def applied_migrations(self) -> dict[Key, Any]:
        return self._effective

    @applied_migrations.setter
    def applied_migrations(self, nothing: dict[Key, Any]) -> None:
        self._effective: dict[Key, Any] = dict(self.given)  # Django says none, as there is no connection to ask


class Executor(MigrationExecutor):
    """Django's executor over such a graph; it asks no database for where it stands."""

    def __init__(self, loader: Loader) -> None:
        self.loader = self._loader = loader

    def initial_state(self) -> ProjectState:
        """Return the models before any migration."""
        return ProjectState(real_apps=self.loader.unmigrated_apps)

    def missing(self) -> list[Migration]:
        """Return what is yet to be applied, in order."""
        return [migration for migration, _ in self.migration_plan(targets(self.loader))]

    def present(self) -> list[Migration]:
        """Return what is applied, in the order in which an empty database would get it."""
        plan = self.migration_plan(targets(self.loader), clean_start=True)
        applied = self.loader.applied_migrations
        return [migration for migration, _ in plan if (migration.app_label, migration.name) in applied]

    def rows(self) -> list[Key]:
        """Return the rows that ``django_migrations`` will need: of each missing migration and of those it replaces, and
        of a squashed one whose parts have all been applied.
        """
        found: dict[Key, None] = {}
        for migration in self.missing():
            found.update(dict.fromkeys([*migration.replaces, (migration.app_label, migration.name)]))
        given = self._loader.given
        for key, migration in self.loader.replacements.items():
            if key[0] in tenant_app_labels() and all(part in given for part in migration.replaces):
                found[key] = None
        return [key for key in found if key not in given]


def applied_in(schema_names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Read which migrations have been applied in each of these schemas."""
    with connections[current_alias()].cursor() as cursor:
        for start in range(0, len(schema_names), _BATCH):
            asked = (
                _APPLIED_IN.format(name=sql.Literal(name), applied=sql.SQL(APPLIED), schema=sql.Identifier(name))
                for name in schema_names[start : start + _BATCH]
            )
            cursor.execute(sql.SQL(" UNION ALL ").join(asked))
            yield from cursor.fetchall()


def look(schema_names: Sequence[str] | None = None, *, ask: Ask = applied_in) -> Fleet:
    """Return where all tenants stand, or those with these schemas.

    Args:
        ask: what asks which migrations have been applied, for each schema.
    """
    names = None if schema_names is None else list(schema_names)
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(_TENANTS, [list(MIGRATED_STATUSES), names, names])
        rows = [(Member(*row[:4]), row[4]) for row in cursor.fetchall()]
    members = {member.schema_name: member for member, has_tables in rows if has_tables}
    points: dict[str, list[Member]] = {}
    applied = dict(ask(list(members)))
    for name, member in members.items():
        points.setdefault(applied[name] or "", []).append(member)
    return Fleet(
        [StartingPoint(*point) for point in sorted(points.items())],
        [member for member, has_tables in rows if not has_tables],
    )


def written(keys: Iterable[Key]) -> str:
    """Return a set of migrations as the database writes it."""
    return ",".join(f"{app}.{name}" for app, name in sorted(set(keys)))


def newest() -> str:
    """Return the version that this code brings tenants to."""
    return version_of(written(Executor(Loader([])).rows()))


def read() -> None:
    """Read the migrations from the disk, which Django does once."""
    Loader(())


def version_of(applied: str) -> str:
    """Return a short name of a set of applied migrations."""
    return hashlib.sha256(applied.encode()).hexdigest()[:12]


def in_batches(
    ask: Callable[[Sequence[str]], Iterable[Row]], schema_names: Sequence[str], *, size: int, parallel: int
) -> list[Row]:
    """Ask the database about so many schemas at a time, over several connections, and return all rows."""
    batches = [schema_names[start : start + size] for start in range(0, len(schema_names), size)]
    if len(batches) < 2:
        return [row for batch in batches for row in ask(batch)]

    def apart(batch: Sequence[str]) -> list[Row]:
        try:
            with routed_to_owner():
                return list(ask(batch))
        finally:
            connections[OWNER].close()

    with ThreadPoolExecutor(max(1, min(parallel, len(batches)))) as pool:
        return [row for rows in pool.map(apart, batches) for row in rows]
