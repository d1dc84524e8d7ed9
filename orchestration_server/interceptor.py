"""What stands around every rpc: parsing, identity, rules, deadline, errors to status, log.

All of it runs inside the handler's own thread, never on grpc's serving thread. Each call has one beginning
(``Interceptor.begin``) and one end (``_Attempt.end``), whatever its kind and however it ends.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from orchestration_server import errors, metrics
from orchestration_server.call_log import SLOW_SECONDS, CallLog
from orchestration_server.model import Call
from orchestration_server.presence import Presence
from orchestration_server.sending import Outlet
from orchestration_server.status import status_of
from orchestration_server.streams import Reply
from orchestration_server.validation import UNPARSABLE, check

if TYPE_CHECKING:
    from orchestration_server.tracing import CallSpan, Tracing

log = structlog.get_logger()

READ_SECONDS = 60.0
"""The longest that a stream which holds a thread may take to be read."""
ENDLESS = frozenset(("EventService/StreamTimeline", "EventService/EmitEvents"))
"""Rpcs whose calls last as long as their callers like."""
NO_DEADLINE = 1e8
"""Seconds beyond which grpc means that the caller set no deadline."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PRINTABLE = re.compile(r"[ -~]{0,128}")
CORRELATION = "orchestration-correlation-id"
_METADATA = {
    "orchestration-project": _NAME,
    CORRELATION: _PRINTABLE,
    "orchestration-session": _PRINTABLE,
    "orchestration-agent": _PRINTABLE,
}

OK = grpc.StatusCode.OK
Unary = Callable[[Any, Call], "Message | bytes"]
Send = Callable[[None], None]
"""grpc's callback for a stream that holds no thread. It waits for the client but with None: the end."""


def deserializer(message: type[Message]) -> Callable[[bytes], Any]:
    """Parses a request, or returns UNPARSABLE."""

    def parse(body: bytes) -> Any:
        try:
            return message.FromString(body)
        except DecodeError:
            return UNPARSABLE

    return parse


def serializer(response: Message | bytes) -> bytes:
    """Answers may be made of parts that are serialized already."""
    return response if isinstance(response, bytes) else response.SerializeToString()


def counted(rpc: str, *, stream: bool = False) -> metrics.Rpc:
    """Where the calls of an rpc are counted: looked up once, when it is registered."""
    return metrics.RPCS.of(rpc, stream=stream, endless=rpc in ENDLESS)


class _Attempt:
    """One call, from its beginning to its end."""

    __slots__ = ("_open", "_rpc", "_told", "began", "call", "context", "span")

    def __init__(self, rpc: metrics.Rpc, context: grpc.ServicerContext, told: CallLog) -> None:
        self._rpc = rpc
        self._told = told
        self._open = threading.Lock()
        self.context = context
        self.began = time.monotonic()
        self.call: Call | None = None
        """None until it is known who calls."""
        self.span: CallSpan | None = None
        """None where calls are not traced."""
        rpc.begin()

    @property
    def rpc(self) -> str:
        return self._rpc.name

    @property
    def correlation_id(self) -> str:
        return "" if self.call is None else self.call.correlation_id

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """Says how it ended; a stream's end is that of its last message. Only the first end counts: a client
        may leave while the answer is on its way."""
        if not self._open.acquire(blocking=False):
            return
        took = time.monotonic() - self.began
        self._rpc.end(code.name, took)
        if self.span is not None:
            self.span.end(code.name, code.value[0], self.call)
        if code is not OK or took > SLOW_SECONDS or self._told.every:
            self._told.ended(self.rpc, self.call, code, took, endless=self._rpc.endless, reason=reason)

    def left(self) -> None:
        """Its caller may have left before it ended, or its deadline passed."""
        self.end(self._fate())

    def status(self, error: Exception) -> Any:
        """What its caller is told of an error; the rest goes to the log."""
        if not isinstance(error, errors.LedgerError):
            log.exception("rpc failed", rpc=self.rpc, correlation_id=self.correlation_id, exc_info=error)
            error = errors.LedgerError("something went wrong in the server; its log says what")
        elif isinstance(error, errors.ResourceExhausted):
            metrics.RPC_REFUSED.labels(error.reason).inc()
        status = rpc_status.to_status(status_of(error))
        # Of a call that is over already its caller has been told, and what stopped it is no news.
        self.end(status.code if self.context.is_active() else self._fate(), error.reason)
        return status

    def _fate(self) -> grpc.StatusCode:
        """What a call that is over before it was answered ended as."""
        passed = self.context.time_remaining() == 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if passed else grpc.StatusCode.CANCELLED

    def abort(self, error: Exception) -> NoReturn:
        """Ends it with an error, on its own thread."""
        status = self.status(error)
        correlation = self.correlation_id
        trailing = ((CORRELATION, correlation),) if correlation else ()
        self.context.set_trailing_metadata((*trailing, *(status.trailing_metadata or ())))
        self.context.abort(status.code, status.details)
        raise AssertionError("abort raises")


class Interceptor:
    """Wraps the rpcs of one server."""

    def __init__(self, presence: Presence, call_log: CallLog, tracing: Tracing | None = None) -> None:
        self._presence = presence
        self._log = call_log
        self._tracing = tracing

    def _attempt(self, rpc: metrics.Rpc, context: grpc.ServicerContext) -> _Attempt:
        attempt = _Attempt(rpc, context, self._log)
        if self._tracing is not None:
            metadata = context.invocation_metadata()
            attempt.span = self._tracing.begin(rpc.name, metadata, thread=not rpc.stream)
        return attempt

    def begin(self, attempt: _Attempt, context: grpc.ServicerContext) -> Call:
        """Who calls, from the call's metadata, and in which session."""
        given = {key: value for key, value in context.invocation_metadata() if key in _METADATA}
        for key, value in given.items():
            rule = _METADATA[key]
            if value and (not isinstance(value, str) or not rule.fullmatch(value)):
                raise errors.InvalidArgument({f"metadata.{key}": f"must match {rule.pattern}"})
        said = cast("dict[str, str]", given).get
        left = cast("float | None", context.time_remaining())
        correlation = said(CORRELATION)
        call = Call(
            rpc=attempt.rpc,
            project=said("orchestration-project") or "default",
            correlation_id=correlation or os.urandom(16).hex(),
            session_key=said("orchestration-session", ""),
            agent=said("orchestration-agent", ""),
            deadline=None if left is None or left > NO_DEADLINE else time.monotonic() + left,
            on_end=context.add_callback,
            correlated=bool(correlation),
        )
        self._presence.tie(call)
        context.set_trailing_metadata(((CORRELATION, call.correlation_id),))
        attempt.call = call
        return call

    def unary(self, rpc: str, behavior: Unary) -> Callable[[Any, grpc.ServicerContext], Message | bytes]:
        """Wraps a unary rpc."""
        calls = counted(rpc)

        def handle(request: Any, context: grpc.ServicerContext) -> Message | bytes:
            attempt = self._attempt(calls, context)
            try:
                call = self.begin(attempt, context)
                correlation = call.correlation_id
                check(request)
                response = behavior(request, call)
                if call.correlation_id != correlation:
                    context.set_trailing_metadata(((CORRELATION, call.correlation_id),))
            except Exception as error:
                attempt.abort(error)
            attempt.end(OK)
            return response

        return handle

    def timeline(self, rpc: str, behavior: Callable[[Any, Call, Reply], None]) -> Callable[..., None]:
        """Wraps a server stream that holds no thread while it waits."""
        calls = counted(rpc, stream=True)

        def handle(request: Any, context: grpc.ServicerContext, send: Send) -> None:
            attempt = self._attempt(calls, context)

            def finish(error: Exception | None) -> None:
                if error is None:
                    attempt.end(OK)
                else:
                    status = attempt.status(error)
                    context.set_code(status.code)
                    context.set_details(status.details)
                    context.set_trailing_metadata(status.trailing_metadata)
                send(None)

            if not context.add_callback(attempt.left):
                attempt.left()
                return
            try:
                call = self.begin(attempt, context)
                check(request)
                behavior(request, call, Reply(Outlet(context).send, finish, context.cancel))
            except Exception as error:
                finish(error)

        handle.experimental_non_blocking = True  # type: ignore[attr-defined]
        return handle

    def bidirectional(
        self, rpc: str, behavior: Callable[[Iterator[Any], Call], Iterator[Message]]
    ) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Message]]:
        """Wraps a stream of messages that are answered one by one; each is checked by the behavior."""

        calls = counted(rpc, stream=True)

        def handle(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Message]:
            attempt = self._attempt(calls, context)
            try:
                call = self.begin(attempt, context)
                yield from behavior(self._noted(requests, call), call)
                # It ends by itself also where its caller has left.
                if context.is_active():
                    attempt.end(OK)
            except grpc.RpcError:
                return
            except Exception as error:
                attempt.abort(error)
            finally:
                # Also where grpc lets go of the answers, since nobody is there to take them.
                attempt.left()

        return handle

    def _noted(self, requests: Iterator[Any], call: Call) -> Iterator[Any]:
        """Each message of a stream is an activity of its session."""
        for request in requests:
            if call.session_key:
                self._presence.note(call.project, call.session_key)
            yield request

    def reading(
        self, rpc: str, behavior: Callable[[Any, Call], Iterator[Message | bytes]]
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Message | bytes]]:
        """Wraps a server stream that has an end and holds a thread until then: a client that stops taking
        what it asked for is cut off."""
        calls = counted(rpc, stream=True)

        def handle(request: Any, context: grpc.ServicerContext) -> Iterator[Message | bytes]:
            attempt = self._attempt(calls, context)
            cut = threading.Timer(READ_SECONDS, context.cancel)
            cut.daemon = True
            cut.start()
            try:
                call = self.begin(attempt, context)
                check(request)
                yield from behavior(request, call)
                attempt.end(OK)
            except Exception as error:
                attempt.abort(error)
            finally:
                cut.cancel()
                attempt.left()

        return handle


def limited(
    rpc: str,
    behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]],
    most: int,
    call_log: CallLog,
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    """Refuses streams above a limit at once; what is asked may be one request or many."""
    free = threading.Semaphore(most)
    calls = counted(rpc, stream=True)

    def handle(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if not free.acquire(blocking=False):
            error = errors.ResourceExhausted(
                "too many streams are open on this server", reason="TOO_MANY_STREAMS", retry_after=1
            )
            _Attempt(calls, context, call_log).abort(error)
        try:
            yield from behavior(requests, context)
        finally:
            free.release()

    return handle
