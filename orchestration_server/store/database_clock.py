"""The database's clock, to which stored times are compared instead of this machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from orchestration_server.db.database import Database
from orchestration_server.store import events as event_store

STALE_SECONDS = 60.0
"""The age of a reading from which the database is asked again."""


class DatabaseClock:
    """A reading of the database's clock that the monotonic clock continues. ``now`` never waits."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._reading = self._read()

    def _read(self) -> tuple[float, datetime]:
        """Return a reading of both clocks."""
        with self._db.connection() as conn:
            return self._monotonic(), event_store.now(conn)

    def refresh(self) -> None:
        """Read the database's clock again if the last reading is a minute old."""
        if self._monotonic() - self._reading[0] >= STALE_SECONDS:
            self._reading = self._read()

    def now(self) -> datetime:
        """Return the database's time."""
        at, time_then = self._reading
        return time_then + timedelta(seconds=self._monotonic() - at)

    def timestamp(self) -> float:
        """Return the database's time in seconds since 1970."""
        return self.now().timestamp()
