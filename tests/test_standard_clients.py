"""Standard clients against a running server: authlib, PyJWT's JWKS client, and jose on Node. All they know of us is the
address of the metadata.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

T = TypeVar("T")
Verify = Callable[[str], dict[str, Any]]
Credentials = tuple[str, str]

SCOPES = "projects:write tasks:read"
PROJECTS = "/api/v1/projects"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
FOLLOW_SECONDS = 1.5  # a process signs by the keys it knows for a second
ASKED = 20  # requests in a row, each on a connection of its own, reach both processes of the demo
COOLDOWN = 30  # seconds in which PyJWT and jose do not ask for the keys again, unless told otherwise


@dataclass(frozen=True)
class Server:
    """The running demo, as its people use it."""

    demo: dict[str, Any]
    metadata: AuthorizationServerMetadata

    def url(self, path: str) -> str:
        return f"{self.demo['api']}{path}"

    def host(self, tenant: str) -> dict[str, str]:
        """The header that stands for the tenant's host, because not every resolver knows names below localhost."""
        return {"Host": self.demo["tenants"][tenant].removeprefix("http://")}

    def sign_in(self, email: str, path: str = "/api/v1/auth/login", tenant: str | None = "acme") -> dict[str, Any]:
        """Sign a person in and return the token response."""
        body = {"email": email, "password": self.demo["password"]}
        response = httpx.post(self.url(path), json=body, headers=self.host(tenant) if tenant else None)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def use(self, token: str, tenant: str = "acme") -> int:
        """Return the status of a request with an access token at a tenant's host."""
        headers = {**self.host(tenant), "Authorization": f"Bearer {token}"}
        return httpx.get(self.url(PROJECTS), headers=headers).status_code


@pytest.fixture(scope="module")
def server(demo: dict[str, Any]) -> Server:
    document = httpx.get(f"{demo['api']}/.well-known/oauth-authorization-server").json()
    return Server(demo, AuthorizationServerMetadata(document))


@pytest.fixture(scope="module")
def credentials(server: Server) -> Credentials:
    """Id and secret of a machine client that acme's owner has made over the API."""
    owner = server.sign_in("owner@acme.test")["access_token"]
    response = httpx.post(
        server.url("/api/v1/clients"),
        json={"name": "Standard client", "scopes": SCOPES.split()},
        headers={**server.host("acme"), "Authorization": f"Bearer {owner}"},
    )
    assert response.status_code == 201, response.text
    return response.json()["id"], response.json()["client_secret"]


def machine(server: Server, credentials: Credentials, method: str = "client_secret_basic") -> OAuth2Session:
    """authlib, configured as the machine client."""
    endpoint = server.metadata["token_endpoint"]
    return OAuth2Session(*credentials, token_endpoint_auth_method=method, token_endpoint=endpoint)


def application(server: Server, tokens: dict[str, Any]) -> OAuth2Session:
    """authlib, configured as an application that somebody has signed in to: a public client, without a secret."""
    endpoint = server.metadata["token_endpoint"]
    return OAuth2Session("tenantry", token=tokens, token_endpoint_auth_method="none", token_endpoint=endpoint)


def introspect(server: Server, client: OAuth2Session, token: str) -> dict[str, Any]:
    response = client.introspect_token(server.metadata["introspection_endpoint"], token=token)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def error_of(call: Callable[[], Any]) -> str:
    """Return the error of RFC 6749 by which authlib knows a refusal."""
    with pytest.raises(OAuthError) as caught:
        call()
    return str(caught.value.error)


# --- authlib ----------------------------------------------------------------------------------------------------------


def test_the_metadata_is_valid_and_says_nothing_that_is_not_registered(server: Server) -> None:
    server.metadata.validate()
    later = {"authorization_response_iss_parameter_supported"}  # RFC 9207's, which authlib does not know yet
    assert server.metadata.keys() <= {*AuthorizationServerMetadata.REGISTRY_KEYS, *later}
    assert server.metadata["issuer"] == server.demo["api"], "a client compares it with where it asked"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_machine_gets_a_token(server: Server, credentials: Credentials, method: str) -> None:
    """By each way to say its secret: for all of its scopes, or for those it asks for, and without a refresh token."""
    assert method in server.metadata["token_endpoint_auth_methods_supported"]
    client, projects, host = machine(server, credentials, method), server.url(PROJECTS), server.host("acme")
    token = client.fetch_token(grant_type="client_credentials")
    assert (token["scope"], "refresh_token" in token) == (SCOPES, False)
    assert client.get(projects, headers=host).status_code == 200
    assert client.post(projects, headers=host, json={"name": f"By {method}"}).status_code == 201

    narrowed = client.fetch_token(grant_type="client_credentials", scope="projects:read")
    assert narrowed["scope"] == "projects:read"
    assert client.get(projects, headers=host).status_code == 200
    assert client.post(projects, headers=host, json={"name": "Not with this one"}).status_code == 403


def test_authlib_understands_a_refusal(server: Server, credentials: Credentials) -> None:
    stranger = machine(server, (credentials[0], "ts_wrong"))
    assert error_of(lambda: stranger.fetch_token(grant_type="client_credentials")) == "invalid_client"
    client = machine(server, credentials)
    too_much = {"grant_type": "client_credentials", "scope": "members:write"}
    assert error_of(lambda: client.fetch_token(**too_much)) == "invalid_scope"
    assert error_of(lambda: client.fetch_token(grant_type="password")) == "unsupported_grant_type"


def test_a_person_stays_signed_in(server: Server) -> None:
    """An application refreshes when it wants to, and authlib does by itself when a token has expired."""
    first = server.sign_in("member@acme.test")
    client = application(server, first)
    second = dict(client.refresh_token())
    assert second["refresh_token"] != first["refresh_token"]
    assert client.get(server.url(PROJECTS), headers=server.host("acme")).status_code == 200

    client.token = {**second, "expires_at": 1}
    assert client.get(server.url(PROJECTS), headers=server.host("acme")).status_code == 200
    assert client.token["refresh_token"] not in {first["refresh_token"], second["refresh_token"]}


def test_a_machine_looks_at_tokens_and_revokes_its_own(server: Server, credentials: Credentials) -> None:
    """What introspection says of a token is true now: after its revocation it says so, and so does the API."""
    client = machine(server, credentials)
    own = client.fetch_token(grant_type="client_credentials")["access_token"]
    seen = introspect(server, client, own)
    assert (seen["active"], seen["sub"], seen["scope"], seen["tenant"]) == (True, credentials[0], SCOPES, "acme")
    assert server.use(own) == 200

    assert client.revoke_token(server.metadata["revocation_endpoint"], token=own).status_code == 200
    assert introspect(server, client, own) == {"active": False}
    assert server.use(own) == 401
    client.fetch_token(grant_type="client_credentials")
    assert client.get(server.url(PROJECTS), headers=server.host("acme")).status_code == 200


def test_a_persons_refresh_token_is_revoked(server: Server, credentials: Credentials) -> None:
    """And with it the whole session, from the next request on."""
    tokens = server.sign_in("viewer@acme.test")
    client, bystander = application(server, tokens), machine(server, credentials)
    seen = introspect(server, bystander, tokens["access_token"])
    assert (seen["active"], seen["tenant"], seen["role"]) == (True, "acme", "viewer")
    assert introspect(server, bystander, tokens["refresh_token"]) == {"active": False}
    elsewhere = server.sign_in("viewer@globex.test", tenant="globex")["access_token"]
    assert introspect(server, bystander, elsewhere) == {"active": False}

    revocation = {"token": tokens["refresh_token"], "token_type_hint": "refresh_token"}
    assert client.revoke_token(server.metadata["revocation_endpoint"], **revocation).status_code == 200
    assert server.use(tokens["access_token"]) == 401
    assert introspect(server, bystander, tokens["access_token"]) == {"active": False}
    assert error_of(client.refresh_token) == "invalid_grant"
    again = client.revoke_token(server.metadata["revocation_endpoint"], **revocation)
    assert again.status_code == 200, "RFC 7009 section 2.2"


def test_a_person_goes_to_another_tenant_by_token_exchange(server: Server) -> None:
    tokens = server.sign_in("both@people.test")
    client = application(server, tokens)
    exchange = {
        "grant_type": EXCHANGE,
        "subject_token": tokens["access_token"],
        "subject_token_type": ACCESS_TOKEN,
    }
    assert EXCHANGE in server.metadata["grant_types_supported"]
    assert error_of(lambda: client.fetch_token(**exchange, audience="nowhere")) == "invalid_target"
    there = client.fetch_token(**exchange, audience="globex")
    assert (there["tenant"], there["role"], there["issued_token_type"]) == ("globex", "viewer", ACCESS_TOKEN)
    assert (server.use(there["access_token"], "globex"), server.use(there["access_token"], "acme")) == (200, 403)
    assert (server.use(tokens["access_token"], "globex"), server.use(tokens["access_token"], "acme")) == (403, 200)
    assert client.refresh_token()["tenant"] == "globex"


# --- Verifiers across a rotation of the keys --------------------------------------------------------------------------


class Refused(Exception):
    """A verifier does not accept a token."""


def pyjwt(server: Server, cooldown: float) -> Verify:
    """A Python service that verifies our tokens."""
    issuer = server.metadata["issuer"]
    keys = jwt.PyJWKClient(server.metadata["jwks_uri"], cooldown_duration=cooldown)

    def verify(token: str) -> dict[str, Any]:
        try:
            key = keys.get_signing_key_from_jwt(token)
            return jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=f"{issuer}/api")
        except jwt.PyJWTError as error:
            raise Refused(repr(error)) from error

    return verify


@contextmanager
def jose(server: Server, cooldown: float) -> Iterator[Verify]:
    """A Node service that verifies our tokens: ``clients/verify.mjs``, on the Node that came as a wheel."""
    folder = Path(sys.prefix) / "clients"
    assert (folder / "node_modules" / "jose").is_dir(), "`make test` installs Node packages: `make .venv/node.stamp`"
    # Node looks for packages beside the file that imports them.
    script = shutil.copy(Path(__file__).parent / "clients" / "verify.mjs", folder)
    issuer = server.metadata["issuer"]
    arguments = [server.metadata["jwks_uri"], issuer, f"{issuer}/api", str(cooldown)]
    node = subprocess.Popen(
        [Path(sys.prefix) / "bin" / "node", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    stdin, stdout = node.stdin, node.stdout
    assert stdin is not None
    assert stdout is not None

    def verify(token: str) -> dict[str, Any]:
        stdin.write(f"{token}\n")
        answer: dict[str, Any] = json.loads(stdout.readline())
        if "refused" in answer:
            raise Refused(answer["refused"])
        payload: dict[str, Any] = answer["payload"]
        return payload

    with node:  # leaving it closes both pipes, and Node ends with its input
        yield verify


@contextmanager
def verifiers(server: Server, cooldown: float) -> Iterator[dict[str, Verify]]:
    with jose(server, cooldown) as on_node:
        yield {"PyJWT": pyjwt(server, cooldown), "jose": on_node}


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(server: Server) -> frozenset[str]:
    """The keys that one of the processes publishes now."""
    return frozenset(key["kid"] for key in httpx.get(server.metadata["jwks_uri"]).json()["keys"])


def signer(server: Server, credentials: Credentials) -> str:
    """The key by which one of the processes signs now."""
    return kid_of(machine(server, credentials).fetch_token(grant_type="client_credentials")["access_token"])


def answers_of_all_processes(ask: Callable[[], T]) -> set[T]:
    """Return what the processes answer once each must have followed a change.

    They are busy all the while: one that has nothing to do has nothing old to go by.
    """
    deadline = time.monotonic() + FOLLOW_SECONDS
    while time.monotonic() < deadline:
        ask()
    return {ask() for _ in range(ASKED)}


def change_keys(server: Server, path: str, **body: Any) -> list[dict[str, Any]]:
    """Do as an operator does who has just signed in, and return all keys, the newest first."""
    operator = server.sign_in(server.demo["operator"], "/operator/v1/auth/login", tenant=None)
    headers = {"Authorization": f"Bearer {operator['access_token']}"}
    response = httpx.post(server.url(f"/operator/v1/keys/{path}"), json=body, headers=headers)
    assert response.status_code == 200, response.text
    keys: list[dict[str, Any]] = response.json()
    return keys


def test_verifiers_refuse_a_token_for_another_api(server: Server) -> None:
    """Genuine, and of the same keys, but for operators: they do look at what they verify."""
    operator = server.sign_in(server.demo["operator"], "/operator/v1/auth/login", tenant=None)
    with verifiers(server, COOLDOWN) as each:
        for name, verify in each.items():
            with pytest.raises(Refused, match=r"Audience|ERR_JWT_CLAIM_VALIDATION_FAILED"):
                verify(operator["access_token"])
            assert verify(server.sign_in("member@acme.test")["access_token"])["tenant"] == "acme", name


def test_the_key_set_is_kept_no_longer_than_a_key_waits(server: Server, credentials: Credentials) -> None:
    """A planned rotation: the key is published, and signs when every copy of the older set has expired. Verifiers that
    read the set in the meantime need not look again.
    """
    first, before = signer(server, credentials), httpx.get(server.metadata["jwks_uri"])
    kept = re.fullmatch(r"public, max-age=(\d+)", before.headers["Cache-Control"])
    assert kept is not None
    same = httpx.get(server.metadata["jwks_uri"], headers={"If-None-Match": before.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")

    waiting = change_keys(server, "rotate")[0]
    begins, made = (datetime.fromisoformat(waiting[name]) for name in ("activates_at", "created_at"))
    assert waiting["state"] == "pending"
    assert (begins - made).total_seconds() > int(kept[1]) + FOLLOW_SECONDS
    both = frozenset(key["kid"] for key in before.json()["keys"]) | {waiting["kid"]}
    assert {published(server) for _ in range(ASKED)} == {both}
    changed = httpx.get(server.metadata["jwks_uri"], headers={"If-None-Match": before.headers["ETag"]})
    assert changed.status_code == 200

    old = server.sign_in("member@acme.test")["access_token"]
    assert (kid_of(old), signer(server, credentials)) == (first, first)
    with verifiers(server, COOLDOWN) as each:
        subjects = {name: verify(old)["sub"] for name, verify in each.items()}
        change_keys(server, "rotate", immediately=True)  # as if its time had come
        assert answers_of_all_processes(lambda: signer(server, credentials)) == {waiting["kid"]}
        new = server.sign_in("member@acme.test")["access_token"]
        assert {name: verify(new)["sub"] for name, verify in each.items()} == subjects
        assert {name: verify(old)["sub"] for name, verify in each.items()} == subjects


def test_an_emergency(server: Server, credentials: Credentials) -> None:
    """A key in wrong hands: the next one signs at once, without a restart, verifiers find it when they meet it, and
    retiring the old one refuses its tokens on the very next request.
    """
    with verifiers(server, cooldown=0) as each:
        old = server.sign_in("member@acme.test")["access_token"]
        subjects = {name: verify(old)["sub"] for name, verify in each.items()}
        assert {signer(server, credentials) for _ in range(ASKED)} == {kid_of(old)}
        next_key = change_keys(server, "rotate", immediately=True)[0]
        assert all(next_key["kid"] in published(server) for _ in range(ASKED)), "whichever process is asked, at once"
        assert answers_of_all_processes(lambda: signer(server, credentials)) == {next_key["kid"]}
        new = server.sign_in("member@acme.test")["access_token"]
        assert kid_of(new) == next_key["kid"] != kid_of(old)
        for token in (old, new):
            assert {name: verify(token)["sub"] for name, verify in each.items()} == subjects
            assert server.use(token) == 200

        change_keys(server, f"{kid_of(old)}/retire")
        assert [server.use(old) for _ in range(ASKED)] == [401] * ASKED
        assert [server.use(new) for _ in range(ASKED)] == [200] * ASKED
