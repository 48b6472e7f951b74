"""The guide for adopters, run as it stands: in a copy of the checkout, on a demo of its own."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import checkouts
from tests.running_demo import running

GUIDE = (checkouts.ROOT / "examples" / "README.md").read_text()
MADE = "apps/invoices"


def block(name: str) -> str:
    """The fenced block below the mark of this name."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None, name
    return found[1]


def bash(checkout: Path, script: str) -> str:
    """Paste a block into a shell in the checkout, and return all that it shows."""
    result = subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=checkouts.environment(), capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, as it was before anybody followed the guide, with the app of the guide."""
    folder = checkouts.copy(tmp_path_factory.mktemp("guide") / "tenantry", without=("apps", "test_app_*"))
    if (checkouts.ROOT / "apps").exists():
        checkouts.run(folder, "manage.py", "generate_openapi")
    printed = bash(folder, block("make"))
    assert f"{MADE}/api.py" in printed, printed
    return folder


def test_the_table_of_files_is_the_apps(checkout: Path) -> None:
    made = {file.name for file in (checkout / MADE).iterdir() if file.name != "__init__.py"}
    rows = re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)
    assert {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)} == made | {
        "tests/test_app_invoices.py"
    }


def test_each_answer_is_what_the_guide_says(checkout: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the guide is for curl")
    with running(checkout, tmp_path) as demo:
        script = 'curl() { command curl "$@" && echo; }\n' + block("use")
        printed = bash(checkout, script.replace(":8000", f":{demo['api'].rpartition(':')[2]}"))
    answers: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    made, seen, refused, elsewhere, stranger, typo = answers
    assert made["name"] == "Rocket skates, March"
    assert seen == made
    assert (refused["status"], refused["code"], refused["scope"]) == (403, "insufficient_scope", "invoices:write")
    assert (elsewhere["status"], elsewhere["code"]) == (404, "not_found")
    assert (stranger["status"], stranger["code"]) == (401, "not_authenticated")
    assert (typo["status"], [error["pointer"] for error in typo["errors"]]) == (400, ["#/nmae"])


def test_a_forgotten_declaration_is_told_in_the_guides_words(checkout: Path) -> None:
    before = (checkout / MADE / "api.py").read_text()
    assert block("told").strip() in bash(checkout, block("forget"))
    assert (checkout / MADE / "api.py").read_text() == before
    assert checkouts.run(checkout, "manage.py", "check").startswith("System check identified no issues")
