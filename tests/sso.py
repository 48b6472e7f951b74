"""Signing in by a tenant's own provider, as a front end and a browser do it."""

import base64
import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.domains.models import DomainClaim
from identity.members import services as members
from identity.members.models import Membership
from identity.sso.models import Connection
from tenants.registry.models import Tenant
from tests.conftest import API_HOST, Call
from tests.openid_provider import OpenIdProvider

DOMAIN = "marsh.test"
ADDRESS = f"ada@{DOMAIN}"
CONNECTIONS = "/api/v1/sso-connections"
CALLBACK = "http://localhost:8000/auth/sso/callback"
RETURN_TO = "http://localhost:8000/signed-in"
VERIFIER = "a-verifier-that-stays-in-this-browser-and-nowhere-else"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
BEGIN = {"return_to": RETURN_TO, "code_challenge": CHALLENGE}


def prove(slug: str = "acme", domain: str = DOMAIN, **more: Any) -> DomainClaim:
    """Let a domain be a tenant's from now on."""
    now = timezone.now()
    dates = {"proved_at": now, "expires_at": now + timedelta(days=90)} | more
    return DomainClaim.objects.create(tenant=Tenant.objects.get(slug=slug), domain=domain, **dates)


def person(email: str = ADDRESS, *, slug: str | None = None, role: str = "member") -> User:
    """Somebody with an account, and a place in a tenant."""
    user = accounts.create_user(email=email, password=PASSWORD)
    if slug is not None:
        members.add_member(tenant_id=Tenant.objects.get(slug=slug).pk, user_id=user.pk, role=role)
    return user


def connected(
    call: Call,
    provider: OpenIdProvider,
    actor: str = "acme_owner",
    *,
    enabled: bool = True,
    logout_uri: str = "http://127.0.0.1:1/logout",
    **more: Any,
) -> dict[str, Any]:
    """A connection of the actor's tenant to the provider; as if somebody had tried it."""
    client = provider.add_client(CALLBACK, backchannel_logout_uri=logout_uri)
    body = {"name": "Own", **vars(client), "joins": True} | more
    answer = call(actor, "POST", CONNECTIONS, body)
    assert answer.status_code == 201, answer.content
    row: dict[str, Any] = answer.json()
    if enabled:
        Connection.objects.filter(pk=row["id"]).update(tested_at=timezone.now())
        answer = call(actor, "POST", f"{CONNECTIONS}/{row['id']}/enable")
        assert answer.status_code == 200, answer.content
    return row


def begun(call: Call, *, host: str = API_HOST, **body: Any) -> str:
    """Begin to sign in, and return where the browser goes."""
    answer = call("nobody", "POST", "/api/v1/auth/sso/start", BEGIN | (body or {"tenant": "acme"}), host=host)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["authorization_url"])


def came_back(call: Call, url: str) -> dict[str, str]:
    """Follow the provider's redirect to our callback, and return what the front end is told."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
    answer = call("nobody", "GET", f"{parts.path}?{parts.query}", host=API_HOST)
    assert answer.status_code == 302, answer.content
    location = urlsplit(answer.headers["Location"])
    assert answer.headers["Location"].startswith(RETURN_TO)
    return dict(parse_qsl(location.query))


def exchanged(call: Call, code: str, *, host: str = API_HOST, verifier: str = VERIFIER) -> Any:
    """Exchange a one-time code, and return the response."""
    return call("nobody", "POST", "/api/v1/auth/federated", {"code": code, "code_verifier": verifier}, host=host)


def sign_in(call: Call, provider: OpenIdProvider, subject: str, *, host: str = API_HOST, **body: Any) -> Any:
    """Sign in as somebody at the provider, and return the last response."""
    told = came_back(call, provider.sign_in(begun(call, host=host, **body), subject))
    assert "code" in told, told
    return exchanged(call, told["code"], host=host)


def signed_in(call: Call, provider: OpenIdProvider, subject: str, **body: Any) -> dict[str, Any]:
    """The tokens of somebody at the provider."""
    answer = sign_in(call, provider, subject, **body)
    assert answer.status_code == 200, answer.content
    tokens: dict[str, Any] = answer.json()
    return tokens


def ask(call: Call, tokens: dict[str, Any], method: str, path: str, data: Any = None) -> Any:
    """Ask with somebody's access token."""
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}"}
    return call("nobody", method, path, data, host=API_HOST, **bearer)


def role_of(email: str = ADDRESS, slug: str = "acme") -> str:
    return Membership.objects.get(user__email=email, tenant__slug=slug).role
