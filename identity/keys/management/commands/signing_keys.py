"""``manage.py signing_keys``: see, rotate and retire the keys that sign access tokens."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rest_framework.exceptions import APIException
from rich.console import Console
from rich.table import Table

from identity.keys import selectors, services
from identity.keys.models import StoredKey
from identity.keys.ring import Algorithm, KeyState


class Command(BaseCommand):
    help = "See, rotate and retire the keys that sign access tokens. Running processes follow without a restart."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="Show every key and its state.")
        rotate = actions.add_parser("rotate", help="Make the next key; it signs once everybody can know it.")
        rotate.add_argument("--now", action="store_true", help="Let it sign at once: the present key is compromised.")
        rotate.add_argument("--algorithm", choices=[name.value for name in Algorithm], help="Default: a setting.")
        rotate.add_argument(
            "--if-older-than", type=int, metavar="DAYS", help="Do nothing if the newest key is younger: for cron."
        )
        retire = actions.add_parser("retire", help="Refuse a key's tokens from now on.")
        retire.add_argument("kid")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "rotate":
                self._rotate(options)
            elif options["action"] == "retire":
                services.retire(kid=options["kid"])
        except StoredKey.DoesNotExist:
            raise CommandError("There is no such key: see `manage.py signing_keys list`.") from None
        except APIException as error:
            raise CommandError(str(error.detail)) from None
        self._show(as_json=options["json"])

    def _rotate(self, options: dict[str, Any]) -> None:
        days = options["if_older_than"]
        newest = StoredKey.objects.filter(retired_at=None).order_by("-created_at").first()
        if days is not None and newest is not None and newest.created_at > timezone.now() - timedelta(days=days):
            return
        algorithm = options["algorithm"]
        services.rotate(immediately=options["now"], algorithm=Algorithm(algorithm) if algorithm else None)

    def _show(self, *, as_json: bool) -> None:
        rows = [describe(row, state) for row, state in selectors.stored_keys()]
        if as_json:
            self.stdout.write(json.dumps({"in_database": selectors.in_database(), "keys": rows}))
            return
        if not selectors.in_database():
            self.stdout.write("The signing keys come from the environment or a file, and are changed there.")
            return
        table = Table("kid", "algorithm", "state", "signs from", "retired", box=None)
        for row in rows:
            table.add_row(row["kid"], row["algorithm"], row["state"], row["activates_at"], row["retired_at"] or "")
        Console(file=self.stdout, width=120).print(table)  # type: ignore[arg-type]  # Django's wrapper of a stream


def describe(row: StoredKey, state: KeyState) -> dict[str, Any]:
    """Return a key for a program to read; nothing private."""
    return {
        "kid": row.kid,
        "algorithm": row.algorithm,
        "state": state.value,
        "created_at": row.created_at.isoformat(timespec="seconds"),
        "activates_at": row.activates_at.isoformat(timespec="seconds"),
        "retired_at": row.retired_at and row.retired_at.isoformat(timespec="seconds"),
    }
