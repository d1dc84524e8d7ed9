"""One open timeline: its state, the way back to its client, and which events it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestration.v1 import event_pb2
from orchestration_server.errors import LedgerError
from orchestration_server.model import BEGINNING, EventFilter, Position, StoredEvent
from orchestration_server.store import events as event_store

PAGE_FIRST = 200
BATCH_BYTES = 1 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """The way back to one client: ``send`` blocks while it does not read, ``finish`` ends the stream."""

    send: Callable[[bytes], None]
    finish: Callable[[LedgerError | None], None]
    cancel: Callable[[], object]


@dataclass(eq=False, slots=True)
class Stream:
    """One open StreamTimeline."""

    project: str
    chosen: EventFilter
    position: Position
    follow: bool
    batch: int
    reply: Reply
    key: str = ""
    page: int = PAGE_FIRST
    live: bool = False
    closed: bool = False
    ending: bool = False
    reading: bool = False
    sending: bool = False
    send_began: float = 0.0
    queued_bytes: int = 0
    seen: Position = BEGINNING
    """The last event read, wanted or not. Cursors name events alone: after a crash Postgres gives
    transaction ids out again that left no trace, so a horizon of before may lie ahead of the log."""
    sent: Position = BEGINNING
    last_message: float = 0.0
    messages: deque[tuple[bytes, Position]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one reading of the tail brought: complete for its projects between its two places."""

    start: Position
    end: Position
    projects: frozenset[str]
    rows: Sequence[event_store.TailRow]
    size: int
    last: Mapping[str, Position]


def message(
    *,
    checkpoint: event_pb2.TimelineCheckpoint | None = None,
    caught_up: event_pb2.TimelineCaughtUp | None = None,
    fell_behind: event_pb2.TimelineFellBehind | None = None,
) -> bytes:
    return event_pb2.StreamTimelineResponse(
        checkpoint=checkpoint, caught_up=caught_up, fell_behind=fell_behind
    ).SerializeToString()


def batches_of(events: Sequence[StoredEvent], most: int) -> Iterator[list[StoredEvent]]:
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


def matches(stream: Stream, row: event_store.TailRow) -> bool:
    chosen = stream.chosen
    return (
        row.project == stream.project
        and (not chosen.sprint_code or row.sprint_code == chosen.sprint_code)
        and (not chosen.task_code or (row.entity_type == 2 and row.entity_code == chosen.task_code))
        and (not chosen.session_key or row.session_key == chosen.session_key)
        and (not chosen.correlation_id or row.correlation_id == chosen.correlation_id)
        and (not chosen.priorities or row.priority in chosen.priorities)
        and (not chosen.types or any(_type_matches(row.type, wanted) for wanted in chosen.types))
    )


def _type_matches(type_: str, wanted: str) -> bool:
    return type_.startswith(wanted[:-1]) if wanted.endswith(".*") else type_ == wanted
