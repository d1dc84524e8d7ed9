"""grpc.health.v1 for a server whose services all serve, or none.

The servicer of grpcio-health-checking holds its one lock while it sends to a client that watches, so that a
client that does not read blocks all others. This one waits for no client, and a stop ends the watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from orchestration_server.errors import InvalidArgument
from orchestration_server.rpc.executor import RequestExecutor
from orchestration_server.rpc.stream_writer import StreamWriter
from orchestration_server.validation.constraints import Text
from orchestration_server.validation.request_parser import Parser

SERVICE = "grpc.health.v1.Health"
CHECKS = 100
"""Checks that may wait for the thread."""
REQUEST_BYTES = 64 * 1024
WATCHES = 1_000
"""Clients that may watch at once."""
_RULES = {health_pb2.HealthCheckRequest: {"service": Text(0, 1_000)}}
_STATUS = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """The health service of one server."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = {*names, ""}
        self._status = _STATUS.NOT_SERVING
        self._watchers: set[_Watcher] = set()
        self._lock = threading.Lock()
        # The pool is separate, so that a busy server does not look like one that is down.
        self._threads = RequestExecutor(1, name="health", waiting_calls=CHECKS)

    def start(self) -> None:
        """Start the thread that answers."""
        self._threads.start()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register at a grpc server."""
        parse = Parser(health_pb2.HealthCheckRequest, _RULES, most_bytes=REQUEST_BYTES)

        def asked(body: bytes, context: grpc.ServicerContext) -> Any:
            try:
                return parse(body)
            except InvalidArgument as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)

        def check(body: bytes, context: grpc.ServicerContext) -> Any:
            request = asked(body, context)
            if request.service not in self._names:
                context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
            return health_pb2.HealthCheckResponse(status=self._status)

        def watch(body: bytes, context: grpc.ServicerContext, send: Callable[[None], None]) -> None:
            request = asked(body, context)
            self._watch(request.service in self._names, context, send)

        check.experimental_thread_pool = self._threads  # type: ignore[attr-defined]
        watch.experimental_thread_pool = self._threads  # type: ignore[attr-defined]
        watch.experimental_non_blocking = True  # type: ignore[attr-defined]
        write = health_pb2.HealthCheckResponse.SerializeToString
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.unary_unary_rpc_method_handler(check, None, write),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, None, write),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def set(self, *, serving: bool) -> None:
        """Set whether the services serve, and send the status to the clients that watch."""
        with self._lock:
            self._status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
            watchers = [watcher for watcher in self._watchers if watcher.known]
        for watcher in watchers:
            watcher.show(self._status)

    def end(self) -> None:
        """End the watches after the status that was sent last."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.end()

    def shutdown(self) -> None:
        """End the thread. The server has stopped before."""
        self._threads.shutdown()

    def _watch(self, known: bool, context: grpc.ServicerContext, send: Callable[[None], None]) -> None:
        watcher = _Watcher(StreamWriter(context), send, known=known)
        with self._lock:
            full = len(self._watchers) >= WATCHES
            if not full:
                self._watchers.add(watcher)
            status = self._status if known else _STATUS.SERVICE_UNKNOWN
        if full:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many clients watch this server")
        if not context.add_callback(lambda: self._leave(watcher)):
            self._leave(watcher)
        watcher.show(status)

    def _leave(self, watcher: _Watcher) -> None:
        with self._lock:
            self._watchers.discard(watcher)


class _Watcher:
    """A client that watches. It gets the last status, and earlier ones only if it reads fast enough."""

    def __init__(self, writer: StreamWriter, send: Callable[[None], None], *, known: bool) -> None:
        self._writer = writer
        self._send = send
        self.known = known
        """True if this server has the service that the client named."""
        self._lock = threading.Lock()
        self._status: int | None = None
        self._sent: int | None = None
        self._in_flight = False
        self._ending = False

    def show(self, status: int) -> None:
        """Send a status, at once or after the one in flight was taken."""
        with self._lock:
            self._status = status
        self._next()

    def end(self) -> None:
        """End the watch after that. The call of a client that does not read ends with the server."""
        with self._lock:
            self._ending = True
        self._next()

    def _next(self) -> None:
        with self._lock:
            if self._in_flight:
                return
            status = self._status
            changed = status is not None and status != self._sent
            if changed:
                self._in_flight, self._sent = True, status
            elif not self._ending:
                return
        if changed:
            body = health_pb2.HealthCheckResponse(status=status).SerializeToString()
            self._writer.send(body, self._taken)
        else:
            self._send(None)

    def _taken(self) -> None:
        with self._lock:
            self._in_flight = False
        self._next()
