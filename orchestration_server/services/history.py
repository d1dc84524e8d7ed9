"""What EventService answers from an entity's own events: its history, its past, the check of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from google.protobuf.message import Message

from orchestration.v1 import common_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server import convert
from orchestration_server.db import Connection, Database
from orchestration_server.errors import CursorExpired, InvalidArgument, NotFound
from orchestration_server.model import BEGINNING, Call, EntityType, Position
from orchestration_server.reconstruction import (
    KINDS,
    State,
    changes_of,
    differences,
    fold,
    has_snapshot,
    incomplete,
    moves,
)
from orchestration_server.replay import Chain, Evidence, Link, cause_of
from orchestration_server.store import events as event_store
from orchestration_server.store import history as store
from orchestration_server.tokens import Tokens

REPLAY_EVENTS = 256
"""Events that a reading of an entity's past takes: twice what the revisions between two snapshots have, which
are 32 of four events at the most. The rest is room for what is no revision, such as dependencies."""
CHAIN_PAGE = 1_000
CHAIN_EVENTS = 10_000
BETWEEN_EVENTS = 10_000


class _Rebuilt(NamedTuple):
    """An entity as of some time, with the place of its last event and what is stored of it now."""

    state: State
    place: Position
    stored: store.Stored


class History:
    """Reads histories. EventService hands its three rpcs on."""

    def __init__(self, db: Database, tokens: Tokens) -> None:
        self._db = db
        self._tokens = tokens

    def changes(
        self, request: event_pb2.GetEntityHistoryRequest, call: Call
    ) -> event_pb2.GetEntityHistoryResponse:
        """A page of an entity's changes."""
        kind, code = request.entity_type, request.entity_code
        newest = request.order != event_pb2.EVENT_ORDER_OLDEST_FIRST
        scope = ["history", call.project, kind, code, newest, request.include_archived]
        place = self._tokens.page_place(request.page_token, scope)
        with self._db.connection(call) as conn:
            stored, page = store.entity(
                conn, project=call.project, entity_type=kind, code=code, newest_first=newest,
                limit=convert.page_size(request.page_size), after=Position(*place) if place else None,
                archived=request.include_archived,
            )  # fmt: skip
        if stored is None and place is None and not page.events:
            raise NotFound(event_store.ENTITY_NAMES[EntityType(kind)], code)
        token = ""
        if page.more:
            token = self._tokens.page_token(scope, list(page.events[-1].position))
        return event_pb2.GetEntityHistoryResponse(
            changes=[self._change(logged) for logged in page.events], next_page_token=token
        )

    def _change(self, logged: store.Logged) -> event_pb2.EntityChange:
        event = event_pb2.Event.FromString(logged.body)
        payload = event.payload.fields
        return event_pb2.EntityChange(
            revision=event.entity_revision,
            type=event.type,
            changes=changes_of(event),
            reason=payload["reason"].string_value if "reason" in payload else "",
            actor=event.actor,
            agent=event.agent,
            session_key=event.session_key,
            correlation_id=event.correlation_id,
            occur_time=event.occur_time,
            emit_time=event.emit_time,
            event_id=event.id,
            cursor=self._tokens.cursor(logged.position),
        )

    def reconstruct(
        self, request: event_pb2.ReconstructStateRequest, call: Call
    ) -> event_pb2.ReconstructStateResponse:
        """An entity as it was."""
        kind, code = request.entity_type, request.entity_code
        as_of = request.WhichOneof("as_of")
        upto: Position | datetime | None = None
        with self._db.connection(call) as conn:
            if as_of == "cursor":
                upto = known(conn, call.project, self._tokens.place(request.cursor, "cursor"), "cursor")
            elif as_of == "time":
                upto = convert.moment(request.time)
            rebuilt = _rebuilt(conn, call.project, kind, code, upto=upto, revision=request.revision)
            present = rebuilt
            if request.verify and as_of is not None:
                present = _rebuilt(conn, call.project, kind, code)
        state = rebuilt.state
        answer = event_pb2.ReconstructStateResponse(
            revision=state.revision,
            deleted=state.deleted,
            event_id=state.last.id,
            cursor=self._tokens.cursor(rebuilt.place),
            emit_time=state.last.emit_time,
            events_replayed=state.replayed,
        )
        _set_state(answer, state.message())
        if request.verify:
            answer.verification.CopyFrom(_verified(present))
        return answer

    def replay(self, request: event_pb2.ReplayEventsRequest, call: Call) -> event_pb2.ReplayEventsResponse:
        """The check of a correlation chain."""
        chain = Chain()
        first = last = BEGINNING
        more = True
        while more and chain.checked < CHAIN_EVENTS:
            with self._db.connection(call) as conn:
                page = store.chain(
                    conn, project=call.project, correlation_id=request.correlation_id, after=last,
                    limit=min(CHAIN_PAGE, CHAIN_EVENTS - chain.checked),
                )  # fmt: skip
            links = [Link(one.position, event_pb2.Event.FromString(one.body)) for one in page.events]
            if not links:
                break
            if last == BEGINNING:
                first = links[0].place
            before = chain.checked
            more = chain.check(links, self._evidence(call, chain, links)) and page.more
            last = links[chain.checked - before - 1].place
        if not chain.checked:
            raise NotFound("correlation", request.correlation_id)
        truncated = chain.truncated or page.more
        types = sorted(chain.types.items(), key=lambda item: (-item[1], item[0]))
        return event_pb2.ReplayEventsResponse(
            events=chain.checked,
            findings=chain.findings,
            consistent=not (chain.findings or truncated),
            truncated=truncated,
            first_cursor=self._tokens.cursor(first),
            last_cursor=self._tokens.cursor(last),
            types=[event_pb2.EventCount(key=key, count=count) for key, count in types],
            entities=len(chain.entities),
        )

    def _evidence(self, call: Call, chain: Chain, links: Sequence[Link]) -> Evidence:
        """What the log and the ledger say beside a page of the chain: a statement a question at the most."""
        gaps = chain.gaps(links)
        new = {(e.entity_type, e.entity_code) for _, e in links if e.entity_type} - chain.entities
        causes = {cause for _, event in links if (cause := cause_of(event))}
        with self._db.connection(call) as conn:
            unknown = store.unknown(conn, project=call.project, entities=sorted(new))
            missing = causes - store.events_known(conn, project=call.project, ids=sorted(causes))
            between = store.between(
                conn, project=call.project, spans=[store.Span(*gap) for gap in gaps], limit=BETWEEN_EVENTS
            )
        return Evidence(
            between={
                gap: [event_pb2.Event.FromString(body) for body in bodies]
                for gap, bodies in zip(gaps, between, strict=True)
                if bodies is not None
            },
            unknown=frozenset(unknown),
            missing=frozenset(missing),
        )


def known(conn: Connection, project: str, place: Position, field: str) -> Position:
    """The place of a cursor, where this copy of the log has it, be it in the archive."""
    if not event_store.knows(conn, place, project=project):
        edge = event_store.edge(conn, project=project, deleted=True)
        if place == edge.place:
            return place
        if edge.upto is not None and BEGINNING < place < edge.place:
            raise CursorExpired(edge.upto.isoformat())
        raise InvalidArgument(
            {
                field: "lies in a part of the log that this copy does not have;"
                " start from the beginning or by a time"
            },
            reason="CURSOR_FOREIGN",
        )
    return place


def _rebuilt(
    conn: Connection,
    project: str,
    entity_type: int,
    code: str,
    *,
    upto: Position | datetime | None = None,
    revision: int = 0,
) -> _Rebuilt:
    """Reads back to the nearest snapshot, as a rule in one statement, and folds forth from it."""
    kind, name = KINDS[entity_type], event_store.ENTITY_NAMES[EntityType(entity_type)]
    found: list[Link] = []
    whole, more = False, True
    now: store.Stored | None = None
    after: Position | None = None
    while more and not whole and len(found) <= REPLAY_EVENTS:
        stored, page = store.entity(
            conn, project=project, entity_type=entity_type, code=code, newest_first=True,
            limit=REPLAY_EVENTS, after=after, upto=upto,
        )  # fmt: skip
        now = now or stored
        if now is None or revision > now.revision:
            raise NotFound(name, code)
        for logged in page.events:
            event = event_pb2.Event.FromString(logged.body)
            if moves(kind, event) and (not revision or event.entity_revision <= revision):
                found.append(Link(logged.position, event))
                if whole := has_snapshot(event):
                    break
        more = page.more
        after = page.events[-1].position if page.events else None
    if not found and upto is not None and _begins_with_creation(conn, project, entity_type, code):
        raise NotFound(name, code)
    if not whole:
        raise incomplete(code, "it does not reach back to a snapshot")
    if revision and found[0].event.entity_revision != revision:
        raise incomplete(code, f"it lacks revision {revision}")
    assert now is not None
    return _Rebuilt(fold(kind, [link.event for link in reversed(found)]), found[0].place, now)


def _begins_with_creation(conn: Connection, project: str, entity_type: int, code: str) -> bool:
    """Whether the log has the entity from its first revision on."""
    _, page = store.entity(
        conn, project=project, entity_type=entity_type, code=code, newest_first=False, limit=1
    )
    return any(event_pb2.Event.FromString(one.body).entity_revision == 1 for one in page.events)


def _verified(present: _Rebuilt) -> event_pb2.StateVerification:
    """Compares an entity as it was rebuilt as of now with what is stored of it."""
    state, stored = present.state, present.stored
    fields = differences(state.message(), state.kind.message.FromString(stored.body))
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
