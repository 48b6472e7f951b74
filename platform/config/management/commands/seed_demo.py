"""``manage.py seed_demo``: the demo's tenants, people and data."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo, demo_sign_in


class Command(BaseCommand):
    help = "Create the demo's tenants, people, projects and tasks, as far as they are missing (development only)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IN_DEVELOPMENT:
            raise CommandError("The demo's accounts have a public password: they are for development settings only.")
        made = ", ".join(filter(None, [demo.seed(), demo_sign_in.seed()]))
        self.stdout.write(f"Seeded: {made}." if made else "Everything is there already.")
