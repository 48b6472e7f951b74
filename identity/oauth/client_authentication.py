"""Which client calls: HTTP Basic or parameters in the body (RFC 6749 section 2.3.1), or nobody but the first party."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote_plus
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request

from identity.clients import services as clients
from identity.clients.models import Client
from identity.oauth.errors import InvalidClient
from identity.tokens.errors import InvalidRequest
from permissions.limits import client_attempt
from permissions.throttles import address_of
from tenants.routing.middleware import tenant_of


@dataclass(frozen=True)
class Credentials:
    """What a client says of itself."""

    client_id: str
    secret: str | None


def form_of(request: Request) -> Mapping[str, str]:
    """Return the parameters of a request to an OAuth endpoint, as ``StrictFormParser`` read them."""
    return cast("Mapping[str, str]", request.data)


def machine_of(request: Request) -> Client | None:
    """Return the machine client that calls, proved by its secret; None for our own applications, which have none.

    Raises:
        InvalidClient: its secret is not good, or the request's host belongs to another tenant.
        InvalidRequest: it says who it is in two ways, or in a malformed one.
        LimitReached: clients at this address have failed too often.
    """
    credentials = _credentials(request)
    if credentials is None or (credentials.client_id == settings.FIRST_PARTY_CLIENT_ID and not credentials.secret):
        return None
    with client_attempt(address=address_of(request)) as attempt:
        client = _authenticate(credentials)
        host_tenant = tenant_of(request._request)
        if client is None or (host_tenant is not None and client.tenant_id != host_tenant.id):
            attempt.fail()
            raise InvalidClient
    return client


def required_machine_of(request: Request) -> Client:
    """Return the machine client that calls; raises as ``machine_of``, and InvalidClient when none does."""
    client = machine_of(request)
    if client is None:
        raise InvalidClient
    return client


def _authenticate(credentials: Credentials) -> Client | None:
    try:
        client_id = UUID(credentials.client_id)
    except ValueError:
        return None
    if str(client_id) != credentials.client_id or not credentials.secret:
        return None
    return clients.authenticate(client_id=client_id, secret=credentials.secret)


def _credentials(request: Request) -> Credentials | None:
    form = form_of(request)
    header = request.META.get("HTTP_AUTHORIZATION", "")
    in_body = "client_secret" in form
    if not header:
        return Credentials(form["client_id"], form.get("client_secret")) if "client_id" in form else None
    basic = _basic(header)
    if in_body or form.get("client_id", basic.client_id) != basic.client_id:
        raise InvalidRequest("Say who the client is in one way: HTTP Basic, or parameters in the body.")
    return basic


def _basic(header: str) -> Credentials:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient
    try:
        name, colon, secret = base64.b64decode(encoded.strip(" "), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidRequest("The Authorization header is no HTTP Basic credential.") from None
    if not colon or "\0" in name + secret:
        raise InvalidRequest("The Authorization header is no HTTP Basic credential.")
    return Credentials(unquote_plus(name), unquote_plus(secret))
