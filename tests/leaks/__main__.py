"""``python -m tests.leaks``: a trial from the command line; the exit status says whether every promise was kept."""

import json
import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "platform"))

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.leaks import pooler
from tests.leaks.ground import prepared
from tests.leaks.report import Plan, Report
from tests.leaks.sabotage import Sabotage
from tests.leaks.trial import run


def main() -> int:
    """Run what the command line asks for, and return the exit status."""
    asked = _arguments()
    console = Console(stderr=asked.json, highlight=False)
    if asked.pgbouncer and not pooler.is_installed():
        console.print("There is no pgbouncer on the PATH.")
        return 2
    plan = Plan(
        requests=asked.requests,
        clients=asked.clients,
        pgbouncer=asked.pgbouncer,
        chaos=not asked.no_chaos,
        sabotage=Sabotage(asked.sabotage),
        log=asked.log,
    )
    with ExitStack() as stack:
        with console.status(f"Making {asked.tenants} tenants"):
            ground = stack.enter_context(prepared(asked.tenants))
        report = run(ground, plan, show=_Bar(stack, console, plan.requests))
    if asked.json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        _print(console, report)
    return 0 if report.is_good() else 1


def _arguments() -> Namespace:
    parser = ArgumentParser("python -m tests.leaks", description="Look for rows of one tenant in answers to another.")
    parser.add_argument("--requests", type=int, default=10_000, help="how many answers to check")
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pgbouncer", action="store_true", help="put PgBouncer in front of the database")
    parser.add_argument("--sabotage", choices=[kind.value for kind in Sabotage], default=Sabotage.NONE.value)
    parser.add_argument("--no-chaos", action="store_true", help="disturb nothing meanwhile")
    parser.add_argument("--log", type=Path, help="keep what the server prints in this file")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class _Bar:
    """A progress bar that begins with the first answers: its thread must not run before the server is started."""

    def __init__(self, stack: ExitStack, console: Console, total: int) -> None:
        self._stack, self._console, self._total = stack, console, total
        self._progress: Progress | None = None

    def __call__(self, checked: int, wrong: int) -> None:
        if self._progress is None:
            self._progress = self._stack.enter_context(self._begin())
            self._task = self._progress.add_task("", total=self._total, wrong=0)
        self._progress.update(self._task, completed=checked, wrong=wrong)

    def _begin(self) -> Progress:
        counts = (MofNCompleteColumn(), TextColumn("wrong rows: {task.fields[wrong]}"), TimeElapsedColumn())
        return Progress(TextColumn("answers checked"), BarColumn(), *counts, console=self._console)


def _print(console: Console, report: Report) -> None:
    found = report.as_dict()
    table = Table(show_header=False, box=None)
    for name in ("requests", "checked", "wrong_rows"):
        table.add_row(name.replace("_", " "), f"{found[name]:,}")
    for group in ("outcomes", "writes", "slowest_recovery_seconds", "latency_seconds"):
        for name, value in found[group].items():
            table.add_row(f"{group.replace('_', ' ')}: {name.replace('_', ' ')}", f"{value:,}")
    for name in ("disturbances", "last_recovery_seconds", "seconds"):
        table.add_row(name.replace("_", " "), str(found[name]))
    console.print(table)
    for sign in found["signs"]:
        console.print(f"[red]✗[/] {escape(sign)}", soft_wrap=True)
    if report.bound is not None:
        console.print(
            f"0 wrong rows in {report.records.checked:,} answers: with 95 % confidence, at most"
            f" {report.bound:.2g} of all answers (3/N) have one."
        )
    console.print("[green]✓ every promise was kept[/]" if report.is_good() else "[red]✗ not good[/]")


if __name__ == "__main__":
    sys.exit(main())
