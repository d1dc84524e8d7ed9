"""Events, and positions in the log.

The content of an event is its protobuf message (docs/decisions/0001). The rows here have the columns that
queries filter on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from uuid_utils import UUID


class Position(NamedTuple):
    """The position of an event in the log, which is ordered by epoch, transaction id and sequence."""

    epoch: int
    xid: int
    seq: int


BEGINNING = Position(0, 0, 0)


class Cursor(NamedTuple):
    """A position to resume from, with the transactions before it that the reader has not seen.

    A response may show an event while transactions with lower ids are in progress. Their events come before
    it in the log once they commit (docs/decisions/0012).
    """

    position: Position
    open: tuple[int, ...] = ()
    """The lower ids, ascending, of the epoch's transactions that were in progress when the response was read.
    The reader has seen all other events up to the position."""
    read: int = 0
    """The sequence up to which the reader has seen the events of the first id in ``open``."""
    from_time: datetime | None = None
    """The reader wants only events that were recorded at or after this time."""

    @property
    def start(self) -> Position:
        """Return the position after which the reader continues."""
        return Position(self.position.epoch, self.open[0], self.read) if self.open else self.position

    def at(self, position: Position) -> Cursor:
        """Return the cursor of a reader that resumed here and has read up to a position."""
        if position >= self.position:
            return Cursor(position, from_time=self.from_time)
        if position <= self.start:
            return self
        still = tuple(xid for xid in self.open if xid >= position.xid)
        seen = position.seq if still and still[0] == position.xid else 0
        return Cursor(self.position, still, seen, self.from_time)

    def takes(self, position: Position, emit_time: datetime) -> bool:
        """Return whether the reader wants an event and has not seen it."""
        return (self.from_time is None or emit_time >= self.from_time) and (
            position > self.position
            or (position > self.start and position.epoch == self.position.epoch and position.xid in self.open)
        )


FIRST = Cursor(BEGINNING)
"""The cursor of a reader that has seen nothing."""


def cursor_of(position: Position, open_ids: Sequence[int] | None) -> Cursor:
    """Return the cursor of an event that was read while transactions with these ids were in progress."""
    return Cursor(position, tuple(xid for xid in open_ids or () if xid < position.xid))


class EventRow(NamedTuple):
    """An event to be stored: the columns that queries filter on, and its serialized message.

    The fields are the columns of the table ``events``, in the order of ``store/event_rows.py``.
    """

    kept: bool
    """True if the event is kept for ever."""
    project: str
    event_id: UUID
    type: str
    entity_type: int
    entity_code: str
    sprint_code: str
    priority: int
    correlation_id: str
    session_key: str
    actor: str
    occur_time: datetime
    emit_time: datetime
    body: bytes
    agent: str = ""
    """The agent of the call."""
    scopes: str = ""
    """The scopes of the callers that caused the event (codec/causers.py). Empty if they have none."""


class Entity(NamedTuple):
    """The entity of an event."""

    project: str
    entity_type: int
    code: str


class PendingChange(NamedTuple):
    """A change of an entity that a later event will log. ``body`` is the event of this change alone."""

    entity: Entity
    revision: int
    stable_time: datetime
    """When the change is logged, unless another one follows."""
    latest_time: datetime
    """When the change is logged in any case."""
    correlation_id: str
    body: bytes
    scopes: str = ""
    """The scopes of the callers that caused the change, as in EventRow."""


class SampledOut(NamedTuple):
    """The number of events of one kind that sampling left out in a minute of their occur_time."""

    project: str
    minute: datetime
    type: str
    actor: str
    entity_type: int
    entity_code: str
    sprint_code: str
    events: int = 1


class OutboxRow(NamedTuple):
    """An entity whose files are to be written. ``kind`` is sprint, task, adr or bug_report."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the log. ``body`` is None if the filter does not take the event."""

    position: Position
    body: bytes | None
    archive_time: datetime | None = None
    """When the event was archived. None if it is live."""
    recorded: float = 0.0
    """When the event was recorded, by ``time.monotonic``. Set for events of the live feed only."""
    open: Sequence[int] = ()
    """The ids of transactions that were in progress at the read. Empty for a read below the horizon."""

    @property
    def cursor(self) -> Cursor:
        """Return the event's cursor for the response that it was read for."""
        return cursor_of(self.position, self.open)


@dataclass(slots=True)
class EventFilter:
    """A filter of events. An empty field takes any value, and a type may end in ``.*``."""

    sprint_code: str = ""
    task_code: str = ""
    session_key: str = ""
    correlation_id: str = ""
    types: list[str] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
