"""What every answer has in common, and answers that need no view."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, cast

from corsheaders import middleware as cors
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

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


class CorsMiddleware(cors.CorsMiddleware):
    """django-cors-headers', which has nothing to say to whoever is no browser app on another origin: only that the
    answer to such an app would be another one.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "OPTIONS" or "HTTP_ORIGIN" in request.META:
            return cast("HttpResponseBase", super().__call__(request))
        response = cast("HttpResponseBase", self.get_response(request))
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))
        return response


class AnswerMiddleware:
    """Say in every answer what holds for all: how long it is, that nobody shows it in a frame, that no cache keeps it
    unless it says so itself (what a caller may see can change at any moment), and how much of its limits is left.

    It answers OPTIONS for every endpoint, too: which methods it has is in the public documentation anyway. CORS
    preflight is answered before this, by django-cors-headers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        headers = response.headers
        for name, value in throttles.headers_of(request).items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        if isinstance(response, HttpResponse):
            headers.setdefault("Content-Length", str(len(response.content)))
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Return the answer to an OPTIONS request; None lets the view answer anything else."""
        if request.method != "OPTIONS":
            return None
        return HttpResponse(status=204, headers={"Allow": ", ".join(answered_methods(view))})
