"""Making and dropping a tenant's schema, on the owner's connection, inside its transaction."""

from itertools import groupby

from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from tenants.context.entry import maintain
from tenants.lifecycle import locks
from tenants.lifecycle.errors import TemplateMismatch
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.models import Template
from tenants.lifecycle.recording import in_transaction
from tenants.registry.models import Tenant
from tenants.wall import roles
from tenants.wall import services as wall
from tenants.wall.roles import OWNER

_INSIDE = "SET LOCAL search_path TO {schema}"  # alone: nothing in `public` is to be met, or changed
_OUTSIDE = "SET LOCAL search_path TO public"


def create_from(template: Template, *, schema_name: str) -> None:
    """Make a schema with all that belongs to it, role and grants included, in one round trip, and compare it with what
    it was made from. Where a migration computes it takes more: that one runs.

    Raises:
        TemplateMismatch: it came out as something else.
    """
    batch = [
        locks.holding_schema(schema_name).as_string(),
        _named("CREATE SCHEMA {schema}", schema_name),
        wall.expecting_tenant(schema_name).as_string(),
    ]
    for computes, steps in groupby(template.steps, key=lambda step: "migration" in step):
        if not computes:
            batch += [_named(_INSIDE, schema_name), *(step["sql"] for step in steps if step["sql"]), _OUTSIDE]
            continue
        _execute(batch)
        batch = []
        _migrate(schema_name, [step["migration"] for step in steps])
    _execute([*batch, roles.keep_record(schema_name).as_string()])
    if fingerprints([schema_name]).get(schema_name) != template.fingerprint:
        raise TemplateMismatch(template.version)


def drop(schema_name: str) -> None:
    """Drop a schema and its role, as far as they are there."""
    _execute(
        [
            locks.holding_schema(schema_name).as_string(),
            _named("DROP SCHEMA IF EXISTS {schema} CASCADE", schema_name),
            _named("DROP ROLE IF EXISTS {schema}", schema_name),
        ]
    )


def create_empty(schema_name: str) -> None:
    """Make a schema with nothing in it."""
    _execute([_named("CREATE SCHEMA {schema}", schema_name)])


def _migrate(schema_name: str, migrations: list[list[str]]) -> None:
    """Run these migrations, with the models as they were then."""
    with maintain(Tenant(schema_name=schema_name)):
        executor = MigrationExecutor(connections[OWNER])
        for label, name in migrations:
            state = executor.loader.project_state((label, name), at_end=False)
            executor.apply_migration(state, in_transaction(executor.loader.graph.nodes[label, name]))


def _named(statement: str, schema_name: str) -> str:
    return sql.SQL(statement).format(schema=sql.Identifier(schema_name)).as_string()


def _execute(statements: list[str]) -> None:
    if statements:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(";\n".join(statements))
