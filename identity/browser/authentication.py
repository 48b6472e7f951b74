"""DRF's way to sessions of browsers: for pages always, for the API where ``settings.API_SESSIONS`` says so."""

from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from identity.browser import sessions
from identity.browser.errors import CsrfFailed
from identity.tokens.authentication import REALM
from identity.tokens.backends import BearerPrincipal
from permissions.endpoints import is_public
from permissions.principals import Kind
from tenants.audit.acting import identify
from tenants.context.middleware import be_person_for_request


class SessionAuthentication(BaseAuthentication):
    """Authenticate the session of a browser, and enter its tenant until the request ends: as ``BearerAuthentication``
    does with a token, and after it, so that a token that is sent is what counts.

    A browser sends its cookie whoever makes it do so. What changes something has to prove that a page of ours did.
    """

    kinds = frozenset({Kind.PERSON, Kind.MEMBER})

    def authenticate(self, request: Request) -> tuple[BearerPrincipal, BearerPrincipal] | None:
        """Return the caller, or None when nobody is signed in.

        Raises:
            CsrfFailed: somebody is, and another site may have sent this.
            APIException: as ``sessions.principal_of``.
        """
        if is_public(request):
            return None
        view = (request.parser_context or {}).get("view")
        principal = sessions.principal_of(request._request, enters=getattr(view, "enters_tenant", True))
        if principal is None:
            return None
        refuse_forged(request._request)
        if getattr(view, "acts_as_person", False) and principal.id is not None:
            be_person_for_request(request._request, principal.id)
        identify(principal)
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return f'Bearer realm="{REALM}"'  # RFC 9110 section 15.5.2: a 401 names a scheme, and cookies have none


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def refuse_forged(request: HttpRequest) -> None:
    """Refuse what changes something and was not sent by a page of this host's own.

    Raises:
        CsrfFailed: the token is missing or wrong, or the request comes from elsewhere.
    """
    check = _Check(lambda _: None)  # type: ignore[arg-type]  # it answers nothing here
    check.process_request(request)
    if check.process_view(request, None, (), {}):  # type: ignore[arg-type]  # whichever view it is
        raise CsrfFailed
