"""``manage.py close_account``: end what an account can do, at once; for when there is no time to find out more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import APIException

from identity.accounts import selectors, services


class Command(BaseCommand):
    help = "Close an account: it signs in no more, and all its sessions end now. --reopen undoes the former."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--reopen", action="store_true", help="Let the account sign in again.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = selectors.user_by_email(options["email"])
        if user is None:
            raise CommandError("No account has this address.")
        try:
            services.set_active(user_id=user.pk, is_active=options["reopen"])
        except APIException as error:  # somebody above has to keep it
            raise CommandError(str(error.detail)) from None
        self.stdout.write(f"Account {user.pk} is {'open' if options['reopen'] else 'closed'}.")
