"""The calls that the front received."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from clients.conformance.protos import Rpc, decode

NO_DEADLINE = 1e6
"""Seconds: a longer deadline is none."""


class RecordedCall:
    """A call as the front saw it.

    Attributes:
        rpc: The rpc.
        metadata: The values of each key, in lower case.
        deadline: The seconds until the deadline when the call arrived; None without one.
        began: When it arrived, by the monotonic clock.
        sent: Its messages, as bytes.
        most_waiting: The most messages of a stream that waited for an answer at once.
        code: The status with which it ended; empty while it is open.
        left: True if the client cancelled it, or its connection or deadline ended.
    """

    def __init__(self, rpc: Rpc, metadata: Any, deadline: float | None) -> None:
        self.rpc = rpc
        self.metadata: dict[str, list[str]] = {}
        for key, value in metadata:
            text = value if isinstance(value, str) else value.hex()
            self.metadata.setdefault(key, []).append(text)
        self.deadline = None if deadline is None or deadline > NO_DEADLINE else deadline
        self.began = time.monotonic()
        self.sent: list[bytes] = []
        self.answered = 0
        self.most_waiting = 0
        self.code = ""
        self.left = False

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the call as JSON."""
        return [decode(self.rpc.request, data) for data in list(self.sent)]

    def describe(self) -> str:
        """Return the call in one line, for a report."""
        shown = " ".join(str(message) for message in self.messages[:3])
        end = f"{self.code or 'open'}{', left' if self.left else ''}"
        shown = shown if len(shown) <= 300 else f"{shown[:300]}…"
        deadline = "none" if self.deadline is None else f"{self.deadline:.1f} s"
        return f"{self.rpc.name} ({end}; deadline {deadline}): {shown}"


class Recorder:
    """The calls of one case, and a way to wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[RecordedCall] = []

    def add(self, call: RecordedCall) -> None:
        """Record a call."""
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()

    def forget(self) -> None:
        """Forget the calls so far."""
        with self._changed:
            self._calls.clear()

    def note(self, change: Callable[[], None]) -> None:
        """Change a call, and wake up those who wait."""
        with self._changed:
            change()
            self._changed.notify_all()

    def calls(self, method: str = "") -> list[RecordedCall]:
        """Return the calls of an rpc so far, or all of them."""
        with self._changed:
            return [call for call in self._calls if not method or call.rpc.name == method]

    def wait(self, met: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition on the calls holds. Return False if the time passed first."""
        with self._changed:
            return self._changed.wait_for(met, timeout)
