"""The README's tour, run as it stands."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour is for curl")
def test_the_tour_works_when_pasted(demo: dict[str, Any]) -> None:
    """Each command's answer is what the comment above it says."""
    tour = re.search(r"<!-- tour -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tour is not None
    port = demo["api"].rpartition(":")[2]
    script = tour[1].replace(":8000", f":{port}")
    # Each answer on a line of its own: curl ends none.
    script = 'curl() { command curl "$@" && echo; }\n' + script
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in result.stdout.splitlines() if line]
    me, projects, made, elsewhere, lacking, demoted, revoked, restored, *others, tenant, theirs = answers
    page, introspected, keys, switched, sessions = others
    assert (me["email"], me["role"]) == ("member@acme.test", "member")
    assert {row["name"] for row in projects["results"]} >= {"Rocket skates", "Giant magnet"}
    assert made["name"] == "Anvil drop"
    assert elsewhere["code"] == "tenant_mismatch"
    assert (lacking["code"], lacking["scope"]) == ("insufficient_scope", "tenant:write")
    assert (demoted["role"], revoked["code"], restored["role"]) == ("viewer", "invalid_token", "member")
    assert (len(page["results"]), introspected["active"], introspected["scope"]) == (1, True, "projects:read")
    assert [key["alg"] for key in keys["keys"]] == ["ES256"]
    assert (switched["tenant"], switched["role"]) == ("globex", "viewer")
    assert [row["is_current"] for row in sessions["results"]] == [True]
    assert (tenant["slug"], tenant["status"]) == ("initech", "active")
    assert theirs["id"] == tenant["id"]
