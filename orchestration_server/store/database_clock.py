"""The database's clock as one process knows it. Stored times are judged by it, not by this machine's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from orchestration_server.db.database import Database
from orchestration_server.store import events as event_store

STALE_SECONDS = 60.0
"""How long a reading is counted on before the database is asked again."""


class DatabaseClock:
    """A reading of the database's clock, counted on by the monotonic one. Asking for the time never waits."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._reading = self._read()

    def _read(self) -> tuple[float, datetime]:
        """Return the two clocks as of one moment."""
        with self._db.connection() as conn:
            return self._monotonic(), event_store.now(conn)

    def refresh(self) -> None:
        """Read the database's clock again if the last reading is a minute old."""
        if self._monotonic() - self._reading[0] >= STALE_SECONDS:
            self._reading = self._read()

    def now(self) -> datetime:
        """Return the time."""
        at, time_then = self._reading
        return time_then + timedelta(seconds=self._monotonic() - at)

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now().timestamp()
