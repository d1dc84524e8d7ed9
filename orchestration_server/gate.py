"""The write gate: the one way to write.

A write is a read of all it needs to know, a decision in Python, and one statement that holds only if
what was read still is. Where it does not, nothing was written, and the write is decided again with the
locks of its entities held; an answer stored meanwhile under the same request_id is returned as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration_server.db import Connection, Database
from orchestration_server.errors import (
    Aborted,
    Conflict,
    FailedPrecondition,
    OutOfBounds,
)
from orchestration_server.model import (
    Call,
    EventRow,
    Request,
)
from orchestration_server.store import writes
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change

ATTEMPTS = 6


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

    def record(self, call: Call, events: Sequence[EventRow]) -> None:
        """Writes events of the ledger's own that tell of no change."""
        with self._db.connection(call) as conn:
            writes.apply(conn, Change(b"", events=events), project=call.project, locks=(), requests=())
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
        if call.bounds is not None and not all(map(call.bounds.hold, change.events)):
            raise OutOfBounds("the change is not of what the key is held to alone")
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
