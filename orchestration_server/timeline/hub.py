"""The live timeline: one reader of the log for all streams of a process.

A stream reads its history first (timeline/backfill.py). Once it has read up to the horizon it joins the live
feed (timeline/live_feed.py): the tailer reads each new event once and puts it into the queue of every stream
that wants it, serialized once for all that want the same. One thread empties the queues and waits for no
client (timeline/sender.py, rpc/stream_writer.py). A stream whose queue is full goes back to reading history,
alone.
"""

from __future__ import annotations

import threading
import time

import structlog

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.db.database import Database
from orchestration_server.errors import LedgerError, ResourceExhausted, ServerStopping
from orchestration_server.model import Cursor
from orchestration_server.store import events as event_store
from orchestration_server.telemetry import metrics
from orchestration_server.timeline.backfill import Backfill, BackfillPage
from orchestration_server.timeline.live_feed import LiveFeed, TailBatch
from orchestration_server.timeline.pacing import Pace, Progress, Traffic
from orchestration_server.timeline.sender import Sender
from orchestration_server.timeline.subscription import Subscription, message

log = structlog.get_logger()

POLL_SECONDS = 0.1
COALESCE_SECONDS = 0.004
CHECKPOINT_SECONDS = 5.0
STUCK_SECONDS = 60.0
TICK_SECONDS = 1.0
TAIL_EVENTS = 5_000
READ_AHEAD = 4
BACKLOG = 64
"""Streams that wait for the sender, above which the tailer lets more events come together."""
BACKLOG_SECONDS = 1.0
GIVE_WAY_SECONDS = 0.03
"""How long a reader of history waits before a page, where streams are live, as long as any waits for the
sender. By turns, beside 20 clients that read history, 200 live streams got their events after 134 to 149 ms
without this (p95), and after 44 to 48 with it."""
GIVE_WAY_STEP_SECONDS = 0.002


class Hub:
    """All streams of this process.

    One whose message in flight the transport has not taken after ``stuck_seconds`` is cancelled.
    """

    def __init__(
        self,
        db: Database,
        cursors: CursorSigner,
        *,
        most_streams: int,
        stuck_seconds: float = STUCK_SECONDS,
        traffic: Traffic | None = None,
    ) -> None:
        """``traffic`` tells of calls, beside which history is read more slowly."""
        self._db = db
        self._cursors = cursors
        self._most = most_streams
        self._stuck_seconds = stuck_seconds
        self._lock = threading.RLock()
        self._streams: set[Subscription] = set()
        self._projects: dict[str, int] = {}
        self._feed = LiveFeed(cursors)
        self._woken = threading.Event()
        self._closed = False
        self._sender = Sender(reset_slow=self._reset_slow, drained=self._drained, discard=self.discard)
        self._traffic = traffic or Traffic()
        self._pace = Pace(self._traffic)
        self._backfill = Backfill(
            db,
            cursors,
            take=self._page_read,
            fail=self._read_failed,
            give_way=self._give_way,
            pace=self._pace,
        )
        self._tailer = threading.Thread(target=self._run_tail, name="timeline-tail", daemon=True)
        self._tailer.start()

    def wake(self) -> None:
        """Says that there may be new events. A stream that joins the live feed looks for itself."""
        if self._streams:
            self._woken.set()

    def open(self, stream: Subscription) -> None:
        """Takes a stream in. RESOURCE_EXHAUSTED where there are too many."""
        stream.key = repr((stream.filter, stream.batch))
        stream.to_send = self._sender.queue
        with self._lock:
            if self._closed:
                raise _stopping()
            if len(self._streams) >= self._most:
                raise ResourceExhausted(
                    "too many streams are open on this server",
                    reason="TOO_MANY_STREAMS",
                    retry_after=1,
                )
            if stream.closed:
                return
            self._streams.add(stream)
            self._projects[stream.project] = self._projects.get(stream.project, 0) + 1
            self._read_on(stream)

    def leave(self, stream: Subscription) -> None:
        """Says that a stream's call has ended. Waits for nothing: grpc's serving thread calls it."""
        stream.closed = True
        stream.messages.clear()
        self._sender.queue.put(stream)

    def discard(self, stream: Subscription) -> None:
        """Forgets a stream."""
        with self._lock:
            stream.closed = True
            stream.messages.clear()
            if stream not in self._streams:
                return
            self._streams.discard(stream)
            self._feed.leave(stream)
            self._projects[stream.project] -= 1
            if not self._projects[stream.project]:
                del self._projects[stream.project]

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def close(self) -> None:
        """Ends every stream as UNAVAILABLE, so that clients resume elsewhere, and all threads."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        # From here on nobody else sends.
        self._sender.close()
        for stream in streams:
            if stream.in_flight:
                # Its client may have stopped reading; the stop does not wait for it.
                stream.reply.cancel()
            else:
                stream.reply.finish(_stopping())
            self.discard(stream)
        self._woken.set()
        self._tailer.join(timeout=2)
        self._backfill.close()

    # What the sender calls

    def _reset_slow(self, stream: Subscription) -> None:
        """Lets a stream read again from what was last sent, once its client has taken that."""
        metrics.SLOW_READERS.inc()
        with self._lock:
            stream.behind = False
            stream.messages.clear()
            stream.bytes_out = stream.bytes_in
            stream.position = stream.seen = stream.sent
            cursor = self._cursors.cursor(stream.cursor(stream.sent))
            notice = event_pb2.TimelineFellBehind(cursor=cursor)
            stream.push(message(fell_behind=notice), stream.sent, time.monotonic())

    def _drained(self, stream: Subscription) -> None:
        with self._lock:
            if not self._has_enough(stream):
                self._read_on(stream)

    # What the readers of history call

    def _page_read(self, stream: Subscription, page: BackfillPage | None) -> None:
        with self._lock:
            stream.reading = False
            if page is None:
                # The database crashed since and counts from a lower id: what was read before still stands.
                self._start_over(stream)
                return
            now = time.monotonic()
            for body, upto, _ in page.messages:
                stream.push(body, upto, now)
            stream.seen = max(stream.seen, page.seen)
            stream.position = page.reached
            if page.complete and not stream.follow:
                stream.push(self._checkpoint(stream.cursor(stream.seen)), stream.seen, now)
                self._end(stream)
            elif len(stream.messages) > READ_AHEAD:
                # There is no hurry: when these are sent, the sender lets it read on.
                return
            elif page.complete and not stream.closed and self._feed.join(stream, now):
                stream.progress = Progress()
                self._woken.set()
            elif not self._has_enough(stream):
                self._read_on(stream)

    def _read_failed(self, stream: Subscription, error: LedgerError) -> None:
        with self._lock:
            stream.failure = error
            self._end(stream)

    def _give_way(self) -> None:
        """Lets what is live be sent before a page is read, which holds the interpreter for longer."""
        patience = time.monotonic() + GIVE_WAY_SECONDS
        while not self._feed.empty and self._sender.backlog and time.monotonic() < patience:
            time.sleep(GIVE_WAY_STEP_SECONDS)

    # The lock is held.

    def _has_enough(self, stream: Subscription) -> bool:
        """Return whether a stream reads on only once its client has taken more of what is there.

        While others are about, a client that does not read costs them no more than one page.
        """
        if self._pace.crowded:
            return bool(stream.messages) or stream.in_flight
        return len(stream.messages) > READ_AHEAD

    def _read_on(self, stream: Subscription) -> None:
        if not (stream.reading or stream.live or stream.behind or stream.closed or stream.ending):
            stream.reading = True
            self._backfill.read(stream)

    def _start_over(self, stream: Subscription) -> None:
        stream.position = stream.seen
        self._read_on(stream)

    def _end(self, stream: Subscription) -> None:
        stream.reading = False
        stream.ending = True
        if not stream.in_flight:
            stream.notify()

    # The tailer

    def _run_tail(self) -> None:
        tick = min(TICK_SECONDS, self._stuck_seconds / 2)
        looked = time.monotonic()
        pause = threading.Event()
        while not self._closed:
            self._woken.wait(min(tick, POLL_SECONDS if self._streams else 1.0))
            pause.wait(COALESCE_SECONDS)
            # More messages would only wait behind those; events that come meanwhile share one.
            patience = time.monotonic() + BACKLOG_SECONDS
            while self._sender.backlog > BACKLOG and time.monotonic() < patience:
                pause.wait(COALESCE_SECONDS)
            self._woken.clear()
            try:
                while self._read_tail():
                    pass
            except Exception as error:
                log.warning("timeline tail failed", error=error)
                self._read_again()
                pause.wait(POLL_SECONDS)
            now = time.monotonic()
            if now - looked >= tick:
                looked = now
                self._checkpoints(now)
                self._cancel_stuck(now)

    def _read_tail(self) -> bool:
        """Reads what is new and hands it out. Whether there is more."""
        with self._lock:
            start, projects, read_at = self._feed.tail, list(self._projects), self._feed.read_at
            if self._feed.empty:
                # The next to join says where the tail begins.
                self._feed.clear()
                return False
        assert start is not None
        with self._db.connection() as conn:
            crashed, read_at = conn.opened > read_at, time.monotonic()
            rows, more, horizon = event_store.tail(conn, projects=projects, after=start, limit=TAIL_EVENTS)
        # The tail stands at a horizon, above transaction ids that were given out and not yet used. A Postgres
        # that crashed gives those out again. No connection outlives that, so one that is older says that
        # there was none.
        if crashed or horizon < start:
            self._read_again()
            return False
        end = max(start, rows[-1].position if more else horizon)
        by_project: dict[str, list[event_store.TailRow]] = {}
        for row in rows:
            by_project.setdefault(row.project, []).append(row)
        size = sum(len(row.body) for row in rows)
        if rows:
            self._traffic.seen()
        chunk = TailBatch(start, end, frozenset(projects), by_project, size, read_at)
        with self._lock:
            for stream in self._feed.take(chunk, time.monotonic()):
                self._read_on(stream)
        return more

    def _read_again(self) -> None:
        """Lets every live stream read from its last event: the database was away, and may have crashed."""
        with self._lock:
            for stream in self._feed.clear():
                self._start_over(stream)

    def _checkpoints(self, now: float) -> None:
        """Says to live streams that had nothing for a while how far they are."""
        bodies: dict[Cursor, bytes] = {}
        with self._lock:
            for stream in self._feed:
                if now - stream.last_message > CHECKPOINT_SECONDS and not stream.messages:
                    seen = self._feed.last_event(stream)
                    cursor = stream.cursor(seen) if stream.carries else Cursor(seen)
                    if cursor not in bodies:
                        bodies[cursor] = self._checkpoint(cursor)
                    stream.push(bodies[cursor], seen, now)

    def _checkpoint(self, cursor: Cursor) -> bytes:
        return message(checkpoint=event_pb2.TimelineCheckpoint(cursor=self._cursors.cursor(cursor)))

    def _cancel_stuck(self, now: float) -> None:
        with self._lock:
            stuck = [s for s in self._streams if s.in_flight and now - s.send_began > self._stuck_seconds]
        for stream in stuck:
            metrics.SLOW_READERS.inc()
            log.info("timeline reader stuck", project=stream.project)
            stream.reply.cancel()
            self.discard(stream)


def _stopping() -> ServerStopping:
    return ServerStopping("the server is stopping; resume from the last cursor")
