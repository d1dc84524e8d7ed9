"""Threads for calls with one request, each taken when the request is there.

grpcio takes a thread when a call arrives; the thread asks for the message and waits for it. That costs two
switches of threads a call, and a client that opens calls and sends nothing holds a thread for each. Here
grpc's serving thread asks for the message, and a thread is taken once it came (docs/decisions/0008).

Like sending.py this knows the insides of one release of grpcio: it does what ``grpc._server`` does in
``_unary_request`` and ``_unary_response_in_pool``. Other insides show in tests/rpc/test_receiving.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import structlog
from grpc._common import deserialize
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # it is written in C
from grpc._server import (
    _CLOSED,
    _OPEN,
    _RECEIVE_MESSAGE_TOKEN,
    _abort,
    _Context,
    _is_rpc_state_active,
    _possibly_finish_call,
    _status,
    _unary_response_in_pool,
)

from orchestration_server import metrics

log = structlog.get_logger()

NO_FLAGS = 0
NO_MESSAGE = b"the call takes one request message and got none"
NOT_READ = b"the request message was not read"
FAILED = b"the handler failed"
TOO_MUCH = b"too many requests wait for a thread; try again shortly"
WAITING_BYTES = 64 * 1024 * 1024
"""Requests that wait for a thread, in bytes, above which the next one is refused."""


class RequestThreads(ThreadPoolExecutor):
    """The pool of a grpc.server; only for handlers that take one request, not a stream of them."""

    def __init__(self, threads: int, *, name: str, waiting_bytes: int = WAITING_BYTES) -> None:
        super().__init__(1)  # what grpc expects to be given; that one thread is never started
        self._due: SimpleQueue[_Arrival | None] = SimpleQueue()
        self._free = waiting_bytes
        self._lock = threading.Lock()
        self._workers = [
            threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What grpc's serving thread calls when a call arrives, with the call's lock held."""
        arrival: Any = _Arrival(self, fn, *args)
        arrival.ask()
        # Of the future grpc asks one thing: to be told of its end.
        return arrival  # type: ignore[no-any-return]

    def let_in(self, arrival: _Arrival, size: int) -> bool:
        """Has a call answered whose request of so many bytes has come. False where too much waits."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
        self._due.put(arrival)
        return True

    def taken(self, size: int) -> None:
        """Says that a request waits no more."""
        with self._lock:
            self._free += size

    def _run(self) -> None:
        while (arrival := self._due.get()) is not None:
            try:
                arrival.answer()
            except Exception as error:
                log.exception("call failed", exc_info=error)
            # Or what the call holds would stay until the next one.
            del arrival

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads after the calls that they are at; the server has stopped before."""
        for _ in self._workers:
            self._due.put(None)
        if wait:
            for worker in self._workers:
                worker.join()


class _Arrival:
    """A call from its arrival to its answer."""

    __slots__ = ("_behavior", "_body", "_deserializer", "_enter", "_event", "_over", "_respond",
                 "_serializer", "_state", "_threads")  # fmt: skip

    def __init__(
        self,
        threads: RequestThreads,
        enter: Callable[..., Any],
        respond: Callable[..., None],
        event: Any,
        state: Any,
        behavior: Callable[..., Any],
        _ask_and_wait: Callable[[], Any],
        deserializer: Callable[[bytes], Any] | None,
        serializer: Callable[[Any], bytes] | None,
    ) -> None:
        self._threads = threads
        self._enter = enter
        self._respond = respond
        self._event = event
        self._state = state
        self._behavior = behavior
        self._deserializer = deserializer
        self._serializer = serializer
        self._body = b""
        self._over: Callable[[_Arrival], None] | None = None

    def add_done_callback(self, over: Callable[[_Arrival], None]) -> None:
        """grpc counts the calls at work. It says so before its serving thread takes the next event."""
        self._over = over

    def ask(self) -> None:
        """Starts to receive the message."""
        self._event.call.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._received)
        self._state.due.add(_RECEIVE_MESSAGE_TOKEN)

    def _received(self, came: Any) -> Any:
        """What grpc's serving thread runs when the message came or never will; whether the call ended."""
        state = self._state
        body = came.batch_operations[0].message()
        refusal: tuple[Any, bytes] | None = None
        if body is None:
            refusal = (cygrpc.StatusCode.unimplemented, NO_MESSAGE)
        else:
            self._body = body
            if not self._threads.let_in(self, len(body)):
                refusal = (cygrpc.StatusCode.resource_exhausted, TOO_MUCH)
                metrics.RPC_REFUSED.labels("WAITING_BYTES").inc()
                self._count("RESOURCE_EXHAUSTED")
        with state.condition:
            if refusal is not None:
                if body is None and state.client is _OPEN:
                    state.client = _CLOSED
                _abort(state, self._event.call, *refusal)
            ended = _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        if refusal is not None:
            self._end()
        return ended

    def answer(self) -> None:
        """Runs the handler, on a thread of the pool."""
        self._threads.taken(len(self._body))
        try:
            with self._state.condition:
                if not _is_rpc_state_active(self._state):
                    # Its caller left, or its deadline passed, while it waited.
                    self._count("CANCELLED")
                    return
            if self._respond is _unary_response_in_pool:
                self._enter(self._answer_unary)
            else:
                self._enter(
                    self._respond, self._event, self._state, self._behavior, self._request,
                    self._deserializer, self._serializer,
                )  # fmt: skip
        finally:
            self._end()

    def _answer_unary(self) -> None:
        """As grpc's ``_unary_response_in_pool``, without what its census of calls needs."""
        request = self._request()
        if request is None:
            return
        try:
            response = self._behavior(request, _Context(self._event, self._state, self._deserializer))
            body = self._serializer(response) if self._serializer else response
        except Exception as error:
            if not self._state.aborted:
                log.exception("handler failed", exc_info=error)
            # What the handler aborted with stands in the state, and goes before this.
            with self._state.condition:
                _abort(self._state, self._event.call, cygrpc.StatusCode.unknown, FAILED)
            return
        _status(self._event, self._state, body)

    def _count(self, code: str) -> None:
        """Of a call that no handler sees."""
        rpc = self._event.call_details.method.decode().rpartition(".")[2]
        metrics.RPCS.of(rpc).never_began(code)

    def _request(self) -> Any:
        request = deserialize(self._body, self._deserializer)
        if request is None:
            with self._state.condition:
                _abort(self._state, self._event.call, cygrpc.StatusCode.internal, NOT_READ)
        return request

    def _end(self) -> None:
        if self._over is not None:
            self._over(self)
