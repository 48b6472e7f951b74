"""Scopes for function views."""

from collections.abc import Callable
from typing import Any

from rest_framework.decorators import api_view

View = Callable[..., Any]


def require_scopes(**by_method: str | tuple[str, ...]) -> Callable[[View], View]:
    """Make a function an endpoint that answers the named HTTP methods and needs the named scopes::

        @require_scopes(GET="projects:read", POST=("projects:write", "tasks:write"))
        def project_report(request: Request) -> Response: ...

    It goes through the same authentication, tenant context, permission and problem details as a class-based view. Over
    a function that already is an ``@api_view`` it only adds the declaration; the start-up check compares the two.
    """

    def decorate(view: View) -> View:
        endpoint: Any = view if hasattr(view, "cls") else api_view([*by_method])(view)
        endpoint.cls.scopes = by_method
        return endpoint  # type: ignore[no-any-return]  # DRF's view functions carry attributes no type describes

    return decorate
