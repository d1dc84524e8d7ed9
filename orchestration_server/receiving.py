"""Threads for calls with one request, each taken when the request is there.

grpcio takes a thread when a call arrives; the thread asks for the message and waits for it. That costs two
switches of threads a call, and a client that opens calls and sends nothing holds a thread for each. Here
grpc's serving thread asks for the message, and a thread is taken once it came (docs/decisions/0008).

Like sending.py this knows the insides of one release of grpcio: it does what ``grpc._server`` does in
``_unary_request`` and ``_unary_response_in_pool``. Other insides show in tests/rpc/test_receiving.py.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from queue import Empty, SimpleQueue
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
from grpc_status import rpc_status

from orchestration_server import metrics
from orchestration_server.errors import ResourceExhausted
from orchestration_server.status import status_of

log = structlog.get_logger()

NO_FLAGS = 0
NO_MESSAGE = b"the call takes one request message and got none"
NOT_READ = b"the request message was not read"
FAILED = b"the handler failed"
RETRY_SECONDS = 0.25
WAITING_CALLS = 1_000
WAITING_SECONDS = 5.0
WAITING_BYTES = 64 * 1024 * 1024
"""Requests that wait for a thread, in bytes, above which the next one is refused."""
JOIN_SECONDS = 5.0
"""How long a stop waits for the calls that are still at work when grpc has given them up."""
RECEIVE_SECONDS = 20.0
"""How long a call may take to send its request."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a call that is not begun, made once: a refusal needs no thread and next to no time."""

    code: Any
    details: bytes
    trailing: Any = None
    reason: str = ""
    """What its caller is told, where that is more than the transport's own words."""

    @staticmethod
    def of(message: str, reason: str) -> Refusal:
        """RESOURCE_EXHAUSTED, with its reason and when to come again."""
        error = ResourceExhausted(message, reason=reason, retry_after=RETRY_SECONDS)
        status = rpc_status.to_status(status_of(error))
        exhausted = cygrpc.StatusCode.resource_exhausted
        return Refusal(exhausted, status.details.encode(), status.trailing_metadata, reason)


EMPTY = Refusal(cygrpc.StatusCode.unimplemented, NO_MESSAGE)
TOO_MANY = Refusal.of("too many calls wait for a thread; try again shortly", "TOO_MANY_CALLS")
TOO_MUCH = Refusal.of(
    "the requests that wait for a thread are too large; try again shortly", "TOO_MANY_CALLS"
)
TOO_LONG = Refusal.of("no thread came free in time; try again shortly", "WAITED_TOO_LONG")
TOO_SLOW = Refusal.of("the request did not come in time", "SENT_TOO_SLOWLY")


class RequestThreads(ThreadPoolExecutor):
    """The pool of a grpc.server; only for handlers that take one request, not a stream of them.

    Calls whose requests are there wait for a thread in the order in which they came: so many of them, of so
    many bytes together, for so long. Whoever is above that is refused by grpc's serving thread, or by the one
    that looks after those who wait; no refusal needs a thread of the pool, all of which may be held.

    Of requests that are still on their way as many are taken in as may wait or be at work, each for so long:
    of their bytes grpc tells nothing until all are there.
    """

    def __init__(
        self,
        threads: int,
        *,
        name: str,
        waiting_calls: int = WAITING_CALLS,
        waiting_bytes: int = WAITING_BYTES,
        waiting_seconds: float = WAITING_SECONDS,
        receive_seconds: float = RECEIVE_SECONDS,
    ) -> None:
        super().__init__(1)  # what grpc expects to be given; that one thread is never started
        self._due: SimpleQueue[bool] = SimpleQueue()
        """True for each call that waits, or did; False for each thread that is to end."""
        self._waiting: deque[_Arrival] = deque()
        self._coming: dict[_Arrival, float] = {}
        """Calls whose request is on its way, the first that came first, and since when."""
        self._most = waiting_calls
        self._most_coming = waiting_calls + threads
        self._idle = threads
        """Threads that nothing is on its way to. A call that finds one does not wait."""
        self._free = waiting_bytes
        self._seconds = waiting_seconds
        self._receive_seconds = receive_seconds
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._workers = [
            threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)
        ]
        self._looker = threading.Thread(target=self._look_after, name=f"{name}-waiting", daemon=True)
        for worker in (*self._workers, self._looker):
            worker.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What grpc's serving thread calls when a call arrives, with the call's lock held."""
        arrival: Any = _Arrival(self, fn, *args)
        with self._lock:
            # Before its message is taken in; where more are on their way, let_in looks again.
            full = len(self._waiting) >= self._most + self._idle or len(self._coming) >= self._most_coming
            if not full:
                self._coming[arrival] = time.monotonic()
        if full:
            arrival.refuse(TOO_MANY)
        else:
            arrival.ask()
        # Of the future grpc asks one thing: to be told of its end.
        return arrival  # type: ignore[no-any-return]

    def came(self, arrival: _Arrival) -> bool:
        """Its request is there, or never will be. False where it was refused meanwhile."""
        with self._lock:
            return self._coming.pop(arrival, None) is not None

    def let_in(self, arrival: _Arrival) -> Refusal | None:
        """Has a call answered whose request has come, or says why not."""
        arrival.since = time.monotonic()
        with self._lock:
            if len(self._waiting) >= self._most + self._idle:
                return TOO_MANY
            if arrival.size > self._free:
                return TOO_MUCH
            self._free -= arrival.size
            self._waiting.append(arrival)
        self._due.put(True)
        return None

    def _run(self) -> None:
        while self._due.get():
            with self._lock:
                if not self._waiting:
                    # It waited too long, and was refused meanwhile.
                    continue
                arrival = self._taken()
                self._idle -= 1
            try:
                arrival.answer()
            except Exception as error:
                log.exception("call failed", exc_info=error)
            with self._lock:
                self._idle += 1
            # Or what the call holds would stay until the next one.
            del arrival

    def _taken(self) -> _Arrival:
        """The call that waited longest; the lock is held."""
        arrival = self._waiting.popleft()
        self._free += arrival.size
        return arrival

    def _taken_slow(self) -> list[_Arrival]:
        """The calls whose request did not come in time; the lock is held."""
        since = time.monotonic() - self._receive_seconds
        slow = list(takewhile(lambda arrival: self._coming[arrival] < since, self._coming))
        for arrival in slow:
            del self._coming[arrival]
        return slow

    def _look_after(self) -> None:
        """Refuses those who have waited too long, which nothing else would do while all threads are held, and
        those whose request does not come."""
        while not self._ending.wait(min(self._seconds / 10, self._receive_seconds / 10, 1.0)):
            late: list[_Arrival] = []
            with self._lock:
                slow = self._taken_slow()
                since = time.monotonic() - self._seconds
                while self._waiting and self._waiting[0].since < since:
                    late.append(self._taken())
                    with suppress(Empty):
                        self._due.get_nowait()
            for arrival in late:
                arrival.refuse(TOO_LONG)
            for arrival in slow:
                arrival.refuse(TOO_SLOW)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads after the calls that they are at; the server has stopped before."""
        self._ending.set()
        # It might take what the others are to end by.
        self._looker.join()
        for _ in self._workers:
            self._due.put(False)
        if wait:
            # A call that still waits for something is not waited for: its thread ends with the process.
            end = time.monotonic() + JOIN_SECONDS
            for worker in self._workers:
                worker.join(max(0.0, end - time.monotonic()))


class _Arrival:
    """A call from its arrival to its answer."""

    __slots__ = ("_behavior", "_body", "_deserializer", "_ended", "_enter", "_event", "_over", "_respond",
                 "_serializer", "_state", "_threads", "since", "size")  # fmt: skip

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
        self._ended = False
        self.size = 0
        """Bytes of the request."""
        self.since = 0.0
        """When the request was there."""

    def add_done_callback(self, over: Callable[[_Arrival], None]) -> None:
        """grpc counts the calls at work. It says so before its serving thread takes the next event."""
        self._over = over
        if self._ended:
            over(self)

    def ask(self) -> None:
        """Starts to receive the message."""
        self._event.call.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._received)
        self._state.due.add(_RECEIVE_MESSAGE_TOKEN)

    def _received(self, came: Any) -> Any:
        """What grpc's serving thread runs when the message came or never will; whether the call ended."""
        state = self._state
        body = came.batch_operations[0].message()
        if not self._threads.came(self):
            with state.condition:
                return _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        refusal: Refusal | None = EMPTY
        if body is not None:
            self._body, self.size = body, len(body)
            refusal = self._threads.let_in(self)
        with state.condition:
            if refusal is not None:
                if body is None and state.client is _OPEN:
                    state.client = _CLOSED
                self._abort(refusal)
            ended = _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        if refusal is not None:
            self._end()
        return ended

    def refuse(self, refusal: Refusal) -> None:
        """Answers it without a handler."""
        with self._state.condition:
            self._abort(refusal)
        self._end()

    def _abort(self, refusal: Refusal) -> None:
        self._body = b""
        self._state.trailing_metadata = refusal.trailing
        _abort(self._state, self._event.call, refusal.code, refusal.details)
        if refusal.reason:
            metrics.RPC_REFUSED.labels(refusal.reason).inc()
            self._count("RESOURCE_EXHAUSTED")

    def answer(self) -> None:
        """Runs the handler, on a thread of the pool."""
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
        """Counts a call that no handler sees, where its handler says that its calls are counted."""
        calls: metrics.Rpc | None = getattr(self._behavior, "calls", None)
        if calls is not None:
            calls.never_began(code)

    def _request(self) -> Any:
        request = deserialize(self._body, self._deserializer)
        if request is None:
            with self._state.condition:
                _abort(self._state, self._event.call, cygrpc.StatusCode.internal, NOT_READ)
        return request

    def _end(self) -> None:
        self._ended = True
        if self._over is not None:
            self._over(self)
