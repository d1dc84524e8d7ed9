"""A call in its handler, from beginning to end: metrics, access log, trace, and the status of an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self

import grpc
import structlog
from grpc_status import rpc_status

from orchestration_server import errors
from orchestration_server.auth.admission import Admission
from orchestration_server.codec.status import status_of
from orchestration_server.model import Call
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.access_log import SLOW_SECONDS, AccessLog

if TYPE_CHECKING:
    from orchestration_server.telemetry.tracing import CallSpan

log = structlog.get_logger()

CORRELATION = "orchestration-correlation-id"
OK = grpc.StatusCode.OK
COSTLY_SECONDS = 0.1
"""A unary call counts against its key's quota once more for each time it takes as long as this."""


class ActiveCall:
    """A call in its handler.

    As a context manager it ends the call: with OK, with the status of an error, or as abandoned if grpc
    closes the handler since the client left.
    """

    __slots__ = ("_access_log", "_admission", "_not_ended", "_rpc", "began", "call", "context", "span")

    def __init__(
        self,
        rpc: metrics.Rpc,
        context: grpc.ServicerContext,
        access_log: AccessLog,
        admission: Admission,
    ) -> None:
        self._rpc = rpc
        self._access_log = access_log
        self._admission = admission
        self._not_ended = threading.Lock()
        self.context = context
        self.began = time.monotonic()
        self.call: Call | None = None
        """None until the caller is authenticated."""
        self.span: CallSpan | None = None
        """None if calls are not traced."""
        rpc.begin()

    @property
    def rpc(self) -> str:
        """The name of the rpc."""
        return self._rpc.name

    @property
    def is_stream(self) -> bool:
        """True if the rpc has a stream of requests or responses."""
        return self._rpc.stream

    @property
    def correlation_id(self) -> str:
        """The correlation id of the response; empty until the caller is authenticated."""
        return "" if self.call is None or self.call.answer is None else self.call.answer.correlation_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool | None:
        if error is None:
            self.end(OK)
            return None
        if self.is_stream and isinstance(error, grpc.RpcError):
            # grpc raises it from the iterator of requests when the client has left.
            self.abandon()
            return True
        if isinstance(error, Exception):
            if not self.is_stream:
                self._admission.record_refusal(error, self.call, self.context.peer)
            self.abort(error)
        # grpc closes the generator of responses when the client has left.
        self.abandon()
        return None

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """Record the end of the call. The end of a stream is that of its last message.

        Only the first end counts: a client may leave while the response is on its way.
        """
        if not self._not_ended.acquire(blocking=False):
            return
        took = time.monotonic() - self.began
        # Nearly all calls end with OK, and the name of an enum member is slow to read.
        self._rpc.end("OK" if code is OK else code.name, took)
        if self.span is not None:
            self.span.end(code.name, code.value[0], self.call, self.correlation_id)
        if code is not OK or took > SLOW_SECONDS or self._access_log.every:
            self._access_log.ended(
                self.rpc, self.call, code, took, endless=self._rpc.endless, reason=reason,
                correlation_id=self.correlation_id,
            )  # fmt: skip
        if took > COSTLY_SECONDS and self.call is not None and not self.is_stream:
            self._admission.charge(self.call, int(took / COSTLY_SECONDS))

    def abandon(self) -> None:
        """Record that the client left or the deadline passed, unless the call has ended."""
        self.end(self._abandoned_code())

    def status(self, error: Exception) -> Any:
        """Record the end of the call with an error. Return the status for the client.

        An error that is not one of the ledger's is logged, and the client gets no details of it.
        """
        if not isinstance(error, errors.LedgerError):
            log.exception("rpc failed", rpc=self.rpc, correlation_id=self.correlation_id, exc_info=error)
            error = errors.LedgerError("something went wrong in the server; its log says what")
        elif isinstance(error, errors.ResourceExhausted) and not error.noted:
            metrics.RPC_REFUSED.labels(error.reason).inc()
        status = rpc_status.to_status(status_of(error))
        # If the call was over before, its client got another status, and the error follows from that.
        self.end(status.code if self.context.is_active() else self._abandoned_code(), error.reason)
        return status

    def _abandoned_code(self) -> grpc.StatusCode:
        passed = self.context.time_remaining() == 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if passed else grpc.StatusCode.CANCELLED

    def abort(self, error: Exception) -> NoReturn:
        """End the call with an error. Runs on the handler's thread."""
        status = self.status(error)
        correlation = self.correlation_id
        trailing = ((CORRELATION, correlation),) if correlation else ()
        self.context.set_trailing_metadata((*trailing, *(status.trailing_metadata or ())))
        self.context.abort(status.code, status.details)
        raise AssertionError("abort raises")


class DetachedCall(ActiveCall):
    """A server stream that goes on after its handler has returned, and holds no thread.

    As a context manager it ends the call only if the handler raises.
    """

    __slots__ = ("_send",)

    def __init__(
        self,
        rpc: metrics.Rpc,
        context: grpc.ServicerContext,
        access_log: AccessLog,
        admission: Admission,
        send: Callable[[None], None],
    ) -> None:
        super().__init__(rpc, context, access_log, admission)
        self._send = send

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.finish(error)
        return True

    def finish(self, error: Exception | None) -> None:
        """End the call with OK or an error, after the messages that were sent."""
        if error is None:
            self.end(OK)
        else:
            status = self.status(error)
            self.context.set_code(status.code)
            self.context.set_details(status.details)
            self.context.set_trailing_metadata(status.trailing_metadata)
        self._send(None)
