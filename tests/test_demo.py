"""``make demo`` as its user meets it: it serves, what it prints works when pasted, and it stops without a trace."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests.running_demo import free_port

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are for curl")
def test_the_printed_commands_work_when_pasted(demo: dict[str, Any]) -> None:
    script = "\necho; echo ----\n".join(demo["commands"])
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    signed_in, listed, refused, operators = (part.strip() for part in result.stdout.split("----"))
    assert signed_in == ""
    assert {row["name"] for row in json.loads(listed)["results"]} == {"Rocket skates", "Giant magnet"}
    assert refused.startswith("HTTP/1.1 403")
    assert '"code":"tenant_mismatch"' in refused
    assert {row["slug"] for row in json.loads(operators)["results"]} == {"acme", "globex"}


def test_everybody_named_can_sign_in(demo: dict[str, Any]) -> None:
    for account in demo["accounts"]:
        body = {"email": account["email"], "password": demo["password"]}
        host = {"Host": demo["tenants"][account["tenant"]].removeprefix("http://")}
        response = httpx.post(f"{demo['api']}/api/v1/auth/login", json=body, headers=host)
        assert (response.json()["tenant"], response.json()["role"]) == (account["tenant"], account["role"])


def test_the_docs_are_there_with_all_their_files(demo: dict[str, Any]) -> None:
    page = httpx.get(demo["docs"])
    assert page.status_code == 200
    for file in re.findall(r'"(/static/[^"]+)"', page.text):
        assert httpx.get(demo["api"] + file).status_code == 200, file


def test_a_taken_port_is_said_before_anything_is_started(demo: dict[str, Any], tmp_path: Path) -> None:
    environment = demo["environment"] | {"DATA_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "make demo PORT=" in result.stderr
    assert not (tmp_path / "postgres").exists()


def test_a_server_that_does_not_answer_is_said_in_a_sentence(demo: dict[str, Any], tmp_path: Path) -> None:
    environment = demo["environment"] | {"DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    environment["DATABASE_URL"] = "postgresql://somebody:the-password@127.0.0.1:1/nowhere"
    result = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "DATABASE_URL cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
    assert "the-password" not in result.stdout + result.stderr


def test_seeding_again_changes_nothing(demo: dict[str, Any]) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "seed_demo"],
        cwd=ROOT,
        env=demo["environment"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "Everything is there already."


def test_stopping_leaves_no_process_and_no_published_secret(demo: dict[str, Any]) -> None:
    """Last in this file: it ends the demo."""
    process: subprocess.Popen[str] = demo["process"]
    folder = Path(demo["environment"]["DATA_DIR"])
    assert (folder / "database-url").stat().st_mode & 0o077 == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not (folder / "database-url").exists()
    time.sleep(0.1)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(demo["environment"]["PORT"]))) != 0
    assert not (folder / "postgres").resolve().joinpath("data", "postmaster.pid").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise to tell a child is Linux's")
def test_a_killed_demo_leaves_no_server_behind(demo: dict[str, Any]) -> None:
    """Started again on the same data, then killed: the port is free a moment later."""
    port = int(demo["environment"]["PORT"])
    again = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--json"],
        cwd=ROOT,
        env=demo["environment"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert again.stdout is not None
    assert json.loads(again.stdout.readline())["operator"]
    again.kill()
    again.wait()
    again.stdout.close()
    # As a rule at once. A connection that arrives with the signal can lock a gunicorn worker up (its handler shuts the
    # thread pool down from inside `submit`); its master then ends it after `graceful_timeout`, 20 seconds.
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.1)
    pytest.fail("the web server outlived the demo")


@pytest.mark.parametrize("command", ["demo", "seed_demo"])
def test_the_demos_public_password_stays_in_development(command: str) -> None:
    with override_settings(IN_DEVELOPMENT=False), pytest.raises(CommandError, match="public password"):
        call_command(command)
    assert settings.IN_DEVELOPMENT
