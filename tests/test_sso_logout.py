"""How a session by single sign-on ends from outside: the provider's logout tokens, and a closed connection."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.sessions.models import Session
from identity.sso import secrets
from identity.sso.models import Connection
from tenants.registry.models import Tenant
from tests.committed import provisioned
from tests.conftest import API_HOST, Call
from tests.openid_provider import OpenIdProvider
from tests.serving import Answer, Traffic, ask_once, serving
from tests.sso import (
    ADDRESS,
    BEGIN,
    CALLBACK,
    CONNECTIONS,
    DOMAIN,
    VERIFIER,
    ask,
    connected,
    person,
    prove,
    signed_in,
)
from tests.test_members import code

FORM = "application/x-www-form-urlencoded"

# --- Logout tokens ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Where the provider sends logout tokens, and those that came."""
    came: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            came.append(body.removeprefix("logout_token="))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/logout", came
        server.shutdown()


def logged_out(call: Call, row: dict[str, Any], token: str) -> Any:
    path = f"/auth/sso/{row['id']}/backchannel-logout"
    form = urlencode({"logout_token": token}).encode()
    return call("nobody", "POST", path, form, host=API_HOST, content_type=FORM)


def unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "logout+jwt"}).encode()).decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def test_a_logout_token_is_good_once_for_its_own_connection(
    call: Call, openid_provider: OpenIdProvider, listener: tuple[str, list[str]]
) -> None:
    address, came = listener
    prove()
    row = connected(call, openid_provider, logout_uri=address)
    other = connected(call, openid_provider)
    openid_provider.set_account("ada", email=ADDRESS)
    openid_provider.set_account("bob", email=f"bob@{DOMAIN}")
    tokens = signed_in(call, openid_provider, "ada", tenant="acme", connection=row["id"])
    bobs = signed_in(call, openid_provider, "bob", tenant="acme", connection=row["id"])
    openid_provider.end_sessions("ada")
    (token,) = came
    for bad in (unsigned(token), token[:-4] + "AAAA", "", "x.y.z", token.split(".")[0]):
        assert logged_out(call, row, bad).status_code == 400
    assert code(logged_out(call, other, token)) == "untrusted_identity"
    assert ask(call, tokens, "GET", "/api/v1/members").status_code == 200
    assert logged_out(call, row, token).status_code == 200
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"
    assert ask(call, bobs, "GET", "/api/v1/members").status_code == 200
    again = signed_in(call, openid_provider, "ada", tenant="acme", connection=row["id"])
    assert code(logged_out(call, row, token)) == "invalid_logout_token"
    assert ask(call, again, "GET", "/api/v1/members").status_code == 200
    assert Session.objects.filter(end_reason="ended_by_provider").count() == 1
    assert call("nobody", "POST", f"/auth/sso/{row['id']}/backchannel-logout", {}, host=API_HOST).status_code == 415
    path = "/auth/sso/00000000-0000-0000-0000-000000000000/backchannel-logout"
    assert call("nobody", "POST", path, b"logout_token=x", host=API_HOST, content_type=FORM).status_code == 404


# --- Real servers -----------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A tenant of this test's own, on two running servers, and a provider that knows somebody there."""

    ports: list[int]
    tenant: Tenant
    owner: str
    connection: str

    def signed_in(self, provider: OpenIdProvider, subject: str) -> dict[str, Any]:
        """Sign in as a browser does, at one server after the other."""
        first, second = self.ports
        start = ask_once(
            first, "POST", "/api/v1/auth/sso/start", host=API_HOST, body=BEGIN | {"tenant": self.tenant.slug}
        )
        url = urlsplit(provider.sign_in(start.json["authorization_url"], subject))
        back = httpx.get(f"http://127.0.0.1:{second}{url.path}?{url.query}")
        told = dict(parse_qsl(urlsplit(back.headers["Location"]).query))
        body = {"code": told["code"], "code_verifier": VERIFIER}
        answer = ask_once(first, "POST", "/api/v1/auth/federated", host=API_HOST, body=body)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture
def stage(unwrapped: None, openid_provider: OpenIdProvider) -> Iterator[Stage]:
    domain, slug = "staged.test", "sso-staged"
    openid_provider.set_account("eve", email=f"eve@{domain}")
    with provisioned(slug) as tenant, serving(2) as ports:
        owner = person(f"owner@{domain}", slug=slug, role="owner")
        prove(slug, domain)
        row = Connection(tenant=tenant, name="Own", issuer=openid_provider.issuer, joins=True, status="enabled")
        address = f"http://127.0.0.1:{ports[0]}/auth/sso/{row.pk}/backchannel-logout"
        client = openid_provider.add_client(CALLBACK, backchannel_logout_uri=address)
        row.client_id, row.client_secret = client.client_id, secrets.sealed(client.client_secret)
        row.tested_at = timezone.now()
        row.save(force_insert=True)
        body = {"email": owner.email, "password": PASSWORD, "tenant": slug}
        tokens = ask_once(ports[0], "POST", "/api/v1/auth/login", host=API_HOST, body=body).json
        yield Stage(ports, tenant, tokens["access_token"], str(row.pk))
        User.objects.filter(email__endswith=f"@{domain}").exclude(pk=owner.pk).delete()
        owner_id = owner.pk
    User.objects.filter(pk=owner_id).delete()


def is_served(answer: Answer) -> bool:
    return answer.status == 200


def is_refused(answer: Answer) -> bool:
    return answer.outcome == (401, "invalid_token")


def test_the_provider_ends_a_session_and_the_next_request_is_refused(
    stage: Stage, openid_provider: OpenIdProvider
) -> None:
    tokens = stage.signed_in(openid_provider, "eve")
    other = stage.signed_in(openid_provider, "eve")
    with Traffic(stage.ports, threads_per_port=2, host=API_HOST, path="/api/v1/members") as traffic:
        traffic.start(tokens["access_token"])
        traffic.wait(5, is_served)
        told = openid_provider.end_sessions("eve")
        ended = time.monotonic()
        answers = traffic.stop(5, is_refused)
    assert {each.status for each in told} == {200}
    assert not [answer for answer in answers if answer.began > ended and answer.status == 200]
    refused = ask_once(stage.ports[1], "GET", "/api/v1/members", host=API_HOST, token=other["access_token"])
    assert is_refused(refused), "each of their sessions there was ended"


def test_a_disabled_connection_is_refused_on_the_next_request(stage: Stage, openid_provider: OpenIdProvider) -> None:
    tokens = stage.signed_in(openid_provider, "eve")
    path = f"{CONNECTIONS}/{stage.connection}/disable"
    with Traffic(stage.ports, threads_per_port=2, host=API_HOST, path="/api/v1/members") as traffic:
        traffic.start(tokens["access_token"])
        traffic.wait(5, is_served)
        assert ask_once(stage.ports[0], "POST", path, host=API_HOST, token=stage.owner).status == 200
        disabled = time.monotonic()
        answers = traffic.stop(5, is_refused)
    assert not [answer for answer in answers if answer.began > disabled and answer.status == 200]
