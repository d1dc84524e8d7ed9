"""The next ready tasks of each kind of claim, read ahead by one process.

A window has the first tasks of the queue as one read found them, in the order of claims. Claims of
one process take different tasks from it, so they do not compete. A task of a window may have been taken
since: the claim itself checks. After a commit of this process that may make a task ready, and at the latest
after WINDOW_SECONDS, the tasks that have entered the queue since are put into their places in the window, so
a more urgent task of another server waits no longer than that. What becomes ready without entering the
queue, such as a task whose lease expires, waits for the next whole read of the window, after REFILL_SECONDS
at the latest. An empty window is never trusted: the queue is read again before a claim is told that nothing
is ready.

A read goes on from the first task that the last read found, and not from the beginning of the queue: there,
rows that have left the queue stay on disk while any snapshot is open, and each read would pass them all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from orchestration_server.cache.lru import LruDict
from orchestration_server.db.database import Database
from orchestration_server.model import Call, Unready
from orchestration_server.store import ready_queue
from orchestration_server.store.aging import DEFAULT, Aging
from orchestration_server.store.claims import Claimer, TaskFilter
from orchestration_server.store.ready_queue import Candidate, CandidatePage, QueueHead

WINDOW = 64
"""Tasks that are read at once."""
WINDOW_SECONDS = 0.2
REFILL_SECONDS = 0.5
WHOLE_SECONDS = 5.0
"""The queue is read from its beginning after this time, or after WHOLE_READS times that such a read took. So
a place from before a Postgres that lost transactions, such as one from a backup, does no harm for long."""
WHOLE_READS = 100
EXPIRED_SECONDS = REFILL_SECONDS
"""The least time between two looks at all leases, if the queue has ready tasks."""
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


class _Place(NamedTuple):
    """The place from which the next read of a kind of claim goes on."""

    head: QueueHead
    node: str
    """The Postgres that the head is of."""
    until: float
    """The time of the next read from the beginning."""
    leases_time: float
    """The time of the next look at the leases."""


@dataclass(slots=True)
class _Window:
    rows: deque[Candidate]
    until: float
    version: int
    number: int
    """The number of the read that found the tasks."""
    last: tuple[Any, ...] | None
    """The key of the last task that was found; None if there are no others."""
    refill_time: float
    """The time of the next whole read."""
    node: str = ""
    since: str = ""
    """The transaction from which on later ones may have put tasks into the queue. Empty if a whole read is
    needed to find what has become ready."""


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
        self._places: LruDict[Query, _Place] = LruDict(MAX_WINDOWS)
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
            if taken is None and self._freshen(call, query, claimer):
                taken = self._taken(query, count)
            return self._refill(call, query, claimer, count) if taken is None else taken

    def _taken(self, query: Query, count: int, *, since: int | None = None) -> list[str] | None:
        """Return the next tasks of a window. Return None if it has none.

        If its read began after the read ``since``, return an empty list instead: nothing is ready.
        """
        with self._lock:
            window = self._windows.get(query)
            if window is None or window.version != self._version or self._clock() >= window.until:
                return None
            if not window.rows and (since is None or window.number <= since):
                return None
            return [window.rows.popleft().task_code for _ in range(min(count, len(window.rows)))]

    def _freshen(self, call: Call, query: Query, claimer: Claimer) -> bool:
        """Put tasks that have entered the queue into a window. Return False if it has to be read anew."""
        with self._lock:
            window, version = self._windows.get(query), self._version
            if window is None or not (window.rows and window.since) or self._clock() >= window.refill_time:
                return False
            since = window.since
        with self._db.connection(call) as conn:
            if conn.node != window.node:
                return False
            page = ready_queue.entered(
                conn, project=call.project, claimer=claimer, tasks=query.tasks, order=self.order,
                since=since, limit=WINDOW,
            )  # fmt: skip
        if page.head is None or page.by_claimer or len(page.rows) == WINDOW or not _settled(page):
            return False
        with self._lock:
            # What has entered again may have another place.
            again = {row.task_code for row in page.rows}
            rows = [row for row in window.rows if row.task_code not in again]
            rows += [row for row in page.rows if not row.unready and self._is_covered(row, window)]
            window.rows = deque(sorted(rows, key=self._key))
            window.since, window.version = page.head.since, version
            window.until = self._clock() + WINDOW_SECONDS
        return True

    def _key(self, row: Candidate) -> tuple[Any, ...]:
        return self.order.key(row.priority, row.create_time, row.task_code)

    def _is_covered(self, row: Candidate, window: _Window) -> bool:
        """Return whether a window has all ready tasks up to this one."""
        return window.last is None or self._key(row) < window.last

    def _refill(self, call: Call, query: Query, claimer: Claimer, count: int) -> list[str]:
        with self._lock:
            self._begun += 1
            number, version = self._begun, self._version
        wanted = max(count, WINDOW)
        page = self._read(call, query, claimer, wanted)
        ready = [row for row in page.rows if not row.unready]
        in_order = [row for row in page.rows if row.in_order]
        self._by_claimer[call.project] = page.by_claimer
        query = query._replace(agent=claimer.agent if page.by_claimer else "")
        count = min(count, page.room)
        now = self._clock()
        window = _Window(
            rows=deque(ready[count:]), until=now + WINDOW_SECONDS, version=version, number=number,
            last=self._key(in_order[-1]) if len(in_order) >= wanted else None,
            refill_time=now + REFILL_SECONDS,
        )  # fmt: skip
        with self._lock:
            place = self._places.get(query)
            whole = len(page.rows) - len(in_order) < wanted and _settled(page) and not page.by_claimer
            if whole and page.head is not None and place is not None:
                window.node, window.since = place.node, page.head.since
            self._windows[query] = window
        return [row.task_code for row in ready[:count]]

    def _read(self, call: Call, query: Query, claimer: Claimer, wanted: int) -> CandidatePage:
        """Return the page of the queue that has the first ready tasks."""
        while (place := self._place(query)) is not None:
            expired = self._clock() >= place.leases_time
            page = self._page(call, query, claimer, wanted, place=place, expired=expired)
            if page is None:
                break
            if _any_ready(page) or page.room == 0:
                return page
            if page.rows:
                # The first tasks are not ready. What comes after them is found by their order alone.
                break
            if not expired:
                self._look_at_leases(query)
            elif not self._queue_freed(call):
                return page
        return self._read_whole(call, query, claimer, wanted)

    def _read_whole(self, call: Call, query: Query, claimer: Claimer, wanted: int) -> CandidatePage:
        limit = wanted
        after: Candidate | None = None
        while True:
            page = self._page(call, query, claimer, limit, after=after)
            assert page is not None
            in_order = [row for row in page.rows if row.in_order]
            if _any_ready(page) or page.room == 0:
                return page
            if len(in_order) == limit:
                after, limit = in_order[-1], min(4 * limit, MAX_PAGE)
            elif self._queue_freed(call):
                after, limit = None, wanted
            else:
                return page

    def _page(
        self,
        call: Call,
        query: Query,
        claimer: Claimer,
        limit: int,
        *,
        place: _Place | None = None,
        after: Candidate | None = None,
        expired: bool = True,
    ) -> CandidatePage | None:
        """Return a page of the queue, and note where the next read goes on.

        Return None if the place is of another Postgres.
        """
        began = self._clock()
        with self._db.connection(call) as conn:
            if place is not None and place.node != conn.node:
                return None
            page = ready_queue.candidates(
                conn, project=call.project, claimer=claimer, tasks=query.tasks, order=self.order,
                after=after, limit=limit, head=None if place is None else place.head, expired=expired,
            )  # fmt: skip
            out = [row for row in page.rows if row.unready & STRUCTURAL and row.generation >= 0]
            if out:
                ready_queue.dequeue(conn, project=call.project, rows=out)
            if after is None:
                self._note(query, page.head, conn.node, began, place, expired=expired)
        return page

    def _note(
        self,
        query: Query,
        head: QueueHead | None,
        node: str,
        began: float,
        place: _Place | None,
        *,
        expired: bool,
    ) -> None:
        now = self._clock()
        until = now + max(WHOLE_SECONDS, WHOLE_READS * (now - began)) if place is None else place.until
        leases_time = now + EXPIRED_SECONDS if place is None or expired else place.leases_time
        with self._lock:
            if head is None:
                self._places.pop(query, None)
            else:
                self._places[query] = _Place(head, node, until, leases_time)

    def _place(self, query: Query) -> _Place | None:
        """Return the place from which to go on, or None if the queue is to be read from its beginning."""
        with self._lock:
            place = self._places.get(query)
        return place if place is not None and self._clock() < place.until else None

    def _look_at_leases(self, query: Query) -> None:
        """Let the next read of a kind of claim look at the leases."""
        with self._lock:
            if (place := self._places.get(query)) is not None:
                self._places[query] = place._replace(leases_time=-inf)

    def _queue_freed(self, call: Call) -> bool:
        """Put dependents of an ended blocker into the queue. Return False if none are left to put in."""
        with self._db.connection(call) as conn:
            return ready_queue.queue_freed(conn, project=call.project, limit=SLICE)


def _any_ready(page: CandidatePage) -> bool:
    return any(not row.unready for row in page.rows)


def _settled(page: CandidatePage) -> bool:
    """Return whether only what enters the queue can become ready, of the tasks up to the last of a page."""
    return all(not row.unready & ~STRUCTURAL for row in page.rows)
