"""DRF's way to the bearer backend."""

import re

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from identity.tokens.backends import BearerBackend, BearerPrincipal
from identity.tokens.errors import InvalidRequest
from permissions.endpoints import is_public
from permissions.principals import Kind
from tenants.audit.acting import identify
from tenants.context.middleware import be_person_for_request

REALM = "tenantry"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750 section 2.1, b64token


class BearerAuthentication(BaseAuthentication):
    """Authenticate a bearer token and enter its tenant until the request ends.

    A public endpoint reads no token, so a stale one does not keep its holder from signing in again. A view about the
    person and not about one tenant says ``enters_tenant = False``: its token is checked as strictly, from outside. What
    only concerns what is theirs says ``acts_as_person = True`` as well, and Postgres shows it nothing else.

    Attributes:
        kinds: what callers it can make; the start-up check compares them with the view's scopes.
    """

    backend: type[BearerBackend] = BearerBackend
    kinds = frozenset({Kind.PERSON, Kind.MEMBER, Kind.CLIENT, Kind.SUPPORT})

    def authenticate(self, request: Request) -> tuple[BearerPrincipal, BearerPrincipal] | None:
        """Return the caller, or None when there are no credentials.

        Raises:
            InvalidRequest: the Authorization header is no single bearer token.
            InvalidToken, TenantMismatch, TenantSuspended: as ``BearerBackend.admit``.
        """
        raw = None if is_public(request) else bearer_token(request)
        if raw is None:
            return None
        view = (request.parser_context or {}).get("view")
        backend = self.backend()
        check = backend.admit if getattr(view, "enters_tenant", True) else backend.inspect
        principal = check(request._request, raw)
        if getattr(view, "acts_as_person", False) and principal.session_id is not None and principal.id is not None:
            be_person_for_request(request._request, principal.id)
        identify(principal)
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return f'Bearer realm="{REALM}"'


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header (RFC 6750 section 2.1); None when there is none.

    The scheme is matched whatever its capitals (RFC 9110 section 11.1). Another scheme is no credential here.

    Raises:
        InvalidRequest: the scheme is ``Bearer``, but what follows is not one token.
    """
    scheme, _, rest = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    token = rest.strip(" ")
    if not _TOKEN.fullmatch(token):
        raise InvalidRequest
    return str(token)
