"""The write gate: the one way to write, and the group commit of callers' events.

A write is a read of all it needs to know, a decision in Python, and one statement that holds only if
what was read still is. Where it does not, nothing was written, and the write is decided again with the
locks of its entities held; an answer stored meanwhile under the same request_id is returned as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestration.v1 import common_pb2, event_pb2, task_pb2
from orchestration_server import convert
from orchestration_server.db import Connection, Database
from orchestration_server.errors import (
    Aborted,
    Conflict,
    FailedPrecondition,
    LedgerError,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.model import Call, EventRow, Request
from orchestration_server.store import events as event_store
from orchestration_server.store import writes
from orchestration_server.store.arrays import Texts, Uuids
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change

ATTEMPTS = 6
GROUP_EVENTS = 2_000
GROUP_BYTES = 16 * 1024 * 1024
QUEUE_EVENTS = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
COPY_EVENTS = 32
"""From so many events on, a transaction with a COPY is faster than one statement."""


def check_answer(answer: tuple[bytes, bytes], request: Request) -> bytes:
    """The response that a request_id had before; refused where its body was another."""
    if answer[0] != request.fingerprint:
        raise FailedPrecondition(
            f"request_id {request.request_id!r} was used with another body: make a new one",
            reason="REQUEST_ID_REUSED",
            subject=request.request_id,
        )
    return answer[1]


class Gate:
    """Where every write goes through. ``wake`` is called after each commit that holds events."""

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._db = db
        self._wake = wake

    def write(
        self,
        call: Call,
        request: Request,
        *,
        locks: Sequence[tuple[str, str]],
        prepare: Callable[[Connection], Prepared],
        decide: Callable[[Connection, Prepared], Change],
        locked: bool = False,
    ) -> bytes:
        """Writes once and returns the serialized response.

        ``decide`` may raise the ledger's errors. ``locked`` takes the locks before the first reading,
        for a decision that depends on more rows than those that it changes.
        """
        keys = sorted({writes.lock_key(call.project, kind, code) for kind, code in locks})
        for attempt in range(ATTEMPTS):
            try:
                with self._db.connection(call) as conn:
                    if locked or attempt:
                        with conn.transaction():
                            writes.lock(conn, keys)
                            response = self._once(conn, call, request, keys, prepare, decide)
                    else:
                        response = self._once(conn, call, request, keys, prepare, decide)
            except Conflict:
                continue
            self._wake()
            return response
        raise Aborted("other writers were first again and again: try again")

    def _once(
        self,
        conn: Connection,
        call: Call,
        request: Request,
        locks: Sequence[int],
        prepare: Callable[[Connection], Prepared],
        decide: Callable[[Connection, Prepared], Change],
    ) -> bytes:
        found = prepare(conn)
        if found.answer is not None:
            return check_answer(found.answer, request)
        change = decide(conn, found)
        remembered = [(call.project, request, change.response)] if request.request_id else []
        if change.expected or remembered:
            writes.apply(conn, change, project=call.project, locks=locks, requests=remembered)
        return change.response


@dataclass(slots=True)
class Emission:
    """Events of one caller's message, on their way into the log."""

    call: Call
    request: Request
    events: Sequence[event_pb2.NewEvent]
    size: int
    done: Future[Emitted] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Emitted:
    """What became of a message: ids in its order, which of them were there before, and the new rows."""

    ids: list[str]
    stored: int
    duplicates: int
    first: EventRow | None


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
            full = self._events + len(emission.events) > QUEUE_EVENTS
            if full or (self._bytes and self._bytes + emission.size > QUEUE_BYTES):
                raise ResourceExhausted(
                    "too many events wait to be stored; try again shortly", reason="EMIT_QUEUE_FULL"
                )
            self._waiting.append(emission)
            self._events += len(emission.events)
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
            events += len(head.events)
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
            sorted({(e.call.project, n.dedup_key) for e in group for n in e.events if n.dedup_key}),
        ))  # fmt: skip
        self._tasks = {
            key: task_pb2.Task.FromString(body)
            for key, body in event_store.task_bodies(
                conn,
                sorted({(e.call.project, n.entity_code) for e in group for n in e.events
                        if n.entity_type == common_pb2.ENTITY_TYPE_TASK}),
            ).items()
        }  # fmt: skip
        self._rows: list[EventRow] = []
        self._new_keys: list[tuple[str, str, str]] = []
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
        tail = convert.event_tail(one.call, self._now)
        for new in one.events:
            known = self._keys.get((one.call.project, new.dedup_key)) if new.dedup_key else None
            if known is not None:
                ids.append(known)
                continue
            row = self._row(one.call, new, tail)
            if new.dedup_key:
                self._keys[one.call.project, new.dedup_key] = row.event_id
                self._new_keys.append((one.call.project, new.dedup_key, row.event_id))
            rows.append(row)
            ids.append(row.event_id)
        self._rows += rows
        emitted = Emitted(ids, len(rows), len(ids) - len(rows), rows[0] if rows else None)
        if request.request_id:
            self._requests.append((one.call.project, request, _encoded(emitted)))
        return emitted

    def _row(self, call: Call, new: event_pb2.NewEvent, tail: bytes) -> EventRow:
        event = event_pb2.Event(
            type=new.type,
            entity_type=new.entity_type,
            entity_code=new.entity_code,
            sprint_code=new.sprint_code,
            priority=new.priority or common_pb2.PRIORITY_P2,
            actor=new.actor,
            dedup_key=new.dedup_key,
            payload=new.payload if new.HasField("payload") else None,
        )
        if new.entity_type == common_pb2.ENTITY_TYPE_TASK:
            task = self._tasks.get((call.project, new.entity_code))
            if task is not None:
                event.entity_uid = task.uid
                if not new.sprint_code:
                    event.sprint_code = task.sprint_code
        occur: datetime | None = convert.moment(new.occur_time) if new.HasField("occur_time") else None
        return convert.event_row(event, call, now=self._now, occur_time=occur, tail=tail)


def _encoded(emitted: Emitted) -> bytes:
    answer: Any = event_pb2.EmitEventsResponse(
        stored=emitted.stored, duplicates=emitted.duplicates, event_ids=emitted.ids
    )
    body: bytes = answer.SerializeToString()
    return body


def _decoded(body: bytes) -> Emitted:
    answer = event_pb2.EmitEventsResponse.FromString(body)
    return Emitted(list(answer.event_ids), answer.stored, answer.duplicates, None)
