"""``manage.py remove_second_factors``: for somebody who has lost all of them. That it is them, whoever runs it has made
sure of.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identity.accounts import selectors as accounts
from identity.accounts.models import User
from identity.factors import services


class Command(BaseCommand):
    help = "Remove all second factors of an account: its password alone signs in then. Its person is told by mail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = accounts.user_by_email(options["email"])
        try:
            removed = services.remove_all(user_id=user.pk) if user is not None else None
        except User.DoesNotExist:
            removed = None
        if removed is None or user is None:
            raise CommandError("No open account has this address.")
        self.stdout.write(f"Removed {removed} second factors of account {user.pk}.")
