"""``make demo`` as its user meets it: it serves, what it prints works when pasted, and it stops without a trace."""

import json
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings

from config.demo_data import PROVIDER_SECRET
from config.demo_provider import DemoProvider
from tests.running_demo import free_pair

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


def sign_in_by_provider(demo: dict[str, Any], start: str, person: str, **more: str) -> httpx.Response:
    """Go where a browser goes, and pick who one is there."""
    verifier = secrets.token_urlsafe(48)
    body = {"return_to": f"{demo['api']}/signed-in", "code_challenge": create_s256_code_challenge(verifier), **more}
    begun = httpx.post(f"{demo['api']}/api/v1/auth/{start}/start", json=body)
    assert begun.status_code == 200, begun.text
    url = begun.json()["authorization_url"]
    assert url.startswith(f"{demo['identity_provider']}/authorize?")
    assert f'value="{person}"' in httpx.get(url).text
    callback = httpx.post(url, data={"person": person}).headers["Location"]
    assert callback.startswith(demo["api"])
    (code,) = parse_qs(urlsplit(httpx.get(callback).headers["Location"]).query)["code"]
    return httpx.post(f"{demo['api']}/api/v1/auth/federated", json={"code": code, "code_verifier": verifier})


def test_single_sign_on_can_be_tried(demo: dict[str, Any]) -> None:
    """Somebody new comes in by acme's provider, with the role of their group there; and is out when the provider says
    so. Whose address is at no domain of acme's does not come in.
    """
    tokens = sign_in_by_provider(demo, "sso", "newcomer", email="newcomer@acme.test").json()
    assert (tokens["tenant"], tokens["role"]) == ("acme", "admin")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = httpx.get(f"{demo['api']}/api/v1/me", headers=headers)
    assert me.json()["email"] == "newcomer@acme.test"

    (sid,) = re.findall(r'name="sid" value="([^"]+)"', httpx.get(demo["identity_provider"]).text)
    assert "signed out (200)" in httpx.post(demo["identity_provider"], data={"sid": sid}).text
    assert httpx.get(f"{demo['api']}/api/v1/me", headers=headers).json()["code"] == "invalid_token"

    member = sign_in_by_provider(demo, "sso", "member", tenant="acme").json()
    assert (member["tenant"], member["role"]) == ("acme", "member")
    assert sign_in_by_provider(demo, "sso", "stranger", tenant="acme").json()["code"] == "foreign_identity"


def test_social_sign_in_can_be_tried(demo: dict[str, Any]) -> None:
    assert sign_in_by_provider(demo, "social/demo", "stranger").json()["tenant"] is None
    assert sign_in_by_provider(demo, "social/demo", "member").json()["code"] == "link_needed"


def test_the_demos_provider_gives_nothing_away(demo: dict[str, Any]) -> None:
    """It asks for no password, but it is a provider all the same."""
    issuer = demo["identity_provider"]
    assert httpx.get(f"{issuer}/authorize?client_id=tenantry-sso&redirect_uri=https://evil.test/").status_code == 400
    form = {"grant_type": "authorization_code", "code": "x", "client_id": "tenantry-sso", "client_secret": "wrong"}
    assert httpx.post(f"{issuer}/token", data=form).json()["error"] == "invalid_client"
    form["client_secret"] = PROVIDER_SECRET
    assert httpx.post(f"{issuer}/token", data=form).json()["error"] == "invalid_grant"
    assert httpx.get(f"{issuer}/userinfo", headers={"Authorization": "Bearer x"}).status_code == 401
    assert httpx.get(f"{issuer}/nothing").status_code == 404


def test_the_demos_provider_stays_in_development() -> None:
    with override_settings(IN_DEVELOPMENT=False), pytest.raises(ImproperlyConfigured, match="development only"):
        DemoProvider("http://localhost:1", [])


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
    environment = demo["environment"] | {"DATA_DIR": str(tmp_path), "PORT": str(free_pair())}
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
