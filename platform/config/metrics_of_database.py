"""What Prometheus learns of the whole platform, whichever process it asks: read from the database, at most once in
``_SECONDS`` by each process, in a fixed number of queries.
"""

import threading
import time
from collections.abc import Iterable, Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from identity.keys import selectors as keys
from identity.mail import delivery
from jobs import selectors as jobs
from tenants.audit import selectors as audit
from tenants.fleet import progress as fleet
from tenants.lifecycle import pool
from tenants.registry import selectors as registry

_SECONDS = 10.0


class DatabaseCollector(Collector):
    """The platform's numbers. While the database is away it says only that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Read all of it again when next asked."""
        self._found: list[Metric] = []
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """Return the numbers of a moment ago."""
        with self._lock:
            if time.monotonic() - self._read_at > _SECONDS:
                self._found, self._read_at = _read(), time.monotonic()
            return self._found


def _read() -> list[Metric]:
    try:
        return [_is_up(is_up=True), *_tenants(), *_fleet(), *_jobs(), *_mail(), *_keys(), *_audit()]
    except (Error, ImproperlyConfigured):
        return [_is_up(is_up=False)]


def _is_up(*, is_up: bool) -> Metric:
    return GaugeMetricFamily("tenantry_database_up", "Whether the database answers.", int(is_up))


def _tenants() -> Iterator[Metric]:
    tenants = GaugeMetricFamily("tenantry_tenants", "Tenants, by their status.", labels=["status"])
    for status, number in registry.number_by_status().items():
        tenants.add_metric([status], number)
    yield tenants
    yield GaugeMetricFamily("tenantry_spare_schemas", "Finished schemas that wait for new tenants.", pool.size())


def _fleet() -> Iterator[Metric]:
    now = fleet.progress()
    tenants = GaugeMetricFamily(
        "tenantry_fleet_tenants",
        "Tenants by how the newest run of migrations left them: current, behind (waiting for it), failed.",
        labels=["state"],
    )
    for state, number in (("current", now.current), ("behind", now.behind), ("failed", now.failed)):
        tenants.add_metric([state], number)
    yield tenants
    yield GaugeMetricFamily("tenantry_fleet_running", "Whether tenants are being migrated.", int(now.is_running))
    yield GaugeMetricFamily(
        "tenantry_fleet_drifted_tenants", "Tenants whose schema is not their version's.", now.drifted
    )


def _jobs() -> Iterator[Metric]:
    rows = GaugeMetricFamily("tenantry_jobs", "Jobs that are kept, by kind and state.", labels=["kind", "state"])
    for (kind, state), number in jobs.number_by_kind_and_state().items():
        rows.add_metric([kind, state], number)
    yield rows
    yield GaugeMetricFamily(
        "tenantry_jobs_oldest_waiting_seconds",
        "How long the oldest job has waited that nobody has begun with.",
        jobs.oldest_waiting_seconds(),
    )


def _mail() -> Iterator[Metric]:
    waiting, given_up = delivery.numbers()
    mail = GaugeMetricFamily(
        "tenantry_outbox_mails", "Mails that are not sent: waiting, or given up.", labels=["state"]
    )
    mail.add_metric(["waiting"], waiting)
    mail.add_metric(["given_up"], given_up)
    yield mail


def _keys() -> Iterator[Metric]:
    age = keys.active_key_seconds()
    if age is not None:
        yield GaugeMetricFamily(
            "tenantry_signing_key_age_seconds", "How long the key that signs access tokens has done so.", age
        )


def _audit() -> Iterator[Metric]:
    events = CounterMetricFamily(
        "tenantry_audit_events", "Events in audit trails: the platform's, and all tenants' together.", labels=["chain"]
    )
    platform, tenants = audit.numbers()
    events.add_metric(["platform"], platform)
    events.add_metric(["tenants"], tenants)
    yield events
