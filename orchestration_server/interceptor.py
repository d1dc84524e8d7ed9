"""What stands around every rpc: parsing, identity, rules, deadline, errors to status, log.

All of it runs inside the handler's own thread, never on grpc's serving thread.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from orchestration_server import errors
from orchestration_server.model import Call
from orchestration_server.presence import Presence
from orchestration_server.sending import Outlet
from orchestration_server.status import status_of
from orchestration_server.streams import Reply
from orchestration_server.validation import UNPARSABLE, check

log = structlog.get_logger()

SLOW_SECONDS = 1.0
READ_SECONDS = 60.0
"""The longest that a stream which holds a thread may take to be read."""
NO_DEADLINE = 1e8
"""Seconds beyond which grpc means that the caller set no deadline."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PRINTABLE = re.compile(r"[ -~]{0,128}")
_METADATA = {
    "orchestration-project": _NAME,
    "orchestration-correlation-id": _PRINTABLE,
    "orchestration-session": _PRINTABLE,
    "orchestration-agent": _PRINTABLE,
}

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


def _internal() -> errors.LedgerError:
    return errors.LedgerError("something went wrong in the server; its log says what")


def identify(rpc: str, context: grpc.ServicerContext, presence: Presence) -> Call:
    """Who calls, from the call's metadata, and in which session."""
    given = {key: value for key, value in context.invocation_metadata() if key in _METADATA}
    for key, value in given.items():
        rule = _METADATA[key]
        if value and (not isinstance(value, str) or not rule.fullmatch(value)):
            raise errors.InvalidArgument({f"metadata.{key}": f"must match {rule.pattern}"})
    said = cast("dict[str, str]", given).get
    left = cast("float | None", context.time_remaining())
    correlation = said("orchestration-correlation-id")
    call = Call(
        rpc=rpc,
        project=said("orchestration-project") or "default",
        correlation_id=correlation or os.urandom(16).hex(),
        session_key=said("orchestration-session", ""),
        agent=said("orchestration-agent", ""),
        deadline=None if left is None or left > NO_DEADLINE else time.monotonic() + left,
        on_end=context.add_callback,
        correlated=bool(correlation),
    )
    presence.tie(call)
    context.set_trailing_metadata((("orchestration-correlation-id", call.correlation_id),))
    return call


def abort(context: grpc.ServicerContext, rpc: str, error: Exception, correlation: str) -> None:
    """Ends a unary call with an error."""
    if not isinstance(error, errors.LedgerError):
        log.exception("rpc failed", rpc=rpc, correlation_id=correlation, exc_info=error)
        error = _internal()
    status = rpc_status.to_status(status_of(error))
    trailing = (("orchestration-correlation-id", correlation),) if correlation else ()
    context.set_trailing_metadata((*trailing, *(status.trailing_metadata or ())))
    context.abort(status.code, status.details)


def unary(
    rpc: str, behavior: Unary, presence: Presence
) -> Callable[[Any, grpc.ServicerContext], Message | bytes]:
    """Wraps a unary rpc."""

    def handle(request: Any, context: grpc.ServicerContext) -> Message | bytes:
        began = time.monotonic()
        correlation = ""
        try:
            call = identify(rpc, context, presence)
            correlation = call.correlation_id
            check(request)
            response = behavior(request, call)
            if call.correlation_id != correlation:
                context.set_trailing_metadata((("orchestration-correlation-id", call.correlation_id),))
        except Exception as error:
            abort(context, rpc, error, correlation)
            raise AssertionError("abort raises") from error
        took = time.monotonic() - began
        if took > SLOW_SECONDS:
            log.warning("slow rpc", rpc=rpc, seconds=round(took, 3), correlation_id=correlation)
        return response

    return handle


def timeline(
    rpc: str, behavior: Callable[[Any, Call, Reply], None], presence: Presence
) -> Callable[..., None]:
    """Wraps a server stream that holds no thread while it waits."""

    def handle(request: Any, context: grpc.ServicerContext, send: Send) -> None:
        try:
            call = identify(rpc, context, presence)
            check(request)
            outlet = Outlet(context)
            reply = Reply(outlet.send, lambda error: finish(context, send, error), context.cancel)
            behavior(request, call, reply)
        except Exception as error:
            finish(context, send, error)

    handle.experimental_non_blocking = True  # type: ignore[attr-defined]
    return handle


def finish(context: grpc.ServicerContext, send: Send, error: Exception | None) -> None:
    """Ends a stream that holds no thread."""
    if error is not None:
        if not isinstance(error, errors.LedgerError):
            log.exception("stream failed", exc_info=error)
            error = _internal()
        status = rpc_status.to_status(status_of(error))
        context.set_code(status.code)
        context.set_details(status.details)
        context.set_trailing_metadata(status.trailing_metadata)
    send(None)


def bidirectional(
    rpc: str, behavior: Callable[[Iterator[Any], Call], Iterator[Message]], presence: Presence
) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Message]]:
    """Wraps a stream of messages that are answered one by one; each is checked by the behavior."""

    def handle(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Message]:
        correlation = ""
        try:
            call = identify(rpc, context, presence)
            correlation = call.correlation_id
            yield from behavior(_noted(requests, call, presence), call)
        except grpc.RpcError:
            return
        except Exception as error:
            abort(context, rpc, error, correlation)

    return handle


def _noted(requests: Iterator[Any], call: Call, presence: Presence) -> Iterator[Any]:
    """Each message of a stream is an activity of its session."""
    for request in requests:
        if call.session_key:
            presence.note(call.project, call.session_key)
        yield request


def reading(
    rpc: str, behavior: Callable[[Any, Call], Iterator[Message | bytes]], presence: Presence
) -> Callable[[Any, grpc.ServicerContext], Iterator[Message | bytes]]:
    """Wraps a server stream that has an end and holds a thread until then: a client that stops taking
    what it asked for is cut off."""

    def handle(request: Any, context: grpc.ServicerContext) -> Iterator[Message | bytes]:
        correlation = ""
        cut = threading.Timer(READ_SECONDS, context.cancel)
        cut.daemon = True
        cut.start()
        try:
            call = identify(rpc, context, presence)
            correlation = call.correlation_id
            check(request)
            yield from behavior(request, call)
        except Exception as error:
            abort(context, rpc, error, correlation)
        finally:
            cut.cancel()

    return handle


def limited(
    behavior: Callable[[Any, grpc.ServicerContext], Iterator[Any]], most: int
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    """Refuses streams above a limit at once; what is asked may be one request or many."""
    free = threading.Semaphore(most)

    def handle(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if not free.acquire(blocking=False):
            error = errors.ResourceExhausted(
                "too many streams are open on this server", reason="TOO_MANY_STREAMS", retry_after=1
            )
            abort(context, "", error, "")
        try:
            yield from behavior(requests, context)
        finally:
            free.release()

    return handle
