"""What Prometheus reads: who may, what is counted, what it costs; and dashboard and alerts fit."""

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from config import health, metrics
from config.demo_data import PASSWORD
from identity.mail.models import OutgoingMail
from jobs.models import Job, JobState
from tenants.fleet.models import DriftedTenant, FleetEntry, FleetRun
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, CAST, Call, sign_in
from tests.running_demo import ROOT
from tests.serving import ask_once, serving
from tests.working import eventually

TOKEN = "a-token-that-only-prometheus-knows"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    health.forget()
    yield
    health.forget()


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(call: Call) -> Samples:
    response = call("nobody", "GET", "/metrics", host=API_HOST)
    assert response.status_code == 200, response.content
    return samples(response.content.decode())


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


class Counting:
    """How much more there is of something than there was."""

    def __init__(self, call: Call) -> None:
        self._call, self._before = call, read(call)

    def more(self, name: str, **labels: str) -> float:
        return value(read(self._call), name, **labels) - value(self._before, name, **labels)


# --- Who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "environment", "sent", "status"),
    [
        ("", "development", None, 200),
        ("", "production", None, 404),
        ("", "production", "Bearer ", 404),
        (TOKEN, "development", None, 401),
        (TOKEN, "production", None, 401),
        (TOKEN, "production", f"Bearer {TOKEN}", 200),
        (TOKEN, "production", f"bearer {TOKEN}", 200),
        (TOKEN, "production", f"Bearer {TOKEN}x", 401),
        (TOKEN, "production", f"Bearer {TOKEN[:-1]}", 401),
        (TOKEN, "production", "Bearer ", 400),
        (TOKEN, "production", f"Basic {TOKEN}", 401),
    ],
)
def test_who_may_read(call: Call, settings: Any, token: str, environment: str, sent: str | None, status: int) -> None:
    settings.METRICS_TOKEN, settings.IN_DEVELOPMENT = token, environment == "development"
    extra = {} if sent is None else {"HTTP_AUTHORIZATION": sent}
    response = call("nobody", "GET", "/metrics", host=API_HOST, **extra)
    assert response.status_code == status
    assert (b"tenantry_" in response.content) == (status == 200)
    assert (status == 401) == ("WWW-Authenticate" in response.headers)


def test_no_tenant_host_has_them_and_no_token_of_ours_opens_them(call: Call, settings: Any) -> None:
    assert call("nobody", "GET", "/metrics", host=ACME).status_code == 404
    settings.METRICS_TOKEN = TOKEN
    assert call("operator", "GET", "/metrics").status_code == 401
    assert call("nobody", "GET", "/metrics", host=ACME, HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 404


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::1]:8000", "app:8000", "localhost:8000"])
def test_each_server_is_asked_by_its_address(call: Call, host: str, django_assert_num_queries: Any) -> None:
    """A balancer in between would tell of another one each time. No directory is asked; the database may be away."""
    health.database.collect()
    with django_assert_num_queries(0):
        assert call("nobody", "GET", "/metrics", host=host).status_code == 200
    assert call("nobody", "GET", "/metrics", host="unknown.example").status_code == 404
    assert call("nobody", "GET", "/docs", host=host).status_code == (200 if host.startswith("localhost") else 404)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0,*/*;q=0.1", "x/y", "*/*"])
def test_whatever_prometheus_accepts(call: Call, accept: str) -> None:
    response = call("nobody", "GET", "/metrics", host=API_HOST, HTTP_ACCEPT=accept)
    assert (response.status_code, response.headers["Content-Type"]) == (200, metrics.CONTENT_TYPE)
    assert response.headers["Cache-Control"] == "no-store"


# --- What is counted --------------------------------------------------------------------------------------------------


def test_requests_and_refusals(call: Call) -> None:
    counting = Counting(call)
    for actor in ("acme_member", "acme_member", "nobody"):
        call(actor, "GET", "/api/v1/projects")
    call("acme_member", "BREW", f"/api/v1/projects/{uuid4()}")
    duration, route = "tenantry_request_duration_seconds_count", "/api/v1/projects"
    assert counting.more(duration, method="GET", route=route, status="2xx") == 2
    assert counting.more(duration, method="GET", route=route, status="4xx") == 1
    assert counting.more(duration, method="other", route=f"{route}/<uuid:pk>", status="4xx") == 1
    assert counting.more("tenantry_refusals_total", status="401", code="not_authenticated") == 1
    assert counting.more("tenantry_refusals_total", status="405", code="method_not_allowed") == 1


def test_tenants_are_a_label_only_where_they_are_named(call: Call, settings: Any) -> None:
    settings.METRICS_TENANTS = frozenset({"acme"})
    counting = Counting(call)
    call("acme_member", "GET", "/api/v1/projects")
    call("acme_member", "GET", "/api/v1/projects", host=API_HOST)  # the token says which
    call("globex_owner", "GET", "/api/v1/projects")
    call("nobody", "GET", "/docs", host=API_HOST)
    name = "tenantry_tenant_requests_total"
    assert [counting.more(name, tenant=tenant, status="2xx") for tenant in ("acme", "other", "globex")] == [2, 1, 0]
    assert counting.more(name, tenant="none", status="2xx") >= 1


def test_no_label_comes_from_what_somebody_sends(call: Call) -> None:
    """A thousand made-up paths, methods and hosts make no new series."""
    call("nobody", "GET", "/first", host=API_HOST)
    call("nobody", "BREW", "/first", host=API_HOST)
    call("nobody", "GET", "/first", host="first.example")
    before = read(call).keys()
    for number in range(20):
        call("nobody", "GET", f"/{number}", host=API_HOST)
        call("nobody", f"BREW{number}", "/first", host=API_HOST)
        call("nobody", "GET", "/first", host=f"{number}.example")
    assert read(call).keys() - before == set()


def test_sign_ins_and_tokens(call: Call, machine: tuple[str, str], settings: Any) -> None:
    counting = Counting(call)
    first = sign_in(CAST["acme_member"])
    sign_in(CAST["operator"])
    login = {"email": "member@acme.test", "password": "wrong"}
    call("nobody", "POST", "/api/v1/auth/login", login)
    call("nobody", "POST", "/operator/v1/auth/login", login | {"password": PASSWORD}, host=API_HOST)
    call("nobody", "POST", "/api/v1/auth/login", {})
    call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
    call("acme_member", "POST", "/api/v1/auth/step-up", {"password": PASSWORD})
    call("acme_member", "POST", "/api/v1/auth/switch", {"tenant": "acme"})
    form = f"grant_type=client_credentials&client_id={machine[0]}&client_secret={machine[1]}".encode()
    call("nobody", "POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
    tried = "tenantry_sign_ins_total"
    assert counting.more(tried, api="tenant", outcome="success") == 1
    assert counting.more(tried, api="operator", outcome="success") == 1
    assert counting.more(tried, api="tenant", outcome="invalid_credentials") == 1
    assert counting.more(tried, api="tenant", outcome="validation_error") == 1
    found = read(call)
    refused = {dict(labels)["outcome"] for name, labels in found if name == tried and ("api", "operator") in labels}
    assert len(refused) >= 2, "a person who is no staff was refused"
    grants = ("refresh_token", "step_up", "switch", "client_credentials", "password")
    issued = [counting.more("tenantry_tokens_issued_total", grant=grant) for grant in grants]
    assert issued == [1, 1, 1, 1, 2]


def test_support_access_is_a_grant_of_its_own(call: Call, tokens: dict[str, Any]) -> None:
    """The cast's began before this test."""
    assert value(read(call), "tenantry_tokens_issued_total", grant="support_access") >= 1


def test_what_cannot_be_counted_is_answered_all_the_same(
    call: Call, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The change was made: whoever asked for it is not told otherwise."""
    settings.METRICS_TENANTS = None  # which is a bug
    assert call("acme_member", "POST", "/api/v1/projects", {"name": "Counted or not"}).status_code == 201
    assert "A request could not be counted." in caplog.text


def test_limits(call: Call, settings: Any) -> None:
    settings.THROTTLES, settings.THROTTLE_RATES = True, {"sign_in": "1/min"}
    counting = Counting(call)
    for _ in range(3):
        call("nobody", "POST", "/api/v1/auth/login", {}, REMOTE_ADDR="192.0.2.77")
    assert counting.more("tenantry_throttled_requests_total", limit="sign_in") == 2
    assert counting.more("tenantry_refusals_total", status="429", code="throttled") == 2


def test_what_the_database_knows(call: Call, unwrapped_rows: None) -> None:
    found = read(call)
    assert value(found, "tenantry_database_up") == 1
    assert value(found, "tenantry_tenants", status="active") == 2
    assert value(found, "tenantry_jobs", kind="export_tenant", state="queued") == 1
    assert 59 < value(found, "tenantry_jobs_oldest_waiting_seconds") < 120
    assert value(found, "tenantry_outbox_mails", state="waiting") >= 1
    assert value(found, "tenantry_outbox_mails", state="given_up") == 1
    assert value(found, "tenantry_fleet_running") == 1
    states = ("current", "behind", "failed")
    assert [value(found, "tenantry_fleet_tenants", state=state) for state in states] == [0, 1, 1]
    assert value(found, "tenantry_fleet_drifted_tenants") == 1
    assert value(found, "tenantry_signing_key_age_seconds") > 0
    assert value(found, "tenantry_audit_events_total", chain="tenants") >= 1
    assert ("tenantry_spare_schemas", frozenset()) in found


@pytest.fixture
def unwrapped_rows(db: None) -> None:
    """One of each kind of row that is counted."""
    from datetime import timedelta

    from django.utils import timezone

    long_ago = timezone.now() - timedelta(minutes=1)
    Job.objects.create(kind="export_tenant", key=uuid4().hex, state=JobState.QUEUED, created_at=long_ago)
    for failed_at in (None, long_ago):
        OutgoingMail.objects.create(template="t", recipient="a@b.test", context={}, failed_at=failed_at)
    FleetRun.objects.filter(state=FleetRun.State.RUNNING).delete()
    run = FleetRun.objects.create(target="t", tenants=2)
    tenant = Tenant.objects.get(slug="acme")
    FleetEntry.objects.create(
        run=run, tenant_id=tenant.pk, schema_name=tenant.schema_name, from_version="a", to_version="t",
        state=FleetEntry.State.FAILED, attempts=1, milliseconds=1, finished_at=long_ago,
    )  # fmt: skip
    DriftedTenant.objects.create(tenant_id=tenant.pk, schema_name=tenant.schema_name)


def test_reading_is_a_fixed_number_of_queries_and_seldom(call: Call, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(15):
        read(call)
    with django_assert_max_num_queries(0):
        read(call)


def test_counting_costs_microseconds() -> None:
    """That it costs no statement, ``test_context.py`` holds."""
    began = time.perf_counter()
    for _ in range(1000):
        metrics.count_request(method="GET", route="/r", status=200, seconds=0.01, code=None, tenant="acme")
    assert (time.perf_counter() - began) / 1000 < 0.001, "it takes some ten of them"


# --- Several processes ------------------------------------------------------------------------------------------------


def test_worker_processes_are_counted_together(
    unwrapped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after one of them was killed and another took its place; and nothing is left on the disk."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(1, workers=2) as (port,):
        (folder,) = tmp_path.glob("tenantry-metrics-*")

        def ask(number: int) -> float:
            for _ in range(number):
                assert ask_once(port, "GET", "/docs/problems", host=API_HOST).status == 200
            text = ask_once(port, "GET", "/metrics", host=API_HOST).body.decode()
            labels = {"method": "GET", "route": "/docs/problems", "status": "2xx"}
            return value(samples(text), "tenantry_request_duration_seconds_count", **labels)

        assert ask(20) == 20
        files = {file.name for file in folder.iterdir()}
        first, second = workers_of(port)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len({first, second} | set(workers_of(port))) == 3)
        assert ask(20) == 40
        assert {file.name for file in folder.iterdir()} <= files | {"gauge_livesum_0.db", "gauge_livesum_1.db"}
    assert not folder.exists()


def workers_of(port: int) -> list[int]:
    """The processes whose parent serves this port."""
    serving_it = {
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/environ")
        if _environment(path).get("BIND") == f"127.0.0.1:{port}"
    }
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in serving_it}
    return [pid for pid, parent in parents.items() if parent in serving_it]


def _environment(path: Path) -> dict[str, str]:
    try:
        pairs = path.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


# --- Dashboard and alerts ---------------------------------------------------------------------------------------------

_NAME = re.compile(r"\btenantry_[a-z_]+")
DASHBOARD, ALERTS = ROOT / "docker/grafana/tenantry.json", ROOT / "docker/prometheus/alerts.yml"


def names() -> set[str]:
    """The name of every sample that there may be, whether something was counted yet or not."""
    text = metrics.exposition(health.database)
    found = {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(text.decode())
        for suffix in {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
    }
    assert len(found) > 15
    return found


def expressions(file: Path) -> list[str]:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, inner in node.items():
                if key in {"expr", "query", "definition"} and isinstance(inner, str):
                    yield inner
                else:
                    yield from walk(inner)
        elif isinstance(node, list):
            yield from itertools.chain.from_iterable(map(walk, node))

    return list(walk(yaml.safe_load(file.read_text())))


@pytest.mark.parametrize("file", [DASHBOARD, ALERTS], ids=lambda file: file.name)
def test_what_is_asked_for_is_there(db: None, file: Path) -> None:
    used = {name for expression in expressions(file) for name in _NAME.findall(expression)}
    assert len(used) >= 8
    assert used - names() == set()


def test_everything_is_on_the_dashboard(db: None) -> None:
    """Whatever is measured is shown."""
    text = "".join(expressions(DASHBOARD))
    families = {re.sub("_(bucket|sum|count|total)$", "", name) for name in names()}
    assert {name for name in families if name not in text} == set()


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert (board["uid"], board["title"], board["id"]) == ("tenantry", "Tenantry", None)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(panel["datasource"]["uid"] == "${datasource}" and panel["targets"] for panel in panels)
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_alerts_say_what_they_mean() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) >= 6
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
