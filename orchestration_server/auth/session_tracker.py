"""The sessions that calls belong to, and the last activity of each.

A session's correlation id never changes, so a process reads it once and keeps it. A thread writes the last
activity of many sessions in one statement. That costs a call no round trip, makes no event and no revision,
and waits while the database is away. The memory for this is bounded: the tracker reads a session again that
it has forgotten, and records its activity again with the next call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from orchestration_server import names
from orchestration_server.cache.lru import LruDict
from orchestration_server.db.database import Database
from orchestration_server.model import Call, Role
from orchestration_server.store import sessions as session_store

log = structlog.get_logger()

MAX_SESSIONS = 10_000
"""Sessions kept in memory, and sessions whose activity waits to be written."""
BATCH = 1_000
APART_SECONDS = 10
"""The least time between two writes of one session's last activity."""
COLLECT_SECONDS = 1.0
"""The time for which the thread collects activity before it writes, or waits after a failed write."""
UNKNOWN_SECONDS = 1.0
"""The time for which a key that names no session is taken as unknown without another look."""

SessionId = tuple[str, str]
"""A session's project and key."""


class _KnownSession(NamedTuple):
    """A session's correlation id; empty if no such session was found."""

    correlation_id: str
    unknown_until: float = 0.0


class SessionTracker:
    """The sessions that one process knows from its calls."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._known: LruDict[SessionId, _KnownSession] = LruDict(MAX_SESSIONS)
        self._active: LruDict[SessionId, float] = LruDict(MAX_SESSIONS)
        self._due: LruDict[SessionId, float] = LruDict(MAX_SESSIONS)
        self._failing = False
        self._lock = threading.Lock()
        self._touched = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session-tracker", daemon=True)

    def start(self) -> None:
        """Start the thread that writes last activity."""
        self._thread.start()

    def attach(self, call: Call) -> Call:
        """Return the call as one of the session that its metadata names.

        It gets the session's correlation id unless the caller gave one, and the session becomes active if the
        caller may write. A key that names no session changes nothing: the server keeps it on the call's
        events as a mark of the caller. Raises Unavailable if the session has to be read and the database is
        away.
        """
        if not call.session_key or not names.CODE.fullmatch(call.session_key):
            return call
        if not call.correlated:
            known = self._session(call)
            if not known.correlation_id:
                return call
            call = call._replace(correlation_id=known.correlation_id)
        if call.principal is None or call.principal.role >= Role.AGENT:
            self.touch(call.project, call.session_key)
        return call

    def _session(self, call: Call) -> _KnownSession:
        key = (call.project, call.session_key)
        with self._lock:
            known = self._known.get(key)
        if known is not None and (known.correlation_id or self._clock() < known.unknown_until):
            return known
        with self._db.connection(call) as conn:
            found = session_store.correlation_id(conn, project=call.project, key=call.session_key)
        read = _KnownSession(found) if found else _KnownSession("", self._clock() + UNKNOWN_SECONDS)
        with self._lock:
            known = self._known.get(key)
            if known is None or not known.correlation_id:
                self._known[key] = read
        return read

    def remember(self, project: str, session_key: str, correlation_id: str) -> None:
        """Keep the correlation id of a session that was started here.

        Its key may have been unknown before.
        """
        with self._lock:
            self._known[project, session_key] = _KnownSession(correlation_id)

    def touch(self, project: str, session_key: str) -> None:
        """Record that a session is active now. The thread writes it if the last time was 10 seconds ago."""
        key, now = (project, session_key), self._clock()
        with self._lock:
            last = self._active.get(key)
            if last is not None and now - last < APART_SECONDS:
                return
            self._active[key] = now
            self._due[key] = now
        self._touched.set()

    def flush(self) -> int:
        """Write the activity that is due and return the number of sessions. A failed write stays due."""
        written = 0
        while batch := self._take():
            now = self._clock()
            ages = {key: int((now - active) * 1_000) for key, active in batch.items()}
            try:
                with self._db.connection() as conn:
                    written += session_store.touch(conn, ages=ages, apart=APART_SECONDS)
            except Exception as error:
                if not self._failing:
                    log.warning("last activity not written", sessions=len(batch), error=error)
                self._failing = True
                self._put_back(batch)
                break
            self._failing = False
        return written

    def _take(self) -> dict[SessionId, float]:
        with self._lock:
            return dict(self._due.popitem(last=False) for _ in range(min(BATCH, len(self._due))))

    def _put_back(self, batch: dict[SessionId, float]) -> None:
        """Return a batch to what is due.

        Newer activity wins, and the oldest is dropped if there is too much.
        """
        with self._lock:
            newer = dict(self._due)
            self._due.clear()
            self._due.update(batch | newer)
        self._touched.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._touched.wait()
            self._closed.wait(COLLECT_SECONDS)
            self._touched.clear()
            self.flush()
        self.flush()

    def close(self) -> None:
        """Write the activity that is due and stop the thread."""
        self._closed.set()
        self._touched.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
