"""The benchmarks run, so that they do not rot: the smallest one there can be. What they find is not looked at here."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import over_http, report, serving_ours, speed
from tests.benchmarks.driver import Size

SMALLEST = speed.Plan(
    size=Size(rounds=1, times=2, seconds=0.2),
    tenants=[1, 2],
    starts=1,
    rounds=1,
    seconds=0.2,
    settings=[],
    provisioning=[],
    fleet=0,
)


def test_everybody_is_measured_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "CASES", ("GET one", "list 20"))
    monkeypatch.setitem(speed.SERVED, "http", lambda run: over_http.requests([run.ours], run.plan.size, run.database))
    found = speed.measure(SMALLEST, ["in_process", "growth", "http"])
    report.write(found, tmp_path, "speed")
    written = json.loads((tmp_path / "speed.json").read_text())
    assert set(written["in_process"]["GET one"]) == {"ours", "stock", "tuned"}
    assert written["http"]["list 20"]["ours"]["requests_per_second"] > 0
    assert set(written["in_process"]["hash"]) == {"floors"}
    assert set(written["growth"]["ours"]) == {"1", "2"}
    assert "faster than tuned" in (tmp_path / "speed.md").read_text()


@pytest.mark.parametrize(("growth", "verdict"), [(0.0, "flat"), (0.02, "flat"), (0.2, "growing")])
def test_a_soak_says_whether_memory_grows(growth: float, verdict: str) -> None:
    looks = [(10.0 * number, 90.0 + growth * number + number % 2) for number in range(60)]
    assert serving_ours.verdict(looks)["verdict"] == verdict
