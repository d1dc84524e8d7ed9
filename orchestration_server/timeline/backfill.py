"""The history of subscriptions: pages below the live feed, read by a few threads.

No connection is held between pages, and no thread of a call is used: thousands of subscriptions may open at
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
from orchestration_server.timeline.messages import Message, event_messages
from orchestration_server.timeline.pacing import PAGE_EVENTS as CROWDED_EVENTS
from orchestration_server.timeline.pacing import Pace
from orchestration_server.timeline.subscription import Subscription

log = structlog.get_logger()

PAGE_EVENTS = 2_000
READERS = 2


@dataclass(frozen=True, slots=True)
class BackfillPage:
    """One page of a subscription's history."""

    messages: Sequence[Message]
    complete: bool
    """The page ends at the horizon."""
    reached: Position
    """All that the subscription takes up to here is in this page or in one before."""
    last_event: Position
    """The last event up to there, whether the filter takes it or not; the beginning if there is no event."""


class Backfill:
    """The reader threads, which read one page at a time for each subscription, in turn.

    Args:
        db: The pool of connections.
        cursors: Makes the cursor of each event.
        page_read: Called with each page, or with None if the log ends before the subscription's position.
        read_failed: Called with the error of a page that could not be read.
        give_way: Called before each page. Returns soon, or at once if nothing else is more urgent.
        pace: The turns and rests of the readers.
    """

    def __init__(
        self,
        db: Database,
        cursors: CursorSigner,
        *,
        page_read: Callable[[Subscription, BackfillPage | None], None],
        read_failed: Callable[[Subscription, LedgerError], None],
        give_way: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._db = db
        self._cursors = cursors
        self._page_read = page_read
        self._read_failed = read_failed
        self._give_way = give_way
        self._pace = pace
        self._waiting: SimpleQueue[Subscription | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name="timeline-read", daemon=True) for _ in range(READERS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def read(self, subscription: Subscription) -> None:
        """Queue a subscription for its next page."""
        self._waiting.put(subscription)

    def close(self) -> None:
        """End the threads after their current pages."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2)

    def _run(self) -> None:
        while (subscription := self._waiting.get()) is not None:
            try:
                if not subscription.queue.closed:
                    with self._pace.turn(subscription.read.progress):
                        self._give_way()
                        page = self._page(subscription)
                    self._page_read(subscription, page)
                    # Without this an idle thread keeps the page.
                    del page
            except LedgerError as error:
                self._read_failed(subscription, error)
            except Exception as error:
                log.warning("timeline read failed", error=error)
                self._read_failed(subscription, Unavailable())

    def _page(self, subscription: Subscription) -> BackfillPage | None:
        request, read = subscription.request, subscription.read
        with self._db.connection(request.call, timeout=BACKGROUND_TIMEOUT_SECONDS) as conn:
            latest = 0 if read.started else request.latest
            if not read.started and request.start is not None:
                read.resumed_from = request.start(conn)
                read.position = read.last_event = subscription.queue.sent = read.resumed_from.start
            read.started = True
            if conn.opened > read.read_at:
                # Postgres may have crashed since the last read; only events that were read still count.
                read.position = read.last_event
            read.read_at = time.monotonic()
            start = read.position
            slow = self._pace.crowded and not read.progress.losing
            limit = min(read.page, CROWDED_EVENTS) if slow else read.page
            after = read.cursor(start)
            if latest:
                rows, cut, read.large, horizon, last, edge = event_store.latest(
                    conn, project=request.project, count=latest, event_filter=request.filter,
                    archived=request.archived,
                )  # fmt: skip
            else:
                rows, cut, read.large, horizon, last, edge = event_store.page(
                    conn, project=request.project, after=after, limit=limit, event_filter=request.filter,
                    archived=request.archived, large=read.large,
                )  # fmt: skip
        if horizon < start and start > read.last_event:
            return None
        _check_edge(subscription, edge)
        self._pace.rest()
        complete = not cut and (latest > 0 or len(rows) < limit)
        # If events are large, a page of more events would read more than it can take.
        size = sum(len(row.body or b"") for row in rows)
        if cut:
            read.page = max(16, read.page // 4)
        elif size * 2 <= pages.PAGE_BYTES and limit == read.page:
            read.page = min(PAGE_EVENTS, read.page * 2)
        found = rows[-1].position if rows else BEGINNING
        if found.epoch == last.epoch:
            read.progress.note(last.seq - found.seq, time.monotonic())
        resumed_from = None if read.shares_messages else after
        return BackfillPage(
            messages=event_messages(self._cursors, rows, request.batch, resumed_from, rest=self._pace.rest),
            complete=complete,
            # A cursor may be above the horizon; what it takes below its position is still to come.
            reached=horizon if complete else found,
            last_event=max(found, last) if complete else found,
        )


def _check_edge(subscription: Subscription, edge: event_store.ArchiveEdge) -> None:
    """Check that a page lacks nothing that was in the log when the subscription, or its cursor, was made.

    A subscription that starts at the beginning, or at a time, gets what there is. It is refused only if
    events are archived or deleted while it reads that part of the log. Events of the priorities that are kept
    for good are never archived. Raises CursorArchived or CursorExpired.
    """
    request, read = subscription.request, subscription.read
    known = read.archive_changes
    lacks_events = request.resumed if known is None else known != edge.moves
    read.archive_changes = edge.moves
    only_kept = bool(request.filter.priorities) and KEPT_PRIORITIES.issuperset(request.filter.priorities)
    if lacks_events and read.position < edge.position and edge.upto is not None and not only_kept:
        raise (CursorExpired if request.archived else CursorArchived)(edge.upto.isoformat())
