"""The pace at which history is read beside unary calls and live subscriptions.

To read a page of history takes the interpreter for milliseconds, and a thread that needs it waits up to 5 ms
each time. So while calls arrive or live subscriptions get events, one thread at a time reads, in small pages,
and rests after each slice. If nothing else happens, history is read at full speed. It also is by a reader
that would never arrive otherwise, because the log grows faster than it reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RECENT_SECONDS = 0.25
"""The time in which the next call, or delivery to live subscriptions, is expected."""
SLICE_EVENTS = 100
PAGE_EVENTS = 200
"""Events of a page while there is traffic, at most."""
REST = 3.0
"""The rest of a reader as a multiple of the CPU time of its slice: it leaves three quarters to others."""
MOST_REST_SECONDS = 0.05
TURN_SECONDS = 1.0
"""The longest wait of a reader for the one before it, which may wait for the database."""
LOSING_SECONDS = 2.0
"""A reader that comes no nearer to the end of the log in this time reads as fast as it can."""


class Traffic:
    """The moment of the last unary call or delivery to live subscriptions. Any thread may set it."""

    def __init__(self) -> None:
        self._last = -RECENT_SECONDS

    def seen(self) -> None:
        """Note a call, or a delivery to live subscriptions."""
        self._last = time.monotonic()

    @property
    def recent(self) -> bool:
        """True if there was traffic in the last RECENT_SECONDS."""
        return time.monotonic() - self._last < RECENT_SECONDS


class Progress:
    """The progress of a reader of history towards the end of the log."""

    __slots__ = ("_behind", "_since", "losing")

    def __init__(self) -> None:
        self._behind = -1
        self._since = 0.0
        self.losing = False
        """The reader comes no nearer. It stays so until it arrives, since traffic would push it back."""

    def note(self, behind: int, now: float) -> None:
        """Note how many events are left to read."""
        if self._behind < 0 or now - self._since >= LOSING_SECONDS:
            self.losing |= 0 <= self._behind <= behind
            self._behind, self._since = behind, now


class Pace:
    """The turns and rests of the threads that read history."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._turn = threading.Lock()
        self._own = threading.local()

    @property
    def crowded(self) -> bool:
        """True if other threads need the interpreter."""
        return self._traffic.recent

    @contextmanager
    def turn(self, progress: Progress) -> Iterator[None]:
        """Read a page in the block: alone while there is traffic, unless the reader is losing."""
        self._own.losing = progress.losing
        taken = self.crowded and not progress.losing and self._turn.acquire(timeout=TURN_SECONDS)
        self._own.began = time.thread_time()
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    def rest(self) -> None:
        """Release the interpreter after a slice, in proportion to the CPU time of the slice."""
        if self.crowded and not self._own.losing:
            spent = time.thread_time() - self._own.began
            time.sleep(min(spent * REST, MOST_REST_SECONDS))
        self._own.began = time.thread_time()
