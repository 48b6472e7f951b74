"""The directory of hosts: what it remembers, for how long, and that thousands of hosts cost no query each."""

import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.registry.models import Domain, Tenant
from tenants.routing import directory
from tests.conftest import ACME, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


def queries(*hosts: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        for host in hosts:
            directory.find(host)
    return len(captured)


def test_a_host_is_looked_up_once() -> None:
    assert queries(ACME, ACME, ACME) == 1


def test_an_unknown_host_is_not_remembered() -> None:
    assert queries("nobody.localhost", "nobody.localhost") == 2
    assert directory.find("nobody.localhost") is None


def test_hosts_that_were_asked_for_are_renewed_together(settings: Any) -> None:
    settings.HOST_CACHE_SECONDS = 0.05
    queries(ACME, GLOBEX)
    assert queries(ACME, GLOBEX) == 0
    time.sleep(0.06)

    assert queries(ACME, GLOBEX) == 1
    found = directory.find(GLOBEX)
    assert found is not None
    assert found.slug == "globex"


def test_a_host_that_nobody_asks_for_is_dropped(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_UNUSED", 0.05)
    settings.HOST_CACHE_SECONDS = 0.02
    queries(ACME, GLOBEX)
    for _ in range(3):
        time.sleep(0.03)
        queries(ACME)

    assert GLOBEX not in directory._entries


def test_those_that_are_too_old_for_longest_are_renewed_first(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_AT_ONCE", 1)
    settings.HOST_CACHE_SECONDS = 0.05
    queries(ACME)
    time.sleep(0.01)
    queries(GLOBEX)
    time.sleep(0.06)

    assert queries(GLOBEX, ACME) == 1


def test_a_host_that_is_no_more_is_forgotten_where_another_renews_it(settings: Any) -> None:
    settings.HOST_CACHE_SECONDS = 0.02
    acme = Tenant.objects.get(slug="acme")
    Domain.objects.create(tenant=acme, domain="gone.example.com", is_primary=False)
    queries(ACME, "gone.example.com")
    Domain.objects.filter(domain="gone.example.com").delete()
    assert directory.find("gone.example.com") is not None
    queries("gone.example.com")
    time.sleep(0.03)

    directory.find(ACME)

    assert directory.find("gone.example.com") is None
