"""The write gate: the one way to write.

A write is a read of all it needs to know, a decision in Python, and one statement that holds only if
what was read still is. Where it does not, nothing was written, and the write is decided again with the
locks of its entities held; an answer stored meanwhile under the same request_id is returned as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import (
    Aborted,
    AnswerTooLarge,
    Conflict,
    FailedPrecondition,
    OutOfBounds,
    PendingChanges,
)
from orchestration_server.model import (
    Call,
    Entity,
    EventRow,
    Request,
)
from orchestration_server.rules.emission import AT_ONCE, Policies
from orchestration_server.store import writes
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.telemetry import metrics
from orchestration_server.writes import debounce

ATTEMPTS = 6


def check_answer(answer: tuple[bytes, bytes], request: Request) -> bytes:
    """The response that a request_id had before; refused where its body was another, or its caller's key was
    held to something else.
    """
    if answer[0] != request.fingerprint:
        raise FailedPrecondition(
            f"request_id {request.request_id!r} was used with another body, or another key: make a new one",
            reason="REQUEST_ID_REUSED",
            subject=request.request_id,
        )
    return answer[1]


class Gate:
    """Where every write goes through. ``wake`` is called after each commit that holds events."""

    def __init__(
        self,
        db: Database,
        wake: Callable[[], None],
        policies: Policies = AT_ONCE,
        *,
        answer_bytes: int = sys.maxsize,
    ) -> None:
        """``answer_bytes`` is the largest answer that can be sent: what would have a larger one is refused
        before it is written."""
        self._db = db
        self._wake = wake
        self._policies = policies
        self._answer_bytes = answer_bytes

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

        Events that their policy debounces are held with the change; what is held already of an entity that
        others are about is told of before them, in the same transaction.

        ``decide`` may raise the ledger's errors. ``locked`` takes the locks before the first reading,
        for a decision that depends on more rows than those that it changes.
        """
        keys = sorted({writes.lock_key(call.project, kind, code) for kind, code in locks})
        held: set[Entity] = set()
        change = Change(b"")

        def decided(conn: Connection, found: Prepared) -> Change:
            nonlocal change
            change = decide(conn, found)
            if call.scope is not None and not all(map(call.scope.covers, change.events)):
                raise OutOfBounds("the change leaves the scope of the key")
            if change.events and (self._policies.debounces or change.policy):
                change = debounce.defer(change, self._policies, found.now)
            return change

        for attempt in range(ATTEMPTS):
            # An attempt that finds an answer changes nothing, whatever the one before it wanted to.
            change = Change(b"")
            try:
                with self._db.connection(call) as conn:
                    if locked or attempt:
                        with conn.transaction():
                            writes.lock(conn, keys)
                            debounce.flush(conn, held)
                            response = self._once(conn, call, request, keys, prepare, decided)
                    else:
                        response = self._once(conn, call, request, keys, prepare, decided)
            except PendingChanges:
                held |= debounce.debounceable(change.events)
                keys = sorted({*keys, *map(writes.entity_key, held)})
                continue
            except Conflict:
                # Then what its events carry of tasks is read under their locks as well.
                keys = sorted({*keys, *map(writes.stamp_key, change.stamps)})
                continue
            self._wake()
            if change.pending:
                metrics.EVENTS_DEBOUNCED.inc(len(change.pending))
            return response
        raise Aborted("other writers were first again and again: try again")

    def record(self, call: Call, events: Sequence[EventRow]) -> None:
        """Writes events of the ledger's own that tell of no change."""
        change = Change(b"", events=events)
        debounce.flush_and_write(
            self._db,
            events,
            lambda conn: writes.apply(conn, change, project=call.project, locks=(), requests=()),
            call,
        )
        self._wake()

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
        if len(change.response) > self._answer_bytes:
            raise AnswerTooLarge(len(change.response), self._answer_bytes)
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
        return change.response
