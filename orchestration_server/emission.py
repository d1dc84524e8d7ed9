"""The group commit of callers' events: many messages, one insert, one commit, each answered after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message
from uuid_utils import UUID, uuid7

from orchestration.v1 import common_pb2, event_pb2, task_pb2
from orchestration_server import convert
from orchestration_server.db import Connection, Database
from orchestration_server.errors import (
    Aborted,
    Conflict,
    LedgerError,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.gate import ATTEMPTS, check_answer
from orchestration_server.model import (
    KEPT_PRIORITIES,
    PRIORITY_DEFAULT,
    Call,
    EntityType,
    EventRow,
    Request,
)
from orchestration_server.store import events as event_store
from orchestration_server.store import writes
from orchestration_server.store.arrays import Texts, Uuids
from orchestration_server.store.writes import Change

GROUP_EVENTS = 2_000
GROUP_BYTES = 16 * 1024 * 1024
QUEUE_EVENTS = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
COPY_EVENTS = 32
"""From so many events on, a transaction with a COPY is faster than one statement."""


class Draft(NamedTuple):
    """A caller's event as far as it is known before the database is asked.

    ``body`` lacks what a group's events share: who calls, and when it is recorded.
    """

    event_id: UUID
    name: str
    type: str
    entity_type: int
    entity_code: str
    sprint_code: str
    priority: int
    actor: str
    occur_time: datetime | None
    dedup_key: str
    body: bytes


@dataclass(slots=True)
class Emission:
    """Events of one caller's message, on their way into the log."""

    call: Call
    request: Request
    drafts: Sequence[Draft]
    size: int
    done: Future[Emitted] = field(default_factory=Future)

    @staticmethod
    def of(call: Call, request: Message, events: Iterable[event_pb2.NewEvent]) -> Emission:
        """Made on the caller's own thread, while the group before it is being stored."""
        # The events are kept as they came: a field unknown to NewEvent may mean something in Event.
        request.DiscardUnknownFields()
        drafts = [_draft(call, new) for new in events]
        size = sum([len(draft.body) for draft in drafts])
        return Emission(call, convert.request_of(call, request), drafts, size)


_DEFAULT_PRIORITY = event_pb2.Event(priority=common_pb2.PRIORITY_P2).SerializeToString()
_ID = b"\x0a\x24"
_ENTITY_UID = 6
_SPRINT_CODE = 8
_OCCUR_TIME = 15


def _draft(call: Call, new: event_pb2.NewEvent) -> Draft:
    event_id = uuid7()
    name = str(event_id)
    body = new.SerializeToString() + _ID + name.encode()
    priority = int(new.priority)
    if not priority:
        priority = PRIORITY_DEFAULT
        body += _DEFAULT_PRIORITY
    return Draft(
        event_id,
        name,
        new.type,
        new.entity_type,
        new.entity_code,
        new.sprint_code,
        priority,
        new.actor or call.agent,
        convert.moment(new.occur_time) if new.HasField("occur_time") else None,
        new.dedup_key,
        body,
    )


@dataclass(frozen=True, slots=True)
class Emitted:
    """What became of a message: ids in its order, which of them were there before, and the new rows."""

    ids: list[str]
    stored: int
    duplicates: int


class GroupCommit:
    """Concurrent emits share one insert and one commit; each is answered after it."""

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._db = db
        self._wake = wake
        self._waiting: list[Emission] = []
        self._events = self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, emission: Emission) -> Future[Emitted]:
        """Queues a message. RESOURCE_EXHAUSTED where too much waits already."""
        with self._changed:
            if self._closed:
                raise Unavailable("the server is stopping")
            full = self._events + len(emission.drafts) > QUEUE_EVENTS
            if full or (self._bytes and self._bytes + emission.size > QUEUE_BYTES):
                raise ResourceExhausted(
                    "too many events wait to be stored; try again shortly", reason="EMIT_QUEUE_FULL"
                )
            self._waiting.append(emission)
            self._events += len(emission.drafts)
            self._bytes += emission.size
            self._changed.notify()
        return emission.done

    def close(self) -> None:
        """Stores what waits, then ends."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                group = self._take()
            self._store(group)

    def _take(self) -> list[Emission]:
        group: list[Emission] = []
        events = size = 0
        seen: set[tuple[str, str]] = set()
        while self._waiting and events < GROUP_EVENTS and size < GROUP_BYTES:
            head = self._waiting[0]
            key = (head.call.project, head.request.request_id)
            if head.request.request_id and key in seen:
                break
            seen.add(key)
            group.append(self._waiting.pop(0))
            events += len(head.drafts)
            size += head.size
        self._events -= events
        self._bytes -= size
        return group

    def _store(self, group: list[Emission]) -> None:
        try:
            results = self._commit(group)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:
                    self._store([one])
                return
            group[0].done.set_exception(
                error if isinstance(error, LedgerError) else Unavailable("the write failed")
            )
            for other in group[1:]:
                other.done.set_exception(error)
            return
        self._wake()
        for one, result in zip(group, results, strict=True):
            if isinstance(result, Emitted):
                one.done.set_result(result)
            else:
                one.done.set_exception(result)

    def _commit(self, group: list[Emission]) -> list[Emitted | LedgerError]:
        for _ in range(ATTEMPTS):
            try:
                with self._db.connection() as conn:
                    return _Group(conn, group).commit()
            except Conflict:
                continue
        raise Aborted("other writers were first again and again: try again")


class _Group:
    """One attempt at a commit of several messages."""

    def __init__(self, conn: Connection, group: list[Emission]) -> None:
        self._conn = conn
        self._group = group
        self._now = event_store.now(conn)
        self._answers = event_store.answers(
            conn,
            [(e.call.project, e.request.rpc, e.request.request_id) for e in group if e.request.request_id],
        )
        self._keys = dict(event_store.keys(
            conn,
            sorted({(e.call.project, d.dedup_key) for e in group for d in e.drafts if d.dedup_key}),
        ))  # fmt: skip
        self._tasks = {
            key: _TaskOf.of(body)
            for key, body in event_store.task_bodies(
                conn,
                sorted({(e.call.project, d.entity_code) for e in group for d in e.drafts
                        if d.entity_type == common_pb2.ENTITY_TYPE_TASK}),
            ).items()
        }  # fmt: skip
        self._rows: list[EventRow] = []
        self._new_keys: list[tuple[str, str, UUID]] = []
        self._requests: list[tuple[str, Request, bytes]] = []

    def commit(self) -> list[Emitted | LedgerError]:
        results = [self._message(one) for one in self._group]
        if self._rows or self._requests:
            self._new_keys.sort()
            if len(self._rows) < COPY_EVENTS:
                self._apply(self._rows)
            else:
                with self._conn.transaction():
                    writes.copy_events(self._conn, self._rows)
                    self._apply(())
        return results

    def _apply(self, events: Sequence[EventRow]) -> None:
        change = Change(
            b"",
            sql=event_store.KEYED,
            params={
                "k_project": Texts(k[0] for k in self._new_keys),
                "k_key": Texts(k[1] for k in self._new_keys),
                "k_id": Uuids(k[2] for k in self._new_keys),
            },
            expected=len(self._new_keys),
            events=events,
        )
        writes.apply(self._conn, change, project="", locks=(), requests=self._requests)

    def _message(self, one: Emission) -> Emitted | LedgerError:
        request = one.request
        key = (one.call.project, request.rpc, request.request_id)
        if request.request_id and key in self._answers:
            try:
                return _decoded(check_answer(self._answers[key], request))
            except LedgerError as error:
                return error
        ids: list[str] = []
        rows: list[EventRow] = []
        project = one.call.project
        recorded = convert.event_tail(one.call, self._now)
        happened = recorded + convert.embed(_OCCUR_TIME, convert.stamp(self._now).SerializeToString())
        for draft in one.drafts:
            if draft.dedup_key:
                known = self._keys.get((project, draft.dedup_key))
                if known is not None:
                    ids.append(known)
                    continue
                self._keys[project, draft.dedup_key] = draft.name
                self._new_keys.append((project, draft.dedup_key, draft.event_id))
            rows.append(self._row(one.call, draft, recorded if draft.occur_time else happened))
            ids.append(draft.name)
        self._rows += rows
        emitted = Emitted(ids, len(rows), len(ids) - len(rows))
        if request.request_id:
            self._requests.append((project, request, _encoded(emitted)))
        return emitted

    def _row(self, call: Call, draft: Draft, tail: bytes) -> EventRow:
        sprint_code, body = draft.sprint_code, draft.body
        if draft.entity_type == EntityType.TASK:
            task = self._tasks.get((call.project, draft.entity_code))
            if task is not None:
                body += task.uid
                if not sprint_code and task.sprint_code:
                    sprint_code = task.sprint_code
                    body += convert.embed(_SPRINT_CODE, sprint_code.encode())
        return EventRow(
            draft.priority in KEPT_PRIORITIES,
            call.project,
            draft.event_id,
            draft.type,
            draft.entity_type,
            draft.entity_code,
            sprint_code,
            draft.priority,
            call.correlation_id,
            call.session_key,
            draft.actor,
            draft.occur_time or self._now,
            self._now,
            body + tail,
        )


class _TaskOf(NamedTuple):
    """What an event of a task says of it: its uid, as a field of the event, and its sprint."""

    uid: bytes
    sprint_code: str

    @staticmethod
    def of(body: bytes) -> _TaskOf:
        task = task_pb2.Task.FromString(body)
        return _TaskOf(convert.embed(_ENTITY_UID, task.uid.encode()), task.sprint_code)


def _encoded(emitted: Emitted) -> bytes:
    answer: Any = event_pb2.EmitEventsResponse(
        stored=emitted.stored, duplicates=emitted.duplicates, event_ids=emitted.ids
    )
    body: bytes = answer.SerializeToString()
    return body


def _decoded(body: bytes) -> Emitted:
    answer = event_pb2.EmitEventsResponse.FromString(body)
    return Emitted(list(answer.event_ids), answer.stored, answer.duplicates)
