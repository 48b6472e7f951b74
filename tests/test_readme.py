"""The README's tours, run as they stand."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def answers(demo: dict[str, Any]) -> dict[str, list[Any]]:
    """What each tour's commands answered, pasted one tour after the other into one shell."""
    if shutil.which("curl") is None:
        pytest.skip("the tours are for curl")
    # Each answer on a line of its own: curl ends none.
    script = ['curl() { command curl "$@" && echo; }']
    names = ("tour", "admin tour", "ways in")
    for name in names:
        block = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        assert block is not None
        script += [f"echo '## {name}'", block[1]]
    port = demo["api"].rpartition(":")[2]
    text = (
        "\n".join(script)
        .replace(":8000", f":{port}")
        .replace(":8001", f":{int(port) + 1}")
        .replace(".data/", f"{demo['environment']['DATA_DIR']}/")
    )
    result = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    parts = re.split(r"^## .*\n", result.stdout, flags=re.MULTILINE)[1:]
    return {
        name: [json.loads(line) for line in part.splitlines() if line.startswith(("{", "["))]
        for name, part in zip(names, parts, strict=True)
    }


def test_the_tour_works_when_pasted(answers: dict[str, list[Any]]) -> None:
    """Each command's answer is what the comment above it says."""
    me, projects, made, elsewhere, lacking, demoted, revoked, restored, *others, tenant, theirs = answers["tour"]
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


def test_the_admins_tour_works_when_pasted(answers: dict[str, list[Any]]) -> None:
    registered, tenant, settings, scopes, *rest = answers["admin tour"]
    assert registered == {"email": "ada@people.test"}
    assert (tenant["slug"], tenant["role"], tenant["status"]) == ("hooli", "owner", "active")
    assert (settings["time_zone"], settings["branding"]) == ("Europe/Lisbon", {"primary_color": "#1a73e8"})
    assert {row["scope"]: row["is_held"] for row in scopes}["members:write"] is True
    invited, joined, refused, changed, revoked, suspended, kept, domain, events, verdict, forgot, out = rest
    assert (invited["role"], invited["status"]) == ("planner", "pending")
    assert joined == {"email": "vera@people.test", "tenant": "hooli", "tenant_name": "Hooli"}
    assert (refused["code"], refused["scope"]) == ("insufficient_scope", "projects:write")
    assert changed["scopes"] == ["projects:write", "tasks:write"]
    assert (revoked["code"], suspended["status"], kept["code"]) == ("invalid_token", "suspended", "last_owner")
    assert (domain["domain"], domain["status"], domain["record"]["type"]) == ("hooli.test", "pending", "TXT")
    assert [event["action"] for event in events["results"]][:2] == ["domain.added", "member.suspended"]
    assert (verdict["is_whole"], verdict["faults"]) == (True, [])
    assert forgot["email"] == "ada@people.test"
    assert out["code"] == "invalid_token"


def test_the_ways_in_work_when_pasted(answers: dict[str, list[Any]]) -> None:
    newcomer, out, added, waiting, strict, asked, lenient = answers["ways in"]
    assert (newcomer["email"], newcomer["role"]) == ("newcomer@acme.test", "admin")
    assert out["code"] == "invalid_token"
    assert added["factor"]["kind"] == "totp"
    assert (waiting["code"], waiting["methods"]) == ("second_factor_required", ["totp", "recovery_code"])
    assert strict["require_second_factor"] is True
    assert (asked["code"], asked["enroll"]) == ("second_factor_required", ["totp"])
    assert lenient["require_second_factor"] is False
