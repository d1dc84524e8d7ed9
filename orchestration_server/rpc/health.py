"""grpc.health.v1, for a server whose services serve together or not at all.

The servicer of grpcio-health-checking waits, under its one lock, for each client that watches: one that does
not read would leave all others without an answer. Here nobody is waited for, and a stop ends who watches.
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
"""Checks that wait for their own thread."""
REQUEST_BYTES = 64 * 1024
WATCHES = 1_000
"""Clients that watch at once."""
_RULES = {health_pb2.HealthCheckRequest: {"service": Text(0, 1_000)}}
_STATUS = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """What the services of a server say of themselves."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = {*names, ""}
        self._status = _STATUS.NOT_SERVING
        self._watchers: set[_Watcher] = set()
        self._lock = threading.Lock()
        # Of its own: a server that is busy is not to be taken for one that is ill.
        self._threads = RequestExecutor(1, name="health", waiting_calls=CHECKS)

    def start(self) -> None:
        """Start the thread that answers."""
        self._threads.start()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a grpc server takes."""

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
        """Says from now on whether the services serve."""
        with self._lock:
            self._status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
            watchers = [watcher for watcher in self._watchers if watcher.known]
        for watcher in watchers:
            watcher.show(self._status)

    def end(self) -> None:
        """Ends the streams of those who watch, after what they were told last."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.end()

    def shutdown(self) -> None:
        """Ends the thread; the server has stopped before."""
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
    """One client that watches: it is told the last status, and those before where it reads fast enough."""

    def __init__(self, outlet: StreamWriter, send: Callable[[None], None], *, known: bool) -> None:
        self._outlet = outlet
        self._send = send
        self.known = known
        """Whether the service that it asked for is one of this server's."""
        self._lock = threading.Lock()
        self._wanted: int | None = None
        self._told: int | None = None
        self._in_flight = False
        self._ending = False

    def show(self, status: int) -> None:
        """Tells it a status, at once or when it took the one before."""
        with self._lock:
            self._wanted = status
        self._next()

    def end(self) -> None:
        """Ends the stream after that. The call of a client that takes nothing ends with the server."""
        with self._lock:
            self._ending = True
        self._next()

    def _next(self) -> None:
        with self._lock:
            if self._in_flight:
                return
            status = self._wanted
            news = status is not None and status != self._told
            if news:
                self._in_flight, self._told = True, status
            elif not self._ending:
                return
        if news:
            body = health_pb2.HealthCheckResponse(status=status).SerializeToString()
            self._outlet.send(body, self._taken)
        else:
            self._send(None)

    def _taken(self) -> None:
        with self._lock:
            self._in_flight = False
        self._next()
