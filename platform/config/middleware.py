"""What every answer has in common, and answers that need no view."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from permissions.endpoints import answered_methods


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
