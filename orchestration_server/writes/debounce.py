"""Debounce: changes of a status that are held, and told of by one event once the status is stable.

The step is stored with its change, in one statement, so no crash loses it. It is told of before any other
event of its entity: the statement that writes an event refuses where something is held of its entity
(``Held``), and the write is made again in a transaction that tells of it first (``writes/gate.py``).
Otherwise the service in ``jobs/debounce.py`` tells of it when its time has come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from orchestration.v1 import event_pb2
from orchestration_server.codec import causers
from orchestration_server.codec.events import event_row, event_tail
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import PartitionMissing, PendingChanges
from orchestration_server.model import Call, Entity, EventRow, PendingChange
from orchestration_server.rules.emission import DEBOUNCED, Debounce, Policies
from orchestration_server.store import events as event_store
from orchestration_server.store import pending_changes, writes
from orchestration_server.store.writes import DEBOUNCEABLE, Change
from orchestration_server.writes import coalesced

RPC = "Debounce"
MAX_EVENT_BYTES = 256 * 1024
"""Of the steps of one event, unless it is a single one: a large entity's snapshots are in them."""


def entity_of(event: EventRow) -> Entity:
    """What the event is about."""
    return Entity(event.project, event.entity_type, event.entity_code)


def debounceable(events: Sequence[EventRow]) -> set[Entity]:
    """What the events are about, as far as something may be held of it."""
    return {entity_of(event) for event in events if event.entity_type in DEBOUNCEABLE}


def defer(change: Change, policies: Policies, now: datetime) -> Change:
    """The change with the events held that its policy debounces: those that tell all of a revision."""
    parts = Counter(map(entity_of, change.events))
    events: list[EventRow] = []
    pending: list[PendingChange] = []
    for event in change.events:
        policy = None
        if event.type in DEBOUNCED and parts[entity_of(event)] == 1:
            policy = policies.policy_for(event.type, event.priority, change.policy)
        if isinstance(policy, Debounce):
            pending.append(_pending(event, policy, now))
        else:
            events.append(event)
    return replace(change, events=events, pending=pending) if pending else change


def _pending(event: EventRow, policy: Debounce, now: datetime) -> PendingChange:
    return PendingChange(
        entity_of(event),
        event_pb2.Event.FromString(event.body).entity_revision,
        now + timedelta(seconds=policy.stable_seconds),
        now + timedelta(seconds=policy.latest_seconds),
        event.correlation_id,
        event.body,
        event.scopes,
    )


def is_due(rows: Sequence[PendingChange], now: datetime) -> bool:
    """Whether the steps of an entity are to be told of."""
    stable, latest = max(row.stable_time for row in rows), min(row.latest_time for row in rows)
    return min(stable, latest) <= now or len(rows) >= pending_changes.MAX_PENDING


def flush(conn: Connection, entities: Collection[Entity], *, due: datetime | None = None) -> int:
    """Tells of all steps of these entities, or of those that are due by then; how many events it took.

    The caller's transaction has the locks of all of them, and has written nothing before it took them.
    """
    if not entities:
        return 0
    found = pending_changes.list_by_entity(conn, entities)
    told = [rows for rows in found.values() if due is None or is_due(rows, due)]
    if not told:
        return 0
    now = event_store.now(conn)
    events = [_coalesced_row(part, now) for rows in told for part in split(rows)]
    pending_changes.replace_with_events(conn, rows=[row for rows in told for row in rows], events=events)
    return len(events)


def split(rows: Sequence[PendingChange]) -> Iterator[Sequence[PendingChange]]:
    """The steps of an entity that one event tells of each: as many as it may, by their number and bytes."""
    start = size = 0
    for place, row in enumerate(rows):
        size += len(row.body)
        if place > start and (place - start >= pending_changes.MAX_PENDING or size > MAX_EVENT_BYTES):
            yield rows[start:place]
            start, size = place, len(row.body)
    yield rows[start:]


def flush_and_write(
    db: Database, events: Sequence[EventRow], write: Callable[[Connection], None], call: Call | None = None
) -> None:
    """Writes events that change nothing; what is held of what they are about is told of first."""
    try:
        _flush_and_write(db, events, write, call)
    except PartitionMissing:
        # It was made since.
        _flush_and_write(db, events, write, call)


def _flush_and_write(
    db: Database, events: Sequence[EventRow], write: Callable[[Connection], None], call: Call | None
) -> None:
    try:
        with db.connection(call) as conn:
            write(conn)
    except PendingChanges:
        entities = debounceable(events)
        with db.connection(call) as conn, conn.transaction():
            writes.lock(conn, sorted(map(writes.entity_key, entities)))
            flush(conn, entities)
            write(conn)


def _coalesced_row(rows: Sequence[PendingChange], now: datetime) -> EventRow:
    events = [event_pb2.Event.FromString(row.body) for row in rows]
    last = events[-1]
    call = Call(
        RPC, rows[0].entity.project, correlation_id=last.correlation_id, session_key=last.session_key,
        agent=last.agent, causer_scopes=causers.merged(row.scopes for row in rows),
    )  # fmt: skip
    return event_row(
        coalesced.coalesce(events), call, now=now, occur_time=to_datetime(last.occur_time),
        tail=event_tail(call, now),
    )  # fmt: skip
