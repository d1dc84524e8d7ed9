"""A call with one request message, from its arrival to its response.

It replaces ``_unary_request`` of ``grpc._server`` and does the same work in another order: the caller is
checked before the message is received, and the handler parses the message, since it knows the caller. It also
replaces ``_unary_response_in_pool``, which takes more CPU (docs/decisions/0015). It depends on private parts
of grpcio, which tests/unit/test_library_internals.py names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import structlog
from grpc._common import STATUS_CODE_TO_CYGRPC_STATUS_CODE, decode, deserialize
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # a C extension without stubs
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
NO_SHARE: Share = ("", "")
"""The share of calls to a server that does not check its callers, such as the health service."""


@dataclass(frozen=True, slots=True)
class StaticStatus:
    """The status of a refused call, built once. To send it takes no thread of the pool and little time."""

    code: Any
    details: bytes
    trailing: Any = None
    reason: str = ""
    """The ledger's reason; empty if the status is one of the transport's."""
    name: str = ""
    """The name of the status code."""

    @staticmethod
    def exhausted(message: str, reason: str) -> StaticStatus:
        """Return RESOURCE_EXHAUSTED with a reason and the time after which to try again."""
        return StaticStatus.from_error(ResourceExhausted(message, reason=reason, retry_after=RETRY_SECONDS))

    @staticmethod
    def from_error(error: LedgerError) -> StaticStatus:
        """Return the status of an error."""
        status, code = rpc_status.to_status(status_of(error)), code_of(error)
        native = STATUS_CODE_TO_CYGRPC_STATUS_CODE[code]
        return StaticStatus(
            native, status.details.encode(), status.trailing_metadata, error.reason, code.name
        )


NO_REQUEST = StaticStatus(cygrpc.StatusCode.unimplemented, NO_MESSAGE)


class EarlyCheck(Protocol):
    """The checks of a call before its handler runs; the ``early_check`` attribute of the handler."""

    def check_size(self, body: bytes) -> LedgerError | None:
        """Return the error of a request that is too large, judged without parsing it."""

    def identify(self, metadata: Any, peer: Callable[[], str]) -> Verdict:
        """Identify the caller from memory alone. Runs on grpc's serving thread and must not block."""

    def lookup(self, metadata: Any, peer: Callable[[], str]) -> object:
        """Return the caller's identity. Raises the error that the call is refused with."""


class CallPool(Protocol):
    """The pool that a pending call waits in."""

    def receive(self, call: PendingCall) -> tuple[StaticStatus | None, PendingCall | None]:
        """Start to receive the request of a call whose lock the caller holds.

        Return the status if the call is refused, and the call that is displaced by this one, if any.
        """

    def refuse_displaced(self, call: PendingCall) -> None:
        """Refuse a call that was displaced.

        Only grpc's serving thread may hold the lock of another call meanwhile.
        """

    def received(self, call: PendingCall) -> bool:
        """Note that the receive operation has ended. Return False if the call was refused meanwhile."""

    def enqueue(self, call: PendingCall) -> StaticStatus | None:
        """Queue a call for a thread. Return the status if it is refused."""


def take_early_result(context: grpc.ServicerContext) -> object:
    """Return what the early check found of the caller, an error or an identity, and forget it."""
    inside: Any = context
    # grpc makes the context of a stream, so the result is kept in the state of the call.
    return vars(inside._state).pop("early_result", None)  # noqa: SLF001


class PendingCall:
    """A call from its arrival to its response."""

    __slots__ = ("_behavior", "_body", "_check", "_context_run", "_deserializer", "_done", "_event",
                 "_needs_lookup", "_on_done", "_peer", "_pool", "_respond", "_serializer", "_state",
                 "queued_at", "share", "size", "started_at")  # fmt: skip

    def __init__(
        self,
        pool: CallPool,
        context_run: Callable[..., Any],
        respond: Callable[..., None],
        event: Any,
        state: Any,
        behavior: Callable[..., Any],
        _receive_and_wait: Callable[[], Any],
        deserializer: Callable[[bytes], Any] | None,
        serializer: Callable[[Any], bytes] | None,
    ) -> None:
        self._pool = pool
        self._context_run = context_run
        self._respond = respond
        self._event = event
        self._state = state
        self._behavior = behavior
        self._deserializer = deserializer
        self._serializer = serializer
        self._check: EarlyCheck | None = getattr(behavior, "early_check", None)
        self._needs_lookup = False
        self._peer = ""
        self._body = b""
        self._on_done: Callable[[PendingCall], None] | None = None
        self._done = False
        self.share = NO_SHARE
        self.size = 0
        """Bytes of the request."""
        self.queued_at = self.started_at = 0.0

    def add_done_callback(self, on_done: Callable[[PendingCall], None]) -> None:
        """Set the callback by which grpc counts active calls, as on a future.

        grpc sets it before its serving thread takes the next event.
        """
        self._on_done = on_done
        if self._done:
            on_done(self)

    @property
    def peer(self) -> str:
        """The connection. grpc releases the interpreter to read it, so it is read on first use."""
        if not self._peer:
            self._peer = decode(self._event.call.peer())
        return self._peer

    def _get_peer(self) -> str:
        return self.peer

    def identify(self) -> tuple[bool, StaticStatus | None]:
        """Return whether the caller has to be looked up first, and the status if the call is refused."""
        if self._check is None:
            return False, None
        verdict = self._check.identify(self._event.invocation_metadata, self._get_peer)
        self.share = verdict.share
        self._state.early_result = verdict.identity
        self._needs_lookup = verdict.needs_lookup
        return verdict.needs_lookup, None if verdict.error is None else StaticStatus.from_error(verdict.error)

    def start_receiving(self) -> None:
        """Start to receive the request. The caller holds the call's lock."""
        self._event.call.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._on_received)
        self._state.due.add(_RECEIVE_MESSAGE_TOKEN)

    def _on_received(self, event: Any) -> Any:
        """Handle the end of the receive operation on grpc's serving thread.

        Return whether the call has ended, as grpc expects.
        """
        state = self._state
        body = event.batch_operations[0].message()
        if not self._pool.received(self):
            with state.condition:
                return _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        status: StaticStatus | None = NO_REQUEST
        if body is not None:
            status = self._size_status(body)
            if status is None:
                self._body, self.size = body, len(body)
                status = self._pool.enqueue(self)
        with state.condition:
            if status is not None:
                if body is None and state.client is _OPEN:
                    state.client = _CLOSED
                self._abort(status)
            ended = _possibly_finish_call(state, _RECEIVE_MESSAGE_TOKEN)
        if status is not None:
            self._finish()
        return ended

    def _size_status(self, body: bytes) -> StaticStatus | None:
        error = None if self._check is None else self._check.check_size(body)
        return None if error is None else StaticStatus.from_error(error)

    def refuse(self, status: StaticStatus) -> None:
        """End the call with a status. Its handler does not run."""
        with self._state.condition:
            self._abort(status)
        self._finish()

    def _abort(self, status: StaticStatus) -> None:
        self._body = b""
        self._state.trailing_metadata = status.trailing
        _abort(self._state, self._event.call, status.code, status.details)
        if status.reason:
            if status.name != "UNAUTHENTICATED":
                # The audit counts refused callers.
                metrics.RPC_REFUSED.labels(status.reason).inc()
            self._count(status.name)

    def run(self) -> None:
        """Run the handler, or look up the caller, on a thread of the pool."""
        continues = False
        try:
            with self._state.condition:
                if not _is_rpc_state_active(self._state):
                    # The caller cancelled the call, or its deadline passed, while it was queued.
                    self._count("CANCELLED")
                    return
            if self._needs_lookup and self._look_up():
                continues = True
            elif self._respond is _unary_response_in_pool:
                self._context_run(self._run_unary)
            else:
                self._context_run(
                    self._respond, self._event, self._state, self._behavior, self._request,
                    self._deserializer, self._serializer,
                )  # fmt: skip
        finally:
            if not continues:
                self._finish()

    def _look_up(self) -> bool:
        """Look up the caller and receive the request. Return False if the handler is to refuse the call."""
        assert self._check is not None
        self._needs_lookup = False
        try:
            self._state.early_result = self._check.lookup(self._event.invocation_metadata, self._get_peer)
        except Exception as error:
            self._state.early_result = error
            return False
        with self._state.condition:
            active = _is_rpc_state_active(self._state)
            status, displaced = self._pool.receive(self) if active else (None, None)
        if displaced is not None:
            self._pool.refuse_displaced(displaced)
        if not active:
            self._count("CANCELLED")
            self._finish()
        elif status is not None:
            self.refuse(status)
        return True

    def _run_unary(self) -> None:
        """Do what grpc's ``_unary_response_in_pool`` does, except for grpc's per-call statistics.

        If the handler fails, the client gets no text of the exception.
        """
        request = self._request()
        if request is None:
            return
        try:
            response = self._behavior(request, _Context(self._event, self._state, self._deserializer))
            body = self._serializer(response) if self._serializer else response
        except Exception as error:
            if not self._state.aborted:
                log.exception("handler failed", exc_info=error)
            # If the handler aborted the call, the state has its status, which takes precedence.
            with self._state.condition:
                _abort(self._state, self._event.call, cygrpc.StatusCode.unknown, FAILED)
            return
        _status(self._event, self._state, body)

    def _count(self, code: str) -> None:
        """Count a call that ends before its handler runs, if the handler has metrics."""
        calls: metrics.Rpc | None = getattr(self._behavior, "calls", None)
        if calls is not None:
            calls.never_began(code)

    def _request(self) -> Any:
        request = deserialize(self._body, self._deserializer)
        if request is None:
            with self._state.condition:
                _abort(self._state, self._event.call, cygrpc.StatusCode.internal, NOT_READ)
        return request

    def _finish(self) -> None:
        self._done = True
        if self._on_done is not None:
            self._on_done(self)
