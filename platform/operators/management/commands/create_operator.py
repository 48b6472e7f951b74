"""``manage.py create_operator``: the platform's first admin, and whoever else is put on the staff from a shell."""

import json
import os
import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import ProgrammingError

from identity.accounts import selectors as accounts
from identity.mail.delivery import deliver
from operators import selectors, staff
from operators.errors import AlreadyStaff, UnknownAccount
from operators.models import Operator
from permissions.roles import OperatorRole

PASSWORD_VARIABLE = "OPERATOR_PASSWORD"  # noqa: S105 -- where it is, not what it is


class Command(BaseCommand):
    help = (
        "Put a person on the platform's staff, and make their account if they have none. A new account's password is"
        f" asked for, or comes from ${PASSWORD_VARIABLE} or standard input, or is chosen by a mailed link; it is never"
        " an argument. Running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="The person's address.")
        roles = [role.value for role in OperatorRole]
        parser.add_argument("--role", choices=roles, default=OperatorRole.ADMIN.value, help="Default: admin.")
        parser.add_argument("--name", default="", help="What a new account's person is called.")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--password-stdin", action="store_true", help="Read a new account's password, one line.")
        how.add_argument("--mail-link", action="store_true", help="Mail a link by which its password is chosen.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        email, role = options["email"], OperatorRole(options["role"])
        try:
            validate_email(email)
            user = accounts.user_by_email(email)
            present = user and selectors.staff().filter(user=user).first()
            password = _password(options) if user is None else None
            operator = present or staff.appoint(email=email, name=options["name"], role=role, password=password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except UnknownAccount:
            raise CommandError("This account is closed, or nobody has proved its address.") from None
        except AlreadyStaff:
            raise CommandError("Somebody else did the same at this moment: run it again.") from None
        except ProgrammingError:
            raise CommandError("The database has no tables yet: run `manage.py migrate_platform` first.") from None
        if (operator.role, operator.is_active) != (role.value, True):
            state = "" if operator.is_active else ", disabled"
            raise CommandError(f"Already on the staff as {operator.role}{state}: an admin changes that by the API.")
        by_link = user is None and password is None
        if by_link:
            deliver()  # now: perhaps no server is running yet that would
        self._show(operator, is_new=not present, by_link=by_link, as_json=options["json"])

    def _show(self, operator: Operator, *, is_new: bool, by_link: bool, as_json: bool) -> None:
        if as_json:
            told = {"id": str(operator.pk), "user_id": str(operator.user_id), "role": operator.role, "created": is_new}
            self.stdout.write(json.dumps(told))
            return
        what = "is now" if is_new else "is already"
        link = " A link to choose a password goes there by mail." if by_link else ""
        self.stdout.write(f"{operator.user.email} {what} on the staff, as {operator.role}.{link}")


def _password(options: dict[str, Any]) -> str | None:
    """Return what a new account's password is to be; None where a mailed link leads to it."""
    if options["mail_link"]:
        return None
    if options["password_stdin"]:
        return sys.stdin.readline().rstrip("\r\n")
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        raise CommandError(f"No password: set ${PASSWORD_VARIABLE}, or use --password-stdin or --mail-link.")
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise CommandError("These are two different passwords.")
    return password
