"""One open timeline: its request, how far it has read, and its queue of messages.

Each part has one owner at a time, which may change it. Others read it, except as its docstring says.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from orchestration_server.db.database import Connection
from orchestration_server.errors import LedgerError
from orchestration_server.model import BEGINNING, FIRST, Call, Cursor, EventFilter, Position
from orchestration_server.timeline.messages import Message
from orchestration_server.timeline.pacing import Progress
from orchestration_server.timeline.reply import Reply

PAGE_FIRST = 200
"""Events of the first page of history."""


class DisconnectHook:
    """The callback that stops a subscription's current read when its client disconnects.

    grpc keeps every callback of a call until the call ends, and a subscription reads many times. So the call
    has one callback, which runs the last hook that was set.
    """

    __slots__ = ("_ended", "_hook", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._hook: Callable[[], None] | None = None

    def set(self, hook: Callable[[], None]) -> bool:
        """Replace the hook. Return False if the client has disconnected."""
        with self._lock:
            self._hook = None if self._ended else hook
            return not self._ended

    def end(self) -> None:
        """Run the hook, since the client disconnects."""
        with self._lock:
            self._ended = True
            hook, self._hook = self._hook, None
        if hook is not None:
            hook()


@dataclass(frozen=True, slots=True)
class TimelineRequest:
    """The request of a client, as the timeline needs it. It never changes."""

    project: str
    filter: EventFilter
    follow: bool
    batch: int
    """Events in a message, at most."""
    start: Callable[[Connection], Cursor] | None = None
    """Finds the cursor to start after; None starts at the beginning."""
    latest: int = 0
    """Start `latest` events before the end of the log, which are read at once; 0 if unused."""
    call: Call | None = None
    """Cancels a read of history when its caller disconnects."""
    archived: bool = False
    """Read the archive, too."""
    resumed: bool = False
    """The client gave a cursor: what was in the log then must still be there."""


@dataclass(slots=True)
class ReadPosition:
    """The position up to which a subscription has read the log.

    Owned by the reader thread of timeline/backfill.py while ``reading``, and by the tailer thread of
    timeline/hub.py while ``live``. If it is neither, the sender thread owns it: it asks for the next page, or
    resets the position of a slow reader. Ownership passes on with the hub's lock held.
    """

    resumed_from: Cursor = FIRST
    """The cursor that it started after. It says which events before its position the client still needs."""
    started: bool = False
    """The start of the request was found."""
    reading: bool = False
    live: bool = False
    own_messages: bool = False
    """Live, and others cannot share its messages: what it takes still depends on ``resumed_from``."""
    position: Position = BEGINNING
    """The log is read up to here. A live subscription has read what the tail has, if that is further."""
    read_at: float = 0.0
    """A moment before the last read, by the monotonic clock."""
    last_event: Position = BEGINNING
    """The last event that was read, whether the filter takes it or not.

    Cursors name events only. After a crash Postgres reuses transaction ids that left no trace, so a horizon
    from before the crash may be ahead of the log.
    """
    archive_changes: int | None = None
    """The count of moves to the archive and deletions from it at the last page; None before the first."""
    page: int = PAGE_FIRST
    """Events of the next page, at most."""
    large: bool = False
    """Large events were read: the next page is measured before it is read."""
    progress: Progress = field(default_factory=Progress)
    """The progress through history, reset when the subscription goes live."""

    @property
    def shares_messages(self) -> bool:
        """True if what it takes from now on no longer depends on ``resumed_from``."""
        return self.resumed_from.from_time is None and self.position >= self.resumed_from.position

    def cursor(self, position: Position) -> Cursor:
        """Return the cursor of a client that has everything up to a position."""
        return self.resumed_from.at(position)


@dataclass(slots=True)
class SendQueue:
    """The messages of one subscription and the state of sending them.

    Owned by the sender thread of timeline/sender.py, which takes messages without a lock. The owner of the
    read position appends messages and sets ``overflowed``, ``ending`` and ``failure``, with the hub's lock
    held. grpc's serving thread clears ``in_flight``, and closes the queue when the client disconnects; it
    takes no lock.
    """

    messages: deque[Message] = field(default_factory=deque)
    bytes_in: int = 0
    """Bytes that were ever appended. The queue's size is this less ``bytes_out``; each has one writer."""
    last_append: float = 0.0
    overflowed: bool = False
    """The sender is to drop the messages and to let the subscription read again."""
    ending: bool = False
    """The call ends after the last message, with ``failure`` or with OK."""
    failure: LedgerError | None = None
    closed: bool = False
    """The call has ended, and nothing is sent any more."""
    scheduled: bool = False
    """The subscription is on the sender's queue."""

    bytes_out: int = 0
    sent: Position = BEGINNING
    """The position of the last message. The reader sets it once, to the start of the subscription."""
    send_began: float = 0.0
    in_flight: bool = False
    """The transport has not taken the last message yet."""

    def append(self, body: bytes, upto: Position, now: float, recorded: float) -> None:
        """Append a message. The caller holds the hub's lock."""
        self.messages.append((body, upto, recorded))
        self.bytes_in += len(body)
        self.last_append = now

    def close(self) -> None:
        """Drop the messages, and take no more."""
        self.closed = True
        self.messages.clear()


@dataclass(eq=False, slots=True)
class Subscription:
    """One open StreamTimeline.

    A thread that appends a message checks afterwards whether the sender will see it, and the thread that is
    done with a message checks afterwards for the next, so at least one of them schedules the sender. If both
    do, the subscription is on the sender's queue twice, and the sender skips it if a message is in flight or
    the queue is empty.
    """

    request: TimelineRequest
    reply: Reply
    read: ReadPosition = field(default_factory=ReadPosition)
    queue: SendQueue = field(default_factory=SendQueue)
    ready: SimpleQueue[Subscription | None] = field(default_factory=SimpleQueue)
    """The sender's queue of subscriptions with something to send. The hub sets it on opening."""
    key: str = field(init=False)
    """Equal for subscriptions that take the same messages."""

    def __post_init__(self) -> None:
        self.key = repr((self.request.filter, self.request.batch))

    def push(self, body: bytes, upto: Position, now: float, recorded: float = 0.0) -> None:
        """Append a message and schedule the sender. The caller holds the hub's lock."""
        if not self.queue.closed:
            self.queue.append(body, upto, now, recorded)
            if not self.queue.in_flight:
                self.schedule()

    def schedule(self) -> None:
        """Put the subscription on the sender's queue, unless it is there."""
        if not self.queue.scheduled:
            self.queue.scheduled = True
            self.ready.put(self)

    def taken(self) -> None:
        """Note that the transport has taken the message in flight. Runs on grpc's serving thread."""
        self.queue.in_flight = False
        # A subscription that is not live may wait for this to read its next page.
        if self.queue.messages or self.queue.ending or not self.read.live:
            self.schedule()
