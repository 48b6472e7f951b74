"""The provider that tests sign in by does what a provider does: authlib, which is not ours, gets along with it."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from tests.openid_provider import OpenIdProvider, Registered

CALLBACK = "http://localhost:1/callback"


def signed_in(provider: OpenIdProvider, client: Registered, account: str, **more: Any) -> dict[str, Any]:
    """Sign in as an application does, and return the token response."""
    metadata = httpx.get(f"{provider.issuer}/.well-known/openid-configuration").json()
    ours = OAuth2Session(
        client.client_id,
        client.client_secret,
        scope="openid email profile",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
    )
    with ours:
        verifier = "v" * 43
        url, state = ours.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=verifier, nonce="n-1", **more
        )
        back = provider.sign_in(url, account)
        assert parse_qs(urlsplit(back).query)["iss"] == [provider.issuer], "RFC 9207"
        return dict(
            ours.fetch_token(
                metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
            )
        )


def claims_of(provider: OpenIdProvider, token: str) -> dict[str, Any]:
    """Verify an ID token or a logout token by the keys that are published now, and return its claims."""
    keys = KeySet.import_key_set(httpx.get(f"{provider.issuer}/jwks").json())
    return dict(jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims)


def test_somebody_signs_in_with_what_the_test_said_of_them(openid_provider: OpenIdProvider) -> None:
    client = openid_provider.add_client(CALLBACK)
    person = openid_provider.set_account("p1", email="p1@acme.test", name="One", groups=["a", "b"], amr=["pwd", "mfa"])
    claims = claims_of(openid_provider, signed_in(openid_provider, client, person)["id_token"])
    expected = {
        "iss": openid_provider.issuer,
        "aud": client.client_id,
        "sub": "p1",
        "nonce": "n-1",
        "email": "p1@acme.test",
        "email_verified": True,
        "name": "One",
        "groups": ["a", "b"],
        "amr": ["pwd", "mfa"],
    }
    assert {name: claims[name] for name in expected} == expected

    openid_provider.set_account("p1", email="new@acme.test", email_verified=False)
    claims = claims_of(openid_provider, signed_in(openid_provider, client, person)["id_token"])
    assert (claims["sub"], claims["email"], claims["email_verified"]) == ("p1", "new@acme.test", False)
    assert "groups" not in claims


def test_it_lies_when_told_to_and_changes_its_keys(openid_provider: OpenIdProvider) -> None:
    client = openid_provider.add_client(CALLBACK, id_token_signed_response_alg="ES256")
    person = openid_provider.set_account("p2")
    openid_provider.lie(nonce="another")
    try:
        before = signed_in(openid_provider, client, person)["id_token"]
        assert claims_of(openid_provider, before)["nonce"] == "another"
    finally:
        openid_provider.lie()
    openid_provider.rotate_keys()
    after = signed_in(openid_provider, client, person)["id_token"]
    assert claims_of(openid_provider, after)["nonce"] == "n-1"
    with pytest.raises(InvalidKeyIdError):
        claims_of(openid_provider, before)


def test_a_stranger_is_refused(openid_provider: OpenIdProvider) -> None:
    client = openid_provider.add_client(CALLBACK)
    url = f"{openid_provider.issuer}/auth?client_id={client.client_id}&response_type=code&scope=openid&state=s"
    url += f"&redirect_uri={CALLBACK}&code_challenge={'c' * 43}&code_challenge_method=S256"
    answer = parse_qs(urlsplit(openid_provider.sign_in(url, "stranger")).query)
    assert (answer["error"], answer["state"]) == (["access_denied"], ["s"])
    openid_provider.set_account("hinted")
    assert "code" in parse_qs(urlsplit(openid_provider.sign_in(f"{url}&login_hint=hinted", None)).query)


@pytest.fixture
def logout_uri() -> Iterator[tuple[str, list[str]]]:
    """Where a client listens for logout tokens, and those that came."""
    came: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            came.extend(form["logout_token"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/logout", came
        server.shutdown()


def test_ending_a_session_sends_a_logout_token(
    openid_provider: OpenIdProvider, logout_uri: tuple[str, list[str]]
) -> None:
    address, came = logout_uri
    client = openid_provider.add_client(CALLBACK, backchannel_logout_uri=address)
    person = openid_provider.set_account("p3")
    sid = claims_of(openid_provider, signed_in(openid_provider, client, person)["id_token"])["sid"]
    told = openid_provider.end_sessions(person)
    assert [(each.client_id, each.sid, each.status) for each in told] == [(client.client_id, sid, 200)]
    (token,) = came
    claims = claims_of(openid_provider, token)
    assert (claims["sub"], claims["sid"], claims["aud"]) == ("p3", sid, client.client_id)
    assert "http://schemas.openid.net/event/backchannel-logout" in claims["events"]
    assert openid_provider.end_sessions(person) == []
