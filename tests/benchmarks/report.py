"""What was measured as JSON, as tables for the terminal and in Markdown, and as plots."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import goals

PACKAGES = ("Django", "djangorestframework", "djangorestframework-simplejwt", "django-tenants", "psycopg", "gunicorn")
PEERS = ("ours", "stock", "tuned")
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table before it is written in some form: the first column is what a row is about."""

    title: str
    head: list[str]
    rows: list[list[str]]

    def for_terminal(self) -> Table:
        """Return it for rich."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> str:
        """Return it as Markdown."""
        lines = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(cells)} |" for cells in lines), ""])


def machine() -> dict[str, Any]:
    """Say on what, with which versions and when this is measured."""
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": os.cpu_count(),
        "versions": {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def grids(report: Report) -> list[Grid]:
    """Return every table that this report has numbers for."""
    found = [make(report[part]) for part, make in _GRIDS.items() if report.get(part)]
    return [*found, _goals(report)] if goals.goals(report) else found


def _by_peer(title: str, found: Report, value: Callable[[Any], float], *, lower_is_better: bool) -> Grid:
    rows = []
    for case, of in found.items():
        if "floors" in of:
            rows.append([f"floor: {_FLOORS.get(case, case)}", _number(value(of["floors"])), "", "", "", ""])
            continue
        values = {peer: value(of[peer]) for peer in PEERS if peer in of}
        ratios = {
            peer: (each / values["ours"] if lower_is_better else values["ours"] / each) for peer, each in values.items()
        }
        cells = [_number(values[peer]) if peer in values else "" for peer in PEERS]
        times = [f"{ratios[peer]:.1f}x" if peer in ratios else "" for peer in PEERS[1:]]
        rows.append([case, *cells, *times])
    return Grid(title, ["", *PEERS, "faster than stock", "than tuned"], rows)


_FLOORS = {
    "django": "bare Django view",
    "drf": "bare DRF view",
    "entering": "bare DRF view, enter, one SELECT",
    "hash": "comparing a password with its hash",
}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _in_process(found: Report) -> Grid:
    title = "Processor time of a request in the process, ms"
    return _by_peer(title, found, lambda of: float(of["cpu"]), lower_is_better=True)


def _http(found: Report) -> Grid:
    title = "Requests a second over HTTP, one worker with four threads"
    return _by_peer(title, found, lambda of: float(of["requests_per_second"]), lower_is_better=False)


def _growth(found: Report) -> Grid:
    counts = list(next(iter(found.values())))
    rows = []
    for peer, of in found.items():
        first = of[counts[0]]
        rows.append([peer, *(f"{of[n]['wall']:.2f} ({of[n]['wall'] / first['wall']:.2f}x)" for n in counts)])
    return Grid("GET one from tenant to tenant, ms, and how many times as long as in one", ["tenants", *counts], rows)


def _memory(found: Report) -> Grid:
    keys = ("worker", "worker_after", "connection", "connection_after")
    head = ["MB", "worker", "after all tenants", "connection", "after all tenants"]
    return Grid("Memory", head, [[peer, *(f"{of[key]:.1f}" for key in keys)] for peer, of in found.items()])


def _started(found: Report) -> Grid:
    return Grid(
        "From nothing until it can answer, s", ["", "s"], [[peer, f"{median(of):.2f}"] for peer, of in found.items()]
    )


def _neighbour(found: Report) -> Grid:
    rows = [[what, *(f"{found[what][key]:.1f}" for key in ("p50", "p95", "p99"))] for what in ("alone", "beside noise")]
    return Grid("Another tenant's wait beside one at ten times its limit, ms", ["", "p50", "p95", "p99"], rows)


def _servers(found: list[Report]) -> Grid:
    rows = [
        [f"{of['server']}, {of['workers']} x {of['threads']}", of["case"], f"{of['requests_per_second']:,.0f}",
         f"{of['p50']:.1f}", f"{of['p99']:.1f}", f"{of['server_cpu']:.2f}"]
        for of in found
    ]  # fmt: skip
    head = ["server, processes x threads", "case", "requests/s", "p50, ms", "p99, ms", "processor, ms"]
    return Grid("Ours behind servers", head, rows)


def _provisioning(found: Report) -> Grid:
    rows = []
    for tenants, of in found.items():
        medians = [median(of[way]) for way in ("pool", "template", "stock")]
        times = [f"{medians[-1] / value:.0f}x" for value in medians[:-1]]
        rows.append([tenants, *(f"{value:.1f}" for value in medians), *times])
    head = ["tenants there", "from the pool", "from the template", "stock", "pool faster", "template faster"]
    return Grid("Making a tenant, ms", head, rows)


def _fleet(found: Report) -> Grid:
    rows = []
    for what, title in {"nothing": "nothing to do", "column": "one nullable column"}.items():
        mine, theirs = found["ours"][what]["seconds"], found["stock"][what]["seconds"]
        rows.append([title, f"{mine:.3f}", f"{theirs:.2f}", f"{theirs / mine:.0f}x"])
    return Grid(f"Migrating {found['tenants']:,} tenants, s", ["", "ours", "stock", "faster"], rows)


def _soak(found: Report) -> Grid:
    rows = [
        [
            what,
            f"{found[what]['megabytes']:.1f}",
            f"{found[what].get('megabytes_per_hour', 0):+.2f}",
            found[what]["verdict"],
        ]
        for what in ("worker", "connection")
    ]
    title = f"{found['minutes']:g} minutes of mixed load over {found['tenants']} tenants, {found['answers']:,} answers"
    return Grid(title, ["", "MB", "MB in an hour", "verdict"], rows)


def _goals(report: Report) -> Grid:
    rows = [
        [goal.name, f"{'at least' if goal.least else 'at most'} {goal.limit:g}{goal.unit}",
         f"{goal.found:{',.0f' if goal.found >= 100 else '.2f'}}{goal.unit}", "yes" if goal.met else "no"]
        for goal in goals.goals(report)
    ]  # fmt: skip
    return Grid("What it is to be", ["", "goal", "measured", "met"], rows)


_GRIDS: dict[str, Callable[[Any], Grid]] = {
    "in_process": _in_process,
    "http": _http,
    "growth": _growth,
    "memory": _memory,
    "started": _started,
    "neighbour": _neighbour,
    "servers": _servers,
    "provisioning": _provisioning,
    "fleet": _fleet,
    "soak": _soak,
}


def write(report: Report, folder: Path, name: str) -> None:
    """Write JSON and Markdown into a folder, and print the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    about = report["machine"]
    versions = ", ".join(f"{package} {number}" for package, number in about["versions"].items())
    lines = [f"{about['date']}; {about['cores']} cores, {about['machine']}; {versions}.", ""]
    found = grids(report)
    (folder / f"{name}.md").write_text("\n".join([*lines, *(grid.as_markdown() for grid in found)]))
    console = Console(width=None if Console().is_terminal else 130)
    for grid in found:
        console.print(grid.for_terminal())
