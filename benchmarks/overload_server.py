"""A server that writes down how long each refusal took, measured where it is made.

python -m benchmarks.overload_server FILE …: FILE is written at the end, and the rest is for `serve`. A call's
time begins when the server hears of it, and a handler's when it is entered.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from orchestration_server.__main__ import main
from orchestration_server.rpc import executor, pending_call
from orchestration_server.rpc.active_call import Attempt

_handlers: list[float] = []
_arrivals: list[float] = []


def _watch_handlers() -> None:
    end = Attempt.end

    def ended(self: Attempt, code: grpc.StatusCode, reason: str = "") -> None:
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            _handlers.append(time.monotonic() - self.began)
        end(self, code, reason)

    Attempt.end = ended  # type: ignore[method-assign]  # there is no other way to look on


class _TimedArrival(pending_call.Arrival):
    __slots__ = ("_came",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._came = time.monotonic()

    def _abort(self, refusal: pending_call.Refusal) -> None:
        super()._abort(refusal)
        if refusal not in (executor.TOO_LONG, executor.TOO_SLOW):
            _arrivals.append(time.monotonic() - self._came)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    del sys.argv[1]
    _watch_handlers()
    setattr(executor, "Arrival", _TimedArrival)  # noqa: B010  # mypy takes no assignment to a class
    try:
        main()
    finally:
        target.write_text(json.dumps({"handlers": _handlers, "arrivals": _arrivals}))
