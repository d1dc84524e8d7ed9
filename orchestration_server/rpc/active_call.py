"""One call, from its beginning to its end: what is counted, logged and traced of it, how it is refused."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import structlog
from grpc_status import rpc_status

from orchestration_server import errors
from orchestration_server.codec.status import status_of
from orchestration_server.model import Call
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.access_log import SLOW_SECONDS, AccessLog

if TYPE_CHECKING:
    from orchestration_server.telemetry.tracing import CallSpan

log = structlog.get_logger()

CORRELATION = "orchestration-correlation-id"
OK = grpc.StatusCode.OK


class Attempt:
    """One call, from its beginning to its end."""

    __slots__ = ("_open", "_rpc", "_told", "began", "call", "context", "span")

    def __init__(self, rpc: metrics.Rpc, context: grpc.ServicerContext, told: AccessLog) -> None:
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
        """The correlation id that the answer carries; empty until the caller is known."""
        return "" if self.call is None or self.call.answer is None else self.call.answer.correlation_id

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """Says how it ended; a stream's end is that of its last message. Only the first end counts: a client
        may leave while the answer is on its way."""
        if not self._open.acquire(blocking=False):
            return
        took = time.monotonic() - self.began
        # Nearly all end as OK, and to ask an enum for its name takes a while.
        self._rpc.end("OK" if code is OK else code.name, took)
        if self.span is not None:
            self.span.end(code.name, code.value[0], self.call, self.correlation_id)
        if code is not OK or took > SLOW_SECONDS or self._told.every:
            self._told.ended(
                self.rpc, self.call, code, took, endless=self._rpc.endless, reason=reason,
                correlation_id=self.correlation_id,
            )  # fmt: skip

    def left(self) -> None:
        """Its caller may have left before it ended, or its deadline passed."""
        self.end(self._fate())

    def status(self, error: Exception) -> Any:
        """What its caller is told of an error; the rest goes to the log."""
        if not isinstance(error, errors.LedgerError):
            log.exception("rpc failed", rpc=self.rpc, correlation_id=self.correlation_id, exc_info=error)
            error = errors.LedgerError("something went wrong in the server; its log says what")
        elif isinstance(error, errors.ResourceExhausted) and not error.noted:
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
