"""``manage.py migrate_platform``: everything a deploy migrates, the shared schema first and then every tenant."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from tenants.audit.services import record
from tenants.context.ownership import as_owner
from tenants.lifecycle import template
from tenants.wall.roles import OWNER


class Command(BaseCommand):
    help = "Bring the shared schema and every tenant's schema to the newest migrations."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        verbosity = options["verbosity"]
        before = _applied()
        call_command("migrate_schemas", shared=True, interactive=False, verbosity=verbosity)
        applied = sorted(".".join(migration) for migration in _applied() - before)
        if applied:
            with as_owner():
                record(action="platform.migrated", tenant_id=None, changes={"migrations": [None, applied]})
        template.ensure()  # of new tenants: whoever is made from here on is not behind
        call_command("fleet", "migrate", verbosity=verbosity)


def _applied() -> set[tuple[str, str]]:
    """Return the shared schema's migrations, by app and name."""
    return set(MigrationRecorder(connections[OWNER]).applied_migrations())
