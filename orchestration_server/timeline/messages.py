"""The messages of a timeline: events in batches, checkpoints and notices, serialized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.codec.wire import embed, embed_all
from orchestration_server.model import Cursor, Position, StoredEvent
from orchestration_server.timeline.pacing import SLICE_EVENTS

BATCH_BYTES = 1 * 1024 * 1024

Message = tuple[bytes, Position, float]
"""A serialized StreamTimelineResponse, the position of the last event that its receiver knows of, and the
monotonic time at which the first of its events was recorded; 0 if it has none, or events of the past."""


def notice(
    *,
    checkpoint: event_pb2.TimelineCheckpoint | None = None,
    caught_up: event_pb2.TimelineCaughtUp | None = None,
    fell_behind: event_pb2.TimelineFellBehind | None = None,
) -> bytes:
    """Return a serialized message without events."""
    return event_pb2.StreamTimelineResponse(
        checkpoint=checkpoint, caught_up=caught_up, fell_behind=fell_behind
    ).SerializeToString()


def event_messages(
    cursors: CursorSigner,
    events: Sequence[StoredEvent],
    batch: int,
    resumed_from: Cursor | None = None,
    *,
    rest: Callable[[], None] | None = None,
) -> list[Message]:
    """Return events as serialized messages.

    Args:
        cursors: Makes the cursor of each event.
        events: The events, in the order of the log.
        batch: Events in a message, at most.
        resumed_from: The cursor that the reader resumed from, if its cursors still depend on it.
        rest: Called after each slice of the work.
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


def _batches(events: Sequence[StoredEvent], limit: int) -> Iterator[list[StoredEvent]]:
    """Yield batches of up to `limit` events and BATCH_BYTES. A larger event is a batch by itself."""
    part: list[StoredEvent] = []
    size = 0
    for event in events:
        length = len(event.body or b"")
        if part and (len(part) >= limit or size + length > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part
