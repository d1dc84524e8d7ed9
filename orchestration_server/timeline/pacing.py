"""The pace at which history is read beside calls and live streams.

A page of history takes the interpreter for milliseconds, and a thread that needs it waits up to 5 ms each
time. So while calls come in or live streams get events, one thread at a time reads, a little at a time, and
rests after each slice. With nobody else about, history is read as fast as it goes. So it is by a reader that
would never arrive otherwise, since the log grows faster than it reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RECENT_SECONDS = 0.25
"""So long after a call or a delivery to live streams the next one is expected."""
SLICE_EVENTS = 100
PAGE_EVENTS = 200
"""The most events of a page while others are about."""
REST = 3.0
"""How long a reader rests, in the time that its slice took of a processor: it leaves three quarters."""
MOST_REST_SECONDS = 0.05
TURN_SECONDS = 1.0
"""How long a reader waits for the one before it, which may wait for the database."""
LOSING_SECONDS = 2.0
"""A reader that is no nearer to the end of the log after that reads as fast as it can."""


class Traffic:
    """The moments at which calls arrived and live streams were given events. Any thread may write them."""

    def __init__(self) -> None:
        self._last = -RECENT_SECONDS

    def seen(self) -> None:
        """Say that there was a call, or a delivery to live streams."""
        self._last = time.monotonic()

    @property
    def recent(self) -> bool:
        """Whether there was one a moment ago."""
        return time.monotonic() - self._last < RECENT_SECONDS


class Progress:
    """Whether a reader of history comes nearer to the end of the log."""

    __slots__ = ("_behind", "_since", "losing")

    def __init__(self) -> None:
        self._behind = -1
        self._since = 0.0
        self.losing = False
        """It does not, and stays so until it has arrived: others would push it back."""

    def note(self, behind: int, now: float) -> None:
        """Say how many events are left to read."""
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
        """Whether others need the interpreter."""
        return self._traffic.recent

    @contextmanager
    def turn(self, progress: Progress) -> Iterator[None]:
        """Read a page: alone while others are about, unless the reader is losing."""
        self._own.losing = progress.losing
        taken = self.crowded and not progress.losing and self._turn.acquire(timeout=TURN_SECONDS)
        self._own.began = time.thread_time()
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    def rest(self) -> None:
        """Let go of the interpreter after a slice, for as long as the slice has earned."""
        if self.crowded and not self._own.losing:
            spent = time.thread_time() - self._own.began
            time.sleep(min(spent * REST, MOST_REST_SECONDS))
        self._own.began = time.thread_time()
