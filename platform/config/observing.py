"""What a server says of each request: one line in the log, and what is counted (see ``metrics.py``)."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from config import metrics, problems, telemetry
from config.logs import route_of
from tenants.audit import tracing
from tenants.context.middleware import entered_tenant
from tenants.routing.middleware import tenant_of

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = ("/health/", "/metrics")  # they come every few seconds

log = logging.getLogger(__name__)


class ObservingMiddleware:
    """Give every request a place in a trace (W3C Trace Context), and say of each how it went and how long it took.

    What is streamed counts until it begins.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        with tracing.traced(telemetry.current() or tracing.begin(_carrier(request))):
            response = self.get_response(request)
            try:
                _tell(request, response, time.perf_counter() - began)
            except Exception:  # what was done stays done, and its answer is on its way
                log.exception("A request could not be counted.")
        return response


def _carrier(request: HttpRequest) -> Mapping[str, str]:
    """Return the headers of a trace. Looked for by name: nobody else needs all headers."""
    meta = request.META
    return {"traceparent": meta.get("HTTP_TRACEPARENT", ""), "tracestate": meta.get("HTTP_TRACESTATE", "")}


def _tell(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    method = request.method if request.method in _METHODS else "other"  # it may be any word
    route, code = route_of(request), problems.code_of(response)
    tenant = tenant_of(request) or entered_tenant(request)
    slug = tenant.slug if tenant else None
    metrics.count_request(
        method=method, route=route, status=response.status_code, seconds=seconds, code=code, tenant=slug
    )
    level = logging.DEBUG if route.startswith(_PROBES) else logging.INFO
    if settings.ACCESS_LOG and log.isEnabledFor(level):
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": response.status_code,
            "duration_ms": round(seconds * 1000, 1),
            "tenant": slug,
            "tenant_id": str(tenant.id) if tenant else None,
            "code": code,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        log.log(
            level, "%s %s %s %.1f ms", method, route, response.status_code, seconds * 1000, extra={"fields": fields}
        )
