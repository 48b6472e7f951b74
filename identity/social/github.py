"""Signing in by GitHub: OAuth 2.0 without an ID token. Its API says who came (docs.github.com, "Authorizing OAuth
apps", "REST API endpoints for users").
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from identity.oidc import client, http
from identity.oidc.client import Answer
from identity.oidc.errors import ProviderUnreachable, UntrustedIdentity
from identity.oidc.models import Attempt
from identity.oidc.providers import Identity, Provider


@dataclass(frozen=True)
class GitHub:
    """GitHub, or a GitHub Enterprise Server.

    Attributes:
        url: which also is what its identities are kept under.
    """

    DEFAULT_SCOPE: ClassVar[str] = "read:user user:email"

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scope: str = DEFAULT_SCOPE
    url: str = "https://github.com"
    api_url: str = "https://api.github.com"

    @property
    def provider(self) -> Provider:
        return Provider(self.url, self.client_id, self.client_secret, self.redirect_uri, self.scope)

    def authorization_url(self, attempt: Attempt) -> str:
        """Return where the browser goes."""
        return client.authorization_url_at(f"{self.url}/login/oauth/authorize", self.provider, attempt)

    def identify(self, attempt: Attempt, answer: Answer) -> Identity:
        """Return who came back. Their address is the primary one, if GitHub has verified it.

        Raises:
            ProviderRefused, UntrustedIdentity, ProviderUnreachable: as ``client.identify``.
        """
        if answer.issuer not in {"", self.url, f"{self.url}/login/oauth"}:
            raise UntrustedIdentity
        client.refuse_error(self.provider, answer)
        tokens = client.exchange(
            self.provider,
            f"{self.url}/login/oauth/access_token",
            answer.code,
            attempt,
            methods=("client_secret_post",),
        )
        token = tokens.get("access_token")
        if not isinstance(token, str) or not http.is_header(token):
            raise UntrustedIdentity
        person, addresses = self._ask("/user", token), self._ask("/user/emails?per_page=100", token)
        number = person.get("id") if isinstance(person, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(addresses, list):
            raise ProviderUnreachable
        name = person.get("name")
        email = next(filter(None, map(_primary, addresses)), None)
        return Identity(
            issuer=self.url,
            subject=str(number),
            email=email,
            email_verified=email is not None,
            name=name if isinstance(name, str) else None,
        )

    def _ask(self, path: str, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        fetched = http.fetch(f"{self.api_url}{path}", headers=headers)
        if fetched.status != 200:
            raise ProviderUnreachable
        return fetched.json()


def _primary(said: Any) -> str | None:
    """Return an address if it is the primary one, and verified."""
    is_one = isinstance(said, dict) and said.get("primary") is True and said.get("verified") is True
    address = said.get("email") if is_one else None
    return address if isinstance(address, str) and address else None
