"""``manage.py send_mail``: send what is due in the outbox. For cron, or where the serving processes shall not send."""

import json
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from identity.mail.delivery import Outcome, deliveries, due


class Command(BaseCommand):
    help = (
        "Send the mail that is due. What cannot be sent stays, and is tried again later. It can be killed at any time."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        done: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0))
        with Progress(*columns, console=console, disable=options["json"] or not console.is_terminal) as progress:
            task = progress.add_task("mail", total=due().count())
            for outcome in deliveries():
                done[outcome] += 1
                progress.advance(task)
        if options["json"]:
            self.stdout.write(json.dumps(done))
        else:
            self.stdout.write("Mail: " + ", ".join(f"{count} {outcome}" for outcome, count in done.items()) + ".")
