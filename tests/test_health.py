"""Probes, with a database and without one."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.conftest import Call

ROOT = Path(__file__).parents[1]


def test_probes_answer_on_any_host_and_tell_nothing(call: Call) -> None:
    """Load balancers ask by address."""
    for path in ("/health/live", "/health/ready"):
        for host in ("localhost", "acme.localhost", "10.1.2.3", "unknown.example"):
            response = call("nobody", "GET", path, host=host)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_without_a_database_the_process_lives_and_says_503() -> None:
    """S17: not a 500 anywhere, whether a view, authentication or the host look-up needs the database first."""
    script = """
        import json
        import django; django.setup()
        from django.test import Client
        answers = {}
        for host, path in (
            ("localhost", "/health/live"), ("localhost", "/health/ready"), ("acme.localhost", "/api/v1/projects"),
        ):
            response = Client(raise_request_exception=False).get(path, HTTP_HOST=host)
            answers[path] = [response.status_code, response.headers.get("Retry-After"), response.json().get("code")]
        body = json.dumps({"email": "a@b.test", "password": "x"})
        path = "/api/v1/auth/login"
        client = Client(raise_request_exception=False, HTTP_HOST="localhost")
        response = client.post(path, body, content_type="application/json")
        answers[path] = [response.status_code, response.headers.get("Retry-After"), response.json().get("code")]
        print(json.dumps(answers))
    """
    environment = os.environ | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",  # nothing listens there
        "DATABASE_POOL_SECONDS": "1",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    answers = json.loads(result.stdout)
    assert answers.pop("/health/live") == [200, None, None]
    assert len(answers) == 3
    assert all(answer == [503, "1", "unavailable"] for answer in answers.values()), answers
