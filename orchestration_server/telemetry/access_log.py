"""The access log: the caller, the rpc and the result of calls, without their content."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import structlog

from orchestration_server.model import Call

log = structlog.get_logger()

SLOW_SECONDS = 1.0
LINES_PER_SECOND = 100
"""The most lines a second. The log reports the number of the others."""
_OK = grpc.StatusCode.OK
_SERVER_FAULTS = frozenset(
    (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
)


class AccessLog:
    """A log of calls by a policy: none, failed, slow (the failed and the slow ones) or all."""

    def __init__(self, policy: str = "slow", clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self.every = policy == "all"
        """True if calls that are neither slow nor failed are logged, too."""
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._lines = self._left_out = 0

    def ended(
        self,
        rpc: str,
        call: Call | None,
        code: grpc.StatusCode,
        seconds: float,
        *,
        endless: bool,
        reason: str = "",
        correlation_id: str = "",
    ) -> None:
        """Log a call that has ended.

        ``endless`` calls are never slow, and not failed if their caller left.
        """
        if self._policy == "none":
            return
        failed = code is not _OK and not (endless and code is grpc.StatusCode.CANCELLED)
        slow = seconds > SLOW_SECONDS and not endless
        if not (self.every or failed or (slow and self._policy == "slow")):
            return
        if not self._has_room():
            return
        known: dict[str, Any] = {"rpc": rpc, "code": code.name, "seconds": round(seconds, 4)}
        if reason:
            known["reason"] = reason
        if call is not None:
            known |= {
                "project": call.project,
                "session": call.session_key,
                "agent": call.agent,
                "correlation_id": correlation_id or call.correlation_id,
            }
        if code in _SERVER_FAULTS:
            log.warning("call failed", **known)
        elif failed:
            log.info("call failed", **known)
        elif slow:
            log.warning("slow call", **known)
        else:
            log.info("call", **known)

    def _has_room(self) -> bool:
        """Return whether another line may be logged in this second."""
        second = int(self._clock())
        with self._lock:
            left_out = 0
            if second != self._second:
                left_out, self._left_out = self._left_out, 0
                self._second, self._lines = second, 0
            self._lines += 1
            room = self.every or self._lines <= LINES_PER_SECOND
            self._left_out += not room
        if left_out:
            log.warning("calls not logged", calls=left_out)
        return room
