"""Traces: spans from the caller to the statements of its call, sent to a collector; none if switched off."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from orchestration import Client
from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.telemetry.tracing import Tracing
from tests.support import factories

SECONDS = 30


def settings(engines: Engines, database_url: str, **given: str) -> Settings:
    return Settings(
        address="127.0.0.1:0", database_url=database_url, redis_url=engines.redis_url or "", grace_seconds=1,
        **given,  # type: ignore[arg-type]  # they are texts
    )  # fmt: skip


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def client(engines: Engines, database_url: str, spans: InMemorySpanExporter) -> Iterator[Client]:
    app = App(settings(engines, database_url), Tracing(SimpleSpanProcessor(spans)))
    with Client(app.start(), agent="a", correlation_id="c", session="s") as found:
        yield found
    app.stop()


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(span for span in spans.get_finished_spans() if span.name == name)


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def below(spans: InMemorySpanExporter, span: ReadableSpan) -> list[str]:
    """Return the names of the spans below a span, in the order of their ends."""
    trace, own = ids(span)
    return [
        one.name for one in spans.get_finished_spans()
        if one.parent is not None and (one.parent.trace_id, one.parent.span_id) == (trace, own)
    ]  # fmt: skip


def test_a_trace_goes_from_the_caller_to_each_statement_and_to_the_cache(
    client: Client, spans: InMemorySpanExporter
) -> None:
    tracer = TracerProvider().get_tracer("agent")
    client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    spans.clear()
    with tracer.start_as_current_span("a step of an agent") as step:
        client.contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code="t"))
    call = named(spans, "orchestration.v1.ContextService/AssembleContext")
    assert call.parent is not None
    assert (call.parent.trace_id, call.parent.span_id) == (
        step.get_span_context().trace_id, step.get_span_context().span_id,
    )  # fmt: skip
    assert call.attributes is not None
    assert call.attributes["orchestration.correlation_id"] == "c"
    assert call.attributes["orchestration.project"] == "default"
    assert call.attributes["orchestration.session"] == "s"
    assert call.attributes["rpc.method"] == "AssembleContext"
    assert call.attributes["rpc.grpc.status_code"] == 0
    under = below(spans, call)
    assert {"redis get", "redis set"} <= set(under)
    assert any(name.startswith("sql context.") for name in under)
    for one in spans.get_finished_spans():
        assert call.start_time is not None
        assert call.end_time is not None
        assert one.start_time is not None
        assert one.end_time is not None
        assert call.start_time <= one.start_time <= one.end_time <= call.end_time
        assert one.context is not None
        assert one.context.trace_id == step.get_span_context().trace_id


def test_a_call_without_a_trace_begins_one_that_shows_its_failure(
    client: Client, spans: InMemorySpanExporter
) -> None:
    with pytest.raises(grpc.RpcError):
        client.tasks.GetTask(task_pb2.GetTaskRequest(task_code="none"))
    call = named(spans, "orchestration.v1.TaskService/GetTask")
    assert call.parent is None
    assert call.attributes is not None
    assert call.attributes["rpc.grpc.status_code"] == 5
    assert call.status.status_code is StatusCode.UNSET
    assert below(spans, call) == ["sql tasks.get"]
    # The thread no longer belongs to that call, so the statements of the next call are below its own span.
    spans.clear()
    client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    created = named(spans, "orchestration.v1.TaskService/CreateTask")
    assert below(spans, created) == ["sql tasks.prepare", "sql writes.apply insert tasks"]
    assert ids(created)[0] != ids(call)[0]


def test_a_caller_that_is_not_traced_is_not_traced_here(client: Client, spans: InMemorySpanExporter) -> None:
    client.tasks.CreateTask(
        task_pb2.CreateTaskRequest(task=factories.task("t")),
        metadata=(("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),),
    )
    assert spans.get_finished_spans() == ()


def test_a_stream_is_one_span(client: Client, spans: InMemorySpanExporter) -> None:
    client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    assert len(list(client.follow(follow=False))) == 1
    sent = event_pb2.EmitEventsRequest(events=[factories.event()])
    assert len(list(client.events.EmitEvents(iter([sent])))) == 1
    for name in ("StreamTimeline", "EmitEvents"):
        call = named(spans, f"orchestration.v1.EventService/{name}")
        assert call.attributes is not None
        assert call.attributes["orchestration.correlation_id"] == "c"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self.names += [
            span.name for resource in request.resource_spans for scope in resource.scope_spans
            for span in scope.spans
        ]  # fmt: skip
        return trace_service_pb2.ExportTraceServiceResponse()


def test_traces_are_sent_to_a_collector(engines: Engines, database_url: str) -> None:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    app = App(settings(engines, database_url, traces=f"http://127.0.0.1:{port}"))
    with Client(app.start()) as client:
        client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    # The remaining spans are sent before the end.
    app.stop()
    server.stop(None)
    assert collector.names.count("orchestration.v1.TaskService/CreateTask") == 1
    assert "sql tasks.prepare" in collector.names


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None  # as where the packages are not installed
from orchestration import Client
from orchestration.v1 import task_pb2
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
app = App(Settings(address="127.0.0.1:0", grace_seconds=1))
with Client(app.start()) as client:
    client.tasks.ListTasks(task_pb2.ListTasksRequest())
app.stop()
print("orchestration_server.telemetry.tracing" in sys.modules)
"""


def test_without_traces_none_of_their_packages_is_imported(engines: Engines, database_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=SECONDS,
        env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or "",
             "ORCHESTRATION_BACKGROUND": "false"},
    )  # fmt: skip
    assert ended.stdout.strip() == "False", ended.stderr
