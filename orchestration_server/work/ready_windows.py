"""The next ready tasks of each kind of claim, read ahead by one process.

A window has the first tasks of the queue as one read found them, in the order of claims. Claims of
one process take different tasks from it, so they do not compete. A task of a window may have been taken
since: the claim itself checks. A window is read again after a commit of this process that may make a task
ready, and at the latest after WINDOW_SECONDS, so a more urgent task of another server waits no longer than
that. An empty window is never trusted: the queue is read again before a claim is told that nothing is ready.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestration_server.cache.lru import LruDict
from orchestration_server.db.database import Database
from orchestration_server.model import Call, Unready
from orchestration_server.store import claims as claim_store
from orchestration_server.store.aging import DEFAULT, Aging
from orchestration_server.store.claims import Candidate, CandidatePage, Claimer, TaskFilter

WINDOW = 64
"""Tasks that are read at once."""
WINDOW_SECONDS = 0.2
MAX_PAGE = 4_096
"""The most tasks of one read, if those before were not ready."""
MAX_WINDOWS = 1_000
SLICE = 1_000
"""Dependents of an ended blocker that enter the queue in one transaction."""
TURNS = 64
"""Locks for reads of the queue, which kinds of claims share by chance."""
STRUCTURAL = (
    Unready.STATUS | Unready.BLOCKER | Unready.SPRINT | Unready.CHILDREN | Unready.MISSING | Unready.BUDGET
)
"""Reasons that only a change of the ledger ends, which puts the task into the queue again."""


class Query(NamedTuple):
    """The claims that share a window: those that would get the same tasks."""

    project: str
    tasks: TaskFilter
    capabilities: tuple[str, ...]
    provider: str
    agent: str = ""
    """Empty if the project has no limits and no pauses of agents, so that the agent makes no difference."""


@dataclass(slots=True)
class _Window:
    codes: deque[str] = field(default_factory=deque)
    until: float = 0.0
    version: int = -1
    number: int = 0
    """The number of the read that found the tasks."""


class ReadyWindows:
    """The windows of one process."""

    def __init__(
        self, db: Database, order: Aging = DEFAULT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self.order = order
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: LruDict[Query, _Window] = LruDict(MAX_WINDOWS)
        self._by_claimer: LruDict[str, bool] = LruDict(MAX_WINDOWS)
        self._version = 0
        self._begun = 0
        """The number of reads that have begun."""
        self._turns = [threading.Lock() for _ in range(TURNS)]

    def freed(self) -> None:
        """Read all windows again: a commit may have made a task ready."""
        self._version += 1

    def query(self, project: str, tasks: TaskFilter, claimer: Claimer) -> Query:
        """Return what claims have in common that would get the same tasks."""
        agent = claimer.agent if self._by_claimer.get(project) else ""
        return Query(project, tasks, tuple(claimer.capabilities), claimer.provider, agent)

    def take(self, call: Call, tasks: TaskFilter, claimer: Claimer, count: int) -> list[str]:
        """Return the codes of up to ``count`` tasks that seem ready, in order. Empty if no task is ready."""
        arrived = self._begun
        if taken := self._taken(self.query(call.project, tasks, claimer), count):
            return taken
        # Claims that read the queue at once would all get its first task.
        with self._turns[hash((call.project, tasks)) % TURNS]:
            query = self.query(call.project, tasks, claimer)
            taken = self._taken(query, count, since=arrived)
            return self._refill(call, query, claimer, count) if taken is None else taken

    def _taken(self, query: Query, count: int, *, since: int | None = None) -> list[str] | None:
        """Return the next tasks of a window. Return None if it has none.

        If its read began after the read ``since``, return an empty list instead: nothing is ready.
        """
        with self._lock:
            window = self._windows.get(query)
            if window is None or window.version != self._version or self._clock() >= window.until:
                return None
            if not window.codes and (since is None or window.number <= since):
                return None
            return [window.codes.popleft() for _ in range(min(count, len(window.codes)))]

    def _refill(self, call: Call, query: Query, claimer: Claimer, count: int) -> list[str]:
        with self._lock:
            self._begun += 1
            number, version = self._begun, self._version
        ready, page = self._read(call, query, claimer, max(count, WINDOW))
        self._by_claimer[call.project] = page.by_claimer
        query = query._replace(agent=claimer.agent if page.by_claimer else "")
        count = min(count, page.room)
        window = _Window(deque(ready[count:]), self._clock() + WINDOW_SECONDS, version, number)
        with self._lock:
            self._windows[query] = window
        return ready[:count]

    def _read(
        self, call: Call, query: Query, claimer: Claimer, wanted: int
    ) -> tuple[list[str], CandidatePage]:
        """Return the first ready tasks of the queue, and the page of the queue that has them."""
        limit = wanted
        after: Candidate | None = None
        while True:
            with self._db.connection(call) as conn:
                page = claim_store.candidates(
                    conn, project=call.project, claimer=claimer, tasks=query.tasks, order=self.order,
                    after=after, limit=limit,
                )  # fmt: skip
                out = [row for row in page.rows if row.unready & STRUCTURAL and row.generation >= 0]
                if out:
                    claim_store.dequeue(conn, project=call.project, rows=out)
            ready = [row.task_code for row in page.rows if not row.unready]
            in_order = [row for row in page.rows if row.in_order]
            if ready or page.room == 0:
                return ready, page
            if len(in_order) == limit:
                after, limit = in_order[-1], min(4 * limit, MAX_PAGE)
            elif self._queue_freed(call):
                after, limit = None, wanted
            else:
                return ready, page

    def _queue_freed(self, call: Call) -> bool:
        """Put dependents of an ended blocker into the queue. Return False if none are left to put in."""
        with self._db.connection(call) as conn:
            return claim_store.queue_freed(conn, project=call.project, limit=SLICE)
