"""Signing in by a provider, as a front end does it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings

from identity.oidc import discovery
from tests.conftest import API_HOST, Call
from tests.openid_provider import OpenIdProvider
from tests.pretending_provider import CLIENT_ID, SECRET, PretendingProvider, pretending
from tests.test_members import code as code_of

CALLBACK = "http://localhost:8000/auth/social/callback"
RETURN_TO = "http://localhost:8000/signed-in"
IDENTITIES = "/api/v1/me/identities"


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class Visitor:
    """A browser with a secret of its own."""

    call: Call
    key: str = "keycloak"
    actor: str = "nobody"
    host: str = API_HOST
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    url: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """What the provider is asked."""
        return query_of(self.url)

    def start(self, **more: Any) -> Any:
        path = f"/api/v1/auth/social/{self.key}/start" if self.actor == "nobody" else f"{IDENTITIES}/{self.key}/start"
        body = {"return_to": RETURN_TO, "code_challenge": create_s256_code_challenge(self.verifier), **more}
        return self.call(self.actor, "POST", path, body, host=self.host)

    def begin(self, **more: Any) -> "Visitor":
        response = self.start(**more)
        assert response.status_code == 200, response.content
        self.url = response.json()["authorization_url"]
        return self

    def come_back(self, url: str = "", **parameters: str) -> dict[str, str]:
        """Be sent back by the provider, and return with what we are sent on."""
        query = urlsplit(url).query if url else "&".join(f"{k}={v}" for k, v in parameters.items())
        response = self.call("nobody", "GET", f"{urlsplit(CALLBACK).path}?{query}", host=API_HOST)
        assert response.status_code == 302, response.content
        assert response["Location"].startswith(RETURN_TO)
        return query_of(response["Location"])

    def finish(self, code: str, verifier: str = "") -> Any:
        path = "/api/v1/auth/federated" if self.actor == "nobody" else IDENTITIES
        body = {"code": code, "code_verifier": verifier or self.verifier}
        return self.call(self.actor, "POST", path, body, host=self.host)

    def go(self, provider: OpenIdProvider, account: str, **more: Any) -> Any:
        """All the way, at a provider that signs in whoever is named."""
        told = self.begin(**more).come_back(provider.sign_in(self.url, account))
        assert "code" in told, told
        return self.finish(told["code"])


def configure(django_settings: Any, provider: OpenIdProvider, key: str = "keycloak") -> None:
    """Let people sign in by a provider."""
    client = provider.add_client(f"{settings.ISSUER}/auth/social/callback")
    django_settings.SOCIAL_PROVIDERS = {
        key: {
            "issuer": provider.issuer,
            "name": "Keycloak",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
    }


def entry(issuer: str, **more: str) -> dict[str, str]:
    return {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": SECRET, **more}


@pytest.fixture
def evil(settings: Any) -> Iterator[PretendingProvider]:
    with pretending() as provider:
        settings.SOCIAL_PROVIDERS = {"evil": entry(provider.issuer)}
        discovery.forget()
        yield provider


def outcome(call: Call, evil: PretendingProvider, make: Any = None, **claims: Any) -> str:
    """What a sign-in ends in, if the provider gives this ID token: made of its claims, or of these."""
    visitor = Visitor(call, "evil").begin()
    honest = evil.claims(visitor.asked["nonce"], **claims)
    evil.give(make(honest) if make else evil.sign(honest))
    told = visitor.come_back(code="c", state=visitor.asked["state"])
    if "error" in told:
        return told["error"]
    response = visitor.finish(told["code"])
    return "in" if response.status_code == 200 else str(code_of(response))
