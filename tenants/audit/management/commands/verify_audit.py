"""``manage.py verify_audit``: check the chains of the audit trail; for cron, and for whoever doubts them."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from tenants.audit import selectors
from tenants.audit.models import PLATFORM


class Command(BaseCommand):
    help = "Check that no event of the audit trail was edited, removed, added or put elsewhere. Exit status 1 if so."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", type=UUID, help=f"One tenant's id ({PLATFORM} for the platform); default: all.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object a chain.")

    def handle(self, *args: Any, **options: Any) -> None:
        chains = [options["tenant"]] if options["tenant"] else selectors.chain_ids()
        console = Console(stderr=True)
        quiet = options["json"] or not console.is_terminal
        broken = 0
        for chain_id in track(chains, "Verifying", console=console, disable=quiet):
            verdict = selectors.verdict_on(chain_id)
            broken += not verdict.is_whole
            if options["json"]:
                self.stdout.write(json.dumps({"chain": str(chain_id), "is_whole": verdict.is_whole, **asdict(verdict)}))
                continue
            state = "whole" if verdict.is_whole else "BROKEN"
            self.stdout.write(f"{chain_id}  {state}  {verdict.events} events, {verdict.first} to {verdict.last}")
            for fault in verdict.faults:
                self.stdout.write(f"    event {fault.sequence}: {fault.problem}")
        if broken:
            raise CommandError(f"{broken} of {len(chains)} chains are not whole.")
