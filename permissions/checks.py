"""The start-up check: nothing is open by accident.

Every routed endpoint of every URLconf in use declares scopes for exactly the methods it answers, or is on the list of
public endpoints. Otherwise ``manage.py`` and the WSGI application refuse to start.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from rest_framework.views import APIView

from permissions import endpoints, policy
from permissions.drf import ScopePermission
from permissions.endpoints import Endpoint

TAG = "scopes"


@register(TAG)
def check_declarations(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each endpoint whose declaration is missing, wrong or undermined."""
    routed = [endpoint for urlconf in settings.URLCONFS for endpoint in endpoints.endpoints(urlconf)]
    return [*_check_public_list(routed), *_check_routes(routed), *_check_views(routed)]


def _check_public_list(routed: list[Endpoint]) -> Iterator[CheckMessage]:
    for route in sorted(settings.PUBLIC_ENDPOINTS - {endpoint.route for endpoint in routed}):
        yield Error(
            f"Public endpoint {route!r} is routed nowhere.", hint="Take it off the list.", id="permissions.E001"
        )


def _check_routes(routed: list[Endpoint]) -> Iterator[CheckMessage]:
    for endpoint in routed:
        declares = endpoint.view is not None and bool(endpoints.declared(endpoint.view))
        if endpoint.is_public and declares:
            yield Error(
                f"{endpoint.route!r} is on the list of public endpoints, yet declares scopes.",
                hint="Decide which: take it off the list, or remove the scopes.",
                obj=endpoint.urlconf,
                id="permissions.E002",
            )
        elif not endpoint.is_public and not declares:
            yield Error(
                f"{endpoint.route!r} declares no scopes.",
                hint="Set `scopes` on the view, use @require_scopes, or add the route to the public endpoints.",
                obj=endpoint.urlconf,
                id="permissions.E003",
            )


def _check_views(routed: list[Endpoint]) -> Iterator[CheckMessage]:
    answered: dict[type[APIView], set[str]] = defaultdict(set)
    public = {endpoint.view for endpoint in routed if endpoint.is_public}
    for endpoint in routed:
        if endpoint.view is not None:
            answered[endpoint.view].update(endpoint.keys.values())
    for view, keys in answered.items():
        if ScopePermission not in view.permission_classes:
            yield Error("Overrides the permission classes without ScopePermission.", obj=view, id="permissions.E004")
        if view not in public and endpoints.declared(view):
            yield from _check_declaration(view, keys)


def _check_declaration(view: type[APIView], keys: set[str]) -> Iterator[CheckMessage]:
    declaration = endpoints.declared(view)
    for key in sorted(keys - declaration.keys()):
        yield Error(f"Declares no scopes for {key!r}, which it answers.", obj=view, id="permissions.E005")
    for key in sorted(declaration.keys() - keys):
        yield Error(f"Declares scopes for {key!r}, which it does not answer.", obj=view, id="permissions.E006")
    for key in sorted(set(getattr(view, "recent_sign_in", ())) - declaration.keys()):
        yield Error(f"Asks for a recent sign-in for {key!r}, undeclared.", obj=view, id="permissions.E010")
    for key, scopes in sorted(declaration.items()):
        if not scopes:
            yield Error(f"Declares an empty set of scopes for {key!r}.", obj=view, id="permissions.E007")
        for scope in sorted(scopes):
            yield from _check_scope(view, key, scope)


def _check_scope(view: type[APIView], key: str, scope: str) -> Iterator[CheckMessage]:
    grant = policy.table().get(scope)
    if grant is None:
        yield Error(
            f"{key!r} needs the scope {scope!r}, which is in no policy.",
            hint="Add it to permissions/policy.py, or register it in the app's ready().",
            obj=view,
            id="permissions.E008",
        )
        return
    kinds = {kind for authenticator in view.authentication_classes for kind in getattr(authenticator, "kinds", ())}
    if not kinds & grant.kinds:
        yield Error(
            f"{key!r} needs the scope {scope!r}, which no caller that the view authenticates can hold.",
            hint="Operator views set authentication_classes to the operator's; all others leave the default.",
            obj=view,
            id="permissions.E009",
        )
