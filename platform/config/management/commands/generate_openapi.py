"""``manage.py generate_openapi``: the committed OpenAPI documents, written or compared."""

import difflib
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import openapi


class Command(BaseCommand):
    help = "Write the OpenAPI documents of both APIs, or check that the committed ones are up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail with a diff if anything differs.")

    def handle(self, *args: Any, **options: Any) -> None:
        stale = []
        for document in openapi.DOCUMENTS.values():
            text = openapi.generate(document)
            if not options["check"]:
                document.file.parent.mkdir(exist_ok=True)
                document.file.write_text(text)
                self.stdout.write(f"Wrote {document.file.name}.")
                continue
            committed = document.file.read_text() if document.file.exists() else ""
            if committed != text:
                stale.append(document.name)
                diff = difflib.unified_diff(committed.splitlines(), text.splitlines(), "committed", "code", lineterm="")
                self.stdout.write("\n".join(diff))
        if stale:
            raise CommandError(f"Not up to date: {', '.join(stale)}. Run `make schema` and review the diff.")
