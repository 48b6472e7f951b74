"""``manage.py settings_reference``: every environment variable, as a committed Markdown table, written or compared."""

import difflib
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import settings_reference


class Command(BaseCommand):
    help = "Write the reference of settings from the code, or check that the committed one is up to date."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail with a diff if anything differs.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = settings_reference.document()
        except settings_reference.Undocumented as error:
            raise CommandError(str(error)) from error
        file = settings_reference.FILE
        if not options["check"]:
            file.write_text(text)
            self.stdout.write(f"Wrote {file.name}.")
            return
        committed = file.read_text() if file.exists() else ""
        if committed != text:
            diff = difflib.unified_diff(committed.splitlines(), text.splitlines(), "committed", "code", lineterm="")
            self.stdout.write("\n".join(diff))
            raise CommandError(f"{file.name} is not up to date. Run `make schema` and review the diff.")
