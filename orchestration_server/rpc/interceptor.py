"""The wrapper of every rpc: authentication, parsing, validation, deadline, errors to status, access log.

All of it runs on the handler's thread, never on grpc's serving thread. Each call has one beginning
(``Interceptor._begin``) and one end (``ActiveCall.end``).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
from google.protobuf.message import Message

from orchestration_server import errors, names
from orchestration_server.auth import permissions
from orchestration_server.auth.admission import AUTHORIZATION, PROJECT, SESSION, Admission, Verdict
from orchestration_server.auth.credentials import Identity
from orchestration_server.auth.session_tracker import SessionTracker
from orchestration_server.model import AnswerMetadata, Call, Scope
from orchestration_server.rpc.active_call import CORRELATION, ActiveCall, DetachedCall
from orchestration_server.rpc.pending_call import take_early_result
from orchestration_server.rpc.stream_writer import StreamWriter
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.access_log import AccessLog
from orchestration_server.timeline.pacing import Traffic
from orchestration_server.timeline.reply import Reply
from orchestration_server.validation import validate
from orchestration_server.validation.request_parser import Parser, Unreadable

if TYPE_CHECKING:
    from orchestration_server.telemetry.tracing import Tracing

READ_SECONDS = 60.0
"""The longest time that a client may take to read a server stream that holds a thread."""
ENDLESS = frozenset(
    ("EventService/StreamTimeline", "EventService/EmitEvents", "CoordinationService/ClaimTask")
)
"""Rpcs whose calls last as long as the caller wants, so their time says nothing."""
REVOCABLE = ENDLESS | {permissions.REFLECTION}
"""Rpcs whose open calls end when their credential expires or is revoked."""
NO_DEADLINE = 1e8
"""Remaining seconds above which the caller has set no deadline, as grpc reports it."""
_AGENT = re.compile(r"(?!orchestration\.)[ -~]{0,128}")
"""The prefix is reserved for the ledger's own services."""
_METADATA = {
    PROJECT: names.PROJECT,
    CORRELATION: names.PRINTABLE,
    SESSION: names.PRINTABLE,
    "orchestration-agent": _AGENT,
}
_READ = frozenset((*_METADATA, AUTHORIZATION))
_ONCE = (AUTHORIZATION, PROJECT, SESSION)
"""Metadata that may be given once: of two values neither can be preferred."""

Unary = Callable[[Any, Call], "Message | bytes"]
Send = Callable[[None], None]
"""grpc's callback of a non-blocking handler. With None it ends the call; with a message it would block."""
ActiveCallT = TypeVar("ActiveCallT", bound=ActiveCall)
Handler = TypeVar("Handler", bound=Callable[..., Any])


def serializer(response: Message | bytes) -> bytes:
    """Serialize a response. A servicer may return bytes, made of parts that were serialized before."""
    return response if isinstance(response, bytes) else response.SerializeToString()


def _refuse_repeats(given: list[str]) -> None:
    repeated = [key for key in _ONCE if given.count(key) > 1]
    if repeated:
        raise errors.InvalidArgument({f"metadata.{key}": "must be given once" for key in repeated})


class RpcCheck:
    """The checks of one rpc's calls before the handler runs."""

    def __init__(self, rpc: str, admission: Admission, parse: Parser) -> None:
        self._rpc = rpc
        self._admission = admission
        self.check_size = parse.refusal

    def identify(self, metadata: Any, peer: Callable[[], str]) -> Verdict:
        """Identify the caller from memory alone."""
        return self._admission.identify(self._rpc, metadata, peer)

    def lookup(self, metadata: Any, peer: Callable[[], str]) -> object:
        """Return the caller's identity. Raises the error that the call is refused with."""
        return self._admission.lookup(self._rpc, metadata, peer)


def call_metrics(rpc: str, *, stream: bool = False) -> metrics.Rpc:
    """Return the metrics of an rpc's calls. Called once for each rpc, when it is registered."""
    return metrics.rpc(rpc, stream=stream, endless=rpc in ENDLESS)


def _with(handler: Handler, **attributes: object) -> Handler:
    """Set attributes of a handler that grpc or rpc/pending_call.py reads."""
    vars(handler).update(attributes)
    return handler


class Interceptor:
    """The wrappers of the rpcs of one server.

    Args:
        session_tracker: Learns of each call of a session.
        admission: Authenticates callers and authorizes requests.
        access_log: Writes a line for each call that is to be logged.
        tracing: Makes a span of each call; None turns tracing off.
        answer_bytes: The largest response that the transport sends.
        traffic: Learns of each unary call.
    """

    def __init__(
        self,
        session_tracker: SessionTracker,
        admission: Admission,
        access_log: AccessLog,
        tracing: Tracing | None = None,
        *,
        answer_bytes: int,
        traffic: Traffic | None = None,
    ) -> None:
        self._traffic = traffic or Traffic()
        self._session_tracker = session_tracker
        self._admission = admission
        self._access_log = access_log
        self._tracing = tracing
        self._answer_bytes = answer_bytes

    def _call(self, rpc: metrics.Rpc, context: grpc.ServicerContext) -> ActiveCall:
        """Return a call that begins now, to be used as a context manager."""
        if not rpc.stream:
            # A stream that opens reads history, at the pace that traffic sets: it does not count.
            self._traffic.seen()
        return self._traced(ActiveCall(rpc, context, self._access_log, self._admission))

    def _detached_call(self, rpc: metrics.Rpc, context: grpc.ServicerContext, send: Send) -> DetachedCall:
        """Return a call that begins now and goes on after its handler has returned."""
        return self._traced(DetachedCall(rpc, context, self._access_log, self._admission, send))

    def _traced(self, active: ActiveCallT) -> ActiveCallT:
        if self._tracing is not None:
            metadata = active.context.invocation_metadata()
            active.span = self._tracing.begin(active.rpc, metadata, thread=not active.is_stream)
        return active

    def _accept(self, active: ActiveCall, body: bytes, parse: Parser) -> tuple[Call, Any]:
        """Authenticate the caller, parse and validate the request, and authorize it."""
        call = self._begin(active)
        request = parse(body)
        validate(request)
        return call.authorized(request), request

    def _begin(self, active: ActiveCall) -> Call:
        """Authenticate the caller by the call's metadata, and attach the call to its session."""
        context = active.context
        early = take_early_result(context)
        if isinstance(early, Exception):
            try:
                raise early
            finally:
                # Without this the error, its traceback and this frame form a cycle that keeps the call.
                del early
        pairs = [(key, value) for key, value in context.invocation_metadata() if key in _READ]
        given = dict(pairs)
        if len(given) != len(pairs):
            _refuse_repeats([key for key, _ in pairs])
        identity = self._admission.authenticate(
            active.rpc, given, context.peer, known=early if isinstance(early, Identity) else None
        )
        given.pop(AUTHORIZATION, None)
        for key, value in given.items():
            rule = _METADATA[key]
            if value and (not isinstance(value, str) or not rule.fullmatch(value)):
                raise errors.InvalidArgument({f"metadata.{key}": f"must match {rule.pattern}"})
        call = self._new_call(active.rpc, cast("dict[str, str]", given), identity, context)
        if call.rpc in REVOCABLE:
            forget = self._admission.watch(identity, context.cancel)
            if forget is not None and not context.add_callback(forget):
                forget()
        call = self._session_tracker.attach(call)
        assert call.answer is not None
        call.answer.correlation_id = call.correlation_id
        context.set_trailing_metadata(((CORRELATION, call.correlation_id),))
        active.call = call
        return call

    def _new_call(
        self, rpc: str, metadata: dict[str, str], identity: Identity | None, context: grpc.ServicerContext
    ) -> Call:
        """Return the call of an authenticated caller, by its metadata."""
        principal, authorize = None, None
        project = metadata.get(PROJECT) or permissions.DEFAULT_PROJECT
        session_key = metadata.get(SESSION, "")
        if identity is not None:
            principal = identity.principal
            project = permissions.resolve_project(principal, metadata.get(PROJECT, ""))
            session_key = permissions.resolve_session(principal, session_key)

            def authorize(message: Any, call: Call) -> Scope | None:
                return self._admission.authorize_request(message, call, context.peer)

        left = cast("float | None", context.time_remaining())
        correlation = metadata.get(CORRELATION)
        return Call(
            rpc=rpc,
            project=project,
            correlation_id=correlation or os.urandom(16).hex(),
            session_key=session_key,
            agent=metadata.get("orchestration-agent", ""),
            deadline=None if left is None or left > NO_DEADLINE else time.monotonic() + left,
            on_end=context.add_callback,
            correlated=bool(correlation),
            principal=principal,
            authorize=authorize,
            answer=AnswerMetadata(),
        )

    def unary(
        self, rpc: str, behavior: Unary, parse: Parser
    ) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        """Wrap a unary rpc."""
        calls = call_metrics(rpc)

        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            with self._call(calls, context) as active:
                call, request = self._accept(active, body, parse)
                response = serializer(behavior(request, call))
                if len(response) > self._answer_bytes:
                    raise errors.AnswerTooLarge(len(response), self._answer_bytes)
                if active.correlation_id != call.correlation_id:
                    context.set_trailing_metadata(((CORRELATION, active.correlation_id),))
                return response

        return _with(handle, calls=calls, early_check=RpcCheck(rpc, self._admission, parse))

    def detached_stream(
        self, rpc: str, behavior: Callable[[Any, Call, Reply], None], parse: Parser
    ) -> Callable[..., None]:
        """Wrap an rpc that holds no thread while it waits: a server stream, or one that sends one message."""
        calls = call_metrics(rpc, stream=True)

        def handle(body: bytes, context: grpc.ServicerContext, send: Send) -> None:
            with self._detached_call(calls, context, send) as active:
                if not context.add_callback(active.abandon):
                    active.abandon()
                    return
                call, request = self._accept(active, body, parse)
                behavior(request, call, Reply(StreamWriter(context).send, active.finish, context.cancel))

        check = RpcCheck(rpc, self._admission, parse)
        return _with(handle, calls=calls, early_check=check, experimental_non_blocking=True)

    def bidirectional_stream(
        self, rpc: str, behavior: Callable[[Iterator[Any], Call], Iterator[Message]], parse: Parser
    ) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Message]]:
        """Wrap a stream of requests that are answered one by one. The behavior checks each request."""
        calls = call_metrics(rpc, stream=True)

        def handle(bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
            with self._call(calls, context) as active:
                call = self._begin(active)
                yield from behavior(self._parsed(bodies, call, parse), call)
                if not context.is_active():
                    # The behavior also returns when the client has left.
                    active.abandon()

        return handle

    def _parsed(self, bodies: Iterator[bytes], call: Call, parse: Parser) -> Iterator[Any]:
        """Yield the parsed requests of a stream. A request that cannot be parsed fails alone."""
        for body in bodies:
            if call.session_key:
                # Each request is an activity of the session.
                self._session_tracker.touch(call.project, call.session_key)
            try:
                yield parse(body)
            except errors.InvalidArgument as error:
                yield Unreadable(error)

    def server_stream(
        self, rpc: str, behavior: Callable[[Any, Call], Iterator[Message | bytes]], parse: Parser
    ) -> Callable[[bytes, grpc.ServicerContext], Iterator[Message | bytes]]:
        """Wrap a server stream that holds a thread to its end. A client that stops reading is cut off."""
        calls = call_metrics(rpc, stream=True)

        def handle(body: bytes, context: grpc.ServicerContext) -> Iterator[Message | bytes]:
            with self._call(calls, context) as active, _time_limit(context):
                call, request = self._accept(active, body, parse)
                yield from behavior(request, call)

        return _with(handle, early_check=RpcCheck(rpc, self._admission, parse))

    def reflection(
        self, behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]], parse: Callable[[bytes], Any]
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        """Wrap grpcio's reflection servicer. A caller who may call any rpc may use it."""
        calls = call_metrics(permissions.REFLECTION, stream=True)

        def handle(bodies: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._call(calls, context) as active:
                self._begin(active)
                yield from behavior(map(parse, bodies), context)

        return handle

    def limited(
        self, rpc: str, behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]], limit: int
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        """Refuse streams above a limit. The behavior may take one request or a stream of them."""
        free = threading.Semaphore(limit)
        calls = call_metrics(rpc, stream=True)

        def handle(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            if not free.acquire(blocking=False):
                error = errors.ResourceExhausted(
                    "too many streams are open on this server", reason="TOO_MANY_STREAMS", retry_after=1
                )
                ActiveCall(calls, context, self._access_log, self._admission).abort(error)
            try:
                yield from behavior(requests, context)
            finally:
                free.release()

        return _with(handle, **vars(behavior), calls=calls)


@contextmanager
def _time_limit(context: grpc.ServicerContext) -> Iterator[None]:
    """Cancel the call if it takes longer than READ_SECONDS."""
    timer = threading.Timer(READ_SECONDS, context.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
