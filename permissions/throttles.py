"""Counting requests: the throttle class that every DRF view has by default, and what it tells the client.

A view names further limits in a class attribute, by method or action as in ``scopes``::

    class LoginView(APIView):
        throttles = {"POST": "sign_in"}

Several, as a tuple, all hold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from permissions import callers, endpoints, limits
from permissions.counters import Rate
from permissions.limits import By, Count, LimitReached
from permissions.principals import Principal

if TYPE_CHECKING:  # DRF imports this module while it imports APIView
    from rest_framework.views import APIView

_ATTRIBUTE = "_throttle_counts"
_MINUTE = 60


class LimitThrottle(BaseThrottle):
    """Count each request against the limits that the view names, and against its caller's own: by who they are, or for
    strangers by where they come from. Where the caller's tenant has a limit, that holds too.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True.

        Raises:
            LimitReached: one of the limits has no room.
        """
        _count(request, view, callers.principal_of(request))
        return True


def settle(error: APIException, request: Request, view: APIView | None) -> APIException:
    """Return how a refusal ends: as it is, or as LimitReached.

    DRF asks for permission first, so who lacks one has not been counted yet. Who is nobody is not counted here: where
    many people are behind one address, refused tokens of one must not keep the others' clients from learning that
    theirs has expired.
    """
    principal: Principal | None = getattr(request, "_user", None)  # `user` would authenticate again
    if view is None or principal is None or principal.is_anonymous or hasattr(request, _ATTRIBUTE):
        return _noted(error, request)
    try:
        _count(request, view, principal)
    except LimitReached as reached:
        return _noted(reached, request)
    return error


def headers_of(request: HttpRequest) -> dict[str, str]:
    """Return what the answer to a request says of the limits it was counted against: fields of
    draft-ietf-httpapi-ratelimit-headers-10.
    """
    counts: dict[str, Count] = getattr(request, _ATTRIBUTE, {})
    if not counts:
        return {}
    return {
        "RateLimit-Policy": ", ".join(
            f'"{name}";q={count.rate.quota};w={count.rate.seconds}' for name, count in counts.items()
        ),
        "RateLimit": ", ".join(
            f'"{name}";r={count.hit.remaining};t={math.ceil(count.hit.reset)}' for name, count in counts.items()
        ),
    }


def address_of(request: Request) -> str:
    """Return the client's address."""
    return str(request.META.get("REMOTE_ADDR") or "")


def declared(view: type[APIView], key: str) -> tuple[str, ...]:
    """Return the limits that `view` names for this declaration key."""
    names: str | tuple[str, ...] = (getattr(view, "throttles", None) or {}).get(key, ())
    return (names,) if isinstance(names, str) else names


def _count(request: Request, view: APIView, principal: Principal) -> None:
    if not settings.THROTTLES:
        return
    found: dict[str, Count] = {}
    setattr(request._request, _ATTRIBUTE, found)
    for name in _limits(request, view, principal):
        count = limits.require(name, _who(name, request, principal))
        if count is not None:
            found[name] = count
    if principal.requests_per_minute is not None:  # last: what one caller has too many does not use up the others'
        count = limits.require("tenant", str(principal.tenant_id), allowed=Rate(principal.requests_per_minute, _MINUTE))
        if count is not None:
            found["tenant"] = count


def _limits(request: Request, view: APIView, principal: Principal) -> tuple[str, ...]:
    key = endpoints.handler_key(view, request.method or "")
    names = declared(type(view), key) if key is not None else ()
    if not principal.is_anonymous:
        return (*names, "principal")
    if any(limits.LIMITS[name].by is By.ADDRESS for name in names):
        return names
    return (*names, "anonymous")


def _who(name: str, request: Request, principal: Principal) -> str:
    match limits.LIMITS[name].by:
        case By.ADDRESS:
            return address_of(request)
        case By.TENANT if principal.tenant_id is not None:
            return str(principal.tenant_id)
    return principal.throttle_key


def _noted(error: APIException, request: Request) -> APIException:
    if isinstance(error, LimitReached):
        counts: dict[str, Count] = getattr(request._request, _ATTRIBUTE, {})
        counts[error.count.name] = error.count
        setattr(request._request, _ATTRIBUTE, counts)
    return error
