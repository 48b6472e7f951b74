"""Who calls: a machine client or an application, by HTTP Basic or parameters in the body (RFC 6749 section 2.3.1), or
nobody but the first party.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote_plus
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request

from identity.applications import services as applications
from identity.applications.models import Application
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


def caller_of(request: Request) -> Client | Application | None:
    """Return the machine client or the application that calls, proved by its secret, or a public application, which
    has none; None for our own applications.

    Raises:
        InvalidClient: its secret is not good, or the request's host belongs to another tenant.
        InvalidRequest: it says who it is in two ways, or in a malformed one.
        LimitReached: clients at this address have failed too often.
    """
    credentials = _credentials(request)
    if credentials is None or (credentials.client_id == settings.FIRST_PARTY_CLIENT_ID and not credentials.secret):
        return None
    with client_attempt(address=address_of(request)) as attempt:
        caller = _authenticate(credentials)
        host_tenant = tenant_of(request._request)
        if caller is None or (host_tenant is not None and caller.tenant_id != host_tenant.id):
            attempt.fail()
            raise InvalidClient
    return caller


def proved_caller_of(request: Request) -> Client | Application:
    """Return the machine client or the application that calls and has proved it.

    Raises:
        InvalidClient: none does, or a public application, whose name anybody can say.
        InvalidRequest, LimitReached: as ``caller_of``.
    """
    caller = caller_of(request)
    if caller is None or (isinstance(caller, Application) and not caller.is_confidential):
        raise InvalidClient
    return caller


def _authenticate(credentials: Credentials) -> Client | Application | None:
    try:
        client_id = UUID(credentials.client_id)
    except ValueError:
        return None
    if str(client_id) != credentials.client_id:
        return None
    secret = credentials.secret or None
    client = clients.authenticate(client_id=client_id, secret=secret) if secret else None
    return client or applications.authenticate(application_id=client_id, secret=secret)


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
