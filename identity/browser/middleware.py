"""``request.user`` for pages: the Principal that a token of the same person would make."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException

from identity.browser import sessions
from permissions.principals import ANONYMOUS, Principal
from tenants.audit.acting import identify


class UserMiddleware:
    """Let ``request.user`` be who is signed in with the browser, found out when it is first asked for; from then on,
    the request is in their tenant.

    Whoever may not be there now (their tenant is suspended, say, or asks for a second factor) is nobody to a page: that
    leads to signing in, which tells them why.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user: Any = SimpleLazyObject(lambda: _user_of(request)) if sessions.has_cookie(request) else ANONYMOUS
        request.user = user
        response = self.get_response(request)
        if user is not ANONYMOUS and not sessions.was_asked_for(request):
            request.user = ANONYMOUS  # type: ignore[assignment]  # whoever asks now is past the end of the tenant's context
        return response


def _user_of(request: HttpRequest) -> Principal:
    try:
        principal = sessions.principal_of(request)
    except APIException:
        return ANONYMOUS
    if principal is None:
        return ANONYMOUS
    identify(principal)
    return principal
