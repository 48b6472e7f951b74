"""``manage.py reconcile_tenants``: find what a crash left behind, and put it right. For cron, and after an accident."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tenants.lifecycle import reconcile
from tenants.lifecycle.reconcile import REMEDIES, Finding


class Command(BaseCommand):
    help = "Find schemas, roles and tenants that are incomplete or belong to nobody, and repair or remove them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what is wrong.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(stderr=True)
        quiet = options["json"] or not console.is_terminal
        outcomes: list[tuple[Finding, str]] = []
        failures = 0
        for finding in track(reconcile.find(), "Reconciling", console=console, disable=quiet):
            outcome = "found"
            if not options["dry_run"]:
                try:
                    outcome = REMEDIES[finding.kind] if reconcile.repair(finding) else "somebody is at it"
                except Exception as error:  # noqa: BLE001 -- the others are put right all the same
                    failures += 1
                    outcome = f"failed: {type(error).__name__}"
            outcomes.append((finding, outcome))
        self._report(outcomes, as_json=options["json"])
        if failures:
            raise CommandError(f"{failures} of {len(outcomes)} could not be put right.")

    def _report(self, outcomes: list[tuple[Finding, str]], *, as_json: bool) -> None:
        if as_json:
            rows = [
                {
                    "kind": finding.kind.name.lower(),
                    "schema_name": finding.schema_name,
                    "tenant": finding.slug or None,
                    "outcome": outcome,
                }
                for finding, outcome in outcomes
            ]
            self.stdout.write(json.dumps({"findings": rows}))
            return
        if not outcomes:
            self.stdout.write("Nothing is left over.")
            return
        table = Table("schema", "tenant", "what", "outcome")
        for finding, outcome in outcomes:
            table.add_row(finding.schema_name, finding.slug, finding.kind, outcome)
        Console(file=self.stdout, width=120).print(table)  # type: ignore[arg-type]  # Django's wrapper of a stream
