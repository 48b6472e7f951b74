"""A certified OpenID Connect provider (panva's oidc-provider, on Node) that a test fills with clients and people.

Nobody has to click anything: it signs in whoever the test names. `clients/provider.mjs` is the process.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_STEPS = 10  # redirects within the provider, at most


@dataclass(frozen=True)
class Registered:
    """A client of the provider: what is entered in our settings, or in a tenant's connection."""

    issuer: str
    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Told:
    """One logout token that was sent, and what its client answered; 0 if it gave no answer."""

    client_id: str
    sid: str
    status: int


class OpenIdProvider:
    """The provider: its issuer, who may use it, and whom it knows.

    Attributes:
        issuer: as in its discovery document, ``http://127.0.0.1:<port>``.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def add_client(
        self,
        *redirect_uris: str,
        client_id: str | None = None,
        backchannel_logout_uri: str | None = None,
        backchannel_logout_session_required: bool = True,
        **metadata: Any,
    ) -> Registered:
        """Register a client, or register it anew.

        Args:
            metadata: more of what OpenID Connect Dynamic Client Registration names, such as
                ``id_token_signed_response_alg`` ("RS256" if not given; "ES256" can be had too).
        """
        client = Registered(self.issuer, client_id or f"client-{secrets.token_hex(4)}", secrets.token_hex(16))
        metadata |= {"client_id": client.client_id, "client_secret": client.client_secret}
        metadata["redirect_uris"] = redirect_uris
        if backchannel_logout_uri is not None:
            metadata["backchannel_logout_uri"] = backchannel_logout_uri
            metadata["backchannel_logout_session_required"] = backchannel_logout_session_required
        self._order("client", metadata)
        return client

    def set_account(self, sub: str, *, email: str | None = None, email_verified: bool = True, **claims: Any) -> str:
        """Let there be somebody with these claims, and no others, from now on; returns `sub`.

        ``email`` comes with the scope of that name, ``name`` with "profile"; all others, such as ``groups`` and
        ``amr``, are in every ID token.
        """
        if email is not None:
            claims |= {"email": email, "email_verified": email_verified}
        self._order("account", {"sub": sub, **claims})
        return sub

    def remove_account(self, sub: str) -> None:
        self._order("remove_account", {"sub": sub})

    def sign_in(self, authorization_url: str, account: str | None, browser: httpx.Client | None = None) -> str:
        """Go where a browser is sent, sign in, and return the URL to which the provider sends the browser back.

        Args:
            account: the ``sub`` of ``set_account``; nobody, or somebody unknown, is refused with ``access_denied``.
            browser: one that has been here before may be signed in already; else a new one.

        Raises:
            AssertionError: the provider shows an error instead: it does not know this client or this redirect URI.
        """
        with browser or httpx.Client() as visitor:
            url = authorization_url
            for _ in range(_STEPS):
                named = {"account": account} if account and "/interaction/" in url else None
                answer = visitor.get(url, params=named)
                assert answer.is_redirect, f"{url}: {answer.status_code} {answer.text}"
                url = str(answer.url.join(answer.headers["Location"]))
                if not url.startswith(f"{self.issuer}/"):
                    return url
        raise AssertionError(f"{self.issuer} goes round in circles: {url}")

    def end_sessions(self, account: str) -> list[Told]:
        """End somebody's sessions here, and send every client's ``backchannel_logout_uri`` a logout token."""
        return [Told(**told) for told in self._order("end_sessions", {"account": account})]

    def lie(self, **claims: Any) -> None:
        """Put these over the true claims of every ID token, such as ``nonce``; without any, tell the truth again."""
        self._order("lies", claims)

    def rotate_keys(self) -> None:
        """Sign with new keys, and publish no others."""
        self._order("rotate", {})

    def _order(self, name: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.issuer}/control/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def openid_provider() -> Iterator[OpenIdProvider]:
    """A running provider that knows nobody and nothing but what tests tell it; whoever lies sets it right again."""
    folder = Path(sys.prefix) / "clients"
    assert (folder / "node_modules" / "oidc-provider").is_dir(), "missing Node packages: `make .venv/node.stamp`"
    # Node looks for packages beside the file that imports them; parallel runs each bring the file.
    script, ours = folder / "provider.mjs", folder / f"provider-{os.getpid()}.mjs"
    shutil.copy(Path(__file__).parent / "clients" / "provider.mjs", ours)
    ours.replace(script)
    node = subprocess.Popen(
        [Path(sys.prefix) / "bin" / "node", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdout is not None
    with node:  # leaving it closes both pipes, and Node ends with its input
        yield OpenIdProvider(json.loads(node.stdout.readline())["issuer"])
