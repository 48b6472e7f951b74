"""A Postgres server of one's own, with tenants in it whose every row says by its name whose it is."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.leaks.database import Database, running
from tests.leaks.environment import ROOT, environment

_PROVISION_SECONDS = 300


@dataclass(frozen=True)
class Row:
    id: str
    name: str


@dataclass(frozen=True)
class Tenant:
    """A tenant, who may ask it, and the rows it begins with.

    Attributes:
        credentials: headers that are good wherever the tenant is named.
        of_host: headers that are sent to the tenant's own host.
    """

    slug: str
    schema: str
    credentials: tuple[dict[str, str], ...]
    of_host: tuple[dict[str, str], ...]
    rows: tuple[Row, ...]

    @property
    def host(self) -> str:
        return f"{self.slug}.localhost"

    def owns(self, name: object) -> bool:
        """Tell whether a row of this name is this tenant's."""
        return isinstance(name, str) and name.rpartition(" ")[0] == self.slug

    def name(self, number: int) -> str:
        return f"{self.slug} {number}"


@dataclass(frozen=True)
class Ground:
    """What trials stand on. They may have it one after the other; each begins with ``reset``."""

    folder: Path
    database: Database
    tenants: tuple[Tenant, ...]

    def reset(self) -> None:
        """Take every tenant back to the rows that it began with."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            for tenant in self.tenants:
                statement = sql.SQL("DELETE FROM {} WHERE id <> ALL(%s::uuid[])")
                table = sql.Identifier(tenant.schema, "projects_project")
                connection.execute(statement.format(table), [[row.id for row in tenant.rows]])


@contextmanager
def prepared(tenants: int) -> Iterator[Ground]:
    """Start a server, migrate it and make `tenants` through the product's own services; nothing is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-leaks-"))
    folder.chmod(0o711)  # the database's own user passes through, and reads nothing
    try:
        with running(folder) as database:
            yield Ground(folder, database, _provision(folder, database, tenants))
    finally:
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _provision(folder: Path, database: Database, tenants: int) -> tuple[Tenant, ...]:
    """Make the tenants in a process of the product: this one may have settings of its own, or none."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.leaks.provision", str(tenants)],
        cwd=ROOT,
        env=environment(folder) | {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=_PROVISION_SECONDS,
    )
    if result.returncode:
        raise RuntimeError(f"The tenants could not be made:\n{result.stderr}")
    made = json.loads(result.stdout)
    return tuple(Tenant(**tenant | {"rows": tuple(Row(**row) for row in tenant["rows"])}) for tenant in made)
