"""What processes count of themselves, for Prometheus. What the database knows is read when somebody asks: see
``metrics_of_database.py``.

A number of series is bounded by what the code has: routes, codes, limits, grants. Tenants are no label but for those
that ``settings.METRICS_TENANTS`` names, because a customer base is unbounded and each series costs memory for ever.

Several worker processes write into files of one folder, and whoever is asked adds them up: see ``worker_processes.py``.
"""

import os
from typing import Any

from django.conf import settings
from django.core.signals import request_finished
from django.db import connections
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from identity.tokens.signals import sign_in_tried, token_issued
from tenants.wall.roles import APP

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's

disable_created_metrics()  # type: ignore[no-untyped-call]
_registry = CollectorRegistry()

REQUESTS = Histogram(
    "tenantry_request_duration_seconds",
    "How long requests took, by route, method and class of status.",
    ["method", "route", "status"],
    buckets=_BUCKETS,
    registry=_registry,
)
REFUSALS = Counter(
    "tenantry_refusals", "Requests that ended in a problem, by its code.", ["status", "code"], registry=_registry
)
TENANT_REQUESTS = Counter(
    "tenantry_tenant_requests",
    "Requests of the tenants that METRICS_TENANTS names; of all others together (other), and of none (none).",
    ["tenant", "status"],
    registry=_registry,
)
THROTTLED = Counter(
    "tenantry_throttled_requests", "Requests that a limit refused, by the limit.", ["limit"], registry=_registry
)
SIGN_INS = Counter(
    "tenantry_sign_ins",
    "Attempts to sign in with a password: success, or the code of the problem that they ended in.",
    ["api", "outcome"],
    registry=_registry,
)
TOKENS = Counter(
    "tenantry_tokens_issued",
    "Access tokens that were issued, by what they were given for.",
    ["grant"],
    registry=_registry,
)
POOL = Gauge(
    "tenantry_database_pool_connections",
    "Connections to the database that processes hold: in_use, or idle.",
    ["state"],
    registry=_registry,
    multiprocess_mode="livesum",
)
POOL_LIMIT = Gauge(
    "tenantry_database_pool_connections_limit",
    "Connections to the database that processes may hold.",
    registry=_registry,
    multiprocess_mode="livesum",
)
POOL_WAITING = Gauge(
    "tenantry_database_pool_waiting",
    "Requests that wait for a connection to the database.",
    registry=_registry,
    multiprocess_mode="livesum",
)


def count_request(
    *, method: str, route: str, status: int, seconds: float, code: str | None, tenant: str | None
) -> None:
    """Count a request that was answered.

    Args:
        method: one of a few, because it is a label.
        tenant: the slug of the tenant that it concerned.
    """
    status_class = f"{status // 100}xx"
    REQUESTS.labels(method, route, status_class).observe(seconds)
    TENANT_REQUESTS.labels(_tenant_label(tenant), status_class).inc()
    if code is not None:
        REFUSALS.labels(str(status), code).inc()


def _tenant_label(slug: str | None) -> str:
    if slug is None:
        return "none"
    return slug if slug in settings.METRICS_TENANTS else "other"


def exposition(*more: Collector) -> bytes:
    """Return what all processes have counted, and what `more` collectors find, in Prometheus' text format."""
    registry = _registry
    if more or _FOLDER in os.environ:
        registry = CollectorRegistry()
        counted = MultiProcessCollector(None) if _FOLDER in os.environ else _registry  # type: ignore[no-untyped-call]
        registry.register(counted)
        for collector in more:
            registry.register(collector)
    return generate_latest(registry)


def connect() -> None:
    """Count what other packages say, from here on."""
    sign_in_tried.connect(_count_sign_in)
    token_issued.connect(_count_token)
    request_finished.connect(_note_pool)


def _count_sign_in(*, api: str, outcome: str, **_: Any) -> None:
    SIGN_INS.labels(api, outcome).inc()


def _count_token(*, grant: str, **_: Any) -> None:
    TOKENS.labels(grant).inc()


_noted_pool: list[int] = []  # of this process


def _note_pool(**_: Any) -> None:
    """Note how the pool stands when a request is over and has given its connection back: what is in use is others'."""
    pool = connections[APP]._connection_pools.get(APP)  # type: ignore[attr-defined]  # noqa: SLF001 -- `pool` would open one
    if pool is None:
        return
    stats = pool.get_stats()
    found = [stats[name] for name in ("pool_available", "pool_size", "pool_max", "requests_waiting")]
    if found == _noted_pool:  # mostly it stands as it did
        return
    _noted_pool[:] = found
    idle, size, limit, waiting = found
    POOL.labels("idle").set(idle)
    POOL.labels("in_use").set(size - idle)
    POOL_LIMIT.set(limit)
    POOL_WAITING.set(waiting)
