"""What every answer has in common, and answers that need no view."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from permissions import throttles
from permissions.endpoints import answered_methods

_WITH_PORT = re.compile(r"\[(.+)\](?::\d+)?|([^:]+):\d+")  # an IPv6 address needs its brackets then


class ClientAddressMiddleware:
    """Let REMOTE_ADDR be the client's address behind ``settings.TRUSTED_PROXIES`` proxies.

    Each of them adds who asked it at the right of X-Forwarded-For. What stands further left was sent by the client, who
    may be lying. Where that leaves no address, the nearest proxy's stays.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXIES:
            told = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
            if len(told) >= settings.TRUSTED_PROXIES:
                address = _address(told[-settings.TRUSTED_PROXIES].strip())
                request.META["REMOTE_ADDR"] = address or request.META.get("REMOTE_ADDR", "")
        return self.get_response(request)


def _address(text: str) -> str | None:
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if getattr(parsed, "scope_id", None) else str(parsed)


class RateLimitMiddleware:
    """Say in every answer of an endpoint how much of its limits is left, whatever the answer is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in throttles.headers_of(request).items():
            response.headers[name] = value
        return response


class NoStoreMiddleware:
    """Keep every answer out of caches that does not say otherwise: what a caller may see can change at any moment."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class OptionsMiddleware:
    """Answer OPTIONS for every endpoint: which methods it has is in the public documentation anyway.

    CORS preflight is answered before this, by django-cors-headers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Return the answer to an OPTIONS request; None lets the view answer anything else."""
        if request.method != "OPTIONS":
            return None
        return HttpResponse(status=204, headers={"Allow": ", ".join(answered_methods(view))})
