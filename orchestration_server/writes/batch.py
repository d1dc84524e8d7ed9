"""A group of messages of callers' events as rows, which one transaction stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from uuid_utils import UUID

from orchestration_server.codec import causers
from orchestration_server.codec.events import event_tail
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import embed, varint
from orchestration_server.db.arrays import TextArray, UuidArray
from orchestration_server.db.database import Connection
from orchestration_server.errors import LedgerError, OutOfBounds
from orchestration_server.model import (
    KEPT_PRIORITIES,
    Call,
    Entity,
    EntityType,
    EventRow,
    Request,
    SampledOut,
    Scope,
)
from orchestration_server.store import emission as emission_store
from orchestration_server.store import event_rows, pending_changes, writes
from orchestration_server.store import events as event_store
from orchestration_server.store.writes import Change, Stamp
from orchestration_server.writes import debounce
from orchestration_server.writes.drafts import (
    OCCUR_TIME,
    PRIORITY,
    SPRINT_CODE,
    UID,
    Draft,
    EmitRequest,
    EmitResult,
)
from orchestration_server.writes.gate import check_answer

COPY_EVENTS = 32
"""The number of events from which a transaction with COPY is faster than one statement."""


class EmitBatch:
    """The rows of several messages, given the stored tasks, keys and request ids."""

    def __init__(self, conn: Connection, group: Sequence[EmitRequest]) -> None:
        self._now, any_pending = pending_changes.now_and_any(conn)
        if any_pending and _flush_first(conn, group):
            self._now = event_store.now(conn)
        self._answers = emission_store.answers(
            conn,
            [(e.call.project, e.request.rpc, e.request.request_id) for e in group if e.request.request_id],
        )
        self._keys = emission_store.keys(
            conn, sorted({(e.call.project, d.dedup_key) for e in group for d in e.drafts if d.dedup_key})
        )
        self._known = emission_store.known(conn, self._asked(group))
        """The events that were first with a key, for callers whose scope may not cover them."""
        self._tasks = emission_store.tasks(
            conn,
            sorted({(e.call.project, d.entity_code) for e in group for d in e.drafts
                    if d.entity_type == EntityType.TASK}),
        )  # fmt: skip
        self._rows: list[EventRow] = []
        self._stamps: set[Stamp] = set()
        self._new_keys: list[tuple[str, str, UUID]] = []
        self._requests: list[tuple[str, Request, bytes]] = []
        self._sampled_out: Counter[SampledOut] = Counter()
        self.results = [self._message(one) for one in group]
        """The result of each message, for after the commit."""
        self.stored = len(self._rows)
        self.sampled_out = self._sampled_out.total()
        self._new_keys.sort()
        self._by_copy = len(self._rows) >= COPY_EVENTS
        if self._by_copy:
            about = {(row.project, row.entity_type, row.entity_code) for row in self._rows}
            self._about = [Entity(*one) for one in about if one[1] in writes.DEBOUNCEABLE]

    def commit(self, conn: Connection, begun: Callable[[], None]) -> None:
        """Store the group.

        ``begun`` is called once the transaction has its id, if it has more than one statement. Raises
        Conflict if rows have changed since they were read, and PendingChanges if an entity of its events has
        some. Then the transaction has not begun.
        """
        if self._by_copy:
            with conn.transaction():
                epoch = writes.begin_log(conn, self._about)
                begun()
                event_rows.copy_events(conn, epoch, self._rows)
                self._apply(conn, ())
        elif self._rows or self._requests or self._sampled_out:
            self._apply(conn, self._rows)

    def _apply(self, conn: Connection, events: Sequence[EventRow]) -> None:
        change = Change(
            b"",
            sql=emission_store.KEYED,
            params={
                "k_project": TextArray(k[0] for k in self._new_keys),
                "k_key": TextArray(k[1] for k in self._new_keys),
                "k_id": UuidArray(k[2] for k in self._new_keys),
            },
            expected=len(self._new_keys),
            events=events,
            stamps=sorted(self._stamps),
            waits=False,
            sampled_out=[row._replace(events=count) for row, count in self._sampled_out.items()],
        )
        writes.apply(conn, change, project="", locks=(), requests=self._requests)

    def _message(self, one: EmitRequest) -> EmitResult | LedgerError:
        request = one.request
        key = (one.call.project, request.rpc, request.request_id)
        if request.request_id and key in self._answers:
            try:
                return EmitResult.from_body(check_answer(self._answers[key], request))
            except LedgerError as error:
                return error
        if one.call.scope is not None and not self._is_inside(one, one.call.scope):
            return OutOfBounds("an event is not in the scope of the key any more")
        if one.call.scope is not None and not self._may_see_known(one, one.call.scope):
            return OutOfBounds("the event with this dedup_key is not in the scope of the key")
        ids: list[str] = []
        rows: list[EventRow] = []
        project = one.call.project
        recorded = event_tail(one.call, self._now)
        happened = recorded + embed(OCCUR_TIME, to_timestamp(self._now).SerializeToString())
        scopes = causers.recorded(one.call)
        for draft in one.drafts:
            if draft.sampled_out:
                self._sampled_out[self._counted(project, draft)] += 1
                ids.append("")
                continue
            if draft.dedup_key:
                known = self._keys.get((project, draft.dedup_key))
                if known is not None:
                    ids.append(known)
                    continue
                self._keys[project, draft.dedup_key] = draft.name
                self._known[draft.name] = emission_store.KnownEvent(
                    self._sprint_code(project, draft), one.call.session_key, draft.entity_type,
                    draft.entity_code,
                )  # fmt: skip
                self._new_keys.append((project, draft.dedup_key, draft.event_id))
            tail = recorded if draft.occur_time else happened
            rows.append(self._row(one.call, draft, tail, scopes))
            ids.append(draft.name)
        self._rows += rows
        left_out = ids.count("")
        emitted = EmitResult(ids, len(rows), len(ids) - len(rows) - left_out, left_out)
        if request.request_id:
            self._requests.append((project, request, emitted.body()))
        return emitted

    def _asked(self, group: Sequence[EmitRequest]) -> list[str]:
        scoped = [one for one in group if one.call.scope is not None]
        keys = {(one.call.project, draft.dedup_key) for one in scoped for draft in one.drafts}
        return sorted({self._keys[key] for key in keys if key in self._keys})

    def _may_see_known(self, one: EmitRequest, scope: Scope) -> bool:
        """Return whether the answer tells the caller of events inside alone."""
        ids = [self._keys.get((one.call.project, draft.dedup_key)) for draft in one.drafts if draft.dedup_key]
        known = [self._known.get(name) for name in ids if name is not None]
        return all(event is not None and scope.may_see(*event) for event in known)

    def _is_inside(self, one: EmitRequest, scope: Scope) -> bool:
        """Return whether the tasks of a message are still in the sprint that its key is scoped to.

        Admission checked the rest of the message, which cannot change.
        """
        if not scope.sprint_code:
            return True
        found = [
            self._tasks.get((one.call.project, draft.entity_code))
            for draft in one.drafts
            if draft.entity_type == EntityType.TASK
        ]
        return all(task is None or task.sprint_code == scope.sprint_code for task in found)

    def _counted(self, project: str, draft: Draft) -> SampledOut:
        """Return the count of an event that is left out."""
        minute = (draft.occur_time or self._now).replace(second=0, microsecond=0)
        return SampledOut(
            project, minute, draft.type, draft.actor, draft.entity_type, draft.entity_code,
            self._sprint_code(project, draft),
        )  # fmt: skip

    def _sprint_code(self, project: str, draft: Draft) -> str:
        """Return the sprint of an event, by default that of its task."""
        if draft.entity_type != EntityType.TASK or (draft.sprint_code and not draft.follows_task):
            return draft.sprint_code
        task = self._tasks.get((project, draft.entity_code))
        return task.sprint_code if task else draft.sprint_code

    def _row(self, call: Call, draft: Draft, tail: bytes, scopes: str) -> EventRow:
        sprint_code, body = self._sprint_code(call.project, draft), draft.body
        priority = draft.priority
        if draft.entity_type == EntityType.TASK:
            task = self._tasks.get((call.project, draft.entity_code))
            if task is not None:
                body += UID + task.uid.encode()
                if sprint_code != draft.sprint_code:
                    body += embed(SPRINT_CODE, sprint_code.encode())
                if draft.follows_task:
                    priority = task.priority
                    body += PRIORITY + varint(priority)
                    self._stamps.add(Stamp(call.project, draft.entity_code, sprint_code, priority))
        return EventRow(
            priority in KEPT_PRIORITIES,
            call.project,
            draft.event_id,
            draft.type,
            draft.entity_type,
            draft.entity_code,
            sprint_code,
            priority,
            call.correlation_id,
            call.session_key,
            draft.actor,
            draft.occur_time or self._now,
            self._now,
            body + tail,
            call.agent,
            scopes,
        )


def flush_and_commit(conn: Connection, group: Sequence[EmitRequest], begun: Callable[[], None]) -> EmitBatch:
    """Read and store a group in a transaction that first logs the pending changes of its entities.

    The locks keep other changes from becoming pending meanwhile, so the group cannot lose again and again.
    """
    with conn.transaction():
        _flush(conn, _debounceable(group))
        made = EmitBatch(conn, group)
        made.commit(conn, begun)
    return made


def _flush_first(conn: Connection, group: Sequence[EmitRequest]) -> int:
    """Log the pending changes of the events' entities, in a separate transaction.

    So the group needs no locks. If changes become pending after this, the group fails with PendingChanges.
    """
    entities = pending_changes.with_pending(conn, _debounceable(group))
    if not entities:
        return 0
    with conn.transaction():
        return _flush(conn, entities)


def _debounceable(group: Sequence[EmitRequest]) -> list[Entity]:
    return sorted(
        {
            Entity(one.call.project, draft.entity_type, draft.entity_code)
            for one in group
            for draft in one.drafts
            if draft.entity_type in writes.DEBOUNCEABLE
        }
    )


def _flush(conn: Connection, entities: Sequence[Entity]) -> int:
    writes.lock(conn, sorted(map(writes.entity_key, entities)))
    return debounce.flush(conn, entities)
