"""Probes, with a database and without one."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config import health
from identity.keys import selectors as keys
from identity.keys.models import StoredKey
from tenants.fleet.models import FleetRun
from tests.conftest import Call

ROOT = Path(__file__).parents[1]


def test_probes_answer_on_any_host_and_tell_nothing(call: Call) -> None:
    """Load balancers ask by address."""
    for path in ("/health/live", "/health/ready"):
        for host in ("localhost", "acme.localhost", "10.1.2.3", "unknown.example"):
            response = call("nobody", "GET", path, host=host)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """As in a process that was never ready yet."""
    health.forget()
    yield
    health.forget()


def ready(call: Call) -> tuple[int, str | None]:
    response = call("nobody", "GET", "/health/ready")
    assert call("nobody", "GET", "/health/live").status_code == 200
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    return response.status_code, response.json().get("code")


def test_a_database_without_a_migration_of_this_code_is_not_ready(call: Call, asked_anew: None) -> None:
    """Until it has it. A deploy may start the app first."""
    applied = MigrationRecorder(connection).migration_qs.filter(app="jobs")
    newest = applied.latest("pk")
    newest.delete()
    assert ready(call) == (503, "migrations_behind")
    assert ready(call) == (503, "migrations_behind")
    newest.save(force_insert=True)
    assert ready(call) == (200, None)


def test_an_older_version_of_the_code_stays_ready(call: Call, asked_anew: None) -> None:
    """While the new one is rolled out: it finds more migrations than it knows, and later asks for none."""
    MigrationRecorder(connection).record_applied("jobs", "9999_of_the_next_version")
    assert ready(call) == (200, None)
    MigrationRecorder(connection).migration_qs.filter(app="jobs").delete()
    assert ready(call) == (200, None), "it is asked until it was so once"


def test_looking_again_is_one_statement(call: Call, asked_anew: None, django_assert_num_queries: Any) -> None:
    assert ready(call) == (200, None)
    with django_assert_num_queries(1):
        assert ready(call) == (200, None)


def test_tenants_that_are_behind_keep_nobody_from_serving(call: Call, asked_anew: None) -> None:
    FleetRun.objects.filter(state=FleetRun.State.RUNNING).delete()
    FleetRun.objects.create(target="newer", tenants=2)
    MigrationRecorder(connection).migration_qs.filter(app="projects").delete()
    assert ready(call) == (200, None)


def test_without_a_key_to_sign_with_it_is_not_ready(call: Call) -> None:
    StoredKey.objects.all().delete()
    keys.forget()
    assert ready(call) == (503, "no_signing_key")


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
        response = Client().get("/metrics", HTTP_HOST="10.1.2.3")
        answers["/metrics"] = [response.status_code, b"tenantry_database_up 0.0" in response.content]
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
    assert answers.pop("/metrics") == [200, True], "and says what the matter is"
    assert len(answers) == 3
    assert all(answer == [503, "1", "unavailable"] for answer in answers.values()), answers
