"""The template of new tenants: the tenant apps' migrations, run once and recorded.

One template is current, and the database says which: while a deploy is going on, code of two versions makes the same
tenants, those of the newest template.
"""

from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from inspect import getsource
from pathlib import Path
from typing import Any

import django
from django.contrib.postgres import operations as postgres
from django.db import connections, migrations
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tenants.context.entry import maintain
from tenants.context.ownership import as_owner
from tenants.context.router import tenant_app_labels
from tenants.lifecycle import fingerprints, locks, recording, schemas
from tenants.lifecycle.models import Spare, Template
from tenants.registry import names
from tenants.registry.models import Tenant
from tenants.wall import roles
from tenants.wall import services as wall

# Whose SQL is the same for every tenant. Any other operation may compute, and is run for each: RunPython, an adopter's.
_RECORDABLE = (
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterField,
    migrations.AlterIndexTogether,
    migrations.AlterModelManagers,
    migrations.AlterModelOptions,
    migrations.AlterModelTable,
    migrations.AlterModelTableComment,
    migrations.AlterOrderWithRespectTo,
    migrations.AlterUniqueTogether,
    migrations.CreateModel,
    migrations.DeleteModel,
    migrations.RemoveConstraint,
    migrations.RemoveField,
    migrations.RemoveIndex,
    migrations.RenameField,
    migrations.RenameIndex,
    migrations.RenameModel,
    migrations.RunSQL,
    postgres.AddConstraintNotValid,
    postgres.AddIndexConcurrently,
    postgres.CreateCollation,
    postgres.RemoveCollation,
    postgres.RemoveIndexConcurrently,
    postgres.ValidateConstraint,
)


@cache
def current_version() -> str:
    """Return which version of a tenant's tables this code is for: a hash of the tenant apps' migrations, and of what
    else decides on what they come to.
    """
    digest = sha256(f"{django.get_version()}\n{getsource(fingerprints)}\n{getsource(roles)}".encode())
    for label in sorted(tenant_app_labels()):
        for file in _migration_files(label):
            digest.update(f"\n{label} {file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def ensure() -> Template:
    """Return the template of this code's version and make it the current one: recorded, if it is missing, in one
    transaction of the owner's. Spares of other versions are not claimed from then on.
    """
    with as_owner():
        locks.hold(locks.BUILDING)
        template = Template.objects.filter(version=current_version(), server=_server()).first() or _record()
        if template.is_current:
            return template
        # Whoever is replaying the former one finishes first. Claims of its spares do too: their rows are locked.
        locks.hold(locks.TEMPLATE)
        Template.objects.exclude(pk=template.pk).filter(is_current=True).update(is_current=False)
        template.is_current = True
        template.save()
        Spare.objects.exclude(template=template).filter(is_retired=False).update(is_retired=True)
    return template


def get(version: str) -> Template:
    """Return the template of a version.

    Raises:
        Template.DoesNotExist: none was ever recorded here.
    """
    return Template.objects.get(pk=version)


def hold_current() -> Template:
    """Return the current template, and keep it current until the owner's transaction ends. Is there none yet, or one of
    another PostgreSQL, it is recorded.
    """
    current = Template.objects.filter(is_current=True, server=_server())
    if not current.exists():
        ensure()  # which waits for those who hold the lock, so it comes first
    locks.hold(locks.TEMPLATE, shared=True)
    return current.get()


def ensure_after_migrating(*, using: str, **signal: Any) -> None:
    """Keep the template up to date (a receiver of ``post_migrate``)."""
    if wall.is_of_shared_schema(using):
        ensure()


def targets(loader: MigrationLoader) -> list[tuple[str, str]]:
    """Return the last migrations of the tenant apps."""
    return [node for node in loader.graph.leaf_nodes() if node[0] in tenant_app_labels()]


def computes(migration: Migration) -> bool:
    """Tell whether a migration may do something else for each tenant, so that recording it once is not enough."""
    return migration.app_label in tenant_app_labels() and not all(map(_is_recordable, migration.operations))


def _is_recordable(operation: Operation) -> bool:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return all(map(_is_recordable, operation.database_operations))
    # Exactly these, and extensions, which are the database's: a subclass may do anything.
    return type(operation) in _RECORDABLE or isinstance(operation, postgres.CreateExtension)


def _record() -> Template:
    """Run the migrations in a schema that is gone afterwards."""
    schema_name = names.generate_schema_name()
    schemas.create_empty(schema_name)
    steps = _steps(schema_name)
    wall.build_tenant(schema_name=schema_name)
    fingerprint = fingerprints.fingerprints([schema_name])[schema_name]
    schemas.drop(schema_name)
    return Template(version=current_version(), server=_server(), steps=steps, fingerprint=fingerprint)


def _steps(schema_name: str) -> list[dict[str, Any]]:
    connection = connections[roles.OWNER]
    steps: list[dict[str, Any]] = []
    with maintain(Tenant(schema_name=schema_name)), recording.record(connection) as recorded:
        executor = MigrationExecutor(connection)
        executor.recorder.ensure_schema()
        steps.append({"sql": ";\n".join(recorded.take())})
        state = ProjectState(real_apps=executor.loader.unmigrated_apps)
        for migration, _ in executor.migration_plan(targets(executor.loader)):
            state = executor.apply_migration(state, recording.in_transaction(migration))
            step = {"sql": ";\n".join(recorded.take())}
            key = {"migration": [migration.app_label, migration.name]} if computes(migration) else {}
            steps.append(step | key)
    return steps


def _migration_files(label: str) -> list[Path]:
    module, _ = MigrationLoader.migrations_module(label)
    if module is None or find_spec(module) is None:
        return []
    return sorted(file for folder in import_module(module).__path__ for file in Path(folder).glob("*.py"))


def _server() -> int:
    connection: Any = connections[roles.OWNER]  # Postgres', which the type does not say
    return int(connection.pg_version) // 10000
