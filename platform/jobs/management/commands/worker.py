"""``manage.py worker``: do long work (exports, deletions, fleet migrations, spare schemas) until stopped."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.worker import Worker
from tenants.context.ownership import knows_owner


class Command(BaseCommand):
    help = (
        "Do the jobs in the queue, until SIGTERM or SIGINT; it can be killed at any time, and there may be any number. "
        "It asks for what is due by time of day, too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="End when nothing is left to do now.")
        parser.add_argument("--no-schedule", action="store_true", help="Do not ask for what is due by time of day.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not knows_owner():
            raise CommandError("DATABASE_OWNER_URL is not set: tenants are made, exported and deleted by the owner.")
        Worker(until_idle=options["until_idle"], keeps_schedule=not options["no_schedule"]).run()
