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
    """Say which tenant the host names, and route each sort of host by its own URLconf.

    The API hosts name none, and neither does the operators' where they have one (``settings.OPERATOR_HOST``). Any other
    host that is in no directory is refused, except for probes: these come by address, and tell nothing of any tenant.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        host = normalize_host(request.get_host())
        tenant = None
        if settings.OPERATOR_HOST and host == settings.OPERATOR_HOST:
            request.urlconf = settings.OPERATOR_URLCONF
        elif host in settings.API_HOSTS:
            if settings.OPERATOR_HOST:
                request.urlconf = settings.API_URLCONF
        elif not _is_probe(request.path, host):
            tenant = directory.find(host)
            if tenant is None:
                raise UnknownHost("No tenant answers on this host.")
            request.urlconf = settings.TENANT_URLCONF
        setattr(request, _ATTRIBUTE, tenant)
        return self.get_response(request)


def _is_probe(path: str, host: str) -> bool:
    """Tell whether this asks how the process does. Its metrics are asked for by a name or an address that is a
    machine's, and that no tenant's host can be.
    """
    is_machine = "." not in host or host.startswith("[") or host.replace(".", "").isdigit()
    return path.startswith("/health/") or (path == "/metrics" and is_machine)


def tenant_of(request: HttpRequest) -> TenantRef | None:
    """Return the tenant that the request's host names; None on an API host."""
    return getattr(request, _ATTRIBUTE, None)
