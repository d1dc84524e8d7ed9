"""Traces for OpenTelemetry: a span for each call, with spans of its statements and Redis commands below it.

The module is imported only if traces are configured. Spans contain no values of calls; statements have the
names that they have in the metrics. A call with a ``traceparent`` continues its caller's trace.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import Token

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestration_server import __version__
from orchestration_server.model import Call

SERVICE = "orchestration"
PACKAGE = "orchestration.v1"
_CARRIED = ("traceparent", "tracestate")
_FAULTS = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))
"""The codes that OpenTelemetry counts as errors of a server."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """The tracer of one server."""

    def __init__(self, processor: SpanProcessor, *, share: float = 1.0) -> None:
        resource = Resource.create({"service.name": SERVICE, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SERVICE, __version__)

    def begin(self, rpc: str, metadata: Iterable[tuple[str, str | bytes]], *, thread: bool) -> CallSpan:
        """Begin the span of a call.

        ``thread`` says that the call keeps this thread to its end. Its statements are then below its span.
        """
        carried = {key: value for key, value in metadata if key in _CARRIED and isinstance(value, str)}
        above = _PROPAGATOR.extract(carried, context=Context())
        service, _, method = rpc.partition("/")
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": f"{PACKAGE}.{service}",
            "rpc.method": method,
        }
        span = self._tracer.start_span(
            f"{PACKAGE}.{rpc}", context=above, kind=SpanKind.SERVER, attributes=attributes
        )
        return CallSpan(span, attach(set_span_in_context(span, above)) if thread else None)

    def statement(self, name: str, seconds: float, failed: bool) -> None:
        """Record a statement that has ended, on the thread that waited for it."""
        self._ended(
            f"sql {name}", seconds, failed, {"db.system.name": "postgresql", "db.query.summary": name}
        )

    def redis_command(self, name: str, seconds: float, failed: bool) -> None:
        """Record a Redis command that has ended."""
        self._ended(f"redis {name}", seconds, failed, {"db.system.name": "redis", "db.operation.name": name})

    def _ended(self, name: str, seconds: float, failed: bool, attributes: dict[str, str]) -> None:
        if not get_current_span().is_recording():
            # The statement belongs to a background service or to a call that is not traced.
            return
        end = time.time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, start_time=end - int(seconds * 1e9), attributes=attributes
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def close(self) -> None:
        """Send the remaining spans and stop."""
        self._provider.shutdown()


class CallSpan:
    """The span of an open call."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span, token: Token[Context] | None) -> None:
        self._span = span
        self._token = token

    def end(self, code: str, number: int, call: Call | None, correlation_id: str) -> None:
        """End the span, on the thread on which it began if that thread belongs to the call."""
        if self._token is not None:
            detach(self._token)
        span = self._span
        if call is not None:
            span.set_attribute("orchestration.project", call.project)
            span.set_attribute("orchestration.correlation_id", correlation_id)
            if call.session_key:
                span.set_attribute("orchestration.session", call.session_key)
        span.set_attribute("rpc.grpc.status_code", number)
        if code in _FAULTS:
            span.set_status(Status(StatusCode.ERROR, code))
        span.end()


def to_collector(url: str, *, share: float) -> Tracing:
    """Return a tracer whose own thread sends spans to a collector, by OTLP over gRPC.

    Spans that the collector does not accept in time are dropped.
    """
    return Tracing(BatchSpanProcessor(OTLPSpanExporter(url)), share=share)
