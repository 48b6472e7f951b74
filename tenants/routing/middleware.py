"""Host to tenant."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from tenants.context.entry import TenantRef
from tenants.registry.names import normalize_host
from tenants.routing import directory
from tenants.routing.errors import UnknownHost

_ATTRIBUTE = "tenant"


class HostMiddleware:
    """Say which tenant the host names, and route tenant hosts by their own URLconf.

    The API hosts name none. Any other host that is in no directory is refused, except for health probes: these come by
    address, and tell nothing of any tenant.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        host = normalize_host(request.get_host())
        tenant = None
        if host not in settings.API_HOSTS and not request.path.startswith("/health/"):
            tenant = directory.find(host)
            if tenant is None:
                raise UnknownHost("No tenant answers on this host.")
            request.urlconf = settings.TENANT_URLCONF
        setattr(request, _ATTRIBUTE, tenant)
        return self.get_response(request)


def tenant_of(request: HttpRequest) -> TenantRef | None:
    """Return the tenant that the request's host names; None on an API host."""
    return getattr(request, _ATTRIBUTE, None)
