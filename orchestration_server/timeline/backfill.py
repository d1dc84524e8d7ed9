"""What lies behind the live feed: the pages of a stream's history, read on a few threads.

No connection is held between pages, and no thread of a call's is used: thousands of streams may open at
once, and each waits for its turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import structlog

from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.db.database import BACKGROUND_TIMEOUT_SECONDS, Database
from orchestration_server.errors import CursorArchived, CursorExpired, LedgerError, Unavailable
from orchestration_server.model import BEGINNING, KEPT_PRIORITIES, Position
from orchestration_server.store import events as event_store
from orchestration_server.store import pages
from orchestration_server.timeline.pacing import PAGE_EVENTS as CROWDED_EVENTS
from orchestration_server.timeline.pacing import Pace
from orchestration_server.timeline.subscription import Message, Subscription, messages_of

log = structlog.get_logger()

PAGE_EVENTS = 2_000
READERS = 2


@dataclass(frozen=True, slots=True)
class BackfillPage:
    """One reading of a stream's history."""

    messages: Sequence[Message]
    complete: bool
    """Whether it goes up to the horizon."""
    reached: Position
    """All that the stream takes up to here is in this page or was in one before."""
    seen: Position
    """The last event up to there, wanted or not; the beginning where none was seen."""


class Backfill:
    """Reads the next page of each stream that asks, in turn.

    ``take`` is called with each page, with None where the log ends before the place that the stream has
    read up to, and ``fail`` where there is none. ``give_way`` is called before each page and returns when
    there is nothing more urgent, or soon in any case.
    """

    def __init__(
        self,
        db: Database,
        cursors: CursorSigner,
        *,
        take: Callable[[Subscription, BackfillPage | None], None],
        fail: Callable[[Subscription, LedgerError], None],
        give_way: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._db = db
        self._cursors = cursors
        self._take = take
        self._fail = fail
        self._give_way = give_way
        self._pace = pace
        self._wanted: SimpleQueue[Subscription | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name="timeline-read", daemon=True) for _ in range(READERS)
        ]
        for thread in self._threads:
            thread.start()

    def read(self, stream: Subscription) -> None:
        """Asks for a stream's next page."""
        self._wanted.put(stream)

    def close(self) -> None:
        """Ends the threads after the pages that they are reading."""
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            thread.join(timeout=2)

    def _run(self) -> None:
        while (stream := self._wanted.get()) is not None:
            try:
                if not stream.closed:
                    with self._pace.turn(stream.progress):
                        self._give_way()
                        page = self._page(stream)
                    self._take(stream, page)
                    # Or an idle thread would keep it.
                    del page
            except LedgerError as error:
                self._fail(stream, error)
            except Exception as error:
                log.warning("timeline read failed", error=error)
                self._fail(stream, Unavailable())

    def _page(self, stream: Subscription) -> BackfillPage | None:
        with self._db.connection(stream.call, timeout=BACKGROUND_TIMEOUT_SECONDS) as conn:
            if stream.start is not None:
                stream.resumed_from = stream.start(conn)
                stream.position = stream.seen = stream.sent = stream.resumed_from.start
                stream.start = None
            if conn.opened > stream.read_at:
                # As the tail's: Postgres may have crashed since, and only events that were seen still stand.
                stream.position = stream.seen
            stream.read_at = time.monotonic()
            start, latest = stream.position, stream.latest
            slow = self._pace.crowded and not stream.progress.losing
            limit = min(stream.page, CROWDED_EVENTS) if slow else stream.page
            after = stream.cursor(start)
            if latest:
                rows, cut, stream.large, horizon, last, edge = event_store.latest(
                    conn, project=stream.project, count=latest, event_filter=stream.filter,
                    archived=stream.archived,
                )  # fmt: skip
                stream.latest = 0
            else:
                rows, cut, stream.large, horizon, last, edge = event_store.page(
                    conn, project=stream.project, after=after, limit=limit, event_filter=stream.filter,
                    archived=stream.archived, large=stream.large,
                )  # fmt: skip
        if horizon < start and start > stream.seen:
            return None
        _check_edge(stream, edge)
        self._pace.rest()
        complete = not cut and (latest > 0 or len(rows) < limit)
        # Where events are large, more of them would be looked at than a page takes.
        size = sum(len(row.body or b"") for row in rows)
        if cut:
            stream.page = max(16, stream.page // 4)
        elif size * 2 <= pages.PAGE_BYTES and limit == stream.page:
            stream.page = min(PAGE_EVENTS, stream.page * 2)
        seen = rows[-1].position if rows else BEGINNING
        if seen.epoch == last.epoch:
            stream.progress.note(last.seq - seen.seq, time.monotonic())
        return BackfillPage(
            messages=messages_of(
                self._cursors, rows, stream.batch, None if stream.settled else after, rest=self._pace.rest
            ),
            complete=complete,
            # A cursor may lie above the horizon: what it takes below itself is still to come.
            reached=horizon if complete else seen,
            seen=max(seen, last) if complete else seen,
        )


def _check_edge(stream: Subscription, edge: event_store.ArchiveEdge) -> None:
    """Refuses a page that lacks what was there when the stream began, or when its cursor was given.

    One that starts at the beginning, or by a time, gets what there is: it is refused where more goes while it
    reads that part of the log. What is kept for ever never goes.
    """
    gone = stream.resumed if stream.moves is None else stream.moves != edge.moves
    stream.moves = edge.moves
    only_kept = bool(stream.filter.priorities) and KEPT_PRIORITIES.issuperset(stream.filter.priorities)
    if gone and stream.position < edge.position and edge.upto is not None and not only_kept:
        raise (CursorExpired if stream.archived else CursorArchived)(edge.upto.isoformat())
