"""Debounce: changes of a status become pending, and one event logs them once the status is stable.

A pending change is stored in the statement of its change, so no crash loses it. It is logged before any other
event of its entity: a statement that logs an event fails if the entity has pending changes
(``PendingChanges``), and the write is repeated in a transaction that logs them first (``writes/gate.py``).
Otherwise the service in ``jobs/debounce.py`` logs them when they are due.
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
"""The most bytes of pending changes in one event. A single change may be larger, as it has a snapshot."""


def entity_of(event: EventRow) -> Entity:
    """Return the entity of an event."""
    return Entity(event.project, event.entity_type, event.entity_code)


def debounceable(events: Sequence[EventRow]) -> set[Entity]:
    """Return the entities of events that can have pending changes."""
    return {entity_of(event) for event in events if event.entity_type in DEBOUNCEABLE}


def defer(change: Change, policies: Policies, now: datetime) -> Change:
    """Return the change with those events deferred that a policy debounces.

    An event is deferred only if it is the only event of its entity's revision.
    """
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
    """Return whether the pending changes of an entity are to be logged."""
    stable, latest = max(row.stable_time for row in rows), min(row.latest_time for row in rows)
    return min(stable, latest) <= now or len(rows) >= pending_changes.MAX_PENDING


def flush(conn: Connection, entities: Collection[Entity], *, due: datetime | None = None) -> int:
    """Log the pending changes of entities, or only those that are due. Return the number of events.

    The caller's transaction must hold the locks of the entities, and must have written nothing before.
    """
    if not entities:
        return 0
    found = pending_changes.list_by_entity(conn, entities)
    flushed = [rows for rows in found.values() if due is None or is_due(rows, due)]
    if not flushed:
        return 0
    now = event_store.now(conn)
    events = [_coalesced_row(part, now) for rows in flushed for part in split(rows)]
    pending_changes.replace_with_events(conn, rows=[row for rows in flushed for row in rows], events=events)
    return len(events)


def split(rows: Sequence[PendingChange]) -> Iterator[Sequence[PendingChange]]:
    """Split the pending changes of an entity into parts for one event each, by number and bytes."""
    start = size = 0
    for index, row in enumerate(rows):
        size += len(row.body)
        if index > start and (index - start >= pending_changes.MAX_PENDING or size > MAX_EVENT_BYTES):
            yield rows[start:index]
            start, size = index, len(row.body)
    yield rows[start:]


def flush_and_write(
    db: Database, events: Sequence[EventRow], write: Callable[[Connection], None], call: Call | None = None
) -> None:
    """Log events that report no change, after the pending changes of their entities."""
    try:
        _flush_and_write(db, events, write, call)
    except PartitionMissing:
        # The partition has been made since.
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
