"""Signing in by a provider, with the server in the place of the app in the browser: it keeps the secret of who began
(see ``identity.oidc.attempts``) in the browser's session, and takes the code that comes back.
"""

import secrets
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.http import HttpRequest

from identity.oidc import attempts
from identity.oidc.origins import is_in_our_dns
from identity.social import providers as social
from identity.social.services import SIGN_IN
from identity.sso import flow
from identity.sso import selectors as connections
from tenants.registry.models import Tenant
from tenants.registry.sign_in_policy import SignInPolicy

RETURN_PATH = "/sign-in/return"
_KEY = "signing_in"
_SECONDS = 600  # as long as the attempt lives


@dataclass(frozen=True)
class Choice:
    """A provider to sign in by.

    Attributes:
        field: of the form: ``connection``, which is a tenant's own, or ``provider``.
    """

    field: str
    value: str
    name: str


def choices_for(tenant: Tenant | None, *, host: str) -> list[Choice]:
    """Return by which providers one may sign in on a host, to one tenant or to whichever. Where a tenant says where the
    host leads, a provider that opens all of an account sends nobody back to it.
    """
    policy = SignInPolicy.of(tenant) if tenant else SignInPolicy()
    own = connections.usable_connections(tenant.pk) if tenant and policy.allows_way("sso") else ()
    is_ours = tenant is None or is_in_our_dns(host)
    trusted = social.providers().items() if is_ours and policy.allows_way("social") else ()
    return [
        *(Choice("connection", str(row.pk), row.name) for row in own),
        *(Choice("provider", key, provider.name) for key, provider in trusted),
    ]


@dataclass(frozen=True)
class Begun:
    """What a browser's session has of a sign-in by a provider that is under way."""

    verifier: str
    next: str

    @classmethod
    def take(cls, request: HttpRequest) -> Self | None:
        """Return it, once."""
        values = request.session.pop(_KEY, None)
        return cls(**values) if values else None


def begin(request: HttpRequest, *, choice: Choice, tenant: Tenant | None, going_to: str) -> str:
    """Begin to sign in by a provider, and return the URL at it where the browser goes now.

    Args:
        going_to: where on this host to go on to in the end.

    Raises:
        APIException: the provider cannot be used now.
    """
    verifier = secrets.token_urlsafe(48)
    ours = {
        "return_to": request.build_absolute_uri(RETURN_PATH),
        "code_challenge": create_s256_code_challenge(verifier),
    }
    if choice.field == "connection":
        url = flow.begin_sign_in(connection_id=UUID(choice.value), scope="", login_hint="", **ours)
    else:
        provider = social.provider_by_key(choice.value)
        attempt = attempts.begin(
            **ours,
            kind=SIGN_IN,
            provider_key=choice.value,
            tenant_id=tenant.pk if tenant else None,
            extra={"tenant": tenant.slug if tenant else None, "scope": ""},
        )
        url = provider.signing.authorization_url(attempt)
    if request.session.is_empty():
        request.session.set_expiry(_SECONDS)
    request.session[_KEY] = {"verifier": verifier, "next": going_to}
    return url
