"""OpenTelemetry, for those who want it: spans of requests and of queries, sent to ``OTEL_EXPORTER_OTLP_ENDPOINT``.

Its packages are none of ours (``pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
opentelemetry-instrumentation-django opentelemetry-instrumentation-psycopg``). With them and the variable set, it is on;
everything else is set by OpenTelemetry's own variables. Statements are recorded as they are sent, without their values.
"""

import os
from importlib.util import find_spec

from tenants.audit.tracing import Trace

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_NEEDED = (
    "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.django",
    "opentelemetry.instrumentation.psycopg",
)  # fmt: skip
_is_on = False


def start() -> None:
    """Begin to record, where it is wanted and can be had; to be called before the middleware is loaded."""
    global _is_on  # noqa: PLW0603 -- once in each process
    if _is_on or not os.environ.get(_ENDPOINT) or not all(map(_is_there, _NEEDED)):
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    service = os.environ.get("OTEL_SERVICE_NAME", "tenantry")
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument()
    PsycopgInstrumentor().instrument()
    _is_on = True


def current() -> Trace | None:
    """Return the place in a trace that OpenTelemetry has given to this request; None when it is off."""
    if not _is_on:
        return None
    from opentelemetry import trace

    span = trace.get_current_span()
    context, parent = span.get_span_context(), getattr(span, "parent", None)
    if not context.is_valid:
        return None
    return Trace(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent else "",
        is_sampled=context.trace_flags.sampled,
        state=context.trace_state.to_header(),
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
