"""Which request this is, and where it comes from: for the audit trail and for whoever reads logs."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from tenants.audit.acting import requested

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestIdMiddleware:
    """Give every request an id (``X-Request-ID``), the caller's own if it is a plain one, and tell the audit trail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _ACCEPTED.fullmatch(given) else str(uuid.uuid4())
        with requested(address=request.META.get("REMOTE_ADDR", ""), request_id=request_id):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response
