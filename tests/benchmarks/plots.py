"""The plots: PNG and SVG of what a report has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PEERS = {"ours": "#1a73e8", "tuned": "#8ab4a8", "stock": "#c0c4c8"}
CASES = ("GET one", "list 20", "POST", "PATCH", "refresh")

mpl.rcParams |= {"svg.hashsalt": "tenantry", "svg.fonttype": "none"}  # the same numbers are the same, small file


def speed(report: Mapping[str, Any], folder: Path) -> None:
    """Draw processor time, requests in a second and growth, as far as they were measured, side by side."""
    parts = [(part, draw) for part, draw in _PARTS.items() if report.get(part)]
    if not parts:
        return
    figure = Figure(figsize=(4.6 * len(parts), 3.6), layout="constrained")
    axes = figure.subplots(1, len(parts), squeeze=False)[0]
    for place, (part, draw) in zip(axes, parts, strict=True):
        draw(place, report[part])
        place.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    about = report["machine"]
    figure.supxlabel(f"{about['date']}, {about['cores']} cores, {about['machine']}", fontsize=7, color="#666666")
    save(figure, folder, "speed")


def _in_process(axes: Axes, found: Mapping[str, Any]) -> None:
    _bars(axes, found, "cpu", "ms of processor time (less is better)")


def _http(axes: Axes, found: Mapping[str, Any]) -> None:
    _bars(axes, found, "requests_per_second", "requests/s over HTTP (more is better)")


def _bars(axes: Axes, found: Mapping[str, Any], what: str, title: str) -> None:
    cases = [case for case in CASES if case in found]
    for number, (peer, color) in enumerate(PEERS.items()):
        values = [found[case].get(peer, {}).get(what, 0) for case in cases]
        places = [place + (number - 1) * 0.27 for place in range(len(cases))]
        bars = axes.bar(places, values, width=0.25, color=color, label=peer)
        axes.bar_label(
            bars, labels=[f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values], fontsize=6
        )
    axes.set_xticks(range(len(cases)), cases, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.tick_params(axis="y", labelsize=7)


def _growth(axes: Axes, found: Mapping[str, Any]) -> None:
    for peer, color in PEERS.items():
        if peer in found:
            counts = [int(count) for count in found[peer]]
            axes.plot(counts, [of["wall"] for of in found[peer].values()], marker="o", color=color, label=peer)
    axes.set_xscale("symlog")
    axes.set_xticks(counts, [f"{count:,}" for count in counts], fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_title("GET one by number of tenants, ms", fontsize=9)
    axes.tick_params(axis="y", labelsize=7)


_PARTS = {"in_process": _in_process, "http": _http, "growth": _growth}


def soak(report: Mapping[str, Any], folder: Path) -> None:
    """Draw memory over time."""
    moments = report["soak"]["moments"]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (key, title) in zip(
        figure.subplots(1, 2),
        {
            "worker": "the largest worker's memory, MB",
            "connection_max": "the largest database connection's memory, MB",
        }.items(),
        strict=True,
    ):
        axes.plot([each["at"] / 60 for each in moments], [each[key] for each in moments], color=PEERS["ours"])
        axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("minutes", fontsize=8)
    save(figure, folder, "soak")


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure in both formats, the same for the same numbers."""
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=150)
