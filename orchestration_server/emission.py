"""The group commit of callers' events: many messages, one insert, one commit, each answered after it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message
from uuid_utils import UUID, uuid7

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server import convert, metrics
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
AHEAD_EVENTS = 1_000
"""From so many events on, what waits is made ready while the group before is being stored."""
STORED_AT_ONCE = 2
THREADS = STORED_AT_ONCE + 1
"""One more group is made ready."""
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
_UID = b"\x32\x24"
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
    """Concurrent emits share one insert and one commit; each is answered after it.

    While a group is being stored, what comes becomes the next one. Where enough for a group waits already, it
    is taken at once, made into rows, and begun as soon as the one before has its transaction id: two are then
    stored side by side, in the order in which they were taken. Messages of one stream stand in theirs, but
    where the earlier one's group has to be written again, as when someone else was first with a key of it.
    """

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._db = db
        self._wake = wake
        self._waiting: deque[Emission] = deque()
        self._events = self._bytes = 0
        self._changed = threading.Condition()
        self._taken = self._begun = self._stored = 0
        """Groups, counted. A group has begun when those after it can only come after it in the log."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"group-commit-{n}", daemon=True) for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()
        metrics.EMIT_QUEUE_EVENTS.watch(self, lambda: {"": self._events})
        metrics.EMIT_QUEUE_BYTES.watch(self, lambda: {"": self._bytes})

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
            if self._due():
                self._changed.notify_all()
        return emission.done

    def close(self) -> None:
        """Stores what waits, then ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)
        metrics.EMIT_QUEUE_EVENTS.forget(self)
        metrics.EMIT_QUEUE_BYTES.forget(self)

    def _due(self) -> bool:
        """Whether a group is to be taken now."""
        alone = self._taken == self._stored
        return bool(self._waiting) and (
            alone or (self._events >= AHEAD_EVENTS and self._taken == self._begun)
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due() and not (self._closed and not self._waiting):
                    self._changed.wait()
                if not self._waiting:
                    return
                turn = self._taken
                self._taken += 1
                group = self._take()
            made = self._made(group)
            with self._changed:
                while self._begun != turn or turn - self._stored >= STORED_AT_ONCE:
                    self._changed.wait()
            try:
                self._store(group, made, lambda turn=turn: self._begin(turn))  # type: ignore[misc]  # bound now
            finally:
                self._begin(turn)
                with self._changed:
                    self._stored += 1
                    self._changed.notify_all()
                # Or an idle thread would keep them.
                del group, made

    def _begin(self, turn: int) -> None:
        """Lets the next group begin; the first time that it is called for a group."""
        with self._changed:
            if self._begun == turn:
                self._begun += 1
                self._changed.notify_all()

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
            group.append(self._waiting.popleft())
            events += len(head.drafts)
            size += head.size
        self._events -= events
        self._bytes -= size
        return group

    def _made(self, group: list[Emission]) -> _Group | None:
        """The group's rows; None where the database did not answer, which storing it will meet again."""
        with suppress(Exception), self._db.connection() as conn:
            return _Group(conn, group)
        return None

    def _store(self, group: list[Emission], made: _Group | None, begun: Callable[[], None]) -> None:
        try:
            results = self._commit(group, made, begun)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:
                    self._store([one], None, begun)
                return
            failure = error if isinstance(error, LedgerError) else Unavailable("the write failed")
            for one in group:
                one.done.set_exception(failure)
            # Its traceback holds this frame, and with it the group.
            del failure
            return
        self._wake()
        for one, result in zip(group, results, strict=True):
            if isinstance(result, Emitted):
                one.done.set_result(result)
            else:
                one.done.set_exception(result)

    def _commit(
        self, group: list[Emission], made: _Group | None, begun: Callable[[], None]
    ) -> list[Emitted | LedgerError]:
        for _ in range(ATTEMPTS):
            try:
                with self._db.connection() as conn:
                    made = made or _Group(conn, group)
                    made.commit(conn, begun)
                    return made.results
            except Conflict:
                # Someone else, or the group before, was first with a key or a request_id.
                made = None
        raise Aborted("other writers were first again and again: try again")


class _Group:
    """Several messages as rows, by what the database says of their tasks, keys and request_ids."""

    def __init__(self, conn: Connection, group: list[Emission]) -> None:
        self._now = event_store.now(conn)
        self._answers = event_store.answers(
            conn,
            [(e.call.project, e.request.rpc, e.request.request_id) for e in group if e.request.request_id],
        )
        self._keys = event_store.keys(
            conn, sorted({(e.call.project, d.dedup_key) for e in group for d in e.drafts if d.dedup_key})
        )
        self._tasks = event_store.tasks(
            conn,
            sorted({(e.call.project, d.entity_code) for e in group for d in e.drafts
                    if d.entity_type == EntityType.TASK}),
        )  # fmt: skip
        self._rows: list[EventRow] = []
        self._new_keys: list[tuple[str, str, UUID]] = []
        self._requests: list[tuple[str, Request, bytes]] = []
        self.results = [self._message(one) for one in group]
        """What each message is answered, once the group is stored."""
        self._new_keys.sort()
        self._copied = [writes.copied(row) for row in self._rows] if len(self._rows) >= COPY_EVENTS else []

    def commit(self, conn: Connection, begun: Callable[[], None]) -> None:
        """Stores the group. Raises Conflict where what was read of it is no longer so.

        ``begun`` is called once it has a transaction id, where it is more than one statement.
        """
        if self._copied:
            with conn.transaction():
                epoch = writes.begin_log(conn)
                begun()
                writes.copy_events(conn, epoch, self._copied)
                self._apply(conn, ())
            metrics.EVENTS_EMITTED.inc(len(self._copied))
        elif self._rows or self._requests:
            self._apply(conn, self._rows)

    def _apply(self, conn: Connection, events: Sequence[EventRow]) -> None:
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
        writes.apply(conn, change, project="", locks=(), requests=self._requests)

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
                body += _UID + task.uid.encode()
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


def _encoded(emitted: Emitted) -> bytes:
    answer: Any = event_pb2.EmitEventsResponse(
        stored=emitted.stored, duplicates=emitted.duplicates, event_ids=emitted.ids
    )
    body: bytes = answer.SerializeToString()
    return body


def _decoded(body: bytes) -> Emitted:
    answer = event_pb2.EmitEventsResponse.FromString(body)
    return Emitted(list(answer.event_ids), answer.stored, answer.duplicates)
