"""``manage.py migrate_platform``: everything a deploy migrates, the shared schema first and then every tenant."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from tenants.lifecycle import template


class Command(BaseCommand):
    help = "Bring the shared schema and every tenant's schema to the newest migrations."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        verbosity = options["verbosity"]
        call_command("migrate_schemas", shared=True, interactive=False, verbosity=verbosity)
        template.ensure()  # of new tenants: whoever is made from here on is not behind
        call_command("fleet", "migrate", verbosity=verbosity)
