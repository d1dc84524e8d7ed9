"""The live timeline: one reader of the log for all streams of a process.

A stream first reads its history (history.py). Once it has read up to the horizon it joins the live feed:
the tailer reads each new event once and puts it into the queue of every stream that wants it, serialized
once for all that want the same. One sender thread empties the queues and waits for no client: a stream
has one message in flight, and when the transport took it the next is due (sending.py). A stream whose
queue is full goes back to reading history, alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection
from queue import SimpleQueue

import structlog

from orchestration.v1 import event_pb2
from orchestration_server import convert
from orchestration_server.db import Database
from orchestration_server.errors import LedgerError, ResourceExhausted, Unavailable
from orchestration_server.history import History, Page
from orchestration_server.model import BEGINNING, Position, StoredEvent
from orchestration_server.store import events as event_store
from orchestration_server.streams import Chunk, Stream, matches, message, messages_of

log = structlog.get_logger()

POLL_SECONDS = 0.1
COALESCE_SECONDS = 0.004
CHECKPOINT_SECONDS = 5.0
STUCK_SECONDS = 60.0
TAIL_EVENTS = 5_000
READ_AHEAD = 4
QUEUE_MESSAGES = 64
QUEUE_BYTES = 4 * 1024 * 1024
RECENT_CHUNKS = 64
RECENT_BYTES = 32 * 1024 * 1024
BACKLOG = 64
"""Streams that wait for the sender, above which the tailer lets more events come together."""


class Hub:
    """All streams of this process. A stream whose one message the transport does not take for
    ``stuck_seconds`` is cancelled."""

    def __init__(
        self,
        db: Database,
        tokens: convert.Tokens,
        *,
        most_streams: int,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._most = most_streams
        self._stuck_seconds = stuck_seconds
        self._lock = threading.RLock()
        self._streams: set[Stream] = set()
        self._live: dict[str, dict[str, set[Stream]]] = {}
        """By project, then by what they take."""
        self._projects: dict[str, int] = {}
        self._tail: Position | None = None
        self._last: dict[str, Position] = {}
        """The last event of a project that the tail has read."""
        self._recent: deque[Chunk] = deque(maxlen=RECENT_CHUNKS)
        self._woken = threading.Event()
        self._closed = False
        self._to_send: SimpleQueue[Stream | None] = SimpleQueue()
        self._history = History(db, tokens, take=self._take, fail=self._fail)
        self._sender = threading.Thread(target=self._run_sender, name="timeline-send", daemon=True)
        self._tailer = threading.Thread(target=self._run_tail, name="timeline-tail", daemon=True)
        self._sender.start()
        self._tailer.start()

    def wake(self) -> None:
        """Says that there may be new events."""
        self._woken.set()

    def open(self, stream: Stream) -> None:
        """Takes a stream in. RESOURCE_EXHAUSTED where there are too many."""
        stream.key = repr((stream.chosen, stream.batch))
        stream.to_send = self._to_send
        stream.last_message = time.monotonic()
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

    def leave(self, stream: Stream) -> None:
        """Says that a stream's call has ended. Waits for nothing: grpc's serving thread calls it."""
        stream.closed = True
        stream.messages.clear()
        self._to_send.put(stream)

    def discard(self, stream: Stream) -> None:
        """Forgets a stream."""
        with self._lock:
            stream.closed = True
            stream.messages.clear()
            if stream not in self._streams:
                return
            self._streams.discard(stream)
            self._leave_live(stream)
            self._projects[stream.project] -= 1
            if not self._projects[stream.project]:
                del self._projects[stream.project]
                self._last.pop(stream.project, None)

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def close(self) -> None:
        """Ends every stream as UNAVAILABLE, so that clients resume elsewhere, and all threads."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        self._to_send.put(None)
        self._sender.join(timeout=2)
        # From here on nobody else sends. What a client has not taken yet must not hold up the stop.
        for stream in streams:
            if stream.in_flight:
                stream.reply.cancel()
            else:
                stream.reply.finish(_stopping())
            self.discard(stream)
        self._woken.set()
        self._tailer.join(timeout=2)
        self._history.close()

    # The sender. It takes no lock for a message of a live stream.

    def _run_sender(self) -> None:
        while (stream := self._to_send.get()) is not None:
            if self._closed:
                return
            try:
                self._send_next(stream)
            except Exception as error:
                log.warning("timeline send failed", error=repr(error))
                stream.reply.cancel()
                self.discard(stream)

    def _send_next(self, stream: Stream) -> None:
        stream.queued = False
        if stream.closed:
            self.discard(stream)
            return
        if stream.behind:
            self._drop_queue(stream)
        if stream.in_flight:
            return
        # Read before the queue is: the last message was there before this was set.
        ending = stream.ending
        try:
            body, upto = stream.messages.popleft()
        except IndexError:
            if ending:
                stream.reply.finish(stream.failure)
                self.discard(stream)
            return
        stream.bytes_out += len(body)
        if upto > stream.sent:
            stream.sent = upto
        stream.send_began = time.monotonic()
        stream.in_flight = True
        if not stream.reply.send(body, stream.taken):
            self.discard(stream)
        elif not (stream.live or stream.reading or stream.ending) and len(stream.messages) <= READ_AHEAD:
            with self._lock:
                self._read_on(stream)

    def _drop_queue(self, stream: Stream) -> None:
        """Lets a stream read again from what was last sent, once its client has taken that."""
        with self._lock:
            stream.behind = False
            stream.messages.clear()
            stream.bytes_out = stream.bytes_in
            stream.position = stream.seen = stream.sent
            notice = event_pb2.TimelineFellBehind(cursor=self._tokens.cursor(stream.sent))
            stream.push(message(fell_behind=notice), stream.sent, time.monotonic())

    # History; the lock is held but by the two that readers call.

    def _read_on(self, stream: Stream) -> None:
        if not (stream.reading or stream.live or stream.behind or stream.closed or stream.ending):
            stream.reading = True
            self._history.read(stream)

    def _fail(self, stream: Stream, error: LedgerError) -> None:
        with self._lock:
            stream.failure = error
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        stream.reading = False
        stream.ending = True
        if not stream.in_flight:
            stream.notify()

    def _take(self, stream: Stream, page: Page | None) -> None:
        with self._lock:
            stream.reading = False
            if page is None:
                # The database crashed since and counts from a lower id: what was read before still stands.
                self._start_over(stream)
                return
            now = time.monotonic()
            for body, upto in page.messages:
                stream.push(body, upto, now)
            stream.seen = max(stream.seen, page.seen)
            stream.position = page.reached
            if page.complete and not stream.follow:
                stream.push(self._checkpoint(stream.seen), stream.seen, now)
                self._end(stream)
            elif len(stream.messages) > READ_AHEAD:
                # With a page still to be sent there is no hurry: the sender lets it read on.
                return
            elif page.complete:
                self._join(stream)
            else:
                self._read_on(stream)

    def _start_over(self, stream: Stream) -> None:
        stream.position = stream.seen
        self._read_on(stream)

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
        self._live.setdefault(stream.project, {}).setdefault(stream.key, set()).add(stream)
        now = time.monotonic()
        cursor = self._tokens.cursor(stream.seen)
        stream.push(message(caught_up=event_pb2.TimelineCaughtUp(cursor=cursor)), stream.seen, now)
        for chunk in missing:
            if stream.live:
                self._feed([stream], chunk, now)
        self._woken.set()

    # Live

    def _run_tail(self) -> None:
        tick = min(1.0, self._stuck_seconds / 2)
        looked = time.monotonic()
        pause = threading.Event()
        while not self._closed:
            self._woken.wait(min(tick, POLL_SECONDS if self._streams else 1.0))
            pause.wait(COALESCE_SECONDS)
            # More messages would only wait behind those; events that come meanwhile share one.
            patience = time.monotonic() + 1.0
            while self._to_send.qsize() > BACKLOG and time.monotonic() < patience:
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
            if now - looked > tick:
                looked = now
                self._checkpoints(now)
                self._cancel_stuck(now)

    def _read_tail(self) -> bool:
        """Reads what is new and hands it out. Whether there is more."""
        with self._lock:
            start, projects = self._tail, list(self._projects)
            if not self._live:
                # Nobody is live: the next to join says where the tail begins.
                self._tail = None
                self._recent.clear()
                self._last.clear()
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
        by_project: dict[str, list[event_store.TailRow]] = {}
        for row in rows:
            by_project.setdefault(row.project, []).append(row)
        chunk = Chunk(start, end, frozenset(projects), by_project, sum(len(row.body) for row in rows))
        with self._lock:
            if self._tail is None:
                return False
            self._send_back(chunk)
            self._remember(chunk)
            self._tail = end
            now = time.monotonic()
            for project, found in by_project.items():
                for streams in list(self._live.get(project, {}).values()):
                    self._feed(streams, chunk, now)
                self._last[project] = found[-1].position
        return more

    def _remember(self, chunk: Chunk) -> None:
        self._recent.append(chunk)
        while len(self._recent) > 1 and sum(c.size for c in self._recent) > RECENT_BYTES:
            self._recent.popleft()

    def _send_back(self, chunk: Chunk) -> None:
        """Lets streams read for themselves whose project was not asked for when the reading began."""
        for project in set(self._live) - chunk.projects:
            for stream in self._live_streams(project):
                if stream.position < chunk.end:
                    self._leave_live(stream)
                    self._read_on(stream)

    def _read_again(self) -> None:
        """Lets every live stream read from its last event: the database was away, and may have crashed."""
        with self._lock:
            for stream in [one for project in self._live for one in self._live_streams(project)]:
                self._leave_live(stream)
                self._start_over(stream)
            self._tail = None
            self._recent.clear()
            self._last.clear()

    def _live_streams(self, project: str) -> list[Stream]:
        return [stream for streams in self._live[project].values() for stream in streams]

    def _leave_live(self, stream: Stream) -> None:
        if not stream.live:
            return
        stream.live = False
        stream.seen = self._seen(stream)
        if self._tail is not None and self._tail > stream.position:
            stream.position = self._tail
        alike = self._live[stream.project]
        alike[stream.key].discard(stream)
        if not alike[stream.key]:
            del alike[stream.key]
        if not alike:
            del self._live[stream.project]

    def _seen(self, stream: Stream) -> Position:
        return max(stream.seen, self._last.get(stream.project, BEGINNING))

    def _feed(self, streams: Collection[Stream], chunk: Chunk, now: float) -> None:
        """Hands a chunk out to live streams that take the same; with thousands of them every step counts."""
        like = next(iter(streams))
        start, to_send = chunk.start, self._to_send.put
        wanted = [
            StoredEvent(row.position, row.body)
            for row in chunk.rows.get(like.project, ())
            if matches(like.chosen, row)
        ]
        if not wanted:
            return
        messages = messages_of(self._tokens, wanted, like.batch)
        size = sum(len(body) for body, _ in messages)
        overflown = []
        for stream in streams:
            if stream.position > start:
                # It has read a part of this for itself.
                rest = [event for event in wanted if event.position > stream.position]
                for body, upto in messages_of(self._tokens, rest, stream.batch):
                    stream.push(body, upto, now)
            else:
                stream.messages.extend(messages)
                stream.bytes_in += size
                stream.last_message = now
                if not (stream.in_flight or stream.queued):
                    stream.queued = True
                    to_send(stream)
            if len(stream.messages) > QUEUE_MESSAGES or stream.bytes_in - stream.bytes_out > QUEUE_BYTES:
                overflown.append(stream)
        for stream in overflown:
            # In this order: the sender lets a stream read on that is neither live nor behind.
            stream.behind = True
            self._leave_live(stream)
            stream.notify()

    def _checkpoints(self, now: float) -> None:
        bodies: dict[Position, bytes] = {}
        with self._lock:
            for project in self._live:
                for stream in self._live_streams(project):
                    if now - stream.last_message > CHECKPOINT_SECONDS and not stream.messages:
                        seen = self._seen(stream)
                        if seen not in bodies:
                            bodies[seen] = self._checkpoint(seen)
                        stream.push(bodies[seen], seen, now)

    def _checkpoint(self, seen: Position) -> bytes:
        return message(checkpoint=event_pb2.TimelineCheckpoint(cursor=self._tokens.cursor(seen)))

    def _cancel_stuck(self, now: float) -> None:
        with self._lock:
            stuck = [s for s in self._streams if s.in_flight and now - s.send_began > self._stuck_seconds]
        for stream in stuck:
            log.info("timeline reader stuck", project=stream.project)
            stream.reply.cancel()
            self.discard(stream)


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; resume from the last cursor")
