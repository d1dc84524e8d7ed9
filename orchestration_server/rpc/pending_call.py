"""One call with one request, from its arrival to its answer. Like rpc/executor.py this knows grpcio's
insides.

It does what ``grpc._server`` does in ``_unary_request`` and ``_unary_response_in_pool``, in another order:
who calls is judged before the message is taken in, and it is parsed by the handler, which knows who calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import structlog
from grpc._common import STATUS_CODE_TO_CYGRPC_STATUS_CODE, decode, deserialize
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

from orchestration_server.auth.admission import Verdict
from orchestration_server.codec.status import code_of, status_of
from orchestration_server.errors import LedgerError, ResourceExhausted
from orchestration_server.model import Share
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

NO_FLAGS = 0
NO_MESSAGE = b"the call takes one request message and got none"
NOT_READ = b"the request message was not read"
FAILED = b"the handler failed"
RETRY_SECONDS = 0.25
NOBODY: Share = ("", "")
"""The share of calls whose pool does not ask who calls."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a call that is not begun, made once: a refusal needs no thread and next to no time."""

    code: Any
    details: bytes
    trailing: Any = None
    reason: str = ""
    """What its caller is told, where that is more than the transport's own words."""
    name: str = ""
    """The code's."""

    @staticmethod
    def of(message: str, reason: str) -> Refusal:
        """Return RESOURCE_EXHAUSTED with its reason and when to come again."""
        return Refusal.of_error(ResourceExhausted(message, reason=reason, retry_after=RETRY_SECONDS))

    @staticmethod
    def of_error(error: LedgerError) -> Refusal:
        """Return the answer that an error makes."""
        status, code = rpc_status.to_status(status_of(error)), code_of(error)
        native = STATUS_CODE_TO_CYGRPC_STATUS_CODE[code]
        return Refusal(native, status.details.encode(), status.trailing_metadata, error.reason, code.name)


EMPTY = Refusal(cygrpc.StatusCode.unimplemented, NO_MESSAGE)


class Door(Protocol):
    """What judges who calls, as the attribute ``door`` of a handler."""

    def refusal(self, body: bytes) -> LedgerError | None:
        """Return the error of a request that is too large, by what is seen without unpacking it."""

    def identify(self, metadata: Any, peer: Callable[[], str]) -> Verdict:
        """Identify the caller from memory alone. It runs on grpc's serving thread and must not wait."""

    def lookup(self, metadata: Any, peer: Callable[[], str]) -> object:
        """Return the caller. Raises the error to refuse the call with."""


class Pool(Protocol):
    """What calls wait in."""

    def came(self, arrival: Arrival) -> bool:
        """Take note that a request is there, or never will be. Return False if the call was refused."""

    def let_in(self, arrival: Arrival) -> Refusal | None:
        """Have a call answered, or return why not."""

    def expect(self, arrival: Arrival) -> tuple[Refusal | None, Arrival | None]:
        """Have a call send its message, with its lock held, or return why not; and who gives way to it."""

    def give_way(self, arrival: Arrival) -> None:
        """Refuse a call that gives way; no lock of another call may be held but by grpc's serving thread."""


def admitted(context: grpc.ServicerContext) -> object:
    """Return, once, what was found of who calls before the message was taken in: an error, or a verdict's."""
    inside: Any = context
    # grpc makes the context of a stream, so it stands in the state of the call.
    return vars(inside._state).pop("admitted", None)  # noqa: SLF001


class Arrival:
    """A call from its arrival to its answer."""

    __slots__ = ("_behavior", "_body", "_deserializer", "_door", "_ended", "_enter", "_event", "_looking",
                 "_over", "_peer", "_pool", "_respond", "_serializer", "_state", "began", "share", "since",
                 "size")  # fmt: skip

    def __init__(
        self,
        pool: Pool,
        enter: Callable[..., Any],
        respond: Callable[..., None],
        event: Any,
        state: Any,
        behavior: Callable[..., Any],
        _ask_and_wait: Callable[[], Any],
        deserializer: Callable[[bytes], Any] | None,
        serializer: Callable[[Any], bytes] | None,
    ) -> None:
        self._pool = pool
        self._enter = enter
        self._respond = respond
        self._event = event
        self._state = state
        self._behavior = behavior
        self._deserializer = deserializer
        self._serializer = serializer
        self._door: Door | None = getattr(behavior, "door", None)
        self._looking = False
        self._peer = ""
        self._body = b""
        self._over: Callable[[Arrival], None] | None = None
        self._ended = False
        self.share = NOBODY
        self.size = 0
        """Bytes of the request."""
        self.since = self.began = 0.0
        """When it began to wait for a thread."""

    def add_done_callback(self, over: Callable[[Arrival], None]) -> None:
        """grpc counts the calls at work. It says so before its serving thread takes the next event."""
        self._over = over
        if self._ended:
            over(self)

    @property
    def peer(self) -> str:
        """The connection. To say it grpc lets go of the interpreter, so it is asked for when it is needed."""
        if not self._peer:
            self._peer = decode(self._event.call.peer())
        return self._peer

    def _asked_peer(self) -> str:
        return self.peer

    def judge(self) -> tuple[bool, Refusal | None]:
        """Return whether who calls has to be looked up first, and why the call is refused at once, if so."""
        if self._door is None:
            return False, None
        verdict = self._door.identify(self._event.invocation_metadata, self._asked_peer)
        self.share = verdict.share
        self._state.admitted = verdict.identity
        self._looking = verdict.needs_lookup
        return verdict.needs_lookup, None if verdict.error is None else Refusal.of_error(verdict.error)

    def ask(self) -> None:
        """Start to receive the message, with the call's lock held."""
        self._event.call.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._received)
        self._state.due.add(_RECEIVE_MESSAGE_TOKEN)

    def _received(self, came: Any) -> Any:
        """What grpc's serving thread runs when the message came or never will; whether the call ended."""
        state = self._state
        body = came.batch_operations[0].message()
        if not self._pool.came(self):
            with state.condition:
                return _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        refusal: Refusal | None = EMPTY
        if body is not None:
            refusal = self._too_large(body)
            if refusal is None:
                self._body, self.size = body, len(body)
                refusal = self._pool.let_in(self)
        with state.condition:
            if refusal is not None:
                if body is None and state.client is _OPEN:
                    state.client = _CLOSED
                self._abort(refusal)
            ended = _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        if refusal is not None:
            self._end()
        return ended

    def _too_large(self, body: bytes) -> Refusal | None:
        error = None if self._door is None else self._door.refusal(body)
        return None if error is None else Refusal.of_error(error)

    def refuse(self, refusal: Refusal) -> None:
        """Answer it without a handler."""
        with self._state.condition:
            self._abort(refusal)
        self._end()

    def _abort(self, refusal: Refusal) -> None:
        self._body = b""
        self._state.trailing_metadata = refusal.trailing
        _abort(self._state, self._event.call, refusal.code, refusal.details)
        if refusal.reason:
            if refusal.name != "UNAUTHENTICATED":
                # Refusals for who calls are counted where they are noted.
                metrics.RPC_REFUSED.labels(refusal.reason).inc()
            self._count(refusal.name)

    def answer(self) -> None:
        """Run the handler, or look up who calls, on a thread of the pool."""
        asked = False
        try:
            with self._state.condition:
                if not _is_rpc_state_active(self._state):
                    # Its caller left, or its deadline passed, while it waited.
                    self._count("CANCELLED")
                    return
            if self._looking and self._look():
                asked = True
            elif self._respond is _unary_response_in_pool:
                self._enter(self._answer_unary)
            else:
                self._enter(
                    self._respond, self._event, self._state, self._behavior, self._request,
                    self._deserializer, self._serializer,
                )  # fmt: skip
        finally:
            if not asked:
                self._end()

    def _look(self) -> bool:
        """Look up who calls, and have the message sent. Return False if the handler is to refuse the call."""
        assert self._door is not None
        self._looking = False
        try:
            self._state.admitted = self._door.lookup(self._event.invocation_metadata, self._asked_peer)
        except Exception as error:
            self._state.admitted = error
            return False
        with self._state.condition:
            active = _is_rpc_state_active(self._state)
            refusal, other = self._pool.expect(self) if active else (None, None)
        if other is not None:
            self._pool.give_way(other)
        if not active:
            self._count("CANCELLED")
            self._end()
        elif refusal is not None:
            self.refuse(refusal)
        return True

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
        """Count a call that no handler sees, if its handler says that its calls are counted."""
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
