"""Pages that the server makes: endpoints that show HTML to people, and are like all others in what they ask of their
callers.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.browser.authentication import SessionAuthentication
from identity.tokens.authentication import BearerAuthentication
from identity.tokens.errors import InvalidToken

# No script, nothing from elsewhere, in nobody's frame, and forms that are sent to this host alone.
POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_NEXT_LENGTH = 4000


class HtmlRenderer(BaseRenderer):
    """What the view has made is HTML already; a problem, which it has not, is JSON."""

    media_type = "text/html"
    format = "html"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        return data if isinstance(data, str) else JSONRenderer().render(data)


@extend_schema(exclude=True)
class Page(APIView):
    """A page. It declares scopes as any endpoint does, or is on the list of public ones; besides tokens, it takes the
    session of a browser. Whoever is not signed in is led to where one signs in, and back.

    Attributes:
        policy: its Content-Security-Policy.
    """

    authentication_classes = [BearerAuthentication, SessionAuthentication]
    renderer_classes = [HtmlRenderer]
    policy = POLICY

    def show(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page made of a template."""
        return Response(render_to_string(template, {**context}, self.request._request), status=status)

    def handle_exception(self, exc: Exception) -> Response:
        """Say in HTML what was refused, or have somebody sign in; programs are told as everywhere."""
        is_browser = _is_asked_by_browser(self.request)
        if isinstance(exc, NotAuthenticated | InvalidToken) and is_browser:
            return to_sign_in(self.request._request)  # type: ignore[return-value]  # DRF takes any answer
        response = super().handle_exception(exc)
        if isinstance(response.data, Mapping) and is_browser:
            response.data = render_to_string("browser/refused.html", {"problem": response.data})
            response.content_type = None
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Content-Security-Policy", self.policy)
        return answer


def page_sign_in_required(**by_method: str | tuple[str, ...]) -> Callable[[Callable[..., HttpResponseBase]], Any]:
    """Make a function a page that answers the named HTTP methods and needs the named scopes::

        @page_sign_in_required(GET="projects:read")
        def board(request: HttpRequest) -> HttpResponse:
            return render(request, "board.html", {"projects": Project.objects.all()})

    It is in the tenant of whoever is signed in, who is ``request.user``; a form that it answers needs the CSRF token.
    Django's own ``login_required`` tells who is signed in, too, but knows of no scopes: a view that has nothing else
    has to be on the list of public endpoints.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Any:
        def answer(self: Page, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return view(request._request, *args, **kwargs)

        members = {"scopes": by_method, "__doc__": view.__doc__, "__module__": view.__module__}
        handlers = dict.fromkeys((method.lower() for method in by_method), answer)
        page: type[Page] = type(view.__name__, (Page,), members | handlers)
        return page.as_view()

    return decorate


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Lead a browser to where one signs in, and then back to what it asked for."""
    back = request.get_full_path() if request.method in {"GET", "HEAD"} else settings.LOGIN_REDIRECT_URL
    return redirect_to_login(back)


def safe_next(wanted: str | None) -> str:
    """Return a path of this host's own to go on to: the wanted one, if it is one."""
    if (
        wanted
        and len(wanted) <= _NEXT_LENGTH
        and wanted.isascii()
        and wanted.isprintable()
        and wanted.startswith("/")
        and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    ):
        return wanted
    return str(settings.LOGIN_REDIRECT_URL)


def _is_asked_by_browser(request: Request) -> bool:
    """Tell whether this is a browser that goes somewhere."""
    return "text/html" in request.META.get("HTTP_ACCEPT", "")
