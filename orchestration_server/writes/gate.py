"""The write gate: the one way for an rpc to change the ledger.

A write reads what it needs, decides in Python, and changes the rows in one statement that fails if they
changed meanwhile. In that case nothing is written, and the gate decides again with the locks of the entities
held. A response that was stored meanwhile for the same ``request_id`` is returned unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import (
    Aborted,
    AnswerTooLarge,
    Conflict,
    FailedPrecondition,
    OutOfBounds,
    PendingChanges,
)
from orchestration_server.model import Call, Entity, EventRow, Request
from orchestration_server.rules.emission import AT_ONCE, Policies
from orchestration_server.store import writes
from orchestration_server.store.prepared import Extra, Prepared
from orchestration_server.store.writes import Change
from orchestration_server.telemetry import metrics
from orchestration_server.writes import debounce
from orchestration_server.writes.write import Write

ATTEMPTS = 6
"""The most attempts at a write before it fails with ABORTED."""

Amend = Callable[[Connection, Prepared[object], Change], Change]
"""Changes a decision before it is written, or raises."""


def check_answer(answer: tuple[bytes, bytes], request: Request) -> bytes:
    """Return the response that is stored for a ``request_id``.

    Raises FailedPrecondition if the first request had another body, or if the key of its caller had another
    scope.
    """
    if answer[0] != request.fingerprint:
        raise FailedPrecondition(
            f"request_id {request.request_id!r} was used with another body or by another key: use a new one",
            reason="REQUEST_ID_REUSED",
            subject=request.request_id,
        )
    return answer[1]


class Gate:
    """The gate that every write of a service passes. It calls ``wake`` after each commit that logs events."""

    def __init__(
        self,
        db: Database,
        wake: Callable[[], None],
        policies: Policies = AT_ONCE,
        *,
        answer_bytes: int = sys.maxsize,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a gate that refuses a write whose response is larger than ``answer_bytes``.

        It calls ``freed`` after each commit that may have made a task ready.
        """
        self._db = db
        self._wake = wake
        self._freed = freed
        self._policies = policies
        self._answer_bytes = answer_bytes

    def write(self, write: Write[Extra], *, amend: Amend | None = None) -> bytes:
        """Write once and return the serialized response.

        Events that a policy debounces are stored as pending changes. Pending changes of an entity are logged
        before any other event of it, in the same transaction.

        ``amend`` runs with the locks held, so its result may depend on rows that it locks itself.

        Raises Aborted if other writers were first each time, OutOfBounds if the change leaves the scope of
        the key, AnswerTooLarge if the response cannot be sent, and the errors of ``write`` and ``amend``.
        """
        call = write.call
        keys = sorted({writes.lock_key(call.project, kind, code) for kind, code in write.locks})
        pending: set[Entity] = set()
        lock_first = write.lock_first or amend is not None
        for attempt in range(ATTEMPTS):
            # Stays empty if this attempt finds a stored response.
            change = Change(b"")
            flushed = 0
            locked = lock_first or attempt > 0
            try:
                with self._db.connection(call) as conn, conn.transaction() if locked else nullcontext():
                    if locked:
                        writes.lock(conn, keys)
                        flushed = debounce.flush(conn, pending)
                    found = write.prepare(conn)
                    if found.answer is not None:
                        response = check_answer(found.answer, write.request)
                    else:
                        change = self._decide(conn, write, found, amend)
                        response = change.response
                        self._apply(conn, write, change, keys)
            except PendingChanges:
                pending |= debounce.debounceable(change.events)
                keys = sorted({*keys, *map(writes.entity_key, pending)})
                continue
            except Conflict:
                # The next attempt also locks the tasks whose sprint and priority are copied into the events.
                keys = sorted({*keys, *map(writes.stamp_key, change.stamps)})
                continue
            if change.events or flushed:
                self._wake()
                if change.frees:
                    self._freed()
            if change.pending:
                metrics.EVENTS_DEBOUNCED.inc(len(change.pending))
            return response
        raise Aborted("other writers were first again and again: try again")

    def record(self, call: Call, events: Sequence[EventRow]) -> None:
        """Log events that the server itself makes and that belong to no change."""
        change = Change(b"", events=events)
        debounce.flush_and_write(
            self._db,
            events,
            lambda conn: writes.apply(conn, change, project=call.project, locks=(), requests=()),
            call,
        )
        self._wake()

    def _decide(
        self, conn: Connection, write: Write[Extra], found: Prepared[Extra], amend: Amend | None
    ) -> Change:
        change = write.decide(conn, found)
        if amend is not None:
            change = amend(conn, found, change)
        scope = write.call.scope
        if scope is not None and not all(map(scope.covers, change.events)):
            raise OutOfBounds("the change leaves the scope of the key")
        if change.events and (self._policies.debounces or change.policy):
            change = debounce.defer(change, self._policies, found.now)
        return change

    def _apply(self, conn: Connection, write: Write[Extra], change: Change, locks: Sequence[int]) -> None:
        if len(change.response) > self._answer_bytes:
            raise AnswerTooLarge(len(change.response), self._answer_bytes)
        call, request = write.call, write.request
        remembered = [(call.project, request, change.response)] if request.request_id else []
        if change.expected or remembered or change.outbox:
            writes.apply(
                conn,
                change,
                project=call.project,
                locks=locks,
                requests=remembered,
                correlation_id=call.correlation_id,
            )
