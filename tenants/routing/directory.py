"""The directory of hosts, cached in each process.

An entry may be `settings.HOST_CACHE_SECONDS` old. That decides which tenant a request *asks for*, never what it may do:
whether the tenant is alive and the caller belongs there is read when it is entered. Unknown hosts are not remembered,
so a new tenant answers at once and nobody fills the memory with made-up names.
"""

import time
from typing import Any

from django.conf import settings

from tenants.context.entry import TenantRef
from tenants.registry import selectors

_entries: dict[str, tuple[float, TenantRef]] = {}


def find(host: str) -> TenantRef | None:
    """Return the tenant that a normalized host name leads to."""
    entry = _entries.get(host)
    if entry is not None and entry[0] > time.monotonic():
        return entry[1]
    tenant = selectors.tenant_by_host(host)
    if tenant is None:
        _entries.pop(host, None)
        return None
    ref = TenantRef(tenant.id, tenant.slug, tenant.schema_name, tenant.status)
    _entries[host] = (time.monotonic() + settings.HOST_CACHE_SECONDS, ref)
    return ref


def forget(**signal: Any) -> None:
    """Drop what is cached in this process."""
    _entries.clear()
