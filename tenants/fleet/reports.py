"""What a run says: to people, to programs, and by its exit status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tenants.fleet import runner
from tenants.fleet.plans import Plan
from tenants.fleet.runner import Report
from tenants.fleet.status import TenantState


def refuse_failures(report: Report) -> None:
    """End with exit status 1 if not everybody was migrated.

    Raises:
        CommandError: it names every failure.
    """
    lines = [f"  {member.schema_name} ({member.slug}): {error}" for member, error in report.failures.items()]
    if lines:
        lines.insert(0, f"{len(lines)} tenant(s) were not migrated:")
    if report.waiting:
        lines.append(f"A canary failed: {len(report.waiting)} tenant(s) were not begun.")
    if lines:
        raise CommandError("\n".join(lines))


@contextmanager
def bar(*, shown: bool) -> Iterator[runner.Progress]:
    """Give what a run reports its progress to: a bar on a terminal, else nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as progress:
        task = progress.add_task("Waiting for another run", total=None)

        def report(what: str, more: int) -> None:
            progress.update(task, description=what, advance=more)

        yield report


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    return {
        "run": str(report.run_id) if report.run_id else None,
        "target": report.target,
        "tenants": report.tenants,
        "plans": [_plan(plan) for plan in report.plans],
        "migrated": [member.slug for member in report.migrated],
        "failed": [
            {"slug": member.slug, "schema_name": member.schema_name, "error": error}
            for member, error in report.failures.items()
        ],
        "not_begun": [member.slug for member in report.waiting],
        "drifted": [member.slug for member in report.drifted],
        "seconds": round(report.seconds, 3),
        "comparing_seconds": round(report.comparing_seconds, 3),
    }


def show(report: Report, console: Console) -> None:
    """Tell people how a run went, except for failures: the exit does."""
    behind = sum(len(plan.point.members) for plan in report.plans)
    console.print(
        f"{report.tenants} tenant(s), {behind} behind; {len(report.migrated)} migrated to {report.target}"
        f" in {report.seconds:.2f} s, compared in {report.comparing_seconds:.2f} s."
    )
    for plan in report.plans:
        if plan.note:
            console.print(f"From {plan.point.version}: {plan.note}", markup=False)
    if report.drifted:
        console.print(f"{len(report.drifted)} drifted: {', '.join(member.slug for member in report.drifted)}")
        console.print("`manage.py fleet status --tenant SLUG` shows in what they differ.")


def show_plan(report: Report, console: Console) -> None:
    """Tell people what a run would do."""
    if not report.plans:
        console.print(f"{report.tenants} tenant(s), all at {report.target}.")
    for plan in report.plans:
        console.print(f"{len(plan.point.members)} tenant(s) from {plan.point.version} to {plan.target}:")
        for step in plan.steps:
            how = "replayed" if step.statements is not None else "run in each tenant"
            how += "" if step.is_atomic else ", outside a transaction"
            console.print(f"  {'.'.join(step.key)} ({how})", markup=False, highlight=False)
            for statement in step.statements or ():
                console.print(f"    {statement};", markup=False, highlight=False, soft_wrap=True)
        if plan.note:
            console.print(f"  {plan.note}", markup=False)


def show_states(states: list[TenantState], console: Console, *, every: bool) -> None:
    """Tell people where tenants stand: those with something to say, or all."""
    shown = states if every else [state for state in states if not state.is_well]
    if shown:
        table = Table("tenant", "schema", "status", "version", "behind by", "drifted", "last failure")
        for state in shown:
            drifted = {True: "yes", False: "no", None: "-"}[state.is_drifted]
            behind = str(len(state.behind)) if state.behind else "-"
            table.add_row(
                state.slug, state.schema_name, state.status, state.version, behind, drifted, state.failure or "-"
            )
        console.print(table)
    console.print(f"{len(states)} tenant(s), {sum(state.is_well for state in states)} of them as they should be.")


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "from": plan.point.version,
        "to": plan.target,
        "tenants": len(plan.point.members),
        "steps": [
            {
                "migration": ".".join(step.key),
                "replayed": step.statements is not None,
                "atomic": step.is_atomic,
                "sql": list(step.statements or ()),
            }
            for step in plan.steps
        ],
        "note": plan.note,
    }
