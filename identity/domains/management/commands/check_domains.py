"""``manage.py check_domains``: prove domains again before their proof lapses, and note what has lapsed.

For cron; it can be killed and run again.
"""

import json
from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from identity.domains import selectors, services
from identity.domains.services import Outcome


class Command(BaseCommand):
    help = "Look again for the DNS records of domains whose proof lapses soon, and note those whose time is over."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--within-days", type=int, default=14, help="Look for what lapses within so many days (default: 14)."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        done: Counter[str] = Counter(dict.fromkeys((outcome.value for outcome in Outcome), 0))
        due = selectors.due(within=timedelta(days=options["within_days"]))
        with Progress(*columns, console=console, disable=options["json"] or not console.is_terminal) as progress:
            for tenant_id, claim_id in progress.track(due, description="domains"):
                done[services.look_after(tenant_id=tenant_id, claim_id=claim_id).value] += 1
        if options["json"]:
            self.stdout.write(json.dumps(done))
        else:
            self.stdout.write("Domains: " + ", ".join(f"{count} {outcome}" for outcome, count in done.items()) + ".")
