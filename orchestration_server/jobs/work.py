"""Background services of work: lost leases, tasks whose time has come, and overdue tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestration.v1 import common_pb2, task_pb2
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import Aborted, FailedPrecondition, NotFound
from orchestration_server.jobs.runner import Alone, Service
from orchestration_server.model import Call, Request
from orchestration_server.services import tasks
from orchestration_server.store import leases as lease_store
from orchestration_server.store import ready_queue
from orchestration_server.store import tasks as task_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.work.due import TellOverdue
from orchestration_server.work.ready_windows import SLICE
from orchestration_server.work.releases import ExpireLease
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.write import Write

AGENT = "orchestration.work"
RPC = "CoordinationService/Background"
BATCH = 200


def services(db: Database, gate: Gate, freed: Callable[[], None]) -> Sequence[Service]:
    """Return the services of this module. They call ``freed`` if a task may have become ready."""
    return (
        TaskService(db, "expire-leases", 0.5, lease_store.expired, partial(_write, gate, ExpireLease)),
        TaskService(db, "tell-overdue", 5.0, task_store.overdue, partial(_write, gate, TellOverdue)),
        TaskService(
            db, "complete-parents", 1.0, task_store.finished_parents, partial(_complete_parent, gate)
        ),
        Alone(db, "wake-tasks", 0.5, WakeTasks(freed).work),
        Alone(db, "queue-dependents", 0.2, QueueDependents(freed).work),
    )


def _write(gate: Gate, make: Callable[..., Write[Any]], project: str, code: str) -> None:
    call = Call(RPC, project, agent=AGENT)
    gate.write(make(call, Request(call.rpc, "", b""), code=code))


class _NotFinished(FailedPrecondition):
    """A parent that has an open child again."""


def _complete_parent(gate: Gate, project: str, code: str) -> None:
    """Complete a parent whose children have ended, unless one was opened again meanwhile."""

    def amend(conn: Connection, found: Prepared[object], change: Change) -> Change:
        if not task_store.is_finished_parent(conn, project=project, code=code):
            raise _NotFinished("a child is open", reason="CHILD_OPEN", subject=f"task {code}")
        return change

    call = Call(RPC, project, agent=AGENT)
    request = task_pb2.UpdateTaskStatusRequest(
        task_code=code, status=common_pb2.TASK_STATUS_COMPLETED, reason="its last child has ended"
    )
    gate.write(tasks.update_status(request, call), amend=amend)


@dataclass(frozen=True, slots=True)
class TaskService:
    """A service that finds tasks and writes each of them. Any number of processes may run it.

    Claims do not wait for it: they take a task whose lease has expired themselves.
    """

    db: Database
    name: str
    interval: float
    find: Callable[..., Sequence[tuple[str, str]]]
    """Returns projects and codes of tasks, up to a limit."""
    write: Callable[[str, str], None]

    def run_once(self) -> int:
        """Do one batch. Return the number of tasks that were written."""
        with self.db.connection() as conn:
            found = self.find(conn, limit=BATCH)
        written = 0
        for project, code in found:
            # Another process may have been first, or the task is gone.
            with suppress(NotFound, FailedPrecondition, Aborted):
                self.write(project, code)
                written += 1
        return written


class WakeTasks:
    """The way into the queue of tasks whose ``not_before``, or whose pause after a failure, has passed."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed

    def work(self, conn: Connection) -> int:
        """Do one batch. Return the number of tasks in it."""
        woken = ready_queue.wake_due(conn, limit=BATCH)
        if woken:
            self._freed()
        return woken


class QueueDependents:
    """The way into the queue of the tasks that waited for a blocker which more than 1,000 waited for."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed

    def work(self, conn: Connection) -> int:
        """Do one batch. Return 0 if there is nothing left to do."""
        more = ready_queue.queue_freed(conn, project=None, limit=SLICE)
        if more:
            self._freed()
        return int(more)
