"""What each endpoint asks the database for: every trip over the wire, in order, against one reviewed table.

libpq itself writes down what it sends (``PQtrace``), so what a library does behind our back is counted as well. A trip
is told by its first word; ``BEGIN+SELECT`` is the one that enters a tenant. Each call runs in a copy of the database,
really commits there, and succeeds wherever a row and a body that are at hand will do; else the table has its refusal.
``UPDATE_GOLDEN=1`` writes the table anew; its diff is the review.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django.utils import timezone
from psycopg import sql
from psycopg.pq import Trace
from rest_framework.test import APIClient

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.clients.models import ClientSecret
from identity.keys import selectors as keys
from identity.scim.models import ScimToken
from permissions import endpoints
from permissions.endpoints import Endpoint
from tenants.routing import directory
from tests.conftest import ACME, API_HOST, TEST_DATABASE
from tests.test_bad_input import BODIES, FORMS, MISSING_ID, existing

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.skipif(sys.platform != "linux", reason="psycopg traces on Linux alone"),
]

GOLDEN = Path(__file__).parent / "golden" / "round_trips.txt"
COPY = f"{TEST_DATABASE}_copy"
_SENT = re.compile(r'^F\t\d+\t(?:Query|Parse)\t (?:"" )?"(BEGIN; )?\s*\(?(\w+)', re.MULTILINE)

Tokens = dict[str, dict[str, Any]]


def good_bodies(tokens: Tokens, of: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    """Bodies with which a call succeeds, where those that are only well-formed do not. `of` finds a row's id."""
    owner, operator = tokens["acme_owner"], tokens["operator"]
    return {
        "POST /api/v1/auth/login": {"email": "owner@acme.test", "password": PASSWORD},
        "POST /api/v1/auth/refresh": {"refresh_token": owner["refresh_token"]},
        "POST /api/v1/auth/logout": {"refresh_token": owner["refresh_token"]},
        "POST /api/v1/auth/verify": {"token": owner["access_token"]},
        "POST /api/v1/auth/step-up": {"password": PASSWORD},
        "POST /api/v1/auth/email/change": {"new_email": "a@b.test", "password": PASSWORD},
        "POST /api/v1/auth/password/change": {"current_password": PASSWORD, "new_password": "a rather long password"},
        "POST /api/v1/auth/password/forgot": {"email": "owner@acme.test"},
        "POST /api/v1/tenant/transfer-ownership": {"member_id": of("/api/v1/members"), "become": "admin"},
        "POST /api/v1/tasks": {"project": of("/api/v1/projects"), "title": "x"},
        f"PUT /api/v1/tasks/{MISSING_ID}": {"project": of("/api/v1/projects"), "title": "x"},
        "POST /operator/v1/auth/login": {"email": OPERATOR_EMAIL, "password": PASSWORD},
        "POST /operator/v1/auth/refresh": {"refresh_token": operator["refresh_token"]},
        "POST /operator/v1/auth/logout": {"refresh_token": operator["refresh_token"]},
        "POST /operator/v1/auth/step-up": {"password": PASSWORD},
        "POST /operator/v1/staff": {"email": "owner@acme.test", "role": "support"},
    }


@pytest.fixture(scope="module", autouse=True)
def _stays_signed_in() -> Iterator[None]:
    """The ring that signs is read again each second, whenever that is: not while something is counted."""
    patch = pytest.MonkeyPatch()
    patch.setattr(keys, "_REFRESH_SECONDS", 3600.0)
    yield
    patch.undo()


@pytest.fixture
def admin(database_urls: dict[str, str], tokens: Tokens, django_db_blocker: Any) -> Iterator[psycopg.Connection]:
    """A connection beside the test database, which nobody uses meanwhile; roles that were made are gone afterwards."""
    with psycopg.connect(database_urls["owner"], autocommit=True) as opened, django_db_blocker.unblock():
        roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 't\\_%'"
        before = set(opened.execute(roles))  # type: ignore[call-overload]  # a set of rows
        yield opened
        for (name,) in set(opened.execute(roles)) - before:  # type: ignore[call-overload]
            opened.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@contextmanager
def copied(admin: psycopg.Connection) -> Iterator[None]:
    """Work on a copy of the test database, as it was before any test."""
    names = {"copy": sql.Identifier(COPY), "original": sql.Identifier(TEST_DATABASE)}
    _leave(admin)
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {copy}").format(**names))
    admin.execute(sql.SQL("CREATE DATABASE {copy} TEMPLATE {original}").format(**names))
    _use(COPY)
    # That a machine's secret, or a directory's token, is used is noted now and then: not while something is counted.
    for model in (ClientSecret, ScimToken):
        model.objects.update(last_used_at=timezone.now() + timedelta(hours=1))
    try:
        yield
    finally:
        _leave(admin)
        _use(TEST_DATABASE)
        admin.execute(sql.SQL("DROP DATABASE {copy}").format(**names))


def _use(name: str) -> None:
    for each in connections.all():
        each.settings_dict["NAME"] = name


def _leave(admin: psycopg.Connection) -> None:
    directory.forget()
    keys.forget()
    connections.close_all()
    connection.close_pool()
    present = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s)"
    until = time.monotonic() + 5
    while admin.execute(present, [[COPY, TEST_DATABASE]]).fetchone() != (0,) and time.monotonic() < until:
        time.sleep(0.01)  # a connection that is closed goes a moment later


class Wire:
    """What is sent to the database."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def watch(self, connection: Any, **signal: Any) -> None:
        """Write down what goes through a connection (a receiver of ``connection_created``)."""
        connection.connection.pgconn.trace(self._file.fileno())
        connection.connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def trips(self, act: Callable[[], Any]) -> tuple[Any, list[str]]:
        """Do something; return what it returns, and the trips that it took."""
        for alias in ("default", "owner"):
            if connections[alias].connection is not None:
                connections[alias].connection.pgconn.untrace()  # writes what it has kept back
                self.watch(connections[alias])
        self._file.truncate(0)
        result = act()
        for alias in ("default", "owner"):
            if connections[alias].connection is not None:
                connections[alias].connection.pgconn.untrace()
        written = Path(self._file.name).read_bytes().replace(b"\0", b"").decode(errors="replace")
        return result, [f"{'BEGIN+' if begins else ''}{word}" for begins, word in _SENT.findall(written)]


@pytest.fixture
def wire() -> Iterator[Wire]:
    with tempfile.NamedTemporaryFile("ab", buffering=0) as file:
        found = Wire(file)
        connection_created.connect(found.watch)
        yield found
        connection_created.disconnect(found.watch)


class Caller:
    """Calls as whoever may: the tenant's owner, an operator, or nobody where nobody is asked for."""

    def __init__(self, tokens: Tokens, machine: tuple[str, str]) -> None:
        self.client = APIClient(raise_request_exception=False)
        self.tokens, self.machine = tokens, machine
        self.headers: dict[str, str] = {}

    def __call__(self, actor: str, method: str, path: str, data: Any = None, **more: Any) -> Any:
        on_api_host = path.startswith(("/operator", "/.well-known", "/metrics", "/oauth", "/auth"))
        headers = {"HTTP_HOST": API_HOST if on_api_host else ACME}
        if actor in self.tokens:
            headers["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[actor]['access_token']}"
        content_type = more.get("content_type", "application/json")
        body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        return self.client.generic(method, path, body, content_type=content_type, **headers)

    def prepare(self, endpoint: Endpoint, method: str) -> Callable[[], Any]:
        """Return the call, with all that it needs at hand."""
        actor = "operator" if endpoint.route.startswith("operator/") else "acme_owner"
        template = "/" + re.sub(r"<\w+:\w+>", MISSING_ID, endpoint.route.replace("<slug:name>", "tenant"))
        path, *rest = template.split(f"/{MISSING_ID}")
        for more in rest:
            path = f"{path}/{self.row(actor, path)}{more}"
        key = f"{method} {template}"
        if endpoint.is_public and not endpoint.route.endswith("logout"):
            actor = "nobody"
        if key in FORMS:
            client_id, secret = self.machine
            form = {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}
            form |= {} if template.endswith("token") else {"token": self.tokens["acme_client"]["access_token"]}
            return lambda: self("nobody", method, path, urlencode(form).encode(), content_type=_FORM)
        bodies = BODIES | good_bodies(self.tokens, lambda collection: self.row("acme_owner", collection))
        body = bodies.get(key, {} if method != "GET" else None)
        return lambda: self(actor, method, path, body)

    def row(self, actor: str, collection: str) -> str:
        """The id of a row; of members the one who has the least to lose."""
        if collection in _NEVER_THERE:
            return MISSING_ID
        if collection.endswith("/members"):
            listed = self(actor, "GET", collection).json()
            return str(next(each["id"] for each in listed["results"] if each["role"] == "viewer"))
        try:
            return existing(self, actor, collection)
        except (KeyError, ValueError):  # a list of its own kind, or none
            return MISSING_ID


_FORM = "application/x-www-form-urlencoded"
_NEVER_THERE = {"/operator/v1/exports"}  # workers make them
_HARMLESS = re.compile(r"api/v1/(projects|tasks|roles|clients|domains|invitations)\b(?!/(accept|bulk))")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def count(admin: psycopg.Connection, wire: Wire, caller: Caller) -> dict[str, str]:
    """Return the row of each endpoint and method; those that take nothing from each other share one copy."""
    found = {}
    every = [
        (method, endpoint)
        for endpoint in endpoints.endpoints(settings.ROOT_URLCONF)
        for method in METHODS
        if method in endpoint.keys
    ]
    harmless = [each for each in every if each[0] == "GET"]
    harmless += [each for each in every if each[0] != "GET" and _HARMLESS.match(each[1].route)]
    for group in [harmless, *([each] for each in every if each not in harmless)]:
        with copied(admin):
            for actor, path in (("acme_viewer", "/api/v1/projects"), ("operator", "/operator/v1/tenants")):
                caller(actor, "GET", path)  # whatever is looked up once in a while has been
            keys.key_ring()
            for method, endpoint in group:
                ask = caller.prepare(endpoint, method)
                if method == "GET":
                    ask()
                response, trips = wire.trips(ask)
                assert response.status_code < 500 or response.status_code == 501, (method, endpoint.route)
                found[f"{method} {endpoint.route}"] = f"{response.status_code} {len(trips):>3}  {_told(trips)}"
    return found


def _told(trips: list[str]) -> str:
    counted = ((word, len(list(same))) for word, same in groupby(trips))
    return " ".join(word if number == 1 else f"{word}*{number}" for word, number in counted)


def test_every_endpoint_takes_as_many_trips_as_reviewed(
    admin: psycopg.Connection, wire: Wire, tokens: Tokens, machine: tuple[str, str]
) -> None:
    """One trip more, for whoever calls, is a reviewed change of the golden file."""
    rows = count(admin, wire, Caller(tokens, machine))
    width = max(map(len, rows)) + 2
    table = "".join(f"{key:<{width}}{row}".rstrip() + "\n" for key, row in rows.items())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()
