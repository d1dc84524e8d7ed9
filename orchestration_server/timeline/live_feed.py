"""The live feed: the streams that are live, and what the last readings of the tail brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.model import BEGINNING, EventFilter, Position, StoredEvent
from orchestration_server.store import events as event_store
from orchestration_server.timeline.subscription import Subscription, message, messages_of

QUEUE_MESSAGES = 64
QUEUE_BYTES = 4 * 1024 * 1024
RECENT_BATCHES = 64
RECENT_BYTES = 32 * 1024 * 1024
SETTLED = timedelta(minutes=15)
"""How long after its from_time a live stream leaves out what was recorded before it: longer than any write
takes. What a clock that was set back records later is sent."""


@dataclass(frozen=True, slots=True)
class TailBatch:
    """What one reading of the tail brought: complete for its projects between its two places."""

    start: Position
    end: Position
    projects: frozenset[str]
    rows: Mapping[str, Sequence[event_store.TailRow]]
    """By project."""
    size: int
    read_at: float
    """A moment before it was read."""


class LiveFeed:
    """The live streams of a hub, whose lock is held for every call.

    A live stream has been given, or has read, all up to the tail; or up to its own position where that
    lay ahead of the tail when it joined.
    """

    def __init__(self, cursors: CursorSigner) -> None:
        self._cursors = cursors
        self.tail: Position | None = None
        """Up to where the log was read for the live streams; None as long as nobody is live."""
        self.read_at = 0.0
        """A moment before the oldest of the readings that the live streams stand on."""
        self._live: dict[str, dict[str, set[Subscription]]] = {}
        """By project, then by what they take."""
        self._last: dict[str, Position] = {}
        """The last event that the tail brought of a project."""
        self._recent: deque[TailBatch] = deque(maxlen=RECENT_BATCHES)
        self._carrying: set[Subscription] = set()
        """Those that share messages only with streams that resumed from the same cursor."""

    @property
    def empty(self) -> bool:
        """Whether no stream is live."""
        return not self._live

    def __iter__(self) -> Iterator[Subscription]:
        for project in self._live:
            yield from self._of(project)

    def _of(self, project: str) -> Iterator[Subscription]:
        for alike in self._live[project].values():
            yield from alike

    def join(self, stream: Subscription, now: float) -> bool:
        """Makes a stream live that has read all up to its position. False where it has to read on first."""
        if self.tail is None:
            self.tail, self.read_at = stream.position, stream.read_at
        missing: list[TailBatch] = []
        if stream.position < self.tail:
            missing = [chunk for chunk in self._recent if chunk.end > stream.position]
            covered = bool(missing) and missing[0].start <= stream.position
            if not covered or any(stream.project not in chunk.projects for chunk in missing):
                return False
        stream.live = True
        self.read_at = min(self.read_at, stream.read_at)
        stream.carries = not stream.settled
        if stream.carries:
            self._carrying.add(stream)
        self._live.setdefault(stream.project, {}).setdefault(_key(stream), set()).add(stream)
        cursor = self._cursors.cursor(stream.cursor(stream.seen))
        stream.push(message(caught_up=event_pb2.TimelineCaughtUp(cursor=cursor)), stream.seen, now)
        for chunk in missing:
            if stream.live:
                self._hand_out(chunk, [stream], now)
        return True

    def leave(self, stream: Subscription) -> None:
        """Takes a stream out, which may be live or not; it has read what the feed has given it."""
        if not stream.live:
            return
        stream.live = False
        stream.seen = self.last_event(stream)
        if self.tail is not None:
            stream.position, stream.read_at = max(stream.position, self.tail), self.read_at
        alike, key = self._live[stream.project], _key(stream)
        self._carrying.discard(stream)
        alike[key].discard(stream)
        if not alike[key]:
            del alike[key]
        if not alike:
            del self._live[stream.project]
            self._last.pop(stream.project, None)

    def last_event(self, stream: Subscription) -> Position:
        """The last event that was read for a live stream, wanted or not."""
        return max(stream.seen, self._last.get(stream.project, BEGINNING))

    def clear(self) -> list[Subscription]:
        """Begins anew with the next stream that joins; those that were live, and are no more."""
        streams = list(self)
        for stream in streams:
            self.leave(stream)
        self.tail = None
        self._recent.clear()
        return streams

    def take(self, chunk: TailBatch, now: float) -> list[Subscription]:
        """Hands out what was read after the tail. Those that had to leave and read for themselves, since
        their project was not asked for when the reading began."""
        sent_back = [
            stream
            for project in self._live.keys() - chunk.projects
            for stream in self._of(project)
            if stream.position < chunk.end
        ]
        for stream in sent_back:
            self.leave(stream)
        self._recent.append(chunk)
        while len(self._recent) > 1 and sum(c.size for c in self._recent) > RECENT_BYTES:
            self._recent.popleft()
        self.tail, self.read_at = chunk.end, chunk.read_at
        for project, rows in chunk.rows.items():
            if project in self._live:
                self._last[project] = rows[-1].position
                for streams in list(self._live[project].values()):
                    self._hand_out(chunk, streams, now, fresh=True)
        self._settle(chunk)
        return sent_back

    def _settle(self, chunk: TailBatch) -> None:
        """Let streams share messages with all others once it no longer matters where they started."""
        for stream in list(self._carrying):
            start, rows = stream.resumed_from, chunk.rows.get(stream.project)
            if chunk.end < start.position:
                continue
            if start.from_time is not None and not (rows and rows[-1].emit_time >= start.from_time + SETTLED):
                continue
            alike = self._live[stream.project]
            alike[_key(stream)].discard(stream)
            if not alike[_key(stream)]:
                del alike[_key(stream)]
            self._carrying.discard(stream)
            stream.carries = False
            alike.setdefault(_key(stream), set()).add(stream)

    def _hand_out(
        self, chunk: TailBatch, streams: Collection[Subscription], now: float, *, fresh: bool = False
    ) -> None:
        """Gives a chunk, just read or kept, to streams that take the same. There may be thousands: every step
        counts."""
        like = next(iter(streams))
        wanted = [
            StoredEvent(row.position, row.body, recorded=now - row.age if fresh else 0.0)
            for row in chunk.rows.get(like.project, ())
            if matches(like.filter, row)
            and (not like.carries or like.resumed_from.takes(row.position, row.emit_time))
        ]
        if not wanted:
            return
        resumed_from = like.resumed_from if like.carries else None
        messages = messages_of(self._cursors, wanted, like.batch, resumed_from)
        size = sum(len(body) for body, _, _ in messages)
        start, put = chunk.start, like.to_send.put
        overflown = []
        for stream in streams:
            if stream.position > start:
                # It has read a part of this for itself.
                rest = [event for event in wanted if event.position > stream.position]
                for body, upto, recorded in messages_of(self._cursors, rest, stream.batch, resumed_from):
                    stream.push(body, upto, now, recorded)
            else:
                # As Subscription.push, for all of them at once.
                stream.messages.extend(messages)
                stream.bytes_in += size
                stream.last_message = now
                if not (stream.in_flight or stream.queued):
                    stream.queued = True
                    put(stream)
            if len(stream.messages) > QUEUE_MESSAGES or stream.bytes_in - stream.bytes_out > QUEUE_BYTES:
                overflown.append(stream)
        for stream in overflown:
            # Before it leaves: the sender lets a stream read on that is neither live nor behind.
            stream.behind = True
            self.leave(stream)
            stream.notify()


def _key(stream: Subscription) -> str:
    """Return a text that is equal for streams that take the same messages."""
    return stream.key + repr(stream.resumed_from) if stream.carries else stream.key


def matches(chosen: EventFilter, row: event_store.TailRow) -> bool:
    """Whether a filter takes an event of its project."""
    return (
        (not chosen.sprint_code or row.sprint_code == chosen.sprint_code)
        and (not chosen.task_code or (row.entity_type == 2 and row.entity_code == chosen.task_code))
        and (not chosen.session_key or row.session_key == chosen.session_key)
        and (not chosen.correlation_id or row.correlation_id == chosen.correlation_id)
        and (not chosen.priorities or row.priority in chosen.priorities)
        and (not chosen.types or any(_type_matches(row.type, wanted) for wanted in chosen.types))
    )


def _type_matches(type_: str, wanted: str) -> bool:
    return type_.startswith(wanted[:-1]) if wanted.endswith(".*") else type_ == wanted
