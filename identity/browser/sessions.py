"""Somebody signed in with a browser: a session of Django's that stands on a sign-in, as tokens do.

It has the claims of an access token, which every request holds against the database as it would a token's; and which
family of refresh tokens continues them. Whatever refuses or renews a token therefore does so here: what a person may do
is read anew every few minutes and whenever it has changed, and nothing of it can be used elsewhere.
"""

import time
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from rest_framework.exceptions import APIException

from identity.sessions import services as sign_ins
from identity.sessions.models import EndReason
from identity.sessions.refresh_token import RefreshToken
from identity.sessions.rotation import current_refresh_token
from identity.tokens import services as tokens
from identity.tokens.backends import BearerBackend, BearerPrincipal
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidToken
from identity.tokens.minting import IssuedTokens
from identity.tokens.verified import Verified
from tenants.context.middleware import leave_for_request
from tenants.routing.middleware import tenant_of

_KEY = "sign_in"
_PRINCIPAL = "_principal_of_session"


@dataclass(frozen=True)
class _Kept:
    """What a session has of a sign-in."""

    token: Verified
    family_id: UUID

    @classmethod
    def of(cls, request: HttpRequest) -> Self | None:
        values = request.session.get(_KEY)
        if values is None:
            return None
        return cls(Verified(Claims.from_payload(values["claims"]), values["kid"]), UUID(values["family"]))

    @classmethod
    def put(cls, request: HttpRequest, issued: IssuedTokens) -> Self:
        token = BearerBackend().read(issued.access_token)
        family_id = RefreshToken.parse(issued.refresh_token or "").family_id
        request.session[_KEY] = {"claims": token.claims.to_payload(), "kid": token.kid, "family": str(family_id)}
        return cls(token, family_id)


def has_cookie(request: HttpRequest) -> bool:
    """Tell whether a request may belong to a session at all; nothing is looked up."""
    return "HTTP_COOKIE" in request.META and settings.SESSION_COOKIE_NAME in request.COOKIES


def begin(request: HttpRequest, issued: IssuedTokens) -> None:
    """Sign somebody in with the browser that sends `request`, who has just been given these tokens.

    The browser gets a session with a key of its own: one that was there before, which somebody else may know, ends.
    """
    end(request)
    rotate_token(request)
    request.session.set_expiry(int(settings.REFRESH_IDLE_LIFETIME.total_seconds()))
    _Kept.put(request, issued)


def end(request: HttpRequest) -> None:
    """Sign whoever it is out: the session is gone here, and so is the sign-in that it stands on."""
    kept = _Kept.of(request) if has_cookie(request) else None
    if kept is not None and kept.token.claims.sign_in is not None:
        sign_ins.end_session(session_id=kept.token.claims.sign_in.sid, reason=EndReason.LOGOUT)
    request.session.flush()


def principal_of(request: HttpRequest, *, enters: bool = True) -> BearerPrincipal | None:
    """Return who is signed in, and be in their tenant from here on; None when nobody is. Asked again, it answers the
    same.

    Args:
        enters: otherwise it is checked as strictly, from outside.

    Raises:
        TenantMismatch: the request's host belongs to another tenant.
        TenantSuspended: nobody may enter the tenant for now.
        APIException: the sign-in does not meet the tenant's policy any more; see ``requirements.refuse_unmet``.
    """
    if not hasattr(request, _PRINCIPAL):
        setattr(request, _PRINCIPAL, _find(request, enters=enters) if has_cookie(request) else None)
    found: BearerPrincipal | None = getattr(request, _PRINCIPAL)
    return found


def was_asked_for(request: HttpRequest) -> bool:
    """Tell whether anybody wanted to know who is signed in."""
    return hasattr(request, _PRINCIPAL)


def _find(request: HttpRequest, *, enters: bool) -> BearerPrincipal | None:
    kept = _Kept.of(request)
    try:
        if kept is not None and kept.token.claims.exp > time.time():
            try:
                return _check(request, kept.token, enters=enters)
            except InvalidToken:  # over, or merely out of date
                leave_for_request(request)
        if kept is not None:
            return _check(request, _renewed(request, kept).token, enters=enters)
    except InvalidToken:
        leave_for_request(request)
        request.session.flush()
    except APIException:
        leave_for_request(request)
        raise
    return None


def _check(request: HttpRequest, token: Verified, *, enters: bool) -> BearerPrincipal:
    backend = BearerBackend()
    return backend.admit_read(request, token) if enters else backend.inspect_read(request, token)


def _renewed(request: HttpRequest, kept: _Kept) -> _Kept:
    """Keep what is true now in place of what was.

    Raises:
        InvalidToken: the sign-in is over, or its person has no active place in its tenant any more.
    """
    text = current_refresh_token(family_id=kept.family_id)
    if text is None:
        raise InvalidToken
    return _Kept.put(request, tokens.refresh(text=text, host_tenant=tenant_of(request)))
