"""Which session a call belongs to, and when each session last called.

A session's correlation id never changes, so a process reads it once and keeps it. Last activity is noted in
memory and written behind the calls, many sessions in one statement: it costs a call no round trip, is no
event and no revision, and waits where the database is away. All of it is bounded: what is forgotten is read
again, or noted again with the session's next call.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import structlog

from orchestration_server.db.database import Database
from orchestration_server.model import Call, Role
from orchestration_server.store import sessions as store

log = structlog.get_logger()

SESSIONS = 10_000
"""So many sessions are kept in mind, and as many wait to be written."""
BATCH = 1_000
APART_SECONDS = 10
"""The least time between two writes of one session's last activity."""
COLLECT_SECONDS = 1.0
"""How long a first note waits for others to be written with it, and a failed write for the next try."""
UNKNOWN_SECONDS = 1.0
"""How long a key that names no session is taken for unknown without another look."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Key = tuple[str, str]
"""A session's project and key."""
Value = TypeVar("Value")


class _Recent(OrderedDict[Key, Value], Generic[Value]):
    """Keeps the sessions that were set last."""

    def set(self, key: Key, value: Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > SESSIONS:
            self.popitem(last=False)


class _Link(NamedTuple):
    """A session's correlation id, or that there was no such session until a moment."""

    correlation_id: str
    unknown_until: float = 0.0


class Presence:
    """What one process knows of the sessions that call it."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._links: _Recent[_Link] = _Recent()
        self._noted: _Recent[float] = _Recent()
        self._due: _Recent[float] = _Recent()
        self._failing = False
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def tie(self, call: Call) -> None:
        """Ties a call to the session that its metadata names, if there is one.

        Where the caller may write it is noted as active, and its correlation id is the call's where the
        caller gave none. A key that names no session changes nothing: it is a mark of the caller's own, kept
        on the call's events.
        UNAVAILABLE where the database is asked and away.
        """
        if not call.session_key or not _KEY.fullmatch(call.session_key):
            return
        if not call.correlated:
            link = self._link(call)
            if not link.correlation_id:
                return
            call.correlation_id = link.correlation_id
        if call.principal is None or call.principal.role >= Role.AGENT:
            self.note(call.project, call.session_key)

    def _link(self, call: Call) -> _Link:
        key = (call.project, call.session_key)
        with self._lock:
            link = self._links.get(key)
        if link is not None and (link.correlation_id or self._clock() < link.unknown_until):
            return link
        with self._db.connection(call) as conn:
            found = store.correlation_id(conn, project=call.project, key=call.session_key)
        link = _Link(found) if found else _Link("", self._clock() + UNKNOWN_SECONDS)
        with self._lock:
            known = self._links.get(key)
            if known is None or not known.correlation_id:
                self._links.set(key, link)
        return link

    def learn(self, project: str, session_key: str, correlation_id: str) -> None:
        """A session was started here, maybe under a key that was unknown until now."""
        with self._lock:
            self._links.set((project, session_key), _Link(correlation_id))

    def note(self, project: str, session_key: str) -> None:
        """The session is active now. Written soon, where its last note is 10 seconds old or more."""
        key, now = (project, session_key), self._clock()
        with self._lock:
            last = self._noted.get(key)
            if last is not None and now - last < APART_SECONDS:
                return
            self._noted.set(key, now)
            self._due.set(key, now)
        self._wanted.set()

    def flush(self) -> int:
        """Writes what is due; how many sessions were set. What cannot be written stays due."""
        written = 0
        while batch := self._take():
            now = self._clock()
            ages = {key: int((now - noted) * 1_000) for key, noted in batch.items()}
            try:
                with self._db.connection() as conn:
                    written += store.touch(conn, ages=ages, apart=APART_SECONDS)
            except Exception as error:
                if not self._failing:
                    log.warning("last activity not written", sessions=len(batch), error=error)
                self._failing = True
                self._put_back(batch)
                break
            self._failing = False
        return written

    def _take(self) -> dict[Key, float]:
        with self._lock:
            return dict(self._due.popitem(last=False) for _ in range(min(BATCH, len(self._due))))

    def _put_back(self, batch: dict[Key, float]) -> None:
        """Newer notes of the same sessions stay, and the oldest go where there are too many."""
        with self._lock:
            newer = dict(self._due)
            self._due.clear()
            for key, noted in (batch | newer).items():
                self._due.set(key, noted)
        self._wanted.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wanted.wait()
            self._closed.wait(COLLECT_SECONDS)
            self._wanted.clear()
            self.flush()
        self.flush()

    def close(self) -> None:
        """Writes what is due and ends."""
        self._closed.set()
        self._wanted.set()
        self._thread.join(timeout=5)
