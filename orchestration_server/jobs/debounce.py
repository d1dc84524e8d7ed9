"""The background service that logs pending changes once their status is stable or the time is up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestration_server.db.database import Database
from orchestration_server.store import events as event_store
from orchestration_server.store import pending_changes, writes
from orchestration_server.writes import debounce

BATCH = 50
"""The most entities whose changes are logged in one transaction, which holds their locks."""


class Debounced:
    """The service. Several processes may run it at once.

    An entity that is being written is left to the next run. If the entity is late, the service waits for the
    writer.
    """

    name = "debounce"
    interval = 0.5

    def __init__(
        self, db: Database, wake: Callable[[], None], clock: Callable[[], datetime] | None = None
    ) -> None:
        """Make the service. It calls ``wake`` after each commit that logs events.

        ``clock`` replaces the database's clock.
        """
        self._db = db
        self._wake = wake
        self._clock = clock

    def run_once(self) -> int:
        """Log the changes of the next entities that are due, and return the number of events."""
        now = self._clock() if self._clock else None
        with self._db.connection() as conn:
            due = {
                writes.entity_key(one.entity): one
                for one in pending_changes.list_due(conn, now=now, limit=BATCH)
            }
            if not due:
                return 0
            late = sorted(key for key, one in due.items() if one.late)
            with conn.transaction():
                writes.lock(conn, late)
                locked = [*late, *writes.try_locks(conn, sorted(due.keys() - set(late)))]
                events = debounce.flush(
                    conn, [due[key].entity for key in locked], due=now or event_store.now(conn)
                )
        if events:
            self._wake()
        return events
