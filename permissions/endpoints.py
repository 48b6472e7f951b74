"""What a view declares and what it answers, read the same way by enforcement, start-up check, documentation and tests.

A class-based view names its scopes in a class attribute, by HTTP method, or by action for a viewset::

    class ProjectViewSet(ModelViewSet):
        scopes = {"list": "projects:read", "create": "projects:write", ...}

A function view names them with ``decorators.require_scopes``. Several scopes, as a tuple, are all needed.

What must not be done with a token that was left lying about names its methods or actions in ``recent_sign_in`` too: the
caller then has to have proved who they are within ``settings.STEP_UP_MAX_AGE``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.request import Request

if TYPE_CHECKING:  # DRF imports our authentication class, and with it this module, while it imports APIView
    from rest_framework.views import APIView

Declaration = Mapping[str, str | tuple[str, ...]]

# HEAD is GET without a body, and OPTIONS is answered before any view is asked.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")


@dataclass(frozen=True)
class Endpoint:
    """One routed view.

    Attributes:
        urlconf: dotted path of the URLconf that routes it.
        route: the whole route, such as ``api/v1/members/<uuid:pk>``.
        view: its DRF view class; None when it is no DRF view.
        keys: HTTP method to the key of its declaration (the action's name in a viewset, else the method itself).
    """

    urlconf: str
    route: str
    callback: Callable[..., Any]
    view: type[APIView] | None
    keys: Mapping[str, str]

    @property
    def is_public(self) -> bool:
        return self.route in settings.PUBLIC_ENDPOINTS

    def required(self, method: str) -> frozenset[str]:
        """Return the scopes that `method` needs; KeyError when it is not answered or not declared."""
        if self.view is None:
            raise KeyError(method)
        return declared(self.view)[self.keys[method]]


def endpoints(urlconf: str) -> Iterator[Endpoint]:
    """Yield every endpoint that `urlconf` routes, in order."""
    for route, pattern in _leaves("", get_resolver(urlconf)):
        yield Endpoint(
            urlconf, route, pattern.callback, getattr(pattern.callback, "cls", None), _keys(pattern.callback)
        )


def _leaves(prefix: str, resolver: URLResolver) -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _leaves(route, pattern)
        else:
            yield route, pattern


def answered_methods(callback: Callable[..., Any]) -> list[str]:
    """Return what an ``Allow`` header says of a routed view (RFC 9110 section 10.2.1)."""
    methods = list(_keys(callback)) or ["GET"]
    return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]


def _keys(callback: Callable[..., Any]) -> Mapping[str, str]:
    view: type[APIView] | None = getattr(callback, "cls", None)
    actions: Mapping[str, str] | None = getattr(callback, "actions", None)
    if view is None:
        return {}
    if actions is not None:
        return {method.upper(): action for method, action in actions.items() if method.upper() in _METHODS}
    return {method: method for method in _METHODS if hasattr(view, method.lower())}


def declared(view: type[APIView]) -> Mapping[str, frozenset[str]]:
    """Return what `view` declares: key to all scopes needed. Empty when it declares nothing."""
    declaration: Declaration = getattr(view, "scopes", None) or {}
    known, found = _declared.get(view, (None, {}))
    if known is not declaration:
        found = _read(declaration)
        _declared[view] = declaration, found
    return found


# By view, with the declaration that was read: a view may be given another one.
_declared: WeakKeyDictionary[type[APIView], tuple[Declaration, Mapping[str, frozenset[str]]]] = WeakKeyDictionary()


def _read(declaration: Declaration) -> Mapping[str, frozenset[str]]:
    return {key: frozenset((scopes,) if isinstance(scopes, str) else scopes) for key, scopes in declaration.items()}


def needs_recent_sign_in(view: type[APIView], key: str) -> bool:
    """Tell whether `view` asks for a recent sign-in for this declaration key."""
    return key in getattr(view, "recent_sign_in", ())


def handler_key(view: APIView, method: str) -> str | None:
    """Return the declaration key of what answers `method` on this view instance; None when nothing does (405)."""
    method = "GET" if method == "HEAD" else method
    if getattr(view, "action_map", None):  # a viewset
        return getattr(view, "action", None) or None
    return method if hasattr(view, method.lower()) else None


def is_public(request: Request | HttpRequest) -> bool:
    """Tell whether the request's route is on the list of public endpoints (``settings.PUBLIC_ENDPOINTS``)."""
    match = request.resolver_match
    return match is not None and match.route in settings.PUBLIC_ENDPOINTS
