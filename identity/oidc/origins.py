"""Where a sign-in by a provider may lead back to: pages of ours and of the tenant that it is for. Anything else would
be an open redirect.
"""

from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings

from tenants.registry import selectors as registry

RETURN_TO_LENGTH = 1000
_PORTS = {"https": 443, "http": 80}

_Origin = tuple[str, str, int | None]


def is_allowed(return_to: str, *, tenant_id: UUID | None, opens_one_tenant: bool) -> bool:
    """Tell whether a URL is at the front end, at a browser app that may call (``settings.CORS_ALLOWED_ORIGINS``), or at
    a host of this tenant's.

    Args:
        opens_one_tenant: the sign-in is good for this tenant alone. Any other one comes back to hosts in our own DNS
            only: a tenant can lead its other hosts elsewhere, and would be whoever signs in there, everywhere.
    """
    parts = _split(return_to)
    origin = _origin_of(parts) if parts else None
    if parts is None or origin is None:
        return False
    if origin in {_origin_of(urlsplit(url)) for url in (settings.FRONTEND_URL, *settings.CORS_ALLOWED_ORIGINS)}:
        return True
    own = urlsplit(settings.ISSUER)
    if tenant_id is None or (origin[0], origin[2]) != (own.scheme, own.port or _PORTS.get(own.scheme)):
        return False
    if not (opens_one_tenant or is_in_our_dns(origin[1])):
        return False
    tenant = registry.tenant_by_host(origin[1])
    return tenant is not None and tenant.pk == tenant_id


def is_in_our_dns(host: str) -> bool:
    """Tell whether a host is below ``settings.BASE_DOMAIN``, so that nobody else says where it leads."""
    return host.endswith(f".{settings.BASE_DOMAIN}")


def with_parameters(return_to: str, **parameters: str) -> str:
    """Return a URL with these parameters added to its query; those of the same names are replaced."""
    parts = urlsplit(return_to)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in parameters]
    query = urlencode([*kept, *parameters.items()])
    return urlunsplit(parts._replace(query=query))  # noqa: SLF001 -- a named tuple's public method


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL that every browser takes for the same; None if one might not."""
    if not url.isascii() or not url.isprintable() or {" ", "\\", "#"} & set(url) or len(url) > RETURN_TO_LENGTH:
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _origin_of(parts: SplitResult) -> _Origin | None:
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return (parts.scheme, parts.hostname, port)
