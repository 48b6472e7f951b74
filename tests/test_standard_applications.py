"""Third-party applications on standard libraries against a running server: authlib, and openid-client on Node. All they
know of us is the address of the metadata, and what an administrator was told when registering them.
"""

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import KeySet

PROJECTS = "/api/v1/projects"
CALLBACK = "https://planner.example/callback"
SCOPE = "openid profile email offline_access projects:write"
VERIFIER = "v" * 64
BOTH = "both@people.test"


@dataclass(frozen=True)
class Registered:
    """What an administrator passes on to the application's maker."""

    client_id: str
    secret: str


@pytest.fixture(scope="module")
def metadata(demo: dict[str, Any]) -> OpenIDProviderMetadata:
    return OpenIDProviderMetadata(httpx.get(f"{demo['api']}/.well-known/openid-configuration").json())


def register(demo: dict[str, Any], **more: Any) -> Registered:
    """Register an application with acme, as its owner."""
    host = {"Host": demo["tenants"]["acme"].removeprefix("http://")}
    body = {"email": "owner@acme.test", "password": demo["password"]}
    owner = httpx.post(f"{demo['api']}/api/v1/auth/login", json=body, headers=host).json()["access_token"]
    wanted = {"name": "Planner", "redirect_uris": [CALLBACK], "scopes": ["projects:write"], **more}
    headers = {**host, "Authorization": f"Bearer {owner}"}
    response = httpx.post(f"{demo['api']}/api/v1/applications", json=wanted, headers=headers)
    assert response.status_code == 201, response.text
    return Registered(response.json()["id"], response.json().get("client_secret", ""))


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


def be_let_in(demo: dict[str, Any], url: str) -> str:
    """Go where an application sends somebody, sign in there, agree, and return where they are sent back to."""
    with httpx.Client(base_url=demo["api"], headers={"Accept": "text/html"}) as browser:
        response = browser.get(url, follow_redirects=True)
        form = fields_of(response.text) | {"email": BOTH, "password": demo["password"]}
        response = browser.post("/sign-in", data=form, follow_redirects=True)
        assert "Planner" in response.text, response.text
        action = re.search(r'action="([^"]+)"', response.text)
        assert action is not None
        response = browser.post(html.unescape(action[1]), data=fields_of(response.text) | {"decision": "allow"})
        assert response.status_code == 303, response.text
        return str(response.headers["Location"])


# --- authlib ----------------------------------------------------------------------------------------------------------


def authlib(metadata: OpenIDProviderMetadata, registered: Registered, method: str) -> OAuth2Session:
    return OAuth2Session(
        registered.client_id,
        registered.secret or None,
        scope=SCOPE,
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        token_endpoint=metadata["token_endpoint"],
    )


def test_the_metadata_is_valid(metadata: OpenIDProviderMetadata, demo: dict[str, Any]) -> None:
    """But for one thing: every provider has to sign by RS256, and this one says truly that it signs by what its keys
    are made for (``SIGNING_ALGORITHM``).
    """
    assert metadata["id_token_signing_alg_values_supported"] == ["ES256"]
    OpenIDProviderMetadata({**metadata, "id_token_signing_alg_values_supported": ["ES256", "RS256"]}).validate()
    assert metadata["issuer"] == demo["api"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_authlib_signs_somebody_in_and_acts_for_them(
    demo: dict[str, Any], metadata: OpenIDProviderMetadata, method: str
) -> None:
    registered = register(demo, is_confidential=method != "none")
    client = authlib(metadata, registered, method)
    url, state = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-1"
    )
    back = be_let_in(demo, url)
    token = client.fetch_token(authorization_response=back, state=state, code_verifier=VERIFIER)

    keys = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
    decoded = jwt.decode(token["id_token"], keys, algorithms=metadata["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"value": metadata["issuer"]}, "aud": {"value": registered.client_id}},
        {"nonce": "n-1", "access_token": token["access_token"], "client_id": registered.client_id},
    )
    claims.validate()
    assert claims["email"] == BOTH

    assert client.get(metadata["userinfo_endpoint"]).json()["sub"] == claims["sub"]
    assert client.post(f"{demo['api']}{PROJECTS}", json={"name": f"By {method}"}).status_code == 201
    refreshed = client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
    assert refreshed["scope"].split() == SCOPE.split()
    with pytest.raises(OAuthError, match="invalid_grant"):
        client.fetch_token(authorization_response=back, state=state, code_verifier=VERIFIER)
    assert client.get(f"{demo['api']}{PROJECTS}").status_code == 401, "the code was used twice"


# --- openid-client ----------------------------------------------------------------------------------------------------


def on_node(demo: dict[str, Any], registered: Registered, *, changes: dict[str, str] | None = None) -> dict[str, Any]:
    """Let somebody sign in to an application on Node, on the Node that came as a wheel."""
    folder = Path(sys.prefix) / "clients"
    assert (folder / "node_modules" / "openid-client").is_dir(), "missing Node packages: `make .venv/node.stamp`"
    # Node looks for packages beside the file that imports them.
    script = shutil.copy(Path(__file__).parent / "clients" / "application.mjs", folder)
    arguments = [demo["api"], registered.client_id, registered.secret, CALLBACK, SCOPE]
    command = [Path(sys.prefix) / "bin" / "node", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        back = be_let_in(demo, node.stdout.readline().strip())
        if changes:
            url, _, query = back.partition("?")
            back = f"{url}?{urlencode(dict(httpx.QueryParams(query)) | changes)}"
        node.stdin.write(f"{back}\n")
        answer: dict[str, Any] = json.loads(node.stdout.readline())
        return answer


@pytest.mark.parametrize("is_confidential", [True, False])
def test_openid_client_signs_somebody_in_and_acts_for_them(
    demo: dict[str, Any],
    is_confidential: bool,  # noqa: FBT001 -- a case
) -> None:
    registered = register(demo, is_confidential=is_confidential)
    answer = on_node(demo, registered)
    assert answer["claims"]["aud"] == registered.client_id
    assert (answer["userinfo"]["email"], answer["userinfo"]["email_verified"]) == (BOTH, True)
    assert answer["refreshed"]["scope"] == answer["tokens"]["scope"] == SCOPE


@pytest.mark.parametrize(
    "changes", [{"iss": "https://other.example"}, {"state": "another"}, {"code": "another"}], ids=str
)
def test_openid_client_is_not_mixed_up(demo: dict[str, Any], changes: dict[str, str]) -> None:
    """An answer of another provider (RFC 9207), of another browser, or with another's code comes to nothing."""
    assert on_node(demo, register(demo), changes=changes)["refused"]
