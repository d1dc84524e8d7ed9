"""The live timeline: one reader of the log for all streams of a process.

A stream reads its history page by page, on a few reader threads. Once it has read up to the horizon it
joins the live feed: the tailer reads each new event once and puts it into the bounded queue of every
stream that wants it, serialized once for all that want the same. Sender threads empty the queues,
one message in flight a stream; one that is stuck is replaced, and its stream is cancelled after 5 s.
A stream whose queue is full falls back to reading history, alone. No connection is held between
pages.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence

import structlog

from orchestration.v1 import event_pb2
from orchestration_server import convert
from orchestration_server.db import Database
from orchestration_server.errors import LedgerError, ResourceExhausted, Unavailable
from orchestration_server.model import BEGINNING, EventFilter, Position, StoredEvent
from orchestration_server.store import events as event_store
from orchestration_server.streams import Chunk, Stream, batches_of, matches, message

log = structlog.get_logger()

POLL_SECONDS = 0.1
COALESCE_SECONDS = 0.004
CHECKPOINT_SECONDS = 5.0
STUCK_SECONDS = 5.0
SLOW_SEND_SECONDS = 0.05
PAGE_EVENTS = 2_000
TAIL_EVENTS = 5_000
READ_AHEAD = 4
QUEUE_MESSAGES = 64
QUEUE_BYTES = 4 * 1024 * 1024
RECENT_CHUNKS = 64
RECENT_BYTES = 32 * 1024 * 1024
PAGE_BYTES = 4 * 1024 * 1024
SENDERS = 4
SENDERS_MOST = 128
READERS = 2


class Hub:
    """All streams of this process."""

    def __init__(self, db: Database, tokens: convert.Tokens, *, most_streams: int) -> None:
        self._db = db
        self._tokens = tokens
        self._most = most_streams
        self._lock = threading.RLock()
        self._streams: set[Stream] = set()
        self._live: dict[str, set[Stream]] = {}
        self._projects: dict[str, int] = {}
        self._tail: Position | None = None
        self._recent: deque[Chunk] = deque(maxlen=RECENT_CHUNKS)
        self._woken = threading.Event()
        self._closed = False
        self._to_read: queue.SimpleQueue[Stream | None] = queue.SimpleQueue()
        self._to_send: queue.SimpleQueue[Stream | None] = queue.SimpleQueue()
        self._senders = 0
        self._at_work: set[Stream] = set()
        self._threads = [threading.Thread(target=self._run_tail, name="timeline-tail", daemon=True)]
        self._threads += [
            threading.Thread(target=self._run_reader, name="timeline-read", daemon=True)
            for _ in range(READERS)
        ]
        self._threads.append(threading.Thread(target=self._run_watchdog, name="timeline-watch", daemon=True))
        for thread in self._threads:
            thread.start()
        for _ in range(SENDERS):
            self._add_sender()

    def wake(self) -> None:
        """Says that there may be new events."""
        self._woken.set()

    def open(self, stream: Stream) -> None:
        """Takes a stream in. RESOURCE_EXHAUSTED where there are too many."""
        chosen = stream.chosen
        stream.key = repr((stream.project, chosen, stream.batch))
        stream.sent = stream.seen = stream.position
        stream.last_message = time.monotonic()
        with self._lock:
            if self._closed or len(self._streams) >= self._most:
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

    def discard(self, stream: Stream) -> None:
        """Forgets a stream whose client left or that has ended."""
        with self._lock:
            stream.closed = True
            stream.messages.clear()
            stream.queued_bytes = 0
            if stream not in self._streams:
                return
            self._streams.discard(stream)
            self._leave_live(stream)
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
        for stream in streams:
            if not stream.sending:
                stream.reply.finish(Unavailable("the server is stopping; resume from the last cursor"))
            else:
                stream.reply.cancel()
            self.discard(stream)
        self._woken.set()
        for _ in range(READERS):
            self._to_read.put(None)
        for _ in range(self._senders):
            self._to_send.put(None)
        for thread in self._threads:
            thread.join(timeout=2)

    # The queue of a stream; the lock is held.

    def _push(self, stream: Stream, body: bytes, upto: Position) -> None:
        if stream.closed:
            return
        stream.messages.append((body, upto))
        stream.queued_bytes += len(body)
        stream.position = max(stream.position, upto)
        stream.last_message = time.monotonic()
        if not stream.sending:
            stream.sending = True
            self._to_send.put(stream)

    def _read_on(self, stream: Stream) -> None:
        if not (stream.reading or stream.live or stream.closed or stream.ending):
            stream.reading = True
            self._to_read.put(stream)

    def _fall_behind(self, stream: Stream) -> None:
        self._leave_live(stream)
        stream.messages.clear()
        stream.queued_bytes = 0
        stream.position = stream.seen = stream.sent
        notice = event_pb2.TimelineFellBehind(cursor=self._tokens.cursor(stream.sent))
        self._push(stream, message(fell_behind=notice), stream.sent)
        self._read_on(stream)

    # Senders

    def _add_sender(self) -> None:
        with self._lock:
            self._senders += 1
        threading.Thread(target=self._run_sender, name="timeline-send", daemon=True).start()

    def _run_sender(self) -> None:
        while True:
            try:
                stream = self._to_send.get(timeout=10.0)
            except queue.Empty:
                with self._lock:
                    if self._senders > SENDERS:
                        self._senders -= 1
                        return
                continue
            if stream is None:
                return
            self._send_one(stream)

    def _send_one(self, stream: Stream) -> None:
        with self._lock:
            if stream.closed or not stream.messages:
                stream.sending = False
                return
            body, upto = stream.messages.popleft()
            stream.queued_bytes -= len(body)
            stream.sent = max(stream.sent, upto)
            stream.send_began = time.monotonic()
            self._at_work.add(stream)
        try:
            stream.reply.send(body)
        except Exception as error:
            log.warning("timeline send failed", error=repr(error))
            self.discard(stream)
        with self._lock:
            self._at_work.discard(stream)
            if stream.messages:
                self._to_send.put(stream)
            else:
                stream.sending = False
            ended = stream.ending and not stream.messages and not stream.closed
            if len(stream.messages) <= READ_AHEAD:
                self._read_on(stream)
        if ended:
            stream.reply.finish(None)
            self.discard(stream)

    def _run_watchdog(self) -> None:
        """Replaces senders that are stuck and cancels the streams they are stuck in."""
        closed = threading.Event()
        while not self._closed:
            closed.wait(SLOW_SEND_SECONDS)
            now = time.monotonic()
            with self._lock:
                slow = [s for s in self._at_work if now - s.send_began > SLOW_SEND_SECONDS]
                short = self._senders - len(slow) < SENDERS and self._senders < SENDERS_MOST
                stuck = [s for s in slow if now - s.send_began > STUCK_SECONDS]
            if short:
                self._add_sender()
            for stream in stuck:
                log.info("timeline reader stuck", project=stream.project)
                stream.reply.cancel()
                self.discard(stream)

    # History

    def _run_reader(self) -> None:
        while (stream := self._to_read.get()) is not None:
            try:
                self._read_page(stream)
            except Exception as error:
                log.warning("timeline read failed", error=repr(error))
                stream.reply.finish(error if isinstance(error, LedgerError) else Unavailable())
                self.discard(stream)

    def _read_page(self, stream: Stream) -> None:
        if stream.closed:
            return
        start = stream.position
        last = BEGINNING
        with self._db.connection() as conn:
            if stream.chosen != EventFilter():
                # Read before the page, so a page that comes back short has seen all up to here.
                last = event_store.last(conn, project=stream.project) or BEGINNING
            rows, horizon = event_store.page(
                conn, project=stream.project, after=start, limit=stream.page, chosen=stream.chosen
            )
        complete = len(rows) < stream.page
        if horizon < start:
            # The database crashed since and counts from a lower id: what was read before still stands.
            self._start_over(stream)
            return
        # Pages of large events stay short, so that what is held at once stays small.
        size = sum(len(row.body or b"") for row in rows)
        if size > PAGE_BYTES:
            stream.page = max(16, stream.page // 4)
        elif size * 2 <= PAGE_BYTES:
            stream.page = min(PAGE_EVENTS, stream.page * 2)
        batches = self._batches(rows, stream.batch)
        with self._lock:
            stream.reading = False
            for body, upto in batches:
                self._push(stream, body, upto)
            if rows:
                stream.seen = rows[-1].position
            if complete:
                stream.seen = max(stream.seen, last)
            reached = max(start, horizon if complete else rows[-1].position)
            if not complete:
                if stream.position < reached and not batches:
                    self._checkpoint(stream)
                stream.position = max(stream.position, reached)
                if len(stream.messages) <= READ_AHEAD:
                    self._read_on(stream)
            elif not stream.follow:
                stream.ending = True
                self._checkpoint(stream)
            else:
                stream.position = max(stream.position, reached)
                # With a page still to be sent there is no hurry: the next reading joins.
                if len(stream.messages) <= READ_AHEAD:
                    self._join(stream)

    def _batches(self, events: Sequence[StoredEvent], size: int) -> list[tuple[bytes, Position]]:
        found = []
        for part in batches_of(events, size):
            body = convert.embed_all(1, [self._tokens.event_bytes(event) for event in part])
            found.append((convert.embed(1, body), part[-1].position))
        return found

    def _join(self, stream: Stream) -> None:
        """Makes a stream live that has read all before its position, or lets it read on."""
        if stream.closed:
            return
        if self._tail is None:
            self._tail = stream.position
        missing: list[Chunk] = []
        if stream.position < self._tail:
            missing = [chunk for chunk in self._recent if chunk.end > stream.position]
            covered = bool(missing) and missing[0].start <= stream.position
            if not covered or any(stream.project not in chunk.projects for chunk in missing):
                self._read_on(stream)
                return
        stream.live = True
        self._live.setdefault(stream.project, set()).add(stream)
        cursor = self._tokens.cursor(stream.seen)
        self._push(stream, message(caught_up=event_pb2.TimelineCaughtUp(cursor=cursor)), stream.seen)
        for chunk in missing:
            if stream.live:
                self._feed(stream, chunk, {})
        self._woken.set()

    # Live

    def _run_tail(self) -> None:
        checkpointed = time.monotonic()
        pause = threading.Event()
        while not self._closed:
            self._woken.wait(POLL_SECONDS if self._streams else 1.0)
            pause.wait(COALESCE_SECONDS)
            self._woken.clear()
            try:
                while self._read_tail():
                    pass
            except Exception as error:
                log.warning("timeline tail failed", error=repr(error))
                self._read_again()
                pause.wait(POLL_SECONDS)
            now = time.monotonic()
            if now - checkpointed > 1.0:
                checkpointed = now
                self._checkpoints(now)

    def _read_tail(self) -> bool:
        """Reads what is new and hands it out. Whether there is more."""
        with self._lock:
            start, projects = self._tail, list(self._projects)
            if not self._live:
                # Nobody is live: the next to join says where the tail begins.
                self._tail = None
                self._recent.clear()
                return False
        if start is None:
            return False
        with self._db.connection() as conn:
            rows, horizon = event_store.tail(conn, projects=projects, after=start, limit=TAIL_EVENTS)
        more = len(rows) == TAIL_EVENTS
        end = max(start, rows[-1].position if more else horizon)
        if horizon < start:
            self._read_again()
            return False
        size = sum(len(row.body) for row in rows)
        chunk = Chunk(start, end, frozenset(projects), rows, size, {r.project: r.position for r in rows})
        with self._lock:
            if self._tail is None:
                return False
            self._remember(chunk)
            self._tail = end
            self._send_back(chunk)
            if rows:
                made: dict[str, list[tuple[bytes, Position]]] = {}
                for project in {row.project for row in rows}:
                    for stream in list(self._live.get(project, ())):
                        self._feed(stream, chunk, made)
        return more

    def _remember(self, chunk: Chunk) -> None:
        self._recent.append(chunk)
        while len(self._recent) > 1 and sum(c.size for c in self._recent) > RECENT_BYTES:
            self._recent.popleft()

    def _send_back(self, chunk: Chunk) -> None:
        """Lets streams read for themselves whose project was not asked for when the reading began."""
        for project in set(self._live) - chunk.projects:
            for stream in list(self._live[project]):
                if stream.position < chunk.end:
                    self._leave_live(stream)
                    self._read_on(stream)

    def _read_again(self) -> None:
        """Lets every live stream read from its last event: the database was away, and may have crashed."""
        with self._lock:
            self._tail = None
            self._recent.clear()
            for stream in [one for streams in self._live.values() for one in streams]:
                self._leave_live(stream)
                self._start_over(stream)

    def _start_over(self, stream: Stream) -> None:
        with self._lock:
            stream.reading = False
            stream.position = stream.seen
            self._read_on(stream)

    def _leave_live(self, stream: Stream) -> None:
        stream.live = False
        streams = self._live.get(stream.project, set())
        streams.discard(stream)
        if not streams:
            self._live.pop(stream.project, None)

    def _feed(self, stream: Stream, chunk: Chunk, made: dict[str, list[tuple[bytes, Position]]]) -> None:
        whole = stream.position <= chunk.start
        batches = made.get(stream.key) if whole else None
        if batches is None:
            batches = self._batches(
                [
                    StoredEvent(row.position, row.body)
                    for row in chunk.rows
                    if row.position > stream.position and matches(stream, row)
                ],
                stream.batch,
            )
            if whole:
                made[stream.key] = batches
        for body, upto in batches:
            self._push(stream, body, upto)
        stream.position = max(stream.position, chunk.end)
        stream.seen = max(stream.seen, chunk.last.get(stream.project, stream.seen))
        if batches and (len(stream.messages) > QUEUE_MESSAGES or stream.queued_bytes > QUEUE_BYTES):
            self._fall_behind(stream)

    def _checkpoints(self, now: float) -> None:
        with self._lock:
            if self._tail is None:
                return
            for streams in self._live.values():
                for stream in streams:
                    if now - stream.last_message > CHECKPOINT_SECONDS and not stream.messages:
                        self._checkpoint(stream)

    def _checkpoint(self, stream: Stream) -> None:
        notice = event_pb2.TimelineCheckpoint(cursor=self._tokens.cursor(stream.seen))
        self._push(stream, message(checkpoint=notice), stream.seen)
