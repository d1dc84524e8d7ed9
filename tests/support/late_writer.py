"""A writer whose transaction gets its id long before it inserts events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from orchestration.v1 import event_pb2
from orchestration_server.codec.events import change_event, event_row, event_tail
from orchestration_server.db.connection import Connection
from orchestration_server.model import Call, EntityType, EventRow
from orchestration_server.store import writes
from tests.support.query_plans import connected


class LateWriter:
    """A session in an open transaction with an id, which writes by the ledger's own statement."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._call = Call("late", correlation_id="late")

    def begin(self) -> None:
        self._conn.execute("begin")
        self._conn.execute("select pg_current_xact_id()::text")

    def insert(self, count: int, type_: str = "late.came", *, emit_time: datetime | None = None) -> list[str]:
        """Insert events, and return their ids."""
        now = emit_time or datetime.now(UTC)
        tail = event_tail(self._call, now)
        rows = [
            event_row(event_pb2.Event(type=type_), self._call, now=now, occur_time=None, tail=tail)
            for _ in range(count)
        ]
        self._write(rows)
        return [str(row.event_id) for row in rows]

    def retitle(self, task: str, old: str, new: str) -> None:
        """Write the event of a task's new title at its second revision."""
        row = change_event(
            self._call, "task.updated", datetime.now(UTC), entity=EntityType.TASK, code=task, uid="",
            revision=2, payload={"changes": {"title": {"from": old, "to": new}}},
        )  # fmt: skip
        self._write([row])

    def _write(self, rows: list[EventRow]) -> None:
        writes.apply(self._conn, writes.Change(b"", events=rows), project="default", locks=(), requests=())

    def commit(self) -> None:
        self._conn.execute("commit")


@contextmanager
def late_writer(url: str) -> Iterator[LateWriter]:
    """Open a late writer on its own connection."""
    with connected(url) as conn:
        yield LateWriter(conn)
