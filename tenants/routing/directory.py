"""The directory of hosts, cached in each process.

An entry may be `settings.HOST_CACHE_SECONDS` old. That decides which tenant a request *asks for*, never what it may do:
whether the tenant is alive and the caller belongs there is read when it is entered. Unknown hosts are not remembered,
so a new tenant answers at once and nobody fills the memory with made-up names.

Whoever finds an entry too old renews those of other hosts along with it, the oldest first, in one query: with thousands
of tenants, each of which asks now and then, nearly every request would find its own too old (measured: half as much
again as a request takes). What nobody asks for any more is dropped.
"""

import time
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

from django.conf import settings

from tenants.context.entry import TenantRef
from tenants.registry import selectors

_AT_ONCE = 1000  # hosts that are renewed together: some milliseconds
_UNUSED = 600.0  # seconds after which a host is not renewed any more


@dataclass(slots=True)
class _Entry:
    until: float
    used_at: float
    tenant: TenantRef


_entries: dict[str, _Entry] = {}


def find(host: str) -> TenantRef | None:
    """Return the tenant that a normalized host name leads to."""
    now = time.monotonic()
    entry = _entries.get(host)
    if entry is None or entry.until <= now:
        entry = _renew(host, now)
        if entry is None:
            return None
    entry.used_at = now
    return entry.tenant


def forget(**signal: Any) -> None:
    """Drop what is cached in this process."""
    _entries.clear()


def _renew(host: str, now: float) -> _Entry | None:
    """Look up a host, and others whose entries are past half their time."""
    soon = now + settings.HOST_CACHE_SECONDS / 2
    old = nsmallest(_AT_ONCE, ((entry.until, name) for name, entry in list(_entries.items()) if entry.until <= soon))
    used = {name: entry.used_at for _, name in old if (entry := _entries.get(name)) and now - entry.used_at < _UNUSED}
    used[host] = now
    found = selectors.tenants_by_host(list(used))
    until = time.monotonic() + settings.HOST_CACHE_SECONDS
    _entries.update({name: _Entry(until, used[name], TenantRef(*tenant)) for name, tenant in found.items()})
    for name in {host, *(name for _, name in old)} - found.keys():
        _entries.pop(name, None)
    return _entries.get(host) if host in found else None
