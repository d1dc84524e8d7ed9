"""A clock that counts seconds, for a test to move."""

from __future__ import annotations


class FakeClock:
    """A stand-in for ``time.monotonic`` that shows the time a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
