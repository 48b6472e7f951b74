"""What is logged, in both formats: a line for each request, whose it is on every other line, and no secret in any."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from rest_framework.test import APIClient

from config import logs
from config.demo_data import OPERATOR_EMAIL, PASSWORD
from config.logs import JsonFormatter, PlainFormatter
from identity.members import selectors as members
from tenants.audit.acting import commanded
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant
from tests import test_secrets
from tests.conftest import ACME, API_HOST, Call
from tests.running_demo import ROOT
from tests.test_secrets import our_log  # noqa: F401 -- a fixture

CONTEXT = {"request_id", "address", "trace_id", "span_id", "principal_kind"}
TOLD = {"time", "level", "logger", "message", "method", "route", "status", "duration_ms"} | CONTEXT


def lines(log: StringIO) -> list[dict[str, Any]]:
    """What was logged as JSON, each line one object."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def written_by(formatter: logging.Formatter, monkeypatch: pytest.MonkeyPatch) -> StringIO:
    written = StringIO()
    (handler,) = (handler for handler in logging.root.handlers if handler.name in settings.LOGGING["handlers"])
    monkeypatch.setattr(handler, "stream", written)
    monkeypatch.setattr(handler, "formatter", formatter)
    return written


@pytest.fixture
def json_log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What our handler writes in production's format."""
    return written_by(JsonFormatter(), monkeypatch)


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_one_line(call: Call, json_log: StringIO, tokens: dict[str, Any]) -> None:
    """Who, where, what and how; the route instead of the path, and nothing of the query."""
    project = call("acme_member", "GET", "/api/v1/projects").json()["results"][0]["id"]
    response = call("acme_member", "GET", f"/api/v1/projects/{project}?secret=1", HTTP_X_REQUEST_ID="mine-12345678")
    line = lines(json_log)[-1]
    assert line.keys() == TOLD | {"tenant", "tenant_id", "principal_id", "session_id"}
    assert (line["level"], line["method"], line["status"]) == ("info", "GET", 200)
    assert line["route"] == "/api/v1/projects/<uuid:pk>"
    assert (line["tenant"], line["principal_kind"]) == ("acme", "member")
    assert UUID(line["tenant_id"]) == Tenant.objects.get(slug="acme").pk
    assert UUID(line["principal_id"])
    assert line["request_id"] == response.headers["X-Request-ID"] == "mine-12345678"
    assert line["address"] == "127.0.0.1"
    assert 0 < line["duration_ms"] < 10_000
    assert project not in json_log.getvalue()
    assert "secret" not in json_log.getvalue()


@pytest.mark.parametrize(
    ("actor", "method", "path", "host", "expected"),
    [
        ("nobody", "GET", "/api/v1/projects", ACME, {"status": 401, "code": "not_authenticated", "tenant": "acme"}),
        ("acme_viewer", "POST", "/api/v1/projects", ACME, {"status": 403, "code": "insufficient_scope"}),
        ("acme_member", "GET", "/api/v1/projects", API_HOST, {"status": 200, "tenant": "acme"}),
        ("acme_member", "GET", "/api/v1/nothing/at/all", ACME, {"status": 404, "route": "(no route)"}),
        ("acme_member", "GET", "/api/v1/me", API_HOST, {"status": 200, "principal_kind": "member"}),
        ("acme_client", "GET", "/api/v1/projects", ACME, {"principal_kind": "client"}),
        ("nobody", "GET", "/", "nobodys.example", {"status": 404, "code": "unknown_host", "route": "(no route)"}),
        ("operator", "GET", "/operator/v1/tenants", API_HOST, {"principal_kind": "operator", "status": 200}),
        ("nobody", "BREW", "/api/v1/me", API_HOST, {"method": "other"}),
        ("nobody", "POST", "/oauth/token", API_HOST, {"status": 415, "code": "unsupported_media_type"}),
    ],
)
def test_a_line_says_whose_request_it_is_and_what_it_came_to(
    call: Call, json_log: StringIO, actor: str, method: str, path: str, host: str, expected: dict[str, Any]
) -> None:
    call(actor, method, path, {} if method == "POST" else None, host=host)
    (line,) = lines(json_log)
    assert {name: line.get(name) for name in expected} == expected


def test_support_access_names_both(call: Call, json_log: StringIO) -> None:
    call("acme_support", "GET", "/api/v1/projects")
    (line,) = lines(json_log)
    assert (line["principal_kind"], line["tenant"]) == ("support", "acme")
    assert UUID(line["act"])


def test_probes_are_for_those_who_debug(call: Call, json_log: StringIO, caplog: pytest.LogCaptureFixture) -> None:
    call("nobody", "GET", "/health/live")
    assert lines(json_log) == []
    caplog.set_level(logging.DEBUG, "config.observing")
    call("nobody", "GET", "/health/live")
    assert [line["level"] for line in lines(json_log)] == ["debug"]


def test_whoever_wants_no_line_gets_none(call: Call, json_log: StringIO, settings: Any) -> None:
    settings.ACCESS_LOG = False
    assert call("acme_member", "GET", "/api/v1/projects").status_code == 200
    assert json_log.getvalue() == ""


def test_every_line_of_a_request_says_whose_it_is(
    call: Call, json_log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in the middle of it, and that of a bug; neither quotes what was said with it."""
    log = logging.getLogger("somebody.elses")

    def bug(*_: Any) -> None:
        log.warning("Something %s", "odd", extra={"password": PASSWORD})
        raise LookupError(PASSWORD)

    monkeypatch.setattr(registry, "tenant_by_id", bug)
    call("acme_owner", "GET", "/api/v1/tenant")
    odd, failed, told = lines(json_log)
    assert (odd["logger"], odd["message"], odd["level"]) == ("somebody.elses", "Something odd", "warning")
    assert failed["message"] == "Internal Server Error: /api/v1/tenant"
    assert "builtins.LookupError" in failed["exception"]
    assert (told["status"], told["code"]) == (500, "server_error")
    for name in ("request_id", "trace_id", "span_id", "principal_id", "session_id", "tenant_id"):
        assert odd[name] == failed[name] == told[name]
    assert PASSWORD not in json_log.getvalue()


def test_nothing_is_left_for_the_next_request(call: Call, json_log: StringIO) -> None:
    call("acme_member", "GET", "/api/v1/projects")
    call("nobody", "GET", "/api/v1/projects", host=API_HOST)
    logging.getLogger("somebody.elses").warning("between requests")
    first, second, between = lines(json_log)
    assert first["request_id"] != second["request_id"]
    assert second.keys() == TOLD | {"code"}
    assert between.keys() == {"time", "level", "logger", "message"}


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    """Not through a logger: what tests log is passed on between processes, and they cannot take half a character."""
    message = "first\nsecond\u2028third \ud800 %s"
    written = JsonFormatter().format(logging.LogRecord("somebody.elses", logging.WARNING, "", 1, message, ('"',), None))
    assert written.isascii()
    assert "\n" not in written
    assert json.loads(written)["message"] == 'first\nsecond\u2028third \ud800 "'


def test_text_for_people_says_the_most_telling(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    written = written_by(PlainFormatter(), monkeypatch)
    request_id = call("acme_viewer", "POST", "/api/v1/projects", {}).headers["X-Request-ID"]
    (line,) = written.getvalue().splitlines()
    assert " INFO config.observing: POST /api/v1/projects 403 " in line
    assert " [tenant=acme principal_kind=viewer".replace("viewer", "member") in line
    assert line.endswith(f"code=insufficient_scope request_id={request_id}]")


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_json(
    db: None,
    our_log: StringIO,  # noqa: F811 -- the fixture
    machine: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The canaries of ``test_secrets.py`` where they do not belong, while every logger says all it can."""
    (handler,) = (handler for handler in logging.root.handlers if handler.name in settings.LOGGING["handlers"])
    monkeypatch.setattr(handler, "formatter", JsonFormatter())
    life = test_secrets.Life(test_secrets.send_here())
    life.password, life.wrong = life.canary("password"), life.canary("wrong password")
    life.tokens = life.ask(200, "POST /api/v1/auth/login", {"email": "owner@acme.test", "password": PASSWORD})
    life.client = {"client_secret": machine[1], "id": machine[0]}
    life.known["client_secret"] = test_secrets.cores("client_secret", machine[1])
    life.err()
    known = life.known | test_secrets.keys_of_ours() | {"password of the demo": [PASSWORD.encode()]}
    assert test_secrets.hits({"our log": our_log.getvalue().encode()}, known) == []
    assert len(known) >= 6
    assert {line["logger"] for line in lines(our_log)} >= {"config.observing", "django.request"}


def test_a_bug_tells_no_secret_in_json(db: None, json_log: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its message, nor in that of its cause."""

    def bug(*_: Any) -> None:
        raise LookupError(PASSWORD) from ValueError(PASSWORD)

    monkeypatch.setattr(members, "default_membership", bug)
    body = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    response = APIClient(raise_request_exception=False).post("/api/v1/auth/login", body, HTTP_HOST=API_HOST)
    assert response.status_code == 500
    written = json_log.getvalue()
    assert all(text in written for text in ("builtins.LookupError", "builtins.ValueError", "in bug"))
    assert PASSWORD not in written


# --- Every process ----------------------------------------------------------------------------------------------------


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOG_")}
    return subprocess.run(command, cwd=ROOT, env=environment | more, capture_output=True, text=True, check=False)


def test_commands_log_in_the_same_format() -> None:
    """``manage.py``, in development where the environment asks for it: one object in each line."""
    script = (
        "import sys; sys.path[:0] = ['.', 'platform'];"
        "import django; django.setup(); import logging; logging.getLogger('a').warning('b')"
    )
    result = run(sys.executable, "-c", script, LOG_FORMAT="json", DJANGO_SETTINGS_MODULE="config.settings")
    assert json.loads(result.stderr)["message"] == "b"


@pytest.mark.parametrize(
    ("environ", "form"),
    [
        ({}, "json"),
        ({"TENANTRY_ENV": "production"}, "json"),
        ({"TENANTRY_ENV": "development"}, "plain"),
        ({"TENANTRY_ENV": "development", "LOG_FORMAT": "json"}, "json"),
        ({"LOG_FORMAT": "plain"}, "plain"),
    ],
)
def test_production_writes_json_unless_told_otherwise(environ: dict[str, str], form: str) -> None:
    assert logs.chosen_format(environ) == form


@pytest.mark.parametrize("configuration", [logs.configuration])
def test_another_format_is_refused(configuration: Callable[..., Any]) -> None:
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT is 'xml'"):
        configuration(form="xml", level="INFO")


def test_gunicorn_says_what_it_says_in_the_same_format() -> None:
    script = (
        "import runpy; from gunicorn.config import Config; from gunicorn.glogging import Logger; cfg = Config();"
        "found = runpy.run_path('platform/config/gunicorn.py'); cfg.set('logconfig_dict', found['logconfig_dict']);"
        "cfg.set('loglevel', 'warning'); log = Logger(cfg); log.info('too little'); log.error('Worker %s left', 7)"
    )
    line = json.loads(run(sys.executable, "-c", script, LOG_FORMAT="json").stderr)
    assert (line["logger"], line["level"], line["message"]) == ("gunicorn.error", "error", "Worker 7 left")


def test_a_line_of_a_command_says_who_started_it(json_log: StringIO) -> None:
    with commanded(command="fleet", by="deploy@host"):
        logging.getLogger("somebody.elses").warning("at work")
    (line,) = lines(json_log)
    assert (line["principal_kind"], line["principal_name"]) == ("command", "deploy@host")
    assert line["request_id"].startswith("fleet-")
