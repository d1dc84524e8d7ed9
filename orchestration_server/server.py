"""The grpc server: registration, health, reflection, graceful stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)
from orchestration_server import interceptor
from orchestration_server.call_log import CallLog
from orchestration_server.config import Settings
from orchestration_server.presence import Presence
from orchestration_server.receiving import WAITING_BYTES, RequestThreads

if TYPE_CHECKING:
    from orchestration_server.tracing import Tracing

WAITING = 1_000
"""Unary calls that wait for a thread; the transport refuses what is above."""
REFLECTIONS = 8
SPARE = 4

SERVICES: Mapping[str, ServiceDescriptor] = {
    name: file.DESCRIPTOR.services_by_name[name]
    for name, file in (
        ("SprintService", sprint_pb2),
        ("TaskService", task_pb2),
        ("EventService", event_pb2),
        ("SessionService", session_pb2),
        ("ContextService", context_pb2),
        ("CoordinationService", coordination_pb2),
        ("TemplateService", template_pb2),
        ("ReportService", report_pb2),
        ("AdminService", admin_pb2),
    )
}
HOLDS_NO_THREAD = frozenset(("EventService/StreamTimeline",))
"""Server streams that wait for what happens next; the others read to an end on a thread."""


class Server:
    """A grpc server for servicers named as their services are."""

    def __init__(
        self,
        settings: Settings,
        servicers: Mapping[str, object],
        presence: Presence,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._log = CallLog(settings.log_calls)
        self._interceptor = interceptor.Interceptor(presence, self._log, tracing)
        self._unary = RequestThreads(
            settings.threads, name="rpc", waiting_bytes=max(WAITING_BYTES, 4 * settings.max_message_bytes)
        )
        # A stream holds its thread; the spare ones refuse what is above the limit.
        self._emit = ThreadPoolExecutor(settings.emit_streams + SPARE, thread_name_prefix="emit")
        self._read = ThreadPoolExecutor(settings.file_streams + SPARE, thread_name_prefix="read")
        self._reflect = ThreadPoolExecutor(REFLECTIONS + SPARE, thread_name_prefix="reflect")
        self._health = health.HealthServicer()
        streams = settings.emit_streams + settings.file_streams
        self._server = grpc.server(
            self._unary,
            options=_options(settings),
            maximum_concurrent_rpcs=settings.threads + streams + WAITING,
        )
        for name, descriptor in SERVICES.items():
            self._register(descriptor, servicers[name])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [d.full_name for d in SERVICES.values()]
        self._add_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME])
        self._names = ["", *names]

    def _add_reflection(self, names: list[str]) -> None:
        """Reflection on threads of its own: an open stream of it must not hold a unary call's."""
        servicer = reflection.ReflectionServicer(names)
        handle = interceptor.limited(
            "ServerReflection", servicer.ServerReflectionInfo, REFLECTIONS, self._log
        )
        handle.experimental_thread_pool = self._reflect  # type: ignore[attr-defined]
        handler = grpc.stream_stream_rpc_method_handler(
            handle,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        methods = {"ServerReflectionInfo": handler}
        generic = grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, methods)
        self._server.add_generic_rpc_handlers((generic,))

    def _register(self, service: ServiceDescriptor, servicer: object) -> None:
        handlers = {
            method.name: self._handler(service, method, getattr(servicer, method.name))
            for method in service.methods
        }
        self._server.add_registered_method_handlers(service.full_name, handlers)
        generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
        self._server.add_generic_rpc_handlers((generic,))

    def _handler(
        self, service: ServiceDescriptor, method: MethodDescriptor, behavior: Callable[..., Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        rpc = f"{service.name}/{method.name}"
        around, streams = self._interceptor, self._settings
        parse = interceptor.deserializer(GetMessageClass(method.input_type))
        write = interceptor.serializer
        if method.client_streaming:
            stream = around.bidirectional(rpc, behavior)
            handle = interceptor.limited(rpc, stream, streams.emit_streams, self._log)
            handle.experimental_thread_pool = self._emit  # type: ignore[attr-defined]
            return grpc.stream_stream_rpc_method_handler(handle, parse, write)
        if method.server_streaming and rpc in HOLDS_NO_THREAD:
            return grpc.unary_stream_rpc_method_handler(around.timeline(rpc, behavior), parse, write)
        if method.server_streaming:
            reading = around.reading(rpc, behavior)
            handle = interceptor.limited(rpc, reading, streams.file_streams, self._log)
            handle.experimental_thread_pool = self._read  # type: ignore[attr-defined]
            return grpc.unary_stream_rpc_method_handler(handle, parse, write)
        return grpc.unary_unary_rpc_method_handler(around.unary(rpc, behavior), parse, write)

    def start(self) -> int:
        """Listens and serves; returns the port."""
        port = self._server.add_insecure_port(self._settings.address)
        self._server.start()
        self.report(serving=True)
        return port

    def report(self, *, serving: bool) -> None:
        """What health says of every service."""
        status = health_pb2.HealthCheckResponse.ServingStatus
        for name in self._names:
            self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    def stop(self, before_grace: Callable[[], None]) -> None:
        """Takes no new calls and lets those in flight end; ``before_grace`` ends the open streams."""
        self.report(serving=False)
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(self._settings.grace_seconds)
        before_grace()
        stopped.wait()
        self._unary.shutdown(wait=True, cancel_futures=True)
        self._emit.shutdown(wait=True, cancel_futures=True)
        self._read.shutdown(wait=True, cancel_futures=True)
        self._reflect.shutdown(wait=True, cancel_futures=True)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes * 4),
        ("grpc.so_reuseport", 1 if settings.workers > 1 else 0),
        # Below these, thousands of streams that open at once are let in; by default some are cancelled.
        ("grpc.server.max_pending_requests", 10_000),
        ("grpc.server.max_pending_requests_hard_limit", 20_000),
        # Clients may ping every 10 s, as agents behind proxies have to.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
