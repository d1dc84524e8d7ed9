"""Tells of changes of a status that were held, once the status has been stable or the time is up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestration_server.db.database import Database
from orchestration_server.store import events as event_store
from orchestration_server.store import pending_changes, writes
from orchestration_server.writes import debounce

BATCH = 50
"""Entities told of in one transaction, which holds their locks."""


class Debounced:
    """The service: any number may run at once.

    An entity that is being written waits for the next turn; where it is late, this waits for the writer.

    ``wake`` is called after each commit that holds events, ``clock`` is the database's where None.
    """

    name = "debounce"
    interval = 0.5

    def __init__(
        self, db: Database, wake: Callable[[], None], clock: Callable[[], datetime] | None = None
    ) -> None:
        self._db = db
        self._wake = wake
        self._clock = clock

    def run_once(self) -> int:
        """Tells of the next entities that are due; how many events it took."""
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
                mine = [*late, *writes.try_locks(conn, sorted(due.keys() - set(late)))]
                told = debounce.flush(
                    conn, [due[key].entity for key in mine], due=now or event_store.now(conn)
                )
        if told:
            self._wake()
        return told
