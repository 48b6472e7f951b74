"""The start-up check: nothing is open by accident.

Every routed endpoint of every URLconf in use declares scopes for exactly the methods it answers, or is on the list of
public endpoints. Otherwise ``manage.py`` and the WSGI application refuse to start.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.exceptions import ImproperlyConfigured
from rest_framework.views import APIView

from permissions import endpoints, limits, policy, throttles
from permissions.drf import ScopePermission
from permissions.endpoints import Endpoint
from permissions.throttles import LimitThrottle

TAG = "scopes"


@register(TAG)
def check_declarations(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each endpoint whose declaration is missing, wrong or undermined."""
    routed = [endpoint for urlconf in settings.URLCONFS for endpoint in endpoints.endpoints(urlconf)]
    return [*_check_public_list(routed), *_check_routes(routed), *_check_views(routed), *_check_limits()]


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
        yield from _check_throttles(view, keys)
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


def _check_throttles(view: type[APIView], keys: set[str]) -> Iterator[CheckMessage]:
    if LimitThrottle not in view.throttle_classes:
        yield Error("Overrides the throttle classes without LimitThrottle.", obj=view, id="permissions.E012")
    declaration = getattr(view, "throttles", None) or {}
    for key in sorted(declaration.keys() - keys):
        yield Error(f"Names limits for {key!r}, which it does not answer.", obj=view, id="permissions.E011")
    for key in sorted(declaration):
        for name in throttles.declared(view, key):
            limit = limits.LIMITS.get(name)
            if limit is None or not limit.is_for_views:
                yield Error(
                    f"{key!r} names the limit {name!r}, which is none for views.",
                    hint="permissions/limits.py has those that there are.",
                    obj=view,
                    id="permissions.E011",
                )


def _check_limits() -> Iterator[CheckMessage]:
    for name in sorted(settings.THROTTLE_RATES.keys() - limits.LIMITS.keys()):
        yield Error(f"The settings change a limit {name!r}, which there is not.", id="permissions.E013")
    try:
        limits.counter()
        for name in limits.LIMITS:
            limits.rate(name)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="permissions.E013")


@register(Tags.security, deploy=True)
def check_deployed_limits(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Say that limits are not shared; no warning, because one process is a deployment too."""
    if settings.REDIS_URL:
        return []
    hint = "Set REDIS_URL where there are several: each of them lets through as much as the limit says."
    return [Info("Limits are counted by each process for itself.", hint=hint, id="permissions.I001")]
