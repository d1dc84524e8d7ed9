"""One open timeline: its state, its queue, the way back to its client, and the messages it gets."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.codec.wire import embed, embed_all
from orchestration_server.db.database import Connection
from orchestration_server.errors import LedgerError
from orchestration_server.model import BEGINNING, FIRST, Call, Cursor, EventFilter, Position, StoredEvent
from orchestration_server.timeline.pacing import SLICE_EVENTS, Progress
from orchestration_server.timeline.reply import Reply

PAGE_FIRST = 200
BATCH_BYTES = 1 * 1024 * 1024

Message = tuple[bytes, Position, float]
"""A serialized StreamTimelineResponse, the last event that a client knows of who has it, and the moment by
``time.monotonic`` when the first of its events was recorded; 0 where it tells of none, or of the past."""


class DisconnectHook:
    """What is to stop when a stream's client leaves: the reading that is under way.

    grpc keeps every hook of a call until the call ends, and a stream reads again and again.
    """

    __slots__ = ("_ended", "_hook", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._hook: Callable[[], None] | None = None

    def set(self, hook: Callable[[], None]) -> bool:
        """Has this called in place of what was before; False where the client has left."""
        with self._lock:
            self._hook = None if self._ended else hook
            return not self._ended

    def end(self) -> None:
        """The client leaves."""
        with self._lock:
            self._ended = True
            hook, self._hook = self._hook, None
        if hook is not None:
            hook()


@dataclass(eq=False, slots=True)
class Subscription:
    """One open StreamTimeline.

    The hub's lock guards it, but for its queue. Messages are appended with the lock held; the hub's one
    sender thread takes them out without it; grpc's serving thread reports what the transport took and
    waits for no lock at all. Who appends looks afterwards whether somebody will see the message, and who
    is done with one looks afterwards for the next, so one of them finds it. Both may: then the stream
    stands on ``to_send`` twice, and the sender lets go of one that is in flight or has no message.
    """

    project: str
    filter: EventFilter
    follow: bool
    batch: int
    reply: Reply
    start: Callable[[Connection], Cursor] | None = None
    """Finds the cursor to start after; None for the beginning, and once it was found."""
    resumed_from: Cursor = FIRST
    """Where it started: says which events up to its position the client has not seen, and which it does not
    want."""
    carries: bool = False
    """Live, and still has to be told apart by ``resumed_from``."""
    latest: int = 0
    """Starts with so many events before the end of the log, which are read at once."""
    call: Call | None = None
    """Stops the reading of history when its caller leaves."""
    archived: bool = False
    """Reads the archive too."""
    resumed: bool = False
    """Starts after a cursor: what was there then has to be there yet."""
    moves: int | None = None
    """What went to the archive, or was deleted from it, before the last page; None before the first."""
    key: str = ""
    """Equal for streams that take the same messages."""
    page: int = PAGE_FIRST
    large: bool = False
    """Has seen large events: the next page is measured before it is read."""
    progress: Progress = field(default_factory=Progress)
    """Of its reading of history, anew each time that it falls behind."""
    position: Position = BEGINNING
    """What lies up to here is read. A live stream has read what the tail has, if that is further."""
    read_at: float = 0.0
    """A moment before that was read, by the monotonic clock."""
    seen: Position = BEGINNING
    """The last event read, wanted or not. Cursors name events alone: after a crash Postgres gives
    transaction ids out again that left no trace, so a horizon of before may lie ahead of the log."""
    live: bool = False
    reading: bool = False
    behind: bool = False
    """Its queue overflowed; the sender is to drop it."""
    closed: bool = False
    ending: bool = False
    """Ends after the last message, with ``failure`` or as it should."""
    failure: LedgerError | None = None
    last_message: float = 0.0
    messages: deque[Message] = field(default_factory=deque)
    bytes_in: int = 0
    """What was ever appended; less ``bytes_out`` it is the queue's size. Each has one writer."""
    to_send: SimpleQueue[Subscription | None] = field(default_factory=SimpleQueue)
    """The hub's queue of streams that have something to send."""
    queued: bool = False
    """Stands on ``to_send``."""

    # The sender's own.
    bytes_out: int = 0
    sent: Position = BEGINNING
    send_began: float = 0.0
    in_flight: bool = False
    """A message is with the transport."""

    @property
    def settled(self) -> bool:
        """Whether what it takes of what is read from now on does not depend on where it started."""
        return self.resumed_from.from_time is None and self.position >= self.resumed_from.position

    def cursor(self, position: Position) -> Cursor:
        """Return what the client resumes from once it has everything up to a position."""
        return self.resumed_from.at(position)

    def push(self, body: bytes, upto: Position, now: float, recorded: float = 0.0) -> None:
        """Adds a message; the hub's lock is held."""
        if not self.closed:
            self.messages.append((body, upto, recorded))
            self.bytes_in += len(body)
            self.last_message = now
            if not self.in_flight:
                self.notify()

    def notify(self) -> None:
        """Has the sender look at the stream."""
        if not self.queued:
            self.queued = True
            self.to_send.put(self)

    def taken(self) -> None:
        """The transport took the message that was in flight."""
        self.in_flight = False
        # One that is not live may wait for this to read on.
        if self.messages or self.ending or not self.live:
            self.notify()


def message(
    *,
    checkpoint: event_pb2.TimelineCheckpoint | None = None,
    caught_up: event_pb2.TimelineCaughtUp | None = None,
    fell_behind: event_pb2.TimelineFellBehind | None = None,
) -> bytes:
    return event_pb2.StreamTimelineResponse(
        checkpoint=checkpoint, caught_up=caught_up, fell_behind=fell_behind
    ).SerializeToString()


def messages_of(
    cursors: CursorSigner,
    events: Sequence[StoredEvent],
    batch: int,
    resumed_from: Cursor | None = None,
    *,
    rest: Callable[[], None] | None = None,
) -> list[Message]:
    """Return events as serialized messages. ``rest`` is called after each slice of the work.

    Their cursors are those of a reader that resumed from one, if that still matters.
    """
    found = []
    for part in _batches(events, batch):
        bodies: list[bytes] = []
        for start in range(0, len(part), SLICE_EVENTS):
            bodies += [
                cursors.event_bytes(event, resumed_from and resumed_from.at(event.position))
                for event in part[start : start + SLICE_EVENTS]
            ]
            if rest is not None:
                rest()
        found.append((embed(1, embed_all(1, bodies)), part[-1].position, part[0].recorded))
    return found


def _batches(events: Sequence[StoredEvent], most: int) -> Iterator[list[StoredEvent]]:
    """Batches of so many events, and of 1 MiB unless a single one is larger."""
    part: list[StoredEvent] = []
    size = 0
    for event in events:
        length = len(event.body or b"")
        if part and (len(part) >= most or size + length > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part
