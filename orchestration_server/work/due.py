"""The event of a task that is still open when its due time passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.v1 import task_pb2
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.db.connection import Connection
from orchestration_server.model import TaskStatus
from orchestration_server.store import tasks as task_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.writes.preconditions import present
from orchestration_server.writes.task_rows import task_event
from orchestration_server.writes.write import Lock, Write

OVERDUE = "task.overdue"
_OPEN = frozenset((TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.BLOCKED))


@dataclass(kw_only=True)
class TellOverdue(Write[None]):
    """The log entry of one overdue task. It changes no revision."""

    code: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", self.code)]

    def prepare(self, conn: Connection) -> Prepared[None]:
        return task_store.prepare(conn, project=self.call.project, request=self.request, codes=[self.code])

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        row = present(found, "task", self.code)
        task = task_pb2.Task.FromString(row.body)
        due = to_datetime(task.due_time) if task.HasField("due_time") else None
        if due is None or due > found.now or TaskStatus(task.status) not in _OPEN:
            return Change(b"")
        payload = {"due_time": due.isoformat(), "assignee": task.assignee}
        return Change(
            b"",
            sql=task_store.TELL_OVERDUE,
            params={"c_code": self.code, "c_revision": row.revision},
            expected=1,
            events=[task_event(self.call, OVERDUE, task, found.now, payload)],
            frees=False,
        )
