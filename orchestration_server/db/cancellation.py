"""Cancellation of statements whose caller left or whose deadline passed."""

from __future__ import annotations

import heapq
import os
import socket
import threading
import time
from contextlib import suppress

import psycopg

from orchestration_server.db.connection import Connection
from orchestration_server.model import Call

CANCELLERS = 4
"""The threads that cancel statements. Each cancellation opens a connection, about 1 ms. One thread cancelled
100 statements in 100 ms, four in 60 ms, and eight were no faster."""
SILENT_SECONDS = 2.0
"""The time after which a statement that cannot be cancelled is given up, with its connection."""
AGAIN_SECONDS = 0.02
"""The first pause before a cancellation is repeated. Each further pause is twice as long."""


class StatementCanceller:
    """The threads that cancel the statements of callers that left.

    The hook of a call also runs when the call ends normally. The borrower disarms the handle first, under a
    lock, so the next borrower's statement is never cancelled. A cancellation between two statements has no
    effect, so it is repeated until the connection is returned.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, float, CancelHandle]] = []
        """The due time, a number that breaks ties, the next pause, and the handle."""
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"db-cancel-{n}", daemon=True) for n in range(CANCELLERS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def arm(self, conn: Connection, call: Call) -> CancelHandle | None:
        """Return a handle that a call's end triggers. Return None if the call has ended already."""
        handle = CancelHandle(conn)

        def on_end() -> None:
            if handle.armed:
                self._schedule(handle, time.monotonic(), AGAIN_SECONDS)

        assert call.on_end is not None
        return handle if call.on_end(on_end) else None

    def _schedule(self, handle: CancelHandle, due: float, pause: float) -> None:
        with self._changed:
            self._count += 1
            heapq.heappush(self._due, (due, self._count, pause, handle))
            self._changed.notify()

    def _next(self) -> tuple[CancelHandle, float] | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    _, _, pause, handle = heapq.heappop(self._due)
                    return handle, pause
                self._changed.wait(wait)
            return None

    def _run(self) -> None:
        while (found := self._next()) is not None:
            handle, pause = found
            if handle.cancel():
                self._schedule(handle, time.monotonic() + pause, min(2 * pause, 1.0))
            del found, handle

    def close(self) -> None:
        """Stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2)


class CancelHandle:
    """A borrowed connection whose statements are cancelled when its call ends."""

    __slots__ = ("armed", "conn", "doubtful", "first_due", "lock")

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.armed = True
        """True if the connection is still borrowed."""
        self.doubtful = False
        """True if a cancellation was sent that may still arrive."""
        self.lock = threading.Lock()
        self.first_due: float | None = None
        """When the first cancellation was due."""

    def cancel(self) -> bool:
        """Cancel the running statement, if there is one. Return False if the connection was returned."""
        # The lock keeps the connection from the pool, so no other borrower is cancelled.
        with self.lock:
            if self.armed:
                now = time.monotonic()
                self.first_due = self.first_due or now
                if now - self.first_due > SILENT_SECONDS:
                    self._break()
                    return False
                try:
                    self.conn.cancel_safe(timeout=1.0)
                except psycopg.Error:
                    self.doubtful = True
            return self.armed

    def _break(self) -> None:
        """Shut the socket down under the thread that waits for it, as the database does not answer."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.conn.fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)
        self.doubtful = True
