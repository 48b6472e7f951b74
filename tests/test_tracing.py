"""W3C trace context: read strictly, begun where it is missing, and carried by jobs."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from config import telemetry
from config.demo_data import PASSWORD
from jobs import running, services
from jobs.models import Job
from tenants.audit import tracing
from tests import working
from tests.committed import remove_jobs, urls
from tests.conftest import Call
from tests.running_demo import ROOT
from tests.test_logs import json_log, lines  # noqa: F401 -- the former is a fixture

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"


def test_a_trace_goes_on() -> None:
    """One more place in it: the caller's is the parent."""
    trace = tracing.begin({"traceparent": GOOD, "tracestate": "a=1,b=2"})
    assert (trace.trace_id, trace.parent_id, trace.is_sampled, trace.state) == (TRACE, PARENT, True, "a=1,b=2")
    assert trace.span_id != PARENT
    assert trace.carrier == {"traceparent": f"00-{TRACE}-{trace.span_id}-01", "tracestate": "a=1,b=2"}
    following = tracing.begin(trace.carrier)
    assert (following.trace_id, following.parent_id, following.is_sampled) == (TRACE, trace.span_id, True)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD} ",
        f"{GOOD}\n",
        f"{GOOD},{GOOD}",  # two headers
        f"{GOOD}-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE.replace('4', '٤')}-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_what_is_malformed_begins_a_new_trace(traceparent: str) -> None:
    """And nothing of it stays, its state included."""
    trace = tracing.begin({"traceparent": traceparent, "tracestate": "a=1"})
    assert (trace.parent_id, trace.state, trace.is_sampled) == ("", "", False)
    assert trace.trace_id != TRACE
    assert tracing.begin(trace.carrier).trace_id == trace.trace_id


def test_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    assert tracing.begin({"traceparent": f"cc-{TRACE}-{PARENT}-03-what-the-future-brings"}).trace_id == TRACE
    assert tracing.begin({"traceparent": f"cc-{TRACE}-{PARENT}-01.more"}).trace_id != TRACE


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a=1", "a=1"),
        (" a=1 ,, b=2\t", "a=1,b=2"),
        ("tenant@system=x/y z", "tenant@system=x/y z"),
        ("a=1,a=2", ""),
        ("a=", ""),
        ("A=1", ""),
        ("a=1=2", ""),
        ("a", ""),
        ("a=ü", ""),
        ("a=1\n", ""),
        (",".join(f"k{number}=1" for number in range(32)), ",".join(f"k{number}=1" for number in range(32))),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        ("a=" + "x" * 511, ""),
    ],
)
def test_state_goes_on_whole_or_not_at_all(sent: str, kept: str) -> None:
    assert tracing.begin({"traceparent": GOOD, "tracestate": sent}).state == kept


def test_a_request_is_logged_as_a_part_of_its_trace(call: Call, json_log: StringIO) -> None:  # noqa: F811 -- the fixture
    """And tells nobody more than it was told."""
    response = call("acme_member", "GET", "/api/v1/projects", HTTP_TRACEPARENT=GOOD)
    fresh = call("acme_member", "GET", "/api/v1/projects", HTTP_TRACEPARENT="00-nonsense")
    told, begun = lines(json_log)
    assert (told["trace_id"], told["parent_id"]) == (TRACE, PARENT)
    assert len(told["span_id"]) == 16
    assert len(begun["trace_id"]) == 32
    assert "parent_id" not in begun
    assert "nonsense" not in json.dumps(begun)
    assert not {"traceparent", "tracestate"} & {name.lower() for name in (*response.headers, *fresh.headers)}


def test_a_job_is_a_part_of_the_trace_that_asked_for_it(unwrapped: None, json_log: StringIO) -> None:  # noqa: F811 -- the fixture
    """Its lines say so, whichever process does it."""
    working.register()
    tenant_id = uuid4()
    arguments = {"steps": 0, "file": "/dev/null"}
    try:
        with tracing.traced(tracing.begin({"traceparent": GOOD})):
            asked = tracing.current()
            job = services.request(kind="count", tenant_id=tenant_id, arguments=arguments)
        assert asked is not None
        running.run(job.pk, is_stopping=lambda: False)
        assert Job.objects.get(pk=job.pk).trace == asked.carrier
    finally:
        remove_jobs()
    (line,) = (line for line in lines(json_log) if line["logger"] == "jobs.running")
    assert (line["trace_id"], line["parent_id"]) == (TRACE, asked.span_id)
    assert (line["job_kind"], UUID(line["job_id"]), UUID(line["tenant_id"])) == ("count", job.pk, tenant_id)
    assert tracing.current() is None


# --- OpenTelemetry ----------------------------------------------------------------------------------------------------

_SCRIPT = """
    import json, logging, sys
    import django; django.setup()
    from django.test import Client
    from opentelemetry import trace
    from config.demo_data import PASSWORD
    body = {"email": "member@acme.test", "password": PASSWORD}
    client = Client(HTTP_HOST="acme.localhost")
    token = client.post("/api/v1/auth/login", body, content_type="application/json").json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "traceparent": sys.argv[1]}
    assert client.get("/api/v1/projects", headers=headers).status_code == 200
    trace.get_tracer_provider().force_flush()
"""


class _Collector(BaseHTTPRequestHandler):
    """What receives spans, as OTLP over HTTP has it."""

    received: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's
        """Say nothing."""


def test_opentelemetry_records_requests_and_queries_where_it_is_wanted(unwrapped: None) -> None:
    """With its packages and a collector: the log names the same trace, and no span has what somebody sent."""
    with HTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        environment = (
            os.environ
            | urls()
            | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "LOG_FORMAT": "json",
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
            }
        )
        command = [sys.executable, "-c", textwrap.dedent(_SCRIPT), GOOD]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        server.shutdown()
        thread.join()
    assert result.returncode == 0, result.stderr
    line = json.loads(result.stderr.splitlines()[-1])
    spans = [
        span
        for body in _Collector.received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == TRACE
    ]
    (request,) = (span for span in spans if span.parent_span_id.hex() == PARENT)
    assert (line["trace_id"], line["span_id"], line["parent_id"]) == (TRACE, request.span_id.hex(), PARENT)
    queries = [span for span in spans if span.parent_span_id == request.span_id]
    assert any("projects_project" in str(span) for span in queries)
    assert PASSWORD.encode() not in b"".join(_Collector.received)


def test_opentelemetry_is_off_unless_asked_for() -> None:
    assert telemetry.current() is None
