"""``manage.py changepassword``: Django's, which would set a password that its person has not chosen, end no session and
leave no event.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Set no password: nobody chooses another person's."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("rest", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError("Nobody sets another person's password: they choose one by the link of a forgotten one.")
