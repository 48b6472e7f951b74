"""Routes that are found by their first segment lead where Django's own way leads."""

import re

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, URLResolver, include, path, re_path
from django.urls.resolvers import RoutePattern, get_resolver

from config.routes import IndexedResolver
from permissions import endpoints

SAMPLES = {"uuid": "5c8d4f0a-1b7e-4f7e-9c33-0d9d6a1f2b3c", "int": "7", "slug": "a-b", "str": "word", "path": "a/b"}


def a(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a")


PATTERNS = [
    path("", include([path("members", a, name="members"), path("members/<uuid:pk>", a, name="member")])),
    path("members/leave", a, name="leave"),
    path("<slug:any>/list", a, name="any"),
    path("pro", include([path("jects", a, name="in-the-middle")])),
    path("auth/", include([path("login", a, name="login"), path("<int:n>", a, name="n")]), {"extra": 1}),
    path("named/", include(([path("x", a, name="x")], "app"), namespace="space")),
    re_path(r"^re/(\d+)$", a, name="positional"),
    path("", a, name="empty"),
    path("projects", a, name="projects"),
]
PATHS = [
    "members", f"members/{SAMPLES['uuid']}", "members/leave", "members/list", "members/", "memberss", "x/list",
    "projects", "auth/login", "auth/5", "auth/x", "auth/list", "named/x", "re/12", "re/x", "", "/", "pro", "nothing",
    "nothing/at/all",
]  # fmt: skip


def found(resolver: URLResolver, where: str) -> object:
    try:
        match = resolver.resolve(where)
    except Resolver404:
        return None
    return match.func, match.args, match.kwargs, match.route, match.view_name, match.namespaces, match.captured_kwargs


@pytest.mark.parametrize("where", PATHS)
def test_it_leads_where_djangos_way_leads(where: str) -> None:
    indexed = URLResolver(RoutePattern(""), [IndexedResolver("api/", PATTERNS)])  # type: ignore[arg-type]  # patterns do, too
    stock = URLResolver(RoutePattern(""), [path("api/", include(PATTERNS))])  # type: ignore[arg-type]
    assert found(indexed, f"api/{where}") == found(stock, f"api/{where}")
    assert found(indexed, where) is None


@pytest.mark.parametrize("urlconf", settings.URLCONFS)
def test_every_endpoint_is_found(urlconf: str) -> None:
    """Under the very route by which its declaration, its metrics and the list of public endpoints know it."""
    for endpoint in endpoints.endpoints(urlconf):
        if "(" in endpoint.route:
            continue  # the static files of the documentation
        where = re.sub(r"<(\w+):\w+>", lambda match: SAMPLES[match[1]], endpoint.route)
        match = get_resolver(urlconf).resolve("/" + where)
        assert (match.route, match.func) == (endpoint.route, endpoint.callback)
