"""Signing people in by an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC
7636, RFC 9700).

    attempt = attempts.begin(…)
    client.authorization_url(provider, attempt)       # the browser goes there, and comes back to the redirect URI
    attempt = attempts.consume(answer.state)
    identity = client.identify(provider, attempt, answer)
"""

import base64
import logging
import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from identity.oidc import http, id_tokens
from identity.oidc.discovery import Metadata, metadata_of
from identity.oidc.errors import ProviderRefused, ProviderUnreachable, UntrustedIdentity
from identity.oidc.models import Attempt
from identity.oidc.providers import TENANT, Identity, LogoutToken, Provider

__all__ = [
    "Answer",
    "Identity",
    "LogoutToken",
    "Provider",
    "authorization_url",
    "identify",
    "read_logout_token",
    "redeem",
]

log = logging.getLogger(__name__)

_LENGTH = 4096  # of each part of an answer
_TOKEN_LENGTH = 64 * 1024
_ERROR = re.compile(r"[a-z_]{1,60}", re.ASCII)
_SECRET = "client_secret"  # noqa: S105 -- the parameter's name


@dataclass(frozen=True)
class Answer:
    """With what a provider has sent the browser back (RFC 6749 section 4.1.2, RFC 9207).

    Attributes:
        error: why nobody was signed in; empty if somebody was.
    """

    state: str
    code: str
    issuer: str
    error: str

    @classmethod
    def of(cls, parameters: Any) -> Self:
        """Return what a query says: a ``QueryDict``. What stands in it twice, or is too long, is as good as nothing."""

        def one(name: str) -> str:
            values = parameters.getlist(name)
            return str(values[0]) if len(values) == 1 and len(values[0]) <= _LENGTH else ""

        return cls(state=one("state"), code=one("code"), issuer=one("iss"), error=one("error"))


def authorization_url(provider: Provider, attempt: Attempt, **more: str) -> str:
    """Return where the browser goes to sign in; `more` is for what some providers take, such as ``login_hint``.

    Raises:
        ProviderUnreachable: what the provider says of itself cannot be had.
    """
    return authorization_url_at(
        metadata_of(provider).authorization_endpoint, provider, attempt, nonce=attempt.nonce, **more
    )


def authorization_url_at(endpoint: str, provider: Provider, attempt: Attempt, **more: str) -> str:
    """As ``authorization_url``, of an endpoint that is known."""
    parts = urlsplit(endpoint)
    asked = {
        **{name: value for name, value in more.items() if value},
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": provider.redirect_uri,
        "scope": provider.scope,
        "state": attempt.state,
        "code_challenge": create_s256_code_challenge(attempt.verifier),
        "code_challenge_method": "S256",
    }
    own = [(name, value) for name, value in parse_qsl(parts.query) if name not in asked]
    # %20 for a space: some providers take a plus for what it is.
    query = urlencode([*own, *asked.items()], quote_via=quote)
    return urlunsplit(parts._replace(query=query))  # noqa: SLF001 -- a named tuple's public method


def identify(provider: Provider, attempt: Attempt, answer: Answer) -> Identity:
    """Return who has signed in, by what the browser came back with.

    Raises:
        ProviderRefused: nobody has, or the code is not good any more.
        UntrustedIdentity: the answer is another provider's, or its ID token cannot be believed.
        ProviderUnreachable: the provider does not answer as it should.
    """
    metadata = metadata_of(provider)
    refuse_mixed_up(provider, metadata, answer)
    refuse_error(provider, answer)
    identity = redeem(provider, answer.code, attempt)
    if answer.issuer and answer.issuer != identity.issuer:
        raise UntrustedIdentity
    return identity


def refuse_mixed_up(provider: Provider, metadata: Metadata, answer: Answer) -> None:
    """Refuse an answer of another provider than the one that was asked (RFC 9207 section 2.4)."""
    if answer.issuer:
        is_own = answer.issuer == provider.issuer or TENANT in provider.issuer
    else:
        is_own = not metadata.says_issuer
    if not is_own:
        raise UntrustedIdentity


def refuse_error(provider: Provider, answer: Answer) -> None:
    """Refuse an answer that says why nobody was signed in, or that holds no code."""
    if answer.error or not answer.code:
        _note(provider, "authorization", answer.error)
        raise ProviderRefused


def redeem(provider: Provider, code: str, attempt: Attempt) -> Identity:
    """Exchange a code, and return whom it is about; raises as ``identify``."""
    metadata = metadata_of(provider)
    tokens = exchange(provider, metadata.token_endpoint, code, attempt, methods=metadata.auth_methods)
    text, access_token = tokens.get("id_token"), tokens.get("access_token")
    if not isinstance(text, str) or len(text) > _TOKEN_LENGTH:
        raise UntrustedIdentity
    access_token = access_token if isinstance(access_token, str) and http.is_header(access_token) else None
    claims = id_tokens.believe_id_token(provider, metadata, text, nonce=attempt.nonce, access_token=access_token)
    lacks = any(name not in claims for name in provider.wanted)
    if lacks and metadata.userinfo_endpoint and access_token:
        claims = {**_userinfo(metadata.userinfo_endpoint, access_token, subject=claims["sub"]), **claims}
    return Identity.of(claims)


def exchange(
    provider: Provider, endpoint: str, code: str, attempt: Attempt, *, methods: tuple[str, ...]
) -> dict[str, Any]:
    """Return the token response for a code (RFC 6749 section 4.1.3).

    Args:
        methods: how the provider lets clients prove who they are.

    Raises:
        ProviderRefused: the provider does not take the code, or does not take us for its client.
        ProviderUnreachable: it does not answer as it should.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": provider.redirect_uri,
        "code_verifier": attempt.verifier,
    }
    headers: dict[str, str] = {}
    if not provider.client_secret:
        form["client_id"] = provider.client_id
    elif "client_secret_basic" in methods or "client_secret_post" not in methods:
        # RFC 6749 section 2.3.1: both are encoded as in a form first.
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": provider.client_id, _SECRET: provider.client_secret}
    fetched = http.fetch(endpoint, form=form, headers=headers)
    if fetched.status >= 500:
        raise ProviderUnreachable
    said = fetched.json_object()
    if fetched.status != 200 or "error" in said:
        _note(provider, "token", said.get("error"))
        raise ProviderRefused
    return said


def read_logout_token(provider: Provider, text: str) -> LogoutToken:
    """Return what a logout token says (Back-Channel Logout 1.0 section 2.6). Whether it was used before (``jti``) is
    for the caller to know.

    Raises:
        UntrustedIdentity: it cannot be believed.
        ProviderUnreachable: the provider's keys cannot be had.
    """
    if len(text) > _TOKEN_LENGTH:
        raise UntrustedIdentity
    return id_tokens.believe_logout_token(provider, metadata_of(provider), text)


def _userinfo(endpoint: str, access_token: str, *, subject: str) -> dict[str, Any]:
    fetched = http.fetch(endpoint, headers={"Authorization": f"Bearer {access_token}"})
    if fetched.status != 200:
        raise ProviderUnreachable
    said = fetched.json_object()
    if said.get("sub") != subject:  # OpenID Connect Core section 5.3.2: it may be about somebody else
        raise UntrustedIdentity
    return said


def _note(provider: Provider, endpoint: str, error: Any) -> None:
    """Leave word of a refusal for whoever has set the provider up, who may have given a wrong secret, say."""
    code = error if isinstance(error, str) and _ERROR.fullmatch(error) else "?"
    log.info("%s refused at its %s endpoint: %s", provider.issuer, endpoint, code)
