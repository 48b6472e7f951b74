"""``manage.py fill_pool``: make spare schemas, so that new tenants are there at once. For cron, and after a deploy."""

import json
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tenants.lifecycle import pool


class Command(BaseCommand):
    help = "Fill the pool of spare schemas, and drop the spares of former templates. It can be killed and run again."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = settings.POOL_SIZE
        parser.add_argument("--size", type=int, default=default, help=f"How many there are to be (default: {default}).")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, disable=options["json"] or not console.is_terminal) as progress:
            task = progress.add_task("Making spares", total=options["size"], completed=pool.size())
            made = pool.refill(target=options["size"], made=partial(progress.advance, task))
        report = {"made": made, "spares": pool.size()}
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write(f"Made {made}; {report['spares']} spare schemas are ready.")
