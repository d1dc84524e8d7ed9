"""A server that records how long each refusal took, measured where it is made.

python -m benchmarks.overload_server FILE …: the server writes FILE at the end, and the other arguments are
those of `serve`. The time of an arriving call begins when the server learns of it, and that of a handler when
it begins.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from orchestration_server.__main__ import main
from orchestration_server.rpc import executor, pending_call
from orchestration_server.rpc.active_call import ActiveCall

_handlers: list[float] = []
_pending: list[float] = []


def _watch_handlers() -> None:
    end = ActiveCall.end

    def ended(self: ActiveCall, code: grpc.StatusCode, reason: str = "") -> None:
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            _handlers.append(time.monotonic() - self.began)
        end(self, code, reason)

    ActiveCall.end = ended  # type: ignore[method-assign]  # there is no other way to look on


class _TimedPendingCall(pending_call.PendingCall):
    __slots__ = ("_received_at",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._received_at = time.monotonic()

    def _abort(self, status: pending_call.StaticStatus) -> None:
        super()._abort(status)
        if status not in (executor.TOO_LONG, executor.TOO_SLOW):
            _pending.append(time.monotonic() - self._received_at)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    del sys.argv[1]
    _watch_handlers()
    setattr(executor, "PendingCall", _TimedPendingCall)  # noqa: B010  # mypy takes no assignment to a class
    try:
        main()
    finally:
        target.write_text(json.dumps({"handlers": _handlers, "arrivals": _pending}))
