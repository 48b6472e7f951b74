"""What each way to a token, and what is asked about tokens, sends to the database: a round trip more is a red test."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients import services as clients
from identity.keys import selectors as keys
from identity.members import services as members
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.committed import provisioned
from tests.conftest import API_HOST

EMAIL = "counter@statements.test"
SCOPE = "projects:read"


@pytest.fixture
def tenant(unwrapped: None) -> Iterator[Tenant]:
    """A tenant of this test's own, with one member."""
    with provisioned("statements") as tenant:
        user = accounts.create_user(email=EMAIL, password=PASSWORD)
        members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.MEMBER)
        keys.key_ring()  # or the first token would be made by reading it
        yield tenant
    User.objects.filter(email=EMAIL).delete()


@pytest.fixture
def basic(tenant: Tenant) -> str:
    """How a machine client of the tenant says who it is; its use was noted a moment ago."""
    client, secret = clients.create_client(
        tenant_id=tenant.pk, name="Counter", scope=[SCOPE], by=tenant.pk, held=frozenset({SCOPE}), expires_at=None
    )
    clients.authenticate(client_id=client.pk, secret=secret)
    return "Basic " + base64.b64encode(f"{client.pk}:{secret}".encode()).decode()


def sent(method: str, path: str, data: Any = None, *, form: bool = False, **headers: str) -> tuple[list[str], Any]:
    """Ask, and return the statements that it takes, by their first words, and the answer's JSON."""
    client = APIClient()
    body = {"data": urlencode(data), "content_type": "application/x-www-form-urlencoded"} if form else {"data": data}
    with CaptureQueriesContext(connection) as queries:
        response = getattr(client, method)(path, HTTP_HOST=API_HOST, **body, **headers)
    assert response.status_code in (200, 204), response.content
    return [_verb(query["sql"]) for query in queries], response.json() if response.content else None


def _verb(statement: str) -> str:
    words = statement.split()
    return " ".join(words[: 2 if words[0] == "BEGIN;" else 1])


def sign_in() -> tuple[list[str], Any]:
    return sent("post", "/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})


def bearer(tokens: dict[str, Any]) -> str:
    return f"Bearer {tokens['access_token']}"


def test_signing_in_takes_six(tenant: Tenant) -> None:
    """The account, the membership; held credentials, session with its family, where they were last."""
    assert sign_in()[0] == ["SELECT", "SELECT", "BEGIN; SELECT", "WITH", "UPDATE", "COMMIT"]


def test_refreshing_takes_three(tenant: Tenant) -> None:
    """As often as a token is used; a repeated use within the grace period writes nothing."""
    _, tokens = sign_in()
    for path in ("/api/v1/auth/refresh", "/oauth/token"):
        spent = {"refresh_token": tokens["refresh_token"]}
        data = spent | ({"grant_type": "refresh_token"} if path == "/oauth/token" else {})
        statements, tokens = sent("post", path, data, form=path == "/oauth/token")
        assert statements == ["BEGIN; SELECT", "UPDATE", "COMMIT"]
        assert sent("post", path, data, form=path == "/oauth/token")[0] == ["BEGIN; SELECT", "COMMIT"]


def test_entering_another_tenant_takes_seven(tenant: Tenant) -> None:
    """The token at hand; the session, the membership, where they were last, room for a family and the family."""
    _, tokens = sign_in()
    statements, _ = sent("post", "/api/v1/auth/switch", {"tenant": tenant.slug}, HTTP_AUTHORIZATION=bearer(tokens))
    assert statements == ["SELECT", "BEGIN; SELECT", "SELECT", "UPDATE", "DELETE", "INSERT", "COMMIT"]


def test_a_machines_token_takes_one_and_looking_at_it_two(basic: str) -> None:
    grant = {"grant_type": "client_credentials"}
    statements, tokens = sent("post", "/oauth/token", grant, form=True, HTTP_AUTHORIZATION=basic)
    assert statements == ["SELECT"]
    asked = {"token": tokens["access_token"]}
    statements, answer = sent("post", "/oauth/introspect", asked, form=True, HTTP_AUTHORIZATION=basic)
    assert (statements, answer["active"]) == (["SELECT", "SELECT"], True)


def test_verifying_takes_one(tenant: Tenant) -> None:
    _, tokens = sign_in()
    assert sent("post", "/api/v1/auth/verify", {"token": tokens["access_token"]})[0] == ["SELECT"]


def test_signing_out_takes_two(tenant: Tenant) -> None:
    """By either token: whose it is, and the end of the session."""
    _, tokens = sign_in()
    spent = {"refresh_token": tokens["refresh_token"]}
    assert sent("post", "/api/v1/auth/logout", spent)[0] == ["SELECT", "UPDATE"]
    _, tokens = sign_in()
    assert sent("post", "/api/v1/auth/logout", {}, HTTP_AUTHORIZATION=bearer(tokens))[0] == ["SELECT", "UPDATE"]


def test_the_public_keys_take_one(unwrapped: None) -> None:
    assert sent("get", "/.well-known/jwks.json")[0] == ["SELECT"]
