"""The live feed: the live subscriptions, and the last batches that the tailer read."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.model import BEGINNING, EntityType, EventFilter, Position, StoredEvent
from orchestration_server.names import type_matches
from orchestration_server.store import events as event_store
from orchestration_server.timeline.messages import event_messages, notice
from orchestration_server.timeline.subscription import Subscription

QUEUE_MESSAGES = 64
QUEUE_BYTES = 4 * 1024 * 1024
RECENT_BATCHES = 64
RECENT_BYTES = 32 * 1024 * 1024
SETTLED = timedelta(minutes=15)
"""For this long after its ``from_time`` a live subscription leaves out events recorded before it.

No write takes longer. An event with such a time that comes later, because a clock was set back, is sent.
"""


@dataclass(frozen=True, slots=True)
class TailBatch:
    """The events of one read of the tail: all of its projects' events between two positions."""

    start: Position
    end: Position
    projects: frozenset[str]
    rows: Mapping[str, Sequence[event_store.TailRow]]
    """By project."""
    size: int
    read_at: float
    """A moment before the read, by the monotonic clock."""


class LiveFeed:
    """The live subscriptions of a hub, whose lock the caller of each method holds.

    A live subscription has every event up to the tail, or up to its own position if that was ahead of the
    tail when it joined.
    """

    def __init__(self, cursors: CursorSigner) -> None:
        self._cursors = cursors
        self.tail: Position | None = None
        """The log is read up to here for the live subscriptions; None if no subscription is live."""
        self.read_at = 0.0
        """A moment before the oldest of the reads that the live subscriptions depend on."""
        self._live: dict[str, dict[str, set[Subscription]]] = {}
        """By project, then by the messages that they take."""
        self._last: dict[str, Position] = {}
        """The last event that the tail brought of each project."""
        self._recent: deque[TailBatch] = deque(maxlen=RECENT_BATCHES)
        self._own_messages: set[Subscription] = set()
        """Subscriptions that still filter by their start cursor; those with one cursor share messages."""

    @property
    def empty(self) -> bool:
        """True if no subscription is live."""
        return not self._live

    def __iter__(self) -> Iterator[Subscription]:
        for project in self._live:
            yield from self._of(project)

    def _of(self, project: str) -> Iterator[Subscription]:
        for alike in self._live[project].values():
            yield from alike

    def join(self, subscription: Subscription, now: float) -> bool:
        """Make a subscription live that has read up to its position. Return False if it has to read on."""
        read, project = subscription.read, subscription.request.project
        if self.tail is None:
            self.tail, self.read_at = read.position, read.read_at
        missing: list[TailBatch] = []
        if read.position < self.tail:
            missing = [batch for batch in self._recent if batch.end > read.position]
            covered = bool(missing) and missing[0].start <= read.position
            if not covered or any(project not in batch.projects for batch in missing):
                return False
        read.live = True
        self.read_at = min(self.read_at, read.read_at)
        read.own_messages = not read.shares_messages
        if read.own_messages:
            self._own_messages.add(subscription)
        self._live.setdefault(project, {}).setdefault(_key(subscription), set()).add(subscription)
        cursor = self._cursors.cursor(read.cursor(read.last_event))
        caught_up = notice(caught_up=event_pb2.TimelineCaughtUp(cursor=cursor))
        subscription.push(caught_up, read.last_event, now)
        for batch in missing:
            if read.live:
                self._hand_out(batch, [subscription], now)
        return True

    def leave(self, subscription: Subscription) -> None:
        """Remove a subscription if it is live. Its position becomes that of the tail."""
        read, project = subscription.read, subscription.request.project
        if not read.live:
            return
        read.live = False
        read.last_event = self.last_event(subscription)
        if self.tail is not None:
            read.position, read.read_at = max(read.position, self.tail), self.read_at
        alike, key = self._live[project], _key(subscription)
        self._own_messages.discard(subscription)
        alike[key].discard(subscription)
        if not alike[key]:
            del alike[key]
        if not alike:
            del self._live[project]
            self._last.pop(project, None)

    def last_event(self, subscription: Subscription) -> Position:
        """Return the last event that was read for a subscription, whether its filter takes it or not."""
        last = self._last.get(subscription.request.project, BEGINNING)
        return max(subscription.read.last_event, last)

    def clear(self) -> list[Subscription]:
        """Remove all subscriptions and forget the tail. Return those that were live."""
        subscriptions = list(self)
        for subscription in subscriptions:
            self.leave(subscription)
        self.tail = None
        self._recent.clear()
        return subscriptions

    def take(self, batch: TailBatch, now: float) -> list[Subscription]:
        """Hand out a batch that was read after the tail.

        Return the subscriptions that are no longer live, since the batch does not cover their project.
        """
        left = [
            subscription
            for project in self._live.keys() - batch.projects
            for subscription in self._of(project)
            if subscription.read.position < batch.end
        ]
        for subscription in left:
            self.leave(subscription)
        self._recent.append(batch)
        while len(self._recent) > 1 and sum(one.size for one in self._recent) > RECENT_BYTES:
            self._recent.popleft()
        self.tail, self.read_at = batch.end, batch.read_at
        for project, rows in batch.rows.items():
            if project in self._live:
                self._last[project] = rows[-1].position
                for alike in list(self._live[project].values()):
                    self._hand_out(batch, alike, now, fresh=True)
        self._share_messages(batch)
        return left

    def _share_messages(self, batch: TailBatch) -> None:
        """Let subscriptions share messages with all others once their start no longer matters."""
        for subscription in list(self._own_messages):
            start = subscription.read.resumed_from
            rows = batch.rows.get(subscription.request.project)
            if batch.end < start.position:
                continue
            if start.from_time is not None and not (rows and rows[-1].emit_time >= start.from_time + SETTLED):
                continue
            alike = self._live[subscription.request.project]
            alike[_key(subscription)].discard(subscription)
            if not alike[_key(subscription)]:
                del alike[_key(subscription)]
            self._own_messages.discard(subscription)
            subscription.read.own_messages = False
            alike.setdefault(_key(subscription), set()).add(subscription)

    def _hand_out(
        self, batch: TailBatch, alike: Collection[Subscription], now: float, *, fresh: bool = False
    ) -> None:
        """Append the messages of a batch to subscriptions that take the same.

        ``fresh`` batches were just read, others are recent ones. There may be thousands of subscriptions, so
        the loop does little.
        """
        first = next(iter(alike))
        request, read = first.request, first.read
        events = [
            StoredEvent(row.position, row.body, recorded=now - row.age if fresh else 0.0)
            for row in batch.rows.get(request.project, ())
            if matches(request.filter, row)
            and (not read.own_messages or read.resumed_from.takes(row.position, row.emit_time))
        ]
        if not events:
            return
        resumed_from = read.resumed_from if read.own_messages else None
        messages = event_messages(self._cursors, events, request.batch, resumed_from)
        size = sum(len(body) for body, _, _ in messages)
        start, put = batch.start, first.ready.put
        overflowed = []
        for subscription in alike:
            queue = subscription.queue
            if subscription.read.position > start:
                # The subscription has read a part of the batch itself.
                rest = [event for event in events if event.position > subscription.read.position]
                for body, upto, recorded in event_messages(self._cursors, rest, request.batch, resumed_from):
                    subscription.push(body, upto, now, recorded)
            else:
                # The same as Subscription.push, for all messages at once.
                queue.messages.extend(messages)
                queue.bytes_in += size
                queue.last_append = now
                if not (queue.in_flight or queue.scheduled):
                    queue.scheduled = True
                    put(subscription)
            if len(queue.messages) > QUEUE_MESSAGES or queue.bytes_in - queue.bytes_out > QUEUE_BYTES:
                overflowed.append(subscription)
        for subscription in overflowed:
            # Set this first: the sender lets a subscription read on that is neither live nor overflowed.
            subscription.queue.overflowed = True
            self.leave(subscription)
            subscription.schedule()


def _key(subscription: Subscription) -> str:
    """Return a text that is equal for subscriptions that take the same messages."""
    read = subscription.read
    return subscription.key + repr(read.resumed_from) if read.own_messages else subscription.key


def matches(filter_: EventFilter, row: event_store.TailRow) -> bool:
    """Return whether a filter takes an event of its project."""
    return (
        (not filter_.sprint_code or row.sprint_code == filter_.sprint_code)
        and (
            not filter_.task_code
            or (row.entity_type == EntityType.TASK and row.entity_code == filter_.task_code)
        )
        and (not filter_.session_key or row.session_key == filter_.session_key)
        and (not filter_.correlation_id or row.correlation_id == filter_.correlation_id)
        and (not filter_.priorities or row.priority in filter_.priorities)
        and (not filter_.types or type_matches(row.type, filter_.types))
    )
