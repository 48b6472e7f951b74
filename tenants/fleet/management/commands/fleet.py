"""``manage.py fleet``: migrate every tenant, and see where they stand."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from tenants.audit.services import record
from tenants.context.ownership import as_owner
from tenants.fleet import reports, runner, status
from tenants.fleet.errors import AnotherRun
from tenants.registry import selectors

TRY_AGAIN_LATER = 75  # as in sysexits.h


class Command(BaseCommand):
    help = "Bring every tenant to the newest migrations, or show where they stand."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        migrate = verbs.add_parser("migrate", help="bring every tenant to the newest migrations")
        migrate.add_argument("--plan", action="store_true", help="show what would be done, with its SQL")
        migrate.add_argument(
            "--canary",
            nargs="+",
            default=settings.FLEET_CANARIES,
            metavar="SLUG",
            help="migrate these first, or so many; if one fails, nobody else is begun",
        )
        migrate.add_argument("--parallel", type=int, default=settings.FLEET_PARALLEL, help="connections at work")
        waiting = migrate.add_mutually_exclusive_group()
        waiting.add_argument("--wait", action="store_true", default=True, help="for another run to end (the default)")
        waiting.add_argument(
            "--no-wait",
            action="store_false",
            dest="wait",
            help=f"leave with exit status {TRY_AGAIN_LATER} if another run is at work",
        )
        shown = verbs.add_parser("status", help="show versions, drift and failures")
        shown.add_argument("--all", action="store_true", help="show the tenants that are as they should be, too")
        for verb in (migrate, shown):
            verb.add_argument("--tenant", nargs="+", metavar="SLUG", help="these alone")
            verb.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        self._console = Console(file=self.stdout)  # type: ignore[arg-type]  # it has all that is written to
        names = None if options["tenant"] is None else [_schema_name(slug) for slug in options["tenant"]]
        if options["verb"] == "status":
            self._status(names, options)
        else:
            self._migrate(names, options)

    def _migrate(self, names: list[str] | None, options: dict[str, Any]) -> None:
        wish = runner.Wish(names, _canaries(options["canary"]), options["parallel"], options["wait"])
        if options["plan"]:
            report = runner.plan(wish)
            self._print(options, report)
            return
        try:
            with reports.bar(shown=not options["json"] and options["verbosity"] > 0) as progress:
                report = runner.run(wish, progress=progress)
        except AnotherRun as error:
            raise CommandError(str(error), returncode=TRY_AGAIN_LATER) from None
        if report.migrated or report.failures:
            _record(report)
        self._print(options, report)
        reports.refuse_failures(report)

    def _print(self, options: dict[str, Any], report: runner.Report) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(reports.as_json(report), indent=2))
        elif options["plan"]:
            reports.show_plan(report, self._console)
        elif options["verbosity"] > 0:
            reports.show(report, self._console)

    def _status(self, names: list[str] | None, options: dict[str, Any]) -> None:
        found = status.states(names)
        if options["json"]:
            every = [vars(state) | {"behind": list(state.behind)} for state in found]
            self.stdout.write(json.dumps(every, indent=2))
            return
        reports.show_states(found, self._console, every=options["all"] or names is not None)
        for state in found if names is not None else ():
            if state.is_drifted:
                lacks, has = status.differences(state.schema_name)
                lines = [*(f"  - {line}" for line in lacks), *(f"  + {line}" for line in has)]
                self.stdout.write("\n".join([f"{state.slug} lacks (-) and has (+):", *lines]))


def _record(report: runner.Report) -> None:
    """Note in the platform's trail that somebody migrated tenants by command; of a job, its request says so."""
    changes: dict[str, list[Any]] = {
        "target": [None, report.target],
        "migrated": [None, len(report.migrated)],
        "failed": [None, [member.slug for member in report.failures]],
    }
    with as_owner():
        record(action="fleet.migrated", tenant_id=None, changes=changes)


def _schema_name(slug: str) -> str:
    tenant = selectors.tenant_by_slug(slug)
    if tenant is None:
        raise CommandError(f"There is no tenant {slug!r}.")
    return str(tenant.schema_name)


def _canaries(given: list[str]) -> list[str] | int:
    return int(given[0]) if len(given) == 1 and given[0].isdecimal() else given
