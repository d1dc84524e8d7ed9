"""The gRPC server: registration, health, reflection, graceful stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import sleep
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)
from orchestration_server.auth import permissions
from orchestration_server.config.settings import Settings
from orchestration_server.errors import CannotListen
from orchestration_server.rpc import health, interceptor
from orchestration_server.rpc.executor import WAITING_BYTES, RequestExecutor
from orchestration_server.rpc.health import Health
from orchestration_server.validation import RULES
from orchestration_server.validation.constraints import Int, Rules, Sub, Text
from orchestration_server.validation.request_parser import Parser

BACKSTOP = 10_000
"""Calls beyond all limits that may be open without having sent a request. The transport refuses calls beyond
that, without details."""
REFLECTIONS = 8
SPARE = 4
COMPRESSIONS = 0b101
"""grpc's numbers of identity and gzip, as bits. Deflate looks like an uncompressed message."""
_NAME = Text(0, 1_000)
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
# Reflection describes imported files only, and clients ask it how to decode the details of an error.
DETAILS = (status_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR)
_REFLECTION_RULES: Rules = {
    reflection_pb2.ExtensionRequest: {"containing_type": _NAME, "extension_number": Int(0, 2**31 - 1)},
    reflection_pb2.ServerReflectionRequest: {
        "host": _NAME,
        "file_by_filename": _NAME,
        "file_containing_symbol": _NAME,
        "file_containing_extension": Sub(reflection_pb2.ExtensionRequest),
        "all_extension_numbers_of_type": _NAME,
        "list_services": _NAME,
    },
}
"""Rules for sizes only."""

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
        ("ScheduleService", schedule_pb2),
        ("ReportService", report_pb2),
        ("AdminService", admin_pb2),
    )
}
HOLDS_NO_THREAD = frozenset(("EventService/StreamTimeline", "CoordinationService/ClaimTask"))
"""Rpcs that wait for new events or for work without a thread. The others hold a thread to their end."""


class Server:
    """The gRPC server of servicers, which are given by the names of their services."""

    def __init__(
        self, settings: Settings, servicers: Mapping[str, object], around: interceptor.Interceptor
    ) -> None:
        self._settings = settings
        self._interceptor = around
        self._unary = RequestExecutor(
            settings.threads,
            name="rpc",
            contended_threads=max(1, settings.threads // 2),
            slow_requests=settings.slow_requests,
            waiting_calls=settings.waiting_calls,
            waiting_bytes=max(WAITING_BYTES, 4 * settings.max_message_bytes),
            waiting_seconds=settings.waiting_seconds,
        )
        # Each stream holds a thread; the spare threads refuse streams above the limit.
        self._emit = ThreadPoolExecutor(settings.emit_streams + SPARE, thread_name_prefix="emit")
        self._read = RequestExecutor(
            settings.file_streams + SPARE,
            name="read",
            waiting_calls=settings.waiting_calls,
            slow_requests=settings.slow_requests,
        )
        self._reflect = ThreadPoolExecutor(REFLECTIONS + SPARE, thread_name_prefix="reflect")
        names = [descriptor.full_name for descriptor in SERVICES.values()]
        self._health = Health(names)
        streams = settings.emit_streams + settings.file_streams
        self._server = grpc.server(
            self._unary,
            options=_options(settings),
            maximum_concurrent_rpcs=settings.threads + settings.waiting_calls + streams + BACKSTOP,
        )
        for name, descriptor in SERVICES.items():
            self._register(descriptor, servicers[name])
        self._server.add_generic_rpc_handlers((self._health.handler(),))
        self._add_reflection([*names, health.SERVICE, reflection.SERVICE_NAME])

    def _add_reflection(self, names: list[str]) -> None:
        """Register reflection on its own pool: its open streams must not hold threads of unary calls."""
        servicer = reflection.ReflectionServicer(names)
        request = reflection_pb2.ServerReflectionRequest
        parse = Parser(request, _REFLECTION_RULES, most_bytes=self._settings.max_message_bytes)
        asked = self._interceptor.reflection(servicer.ServerReflectionInfo, parse)
        handle = self._interceptor.limited(permissions.REFLECTION, asked, REFLECTIONS)
        handle.experimental_thread_pool = self._reflect  # type: ignore[attr-defined]
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            handle,
            None,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        methods = {"ServerReflectionInfo": handler}
        # Clients try v1 first; its messages are those of v1alpha under another name.
        for service in (reflection.SERVICE_NAME, _REFLECTION_V1):
            generic = grpc.method_handlers_generic_handler(service, methods)
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
        request = GetMessageClass(method.input_type)
        parse = Parser(request, RULES, most_bytes=streams.max_message_bytes)
        write = interceptor.serializer
        # A handler gets bytes, and parses them once it knows the caller.
        if method.client_streaming:
            handle = around.limited(
                rpc, around.bidirectional_stream(rpc, behavior, parse), streams.emit_streams
            )
            handle.experimental_thread_pool = self._emit  # type: ignore[attr-defined]
            return grpc.stream_stream_rpc_method_handler(handle, None, write)
        if rpc in HOLDS_NO_THREAD:
            # On the wire a unary response is a stream of one message.
            return grpc.unary_stream_rpc_method_handler(
                around.detached_stream(rpc, behavior, parse), None, write
            )
        if method.server_streaming:
            handle = around.limited(rpc, around.server_stream(rpc, behavior, parse), streams.file_streams)
            handle.experimental_thread_pool = self._read  # type: ignore[attr-defined]
            return grpc.unary_stream_rpc_method_handler(handle, None, write)
        return grpc.unary_unary_rpc_method_handler(around.unary(rpc, behavior, parse), None, write)

    def start(self) -> int:
        """Listen, serve, and return the port. Raises CannotListen if the address cannot be bound."""
        with ExitStack() as stack:
            for pool in (self._unary, self._read):
                stack.callback(pool.shutdown)
                pool.start()
            stack.callback(self._health.shutdown)
            self._health.start()
            port = self._listen()
            self._server.start()
            stack.pop_all()
        self._health.set(serving=True)
        return port

    def _listen(self) -> int:
        settings = self._settings
        credentials = None
        if settings.tls_cert is not None:
            # Few servers use TLS, and the import is slow.
            from orchestration_server.rpc import tls

            credentials = tls.credentials(settings)
        try:
            if credentials is None:
                return self._server.add_insecure_port(settings.address)
            return self._server.add_secure_port(settings.address, credentials)
        except RuntimeError as error:
            raise CannotListen(str(error)) from error

    def stop(self, before_grace: Callable[[], None]) -> None:
        """Stop gracefully: refuse new calls and let those in flight end.

        The health service reports NOT_SERVING first, so that balancers send no calls here; then
        ``before_grace`` ends the open streams, and clients are told to connect elsewhere.
        """
        self._health.set(serving=False)
        if self._settings.drain_seconds:
            sleep(self._settings.drain_seconds)
        # The streams end while the server still serves: a connection that closes may drop a status that it
        # has not sent.
        before_grace()
        stopped = self._server.stop(self._settings.grace_seconds)
        self._health.end()
        stopped.wait()
        self._health.shutdown()
        for threads in (self._unary, self._emit, self._read, self._reflect):
            threads.shutdown(wait=True, cancel_futures=True)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # A message stays compressed until the caller is known; validation/request_parser.py decompresses it.
        ("grpc.per_message_decompression", 0),
        ("grpc.compression_enabled_algorithms_bitset", COMPRESSIONS),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # This also slows clients that open calls and reset them: grpc counts calls that it still cleans up.
        ("grpc.max_concurrent_streams", settings.connection_calls),
        ("grpc.max_allowed_incoming_connections", settings.client_connections),
        ("grpc.max_send_message_length", settings.max_answer_bytes),
        ("grpc.so_reuseport", 1 if settings.workers > 1 or settings.share_port else 0),
        # With the defaults grpc cancels some of thousands of streams that open at once.
        ("grpc.server.max_pending_requests", 10_000),
        ("grpc.server.max_pending_requests_hard_limit", 20_000),
        # Clients behind proxies may ping as often as they must: no ping strike counts.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1000)),
        # grpcio 1.85 ignores this option: a ping times out after a minute unless ping_timeout_ms is set.
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.http2.ping_timeout_ms", int(settings.keepalive_timeout_seconds * 1000)),
        *_age(settings),
    ]


def _age(settings: Settings) -> list[tuple[str, int]]:
    """Return the options for the age of connections.

    grpc varies the age by a tenth, so that clients do not all reconnect at once.
    """
    if not settings.connection_seconds:
        return []
    return [
        ("grpc.max_connection_age_ms", int(settings.connection_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.grace_seconds * 1000)),
    ]
