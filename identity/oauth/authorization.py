"""What an application asks of a person: reading an authorization request (RFC 6749 section 4.1.1, RFC 7636, OpenID
Connect Core section 3.1.2.1), and answering it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings

from identity.applications import redirects
from identity.applications import selectors as applications
from identity.applications.models import Application
from identity.oauth.errors import RedirectNotRegistered, UnknownApplication
from identity.tokens import openid
from permissions import scopes
from tenants.context.entry import TenantRef

PROMPTS = ("none", "login", "consent")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # SHA-256 in base64url
_LENGTHS = {"state": 1000, "nonce": 255, "scope": 1000, "login_hint": 254}
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


class Refusal(Exception):
    """What an application is told instead of a code (RFC 6749 section 4.1.2.1)."""

    def __init__(self, error: str, description: str) -> None:
        self.error = error
        self.description = description
        super().__init__(error)


@dataclass(frozen=True)
class Destination:
    """Where the answer goes, once it is certain whose that place is.

    Attributes:
        state: of the application's own; goes back as it came.
    """

    application: Application
    redirect_uri: str
    state: str | None

    @classmethod
    def of(cls, parameters: Mapping[str, str], host_tenant: TenantRef | None) -> "Destination":
        """Return where to answer a request.

        Raises:
            UnknownApplication: no application of this host's is meant.
            RedirectNotRegistered: it has not registered that place.
        """
        application = _application(parameters.get("client_id", ""))
        if application is None or (host_tenant is not None and application.tenant_id != host_tenant.id):
            raise UnknownApplication
        uri = parameters.get("redirect_uri", "")
        if not redirects.is_registered(uri, application.redirect_uris):
            raise RedirectNotRegistered
        return cls(application, uri, parameters.get("state"))

    def with_answer(self, **answer: str) -> str:
        """Return the URL that takes an answer there; it names who answers (RFC 9207)."""
        named = {**answer, "iss": settings.ISSUER, **({} if self.state is None else {"state": self.state})}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(named)}"


@dataclass(frozen=True)
class AuthorizationRequest:
    """What is asked.

    Attributes:
        scope: what the application may be given at most.
        max_age: how many seconds ago the person may have proved who they are; None: any.
    """

    scope: frozenset[str]
    code_challenge: str
    nonce: str
    prompts: frozenset[str]
    max_age: int | None
    login_hint: str

    @classmethod
    def of(cls, parameters: Mapping[str, str], application: Application) -> "AuthorizationRequest":
        """Read a request whose application is known.

        Raises:
            Refusal: it is malformed, or asks for what there is not.
        """
        for name, length in _LENGTHS.items():
            if len(parameters.get(name, "")) > length:
                raise Refusal("invalid_request", f"The parameter {name} is too long.")
        _refuse_other_flows(parameters)
        scope = _possible(frozenset(parameters.get("scope", "").split()), application)
        if not scope:
            raise Refusal("invalid_scope", "This application can have none of the requested scopes.")
        return cls(
            scope=scope,
            code_challenge=_challenge(parameters),
            nonce=parameters.get("nonce", ""),
            prompts=_prompts(parameters),
            max_age=_max_age(parameters),
            login_hint=parameters.get("login_hint", ""),
        )


def _application(client_id: str) -> Application | None:
    try:
        application_id = UUID(client_id)
    except ValueError:
        return None
    return applications.usable_application(application_id) if str(application_id) == client_id else None


def _refuse_other_flows(parameters: Mapping[str, str]) -> None:
    if "request" in parameters:
        raise Refusal("request_not_supported", "Send plain parameters, no request object.")
    if "request_uri" in parameters:
        raise Refusal("request_uri_not_supported", "Send plain parameters, no request object.")
    if parameters.get("response_type") != "code":
        error = "unsupported_response_type" if "response_type" in parameters else "invalid_request"
        raise Refusal(error, "The response_type is code.")
    if parameters.get("response_mode", "query") != "query":
        raise Refusal("invalid_request", "The response_mode is query.")


def _possible(asked: frozenset[str], application: Application) -> frozenset[str]:
    allowed = frozenset(application.scopes)
    return frozenset(scope for scope in asked if scope in openid.SCOPES or scopes.holds(allowed, scope))


def _challenge(parameters: Mapping[str, str]) -> str:
    """Return the code challenge: there is no method but S256, and no way without one (RFC 9700 section 2.1.1)."""
    challenge = parameters.get("code_challenge", "")
    if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Refusal("invalid_request", "Send a code_challenge, with code_challenge_method=S256.")
    return challenge


def _prompts(parameters: Mapping[str, str]) -> frozenset[str]:
    prompts = frozenset(parameters.get("prompt", "").split())
    if not prompts <= frozenset(PROMPTS) or ("none" in prompts and len(prompts) > 1):
        raise Refusal("invalid_request", "The prompt is none, or of login and consent.")
    return prompts


def _max_age(parameters: Mapping[str, str]) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise Refusal("invalid_request", "The max_age is a number of seconds.")
    return int(text)
