"""What stands around every rpc: identity, parsing, rules, deadline, errors to status, log.

All of it runs inside the handler's own thread, never on grpc's serving thread. Each call has one beginning
(``Interceptor.begin``) and one end (``Attempt.end``), whatever its kind and however it ends.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.message import Message

from orchestration_server import errors
from orchestration_server.auth import permissions
from orchestration_server.auth.admission import AUTHORIZATION, PROJECT, SESSION, Admission, Verdict
from orchestration_server.auth.credentials import Identity
from orchestration_server.auth.session_tracker import SessionTracker
from orchestration_server.model import AnswerMetadata, Call, Scope
from orchestration_server.rpc.active_call import CORRELATION, OK, Attempt
from orchestration_server.rpc.pending_call import admitted
from orchestration_server.rpc.stream_writer import Outlet
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.access_log import AccessLog
from orchestration_server.timeline.pacing import Traffic
from orchestration_server.timeline.subscription import Reply
from orchestration_server.validation import validate
from orchestration_server.validation.request_parser import Parser, Unreadable

if TYPE_CHECKING:
    from orchestration_server.telemetry.tracing import Tracing

READ_SECONDS = 60.0
"""The longest that a stream which holds a thread may take to be read."""
ENDLESS = frozenset(("EventService/StreamTimeline", "EventService/EmitEvents"))
"""Rpcs whose calls last as long as their callers like."""
WATCHED = ENDLESS | {permissions.REFLECTION}
"""Rpcs whose calls end when their credential is good no more."""
NO_DEADLINE = 1e8
"""Seconds beyond which grpc means that the caller set no deadline."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PRINTABLE = re.compile(r"[ -~]{0,128}")
_AGENT = re.compile(r"(?!orchestration\.)[ -~]{0,128}")
"""The ledger's own services act under those names."""
_METADATA = {
    PROJECT: _NAME,
    CORRELATION: _PRINTABLE,
    SESSION: _PRINTABLE,
    "orchestration-agent": _AGENT,
}
_READ = frozenset((*_METADATA, AUTHORIZATION))
_ONCE = (AUTHORIZATION, PROJECT, SESSION)
"""Who calls and where: of two values nobody could say which one counts."""

COSTLY_SECONDS = 0.1
"""A call that takes longer counts for more than one: once more for each time as long."""

Unary = Callable[[Any, Call], "Message | bytes"]
Send = Callable[[None], None]
"""grpc's callback for a stream that holds no thread. It waits for the client but with None: the end."""


def serializer(response: Message | bytes) -> bytes:
    """Answers may be made of parts that are serialized already."""
    return response if isinstance(response, bytes) else response.SerializeToString()


def _refuse_repeats(given: list[str]) -> None:
    repeated = [key for key in _ONCE if given.count(key) > 1]
    if repeated:
        raise errors.InvalidArgument({f"metadata.{key}": "must be given once" for key in repeated})


class Door:
    """What judges who calls one rpc, before its message is taken in."""

    def __init__(self, rpc: str, admission: Admission, parse: Parser) -> None:
        self._rpc = rpc
        self._admission = admission
        self.refusal = parse.refusal

    def identify(self, metadata: Any, peer: Callable[[], str]) -> Verdict:
        """Identify the caller from memory alone."""
        return self._admission.identify(self._rpc, metadata, peer)

    def lookup(self, metadata: Any, peer: Callable[[], str]) -> object:
        """Return the caller. Raises the error to refuse the call with."""
        return self._admission.lookup(self._rpc, metadata, peer)


def counted(rpc: str, *, stream: bool = False) -> metrics.Rpc:
    """Where the calls of an rpc are counted: looked up once, when it is registered."""
    return metrics.rpc(rpc, stream=stream, endless=rpc in ENDLESS)


class Interceptor:
    """Wraps the rpcs of one server."""

    def __init__(
        self,
        session_tracker: SessionTracker,
        admission: Admission,
        call_log: AccessLog,
        tracing: Tracing | None = None,
        *,
        answer_bytes: int,
        traffic: Traffic | None = None,
    ) -> None:
        """``answer_bytes`` is the largest answer that the transport sends; ``traffic`` sees each call."""
        self._traffic = traffic or Traffic()
        self._session_tracker = session_tracker
        self._admission = admission
        self._log = call_log
        self._tracing = tracing
        self._answer_bytes = answer_bytes

    def _attempt(self, rpc: metrics.Rpc, context: grpc.ServicerContext) -> Attempt:
        attempt = Attempt(rpc, context, self._log)
        if not rpc.stream:
            # A stream that is opened reads history itself, and waits for no other.
            self._traffic.seen()
        if self._tracing is not None:
            metadata = context.invocation_metadata()
            attempt.span = self._tracing.begin(rpc.name, metadata, thread=not rpc.stream)
        return attempt

    def begin(self, attempt: Attempt, context: grpc.ServicerContext) -> Call:
        """Who calls, from the call's metadata, and in which session; refused where it may not."""
        early = admitted(context)
        if isinstance(early, Exception):
            try:
                raise early
            finally:
                # Or the error would hold this frame, and the frame the error and the call.
                del early
        pairs = [(key, value) for key, value in context.invocation_metadata() if key in _READ]
        given = dict(pairs)
        if len(given) != len(pairs):
            _refuse_repeats([key for key, _ in pairs])
        identity = self._admission.authenticate(
            attempt.rpc, given, context.peer, known=early if isinstance(early, Identity) else None
        )
        given.pop(AUTHORIZATION, None)
        for key, value in given.items():
            rule = _METADATA[key]
            if value and (not isinstance(value, str) or not rule.fullmatch(value)):
                raise errors.InvalidArgument({f"metadata.{key}": f"must match {rule.pattern}"})
        call = self._call(attempt.rpc, cast("dict[str, str]", given), identity, context)
        if call.rpc in WATCHED:
            forget = self._admission.watch(identity, context.cancel)
            if forget is not None and not context.add_callback(forget):
                forget()
        call = self._session_tracker.attach(call)
        assert call.answer is not None
        call.answer.correlation_id = call.correlation_id
        context.set_trailing_metadata(((CORRELATION, call.correlation_id),))
        attempt.call = call
        return call

    def _call(
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
        """Wraps a unary rpc."""
        calls = counted(rpc)

        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            attempt = self._attempt(calls, context)
            try:
                call = self.begin(attempt, context)
                request = parse(body)
                validate(request)
                call = call.authorized(request)
                response = serializer(behavior(request, call))
                if len(response) > self._answer_bytes:
                    raise errors.AnswerTooLarge(len(response), self._answer_bytes)
                if attempt.correlation_id != call.correlation_id:
                    context.set_trailing_metadata(((CORRELATION, attempt.correlation_id),))
            except Exception as error:
                self._admission.record_refusal(error, attempt.call, context.peer)
                attempt.abort(error)
            finally:
                took = time.monotonic() - attempt.began
                if took > COSTLY_SECONDS and attempt.call is not None:
                    self._admission.charge(attempt.call, int(took / COSTLY_SECONDS))
            attempt.end(OK)
            return response

        # For the calls that end before a thread is free.
        handle.calls = calls  # type: ignore[attr-defined]  # functions take any
        handle.door = Door(rpc, self._admission, parse)  # type: ignore[attr-defined]  # as above
        return handle

    def timeline(
        self, rpc: str, behavior: Callable[[Any, Call, Reply], None], parse: Parser
    ) -> Callable[..., None]:
        """Wraps a server stream that holds no thread while it waits."""
        calls = counted(rpc, stream=True)

        def handle(body: bytes, context: grpc.ServicerContext, send: Send) -> None:
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
                request = parse(body)
                validate(request)
                call = call.authorized(request)
                behavior(request, call, Reply(Outlet(context).send, finish, context.cancel))
            except Exception as error:
                finish(error)

        handle.calls = calls  # type: ignore[attr-defined]  # as above
        handle.door = Door(rpc, self._admission, parse)  # type: ignore[attr-defined]  # as above
        handle.experimental_non_blocking = True  # type: ignore[attr-defined]
        return handle

    def bidirectional(
        self, rpc: str, behavior: Callable[[Iterator[Any], Call], Iterator[Message]], parse: Parser
    ) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Message]]:
        """Wraps a stream of messages that are answered one by one; each is checked by the behavior."""

        calls = counted(rpc, stream=True)

        def handle(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Message]:
            attempt = self._attempt(calls, context)
            try:
                call = self.begin(attempt, context)
                yield from behavior(self._noted(requests, call, parse), call)
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

    def _noted(self, bodies: Iterator[bytes], call: Call, parse: Parser) -> Iterator[Any]:
        """Each message of a stream is an activity of its session. One that cannot be made fails alone."""
        for body in bodies:
            if call.session_key:
                self._session_tracker.touch(call.project, call.session_key)
            try:
                yield parse(body)
            except errors.InvalidArgument as error:
                yield Unreadable(error)

    def reading(
        self, rpc: str, behavior: Callable[[Any, Call], Iterator[Message | bytes]], parse: Parser
    ) -> Callable[[bytes, grpc.ServicerContext], Iterator[Message | bytes]]:
        """Wraps a server stream that has an end and holds a thread until then: a client that stops taking
        what it asked for is cut off."""
        calls = counted(rpc, stream=True)

        def handle(body: bytes, context: grpc.ServicerContext) -> Iterator[Message | bytes]:
            attempt = self._attempt(calls, context)
            cut = threading.Timer(READ_SECONDS, context.cancel)
            cut.daemon = True
            cut.start()
            try:
                call = self.begin(attempt, context)
                request = parse(body)
                validate(request)
                call = call.authorized(request)
                yield from behavior(request, call)
                attempt.end(OK)
            except Exception as error:
                attempt.abort(error)
            finally:
                cut.cancel()
                attempt.left()

        handle.door = Door(rpc, self._admission, parse)  # type: ignore[attr-defined]  # as above
        return handle

    def reflecting(
        self, behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]], parse: Callable[[bytes], Any]
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        """Wraps reflection, which is another's servicer: whoever may call anything may ask what there is."""
        calls = counted(permissions.REFLECTION, stream=True)

        def handle(bodies: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            attempt = self._attempt(calls, context)
            try:
                self.begin(attempt, context)
                yield from behavior(map(parse, bodies), context)
                attempt.end(OK)
            except Exception as error:
                attempt.abort(error)
            finally:
                attempt.left()

        return handle

    def limited(
        self, rpc: str, behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]], most: int
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        """Refuses streams above a limit at once; what is asked may be one request or many."""
        free = threading.Semaphore(most)
        calls = counted(rpc, stream=True)

        def handle(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            if not free.acquire(blocking=False):
                error = errors.ResourceExhausted(
                    "too many streams are open on this server", reason="TOO_MANY_STREAMS", retry_after=1
                )
                Attempt(calls, context, self._log).abort(error)
            try:
                yield from behavior(requests, context)
            finally:
                free.release()

        handle.calls = calls  # type: ignore[attr-defined]  # as above
        if (door := getattr(behavior, "door", None)) is not None:
            handle.door = door  # type: ignore[attr-defined]  # as above
        return handle
