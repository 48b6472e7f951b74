"""``/docs``: both APIs in Swagger UI, served from here; the documents themselves; what each problem code means."""

import hashlib
from functools import lru_cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.cache import cache_control

from config import openapi, problem_codes
from config.problems import get_only
from tenants.routing.middleware import tenant_of

_CACHED_SECONDS = 300
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)


@get_only
def page(request: HttpRequest) -> HttpResponseBase:
    """Swagger UI for the documents that this host has."""
    context = {"documents": _documents(request), "api_sessions": settings.API_SESSIONS}
    response = render(request, "config/docs.html", context)
    response.headers["Content-Security-Policy"] = _POLICY  # Swagger UI styles inline; it runs no inline script
    return response


@get_only
def problems(request: HttpRequest) -> HttpResponseBase:
    """Every problem code: where the ``type`` of a problem leads."""
    response = render(request, "config/problems.html", {"codes": problem_codes.codes()})
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'"
    return response


@get_only
@cache_control(public=True, max_age=_CACHED_SECONDS)
def document(request: HttpRequest, name: str) -> HttpResponseBase:
    """An OpenAPI document as it was committed."""
    found = {document.name: document for document in _documents(request)}.get(name)
    if found is None:
        raise Http404
    body, tag = _read(found)
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified(headers={"ETag": tag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": tag})


def urlpatterns() -> list[URLPattern]:
    """Return the routes, which are the same on every host."""
    return [
        path("docs", page, name="docs"),
        path("docs/problems", problems, name="docs-problems"),
        path("docs/<slug:name>.json", document, name="docs-document"),
    ]


def _documents(request: HttpRequest) -> list[openapi.Document]:
    """Return what is documented on this host: a tenant's knows nothing of operators, theirs knows of nothing else."""
    if getattr(request, "urlconf", None) == settings.OPERATOR_URLCONF:
        return [openapi.OPERATOR]
    has_operators = tenant_of(request) is None and not settings.OPERATOR_HOST
    return [openapi.TENANT, openapi.OPERATOR] if has_operators else [openapi.TENANT]


@lru_cache
def _read(document: openapi.Document) -> tuple[bytes, str]:
    body = document.file.read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
