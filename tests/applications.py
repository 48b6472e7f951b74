"""A third-party application, and a person's browser that it sends to us."""

import base64
import hashlib
import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from django.test import Client

from config.demo_data import PASSWORD
from identity.applications import services
from identity.applications.models import Application
from identity.members.models import Membership
from permissions import policy
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.conftest import ACME

FORM = "application/x-www-form-urlencoded"
CALLBACK = "https://app.example/callback"
VERIFIER = "v" * 43
SCOPE = "openid profile email offline_access projects:write members:read"


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def register(slug: str = "acme", **details: Any) -> tuple[Application, str | None]:
    """Register an application of a tenant."""
    scope = details.pop("scope", ["members:read", "projects:write"])
    owner = Membership.objects.filter(tenant__slug=slug, role=Role.OWNER).values_list("user_id", flat=True)[0]
    details = {"name": "Planner", "redirect_uris": [CALLBACK], **details}
    return services.create_application(
        tenant_id=Tenant.objects.get(slug=slug).pk, by=owner, held=policy.delegable(), scope=scope, details=details
    )


class Browser(Client):
    """A person's browser."""

    def __init__(self, host: str = ACME) -> None:
        super().__init__(
            enforce_csrf_checks=True, raise_request_exception=False, HTTP_HOST=host, HTTP_ACCEPT="text/html"
        )

    def sign_in(self, email: str, to: str = "/sign-in") -> Any:
        """Fill in the sign-in page at `to`."""
        fields = form_of(self.get(to)) | {"email": email, "password": PASSWORD}
        response = self.post("/sign-in", fields)
        assert response.status_code == 302, response.content
        return response

    def decide(self, page: Any, decision: str = "allow", **changes: str) -> Any:
        """Press a button of the consent page."""
        action = re.search(r'action="([^"]+)"', page.content.decode())
        assert action is not None, page.content
        return self.post(html.unescape(action[1]), form_of(page) | {"decision": decision} | changes)


def form_of(page: Any) -> dict[str, str]:
    """The hidden fields of a page."""
    assert page.status_code == 200, page.content
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.content.decode())
    return {name: html.unescape(value) for name, value in found}


def answer_of(response: Any) -> dict[str, str]:
    """What a redirect tells the application."""
    assert response.status_code == 303, response.content
    return dict(parse_qsl(urlsplit(response["Location"]).query))


@dataclass
class App:
    """The application's side."""

    application: Application
    secret: str | None
    host: str = ACME
    redirect_uri: str = CALLBACK
    client: Client = field(default_factory=Client)

    @property
    def client_id(self) -> str:
        return str(self.application.pk)

    def url(self, **changes: str | None) -> str:
        """Where it sends a person."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": challenge(VERIFIER),
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"/oauth/authorize?{urlencode(kept)}"

    def code(self, browser: Browser, **changes: str | None) -> str:
        """Be let in, and return the code."""
        response = browser.get(self.url(**changes))
        if response.status_code == 200:
            response = browser.decide(response)
        return answer_of(response)["code"]

    def post(self, path: str, **parameters: str) -> Any:
        """Call an OAuth endpoint as itself."""
        own = {"client_id": self.client_id, **({"client_secret": self.secret} if self.secret else {})}
        form = {name: value for name, value in (own | parameters).items() if value}
        return self.client.post(path, urlencode(form), content_type=FORM, HTTP_HOST=self.host)

    def redeem(self, code: str, **changes: str) -> Any:
        form = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": VERIFIER} | changes
        return self.post("/oauth/token", grant_type="authorization_code", **form)

    def tokens(self, browser: Browser, **changes: str | None) -> dict[str, Any]:
        """Be let in, and return the token response."""
        response = self.redeem(self.code(browser, **changes))
        assert response.status_code == 200, response.content
        found: dict[str, Any] = response.json()
        return found

    def refresh(self, token: str, **changes: str) -> Any:
        return self.post("/oauth/token", grant_type="refresh_token", refresh_token=token, **changes)

    def use(self, token: str, method: str = "GET", path: str = "/api/v1/projects", body: Any = None) -> Any:
        """Call the API in the person's name."""
        headers = {"HTTP_HOST": self.host, "HTTP_AUTHORIZATION": f"Bearer {token}"}
        return self.client.generic(method, path, body or "", content_type="application/json", **headers)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)
