"""A real Postgres, two tenants in it, and a cast of callers.

Tests that use ``call`` or ``db`` run inside a transaction that is rolled back. Tests that need commits, processes or
threads use ``unwrapped`` and make what they change themselves.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from psycopg import sql
from rest_framework.test import APIClient

from config import demo
from config.demo_data import OPERATOR_EMAIL, PASSWORD, TENANTS
from config.embedded_postgres import EmbeddedPostgres
from config.environment import database
from identity.clients import services as clients
from identity.keys import selectors as keys
from identity.mail.models import OutgoingMail
from identity.scim import credentials
from tenants.registry.models import Tenant
from tenants.routing import directory
from tests.committed import remove, remove_all_but
from tests.settings import WORKER

pytest_plugins = [
    "tests.running_demo",
    "tests.smtp",
    "tests.mailed",
    "tests.browsing",
    "tests.second_factors",
    "tests.openid_provider",
]

Call = Callable[..., Any]

TEST_DATABASE = f"test_tenantry{WORKER}"
APP_ROLE = f"tenantry_test_app{WORKER}"
ACME, GLOBEX, API_HOST = "acme.localhost", "globex.localhost", "localhost"


@dataclass(frozen=True)
class Actor:
    """Who calls, and on which host they signed in."""

    email: str | None
    host: str
    login_path: str = "/api/v1/auth/login"


CAST = {
    "nobody": Actor(None, ACME),
    "acme_viewer": Actor("viewer@acme.test", ACME),
    "acme_member": Actor("member@acme.test", ACME),
    "acme_admin": Actor("admin@acme.test", ACME),
    "acme_owner": Actor("owner@acme.test", ACME),
    "globex_owner": Actor("owner@globex.test", GLOBEX),
    "acme_client": Actor(None, ACME),
    "acme_support": Actor(None, ACME),
    "acme_scim": Actor(None, ACME),
    "operator": Actor(OPERATOR_EMAIL, API_HOST, "/operator/v1/auth/login"),
}
CLIENT_SCOPES = ["members:read", "projects:write", "tasks:write", "tenant:read"]


@pytest.fixture(scope="session")
def database_urls() -> Iterator[dict[str, str]]:
    """The server to test against, as both roles: DATABASE_URL's, else an embedded one of this run's own.

    DATABASE_URL logs in as somebody who may create roles and databases, and who becomes the owner.
    """
    owner = os.environ.get("DATABASE_URL")
    if not owner:
        with EmbeddedPostgres(settings.DATA_DIR, durable=False) as server:
            yield {"owner": server.url, "default": server.app_url}
        return
    password = secrets.token_urlsafe(16)
    with psycopg.connect(owner, autocommit=True) as admin:
        names = {"role": sql.Identifier(APP_ROLE), "password": sql.Literal(password)}
        admin.execute(sql.SQL("CREATE ROLE {role} LOGIN NOINHERIT PASSWORD {password}").format(**names))
        yield {"owner": owner, "default": re.sub("//[^@/]+@", f"//{APP_ROLE}:{password}@", owner)}
        admin.execute(sql.SQL("DROP ROLE {role}").format(**names))


def pytest_unconfigure() -> None:
    """Leave no folder behind; whoever only hands tests to parallel runs has one too."""
    shutil.rmtree((settings.DATA_DIR / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(database_urls: dict[str, str], django_db_blocker: Any) -> Iterator[None]:
    """A database of this run's own, owned and served by two roles as in production, and both tenants in it once; every
    test begins with exactly this.
    """
    name = {"name": sql.Identifier(TEST_DATABASE)}
    with psycopg.connect(database_urls["owner"], autocommit=True) as admin, django_db_blocker.unblock():
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {name}").format(**name))
        admin.execute(sql.SQL("CREATE DATABASE {name}").format(**name))
        for alias, url in database_urls.items():
            settings_dict = connections[alias].settings_dict
            settings_dict.update(database(url) | {"ENGINE": settings_dict["ENGINE"], "NAME": TEST_DATABASE})
        call_command("migrate_platform", verbosity=0)
        demo.seed()
        yield
        for tenant in Tenant.objects.all():
            remove(tenant)
        connections.close_all()
        connection.close_pool()
        admin.execute(sql.SQL("DROP DATABASE {name}").format(**name))  # fails if something is still connected


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, in a transaction of the app's that is rolled back. The owner's is another connection, whose work is
    committed: see ``_only_the_seeds``.
    """
    with django_db_blocker.unblock():
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
        connection.close()


@pytest.fixture(autouse=True)
def _only_the_seeds(django_db_blocker: Any) -> Iterator[None]:
    """Remove the tenants and spares that a test made; after its own transaction, which may hold them."""
    yield
    if connections["owner"].connection is not None:
        with django_db_blocker.unblock():
            remove_all_but(TENANTS)
            connections["owner"].close()


@pytest.fixture(scope="session")
def machine(django_db_setup: None, django_db_blocker: Any) -> tuple[str, str]:
    """Id and secret of acme's machine client."""
    with django_db_blocker.unblock():
        tenant = Tenant.objects.get(slug="acme")
        client, secret = clients.create_client(
            tenant_id=tenant.pk,
            name="Nightly report",
            scope=CLIENT_SCOPES,
            by=tenant.pk,
            held=frozenset(CLIENT_SCOPES),
            expires_at=None,
        )
        return str(client.pk), secret


@pytest.fixture(scope="session")
def scim_token(django_db_setup: None, django_db_blocker: Any) -> str:
    """The SCIM token of acme's directory."""
    with django_db_blocker.unblock():
        tenant = Tenant.objects.get(slug="acme")
        return credentials.create_token(tenant_id=tenant.pk, name="Okta", by=tenant.pk, expires_at=None)[1]


@pytest.fixture(scope="session")
def tokens(machine: tuple[str, str], scim_token: str, django_db_blocker: Any) -> dict[str, dict[str, Any]]:
    """The token response of each actor who has one, by the actor's name."""
    with django_db_blocker.unblock():
        found = {name: sign_in(actor) for name, actor in CAST.items() if actor.email is not None}
        found["acme_client"] = client_token(*machine)
        found["acme_scim"] = {"access_token": scim_token}
        found["acme_support"] = support_token(found["operator"]["access_token"], "acme")
        OutgoingMail.objects.all().delete()  # what its owners were told
        return found


def client_token(client_id: str, secret: str, **more: str) -> dict[str, Any]:
    """Get a machine client's token over the API and return the token response."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **more}
    response = APIClient().post(
        "/oauth/token", urlencode(form), content_type="application/x-www-form-urlencoded", HTTP_HOST=API_HOST
    )
    assert response.status_code == 200, response.content
    result: dict[str, Any] = response.json()
    return result


def support_token(operator_token: str, slug: str) -> dict[str, Any]:
    """Begin support access over the API and return the token response. What they had there ends; see ``tokens``."""
    path = f"/operator/v1/tenants/{Tenant.objects.get(slug=slug).pk}/support-access"
    headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {operator_token}"}
    client = APIClient()
    for status in ("active", "pending"):
        rows = client.get(f"/operator/v1/support-access?status={status}", **headers).json()["results"]
        for row in rows:
            client.delete(f"/operator/v1/support-access/{row['id']}", **headers)
    response = client.post(path, {"reason": "A question about a report", "ticket": "T-1"}, **headers)
    assert response.status_code == 201, response.content
    result: dict[str, Any] = response.json()
    return result


def sign_in(actor: Actor, **more: str) -> dict[str, Any]:
    """Sign an actor in over the API and return the token response."""
    body = {"email": actor.email, "password": PASSWORD, **more}
    response = APIClient().post(actor.login_path, body, HTTP_HOST=actor.host)
    assert response.status_code == 200, response.content
    result: dict[str, Any] = response.json()
    return result


@pytest.fixture(autouse=True)
def _fresh_directory() -> Iterator[None]:
    """A host, or a key, that a test made must not be remembered after its rollback."""
    yield
    directory.forget()
    keys.forget()


@pytest.fixture
def unwrapped(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database without a test's own transaction around it: contexts are real transactions."""
    with django_db_blocker.unblock():
        yield
        if connections["owner"].connection is not None:
            remove_all_but(TENANTS)
        connections.close_all()


@pytest.fixture
def acme(unwrapped: None) -> Tenant:
    """The first of both tenants."""
    return Tenant.objects.get(slug="acme")


@pytest.fixture
def globex(unwrapped: None) -> Tenant:
    """The second one."""
    return Tenant.objects.get(slug="globex")


@pytest.fixture
def call(db: None, tokens: dict[str, dict[str, Any]]) -> Call:
    """``call("acme_member", "GET", "/api/v1/projects")`` returns the response.

    `data` is sent as JSON, or as it is when it is bytes; further keywords go into the WSGI environment.
    """
    client = APIClient(raise_request_exception=False)  # one for all calls: each loads the middleware anew

    def call(
        actor: str,
        method: str,
        path: str,
        data: Any = None,
        *,
        host: str | None = None,
        content_type: str = "application/json",
        **extra: Any,
    ) -> Any:
        headers = {"HTTP_HOST": host or CAST[actor].host}
        if actor in tokens:
            headers["HTTP_AUTHORIZATION"] = f"Bearer {tokens[actor]['access_token']}"
        body = {} if data is None else {"data": data if isinstance(data, bytes) else json.dumps(data).encode()}
        return client.generic(method, path, content_type=content_type, **body, **(headers | extra))

    return call
