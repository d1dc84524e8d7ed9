"""The rpcs of EventService that read an entity's past: its history, and its state as of a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from google.protobuf.message import Message

from orchestration.v1 import common_pb2, event_pb2, lease_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import plain
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.entities import ENTITY_CODECS
from orchestration_server.codec.names import ATTEMPT_OUTCOME_NAMES
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import CursorExpired, CursorForeign, NotFound
from orchestration_server.history.reconstruct import (
    EntityState,
    changes_of,
    changes_revision,
    differences,
    fold,
    has_snapshot,
    incomplete,
)
from orchestration_server.model import BEGINNING, ENTITY_NAMES, Call, Cursor, Position
from orchestration_server.store import events as event_store
from orchestration_server.store import history as history_store
from orchestration_server.writes import coalesced as steps

REPLAY_EVENTS = 256
"""Events of an entity that one statement reads: twice the events between two snapshots, which are at most 32
revisions of four events. The rest is room for events that are no revision, such as dependencies."""


class _Rebuilt(NamedTuple):
    """A past state of an entity, with its last event's cursor and its current row."""

    state: EntityState
    cursor: Cursor | None
    """The cursor of the last event; None if that is a pending change."""
    stored: history_store.StoredEntity


class History:
    """The implementation of GetEntityHistory and ReconstructState."""

    def __init__(self, db: Database, cursors: CursorSigner) -> None:
        self._db = db
        self._cursors = cursors

    def changes(
        self, request: event_pb2.GetEntityHistoryRequest, call: Call
    ) -> event_pb2.GetEntityHistoryResponse:
        """Return a page of an entity's changes."""
        kind, code = request.entity_type, request.entity_code
        newest = request.order != event_pb2.EVENT_ORDER_OLDEST_FIRST
        scope = ["history", call.project, kind, code, newest, request.include_archived]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            past = history_store.entity(
                conn, project=call.project, entity_type=kind, code=code, newest_first=newest, limit=size,
                after=Position(*position) if position else None, archived=request.include_archived,
            )  # fmt: skip
        if past.stored is None and position is None and not past.page.rows:
            raise NotFound(ENTITY_NAMES[kind], code)
        logged = past.page.rows
        # A pending change is newer than the whole log: first in newest order, last in oldest order.
        pending = bool(past.pending) and (
            position is None if newest else not past.page.more and len(logged) < size
        )
        shown = logged[:-1] if pending and len(logged) == size else logged
        changes = [self._change(one) for one in shown]
        if pending:
            changes.insert(0 if newest else len(changes), _pending(past.pending))
        token = ""
        if past.page.more or len(shown) < len(logged) or (past.pending and not newest and not pending):
            # The next page starts after the last event shown, or with the newest event if none was shown.
            last = logged[-1].position
            at = shown[-1].position if shown else last._replace(seq=last.seq + 1)
            token = self._cursors.page_token(scope, list(at))
        return event_pb2.GetEntityHistoryResponse(changes=changes, next_page_token=token)

    def _change(self, logged: history_store.LoggedEvent) -> event_pb2.EntityChange:
        change = _change(event_pb2.Event.FromString(logged.body))
        change.cursor = self._cursors.cursor(logged.cursor)
        return change

    def reconstruct(
        self, request: event_pb2.ReconstructStateRequest, call: Call
    ) -> event_pb2.ReconstructStateResponse:
        """Return a past state of an entity."""
        kind, code = request.entity_type, request.entity_code
        as_of = request.WhichOneof("as_of")
        upto: Cursor | datetime | None = None
        with self._db.connection(call) as conn:
            if as_of == "cursor":
                upto = known(
                    conn, call.project, self._cursors.read_cursor(request.cursor, "cursor"), "cursor"
                )
            elif as_of == "time":
                upto = to_datetime(request.time)
            rebuilt = _rebuilt(conn, call.project, kind, code, upto=upto, revision=request.revision)
            present = rebuilt
            if request.verify and as_of is not None:
                present = _rebuilt(conn, call.project, kind, code)
        state = rebuilt.state
        answer = event_pb2.ReconstructStateResponse(
            revision=state.revision,
            deleted=state.deleted,
            event_id=state.last.id if rebuilt.cursor else "",
            cursor=self._cursors.cursor(rebuilt.cursor) if rebuilt.cursor else "",
            emit_time=state.last.emit_time,
            events_replayed=state.replayed,
        )
        _set_state(answer, state.message())
        if request.verify:
            answer.verification.CopyFrom(_verified(present))
        return answer


def _change(event: event_pb2.Event) -> event_pb2.EntityChange:
    return event_pb2.EntityChange(
        attempt=_attempt(event) if _is_of_attempt(event) else None,
        revision=event.entity_revision,
        type=event.type,
        changes=changes_of(event),
        reason=_reason(event),
        actor=event.actor,
        agent=event.agent,
        session_key=event.session_key,
        correlation_id=event.correlation_id,
        occur_time=event.occur_time,
        emit_time=event.emit_time,
        event_id=event.id,
        steps=[_step(one) for one in steps.expand(event)] if steps.has_steps(event) else (),
    )


def _is_of_attempt(event: event_pb2.Event) -> bool:
    """Return whether an event began or ended an attempt."""
    return event.type.startswith("orchestration.task.") and "attempt" in event.payload.fields


def _attempt(event: event_pb2.Event) -> lease_pb2.Attempt:
    """Return the attempt that an event began or ended, as its payload tells."""
    payload = plain(event.payload)
    return lease_pb2.Attempt(
        task_code=event.entity_code,
        number=int(payload.get("attempt", 0)),
        fence=int(payload.get("fence", 0)),
        agent=payload.get("agent", ""),
        session_key=payload.get("session_key", ""),
        outcome=ATTEMPT_OUTCOME_NAMES.index(payload.get("outcome", "")),  # type: ignore[arg-type]  # the numbers
        reason=payload.get("attempt_reason", ""),
    )


def _reason(event: event_pb2.Event) -> str:
    payload = event.payload.fields
    return payload["reason"].string_value if "reason" in payload else ""


def _step(event: event_pb2.Event) -> event_pb2.ChangeStep:
    status = changes_of(event).fields["status"].struct_value.fields
    return event_pb2.ChangeStep(
        revision=event.entity_revision,
        from_status=status["from"].string_value,
        to_status=status["to"].string_value,
        reason=_reason(event),
        agent=event.agent,
        session_key=event.session_key,
        correlation_id=event.correlation_id,
        time=event.emit_time,
    )


def _pending(bodies: Sequence[bytes]) -> event_pb2.EntityChange:
    """Return a pending change as the event that will be logged for it."""
    events = [event_pb2.Event.FromString(body) for body in bodies]
    last, event = events[-1], steps.coalesce(events)
    event.agent, event.session_key, event.correlation_id = last.agent, last.session_key, last.correlation_id
    event.occur_time.CopyFrom(last.occur_time)
    event.emit_time.CopyFrom(last.emit_time)
    change = _change(event)
    change.pending = True
    return change


def known(conn: Connection, project: str, cursor: Cursor, field: str) -> Cursor:
    """Return a cursor if its event is in this copy of the log or its archive.

    Raises CursorExpired if the event was deleted, CursorForeign if it is of another project or log.
    """
    position = cursor.position
    if not event_store.knows(conn, position, project=project):
        if event_store.is_elsewhere(conn, position, project=project):
            raise CursorForeign(field, of_another_project=True)
        edge = event_store.edge(conn, project=project, deleted=True)
        if position == edge.position:
            return cursor
        if edge.upto is not None and BEGINNING < position < edge.position:
            raise CursorExpired(edge.upto.isoformat())
        raise CursorForeign(field, of_another_project=False)
    return cursor


def _rebuilt(
    conn: Connection,
    project: str,
    entity_type: int,
    code: str,
    *,
    upto: Cursor | datetime | None = None,
    revision: int = 0,
) -> _Rebuilt:
    """Read back to the nearest snapshot, mostly in one statement, and replay the events from there."""
    codec, name = ENTITY_CODECS[entity_type], ENTITY_NAMES[entity_type]
    found: list[tuple[Cursor | None, event_pb2.Event]] = []
    whole, more = False, True
    now: history_store.StoredEntity | None = None
    after: Position | None = None
    as_of_filter = _AsOf(upto if isinstance(upto, datetime) else None)
    while more and not whole and len(found) <= REPLAY_EVENTS:
        past = history_store.entity(
            conn, project=project, entity_type=entity_type, code=code, newest_first=True,
            limit=REPLAY_EVENTS, after=after, upto=upto,
        )  # fmt: skip
        now = _present(now or past.stored, name, code, revision)
        # As of a cursor, pending changes do not count: the log did not have them.
        pending = () if after or isinstance(upto, Cursor) else past.pending
        for cursor, step in _newest_first(pending, past.page.rows, as_of_filter):
            if changes_revision(codec, step) and (not revision or step.entity_revision <= revision):
                found.append((cursor, step))
                if whole := has_snapshot(step):
                    break
        more = past.page.more
        after = past.page.rows[-1].position if past.page.rows else None
    if not found and upto is not None and _begins_with_creation(conn, project, entity_type, code):
        raise NotFound(name, code)
    if not whole:
        raise incomplete(code, "it does not reach back to a snapshot")
    cursor, last = found[0]
    if revision and last.entity_revision != revision:
        raise incomplete(code, f"it lacks revision {revision}")
    assert now is not None
    return _Rebuilt(fold(codec, [event for _, event in reversed(found)]), cursor, now)


def _present(
    stored: history_store.StoredEntity | None, name: str, code: str, revision: int
) -> history_store.StoredEntity:
    """Return an entity's row. Raises NotFound if there is no row, or it has not reached the revision."""
    if stored is None:
        raise NotFound(name, code)
    if revision > stored.revision:
        text = f"{name} {code!r} has no revision {revision} yet; the present one is {stored.revision}"
        raise NotFound(name, code, message=text)
    return stored


def _newest_first(
    pending: Sequence[bytes], logged: Sequence[history_store.LoggedEvent], as_of_filter: _AsOf
) -> Iterator[tuple[Cursor | None, event_pb2.Event]]:
    """Yield an entity's steps, newest first. Pending changes are newer than the whole log."""
    for body in reversed(pending):
        for step in as_of_filter.steps(event_pb2.Event.FromString(body)):
            yield None, step
    for one in logged:
        for step in as_of_filter.steps(event_pb2.Event.FromString(one.body)):
            yield one.cursor, step


class _AsOf:
    """The filter of an entity's steps as of a time, for events that come newest first.

    The past starts with the last event recorded by that time. The event after it may contain steps that were
    made by then.
    """

    def __init__(self, time: datetime | None) -> None:
        self._time = time

    def steps(self, event: event_pb2.Event) -> list[event_pb2.Event]:
        """Return the steps of the next older event that were made by the time, newest first."""
        parts = steps.expand(event)[::-1]
        if self._time is None:
            return parts
        if to_datetime(event.emit_time) <= self._time:
            self._time = None
            return parts
        if not steps.has_steps(event):
            return []
        return [part for part in parts if to_datetime(part.emit_time) <= self._time]


def _begins_with_creation(conn: Connection, project: str, entity_type: int, code: str) -> bool:
    """Return whether the log has the entity's first revision."""
    past = history_store.entity(
        conn, project=project, entity_type=entity_type, code=code, newest_first=False, limit=1
    )
    return any(event_pb2.Event.FromString(one.body).entity_revision == 1 for one in past.page.rows)


def _verified(present: _Rebuilt) -> event_pb2.StateVerification:
    """Compare the current state of an entity, rebuilt from its events, with its stored row."""
    state, stored = present.state, present.stored
    fields = differences(state.message(), state.codec.message.FromString(stored.body))
    if state.revision != stored.revision and "revision" not in fields:
        fields.append("revision")
    if state.deleted != stored.deleted:
        fields.append("deleted")
    return event_pb2.StateVerification(equal=not fields, fields=fields)


def _set_state(answer: event_pb2.ReconstructStateResponse, state: Message) -> None:
    if isinstance(state, sprint_pb2.Sprint):
        answer.sprint.CopyFrom(state)
    elif isinstance(state, task_pb2.Task):
        answer.task.CopyFrom(state)
    elif isinstance(state, common_pb2.Session):
        answer.session.CopyFrom(state)
