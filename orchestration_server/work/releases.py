"""The ends of attempts: by the holder, by a coordinator, and because a lease was lost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from orchestration_server.codec.content import task_content
from orchestration_server.codec.entities import TASK
from orchestration_server.codec.wire import RESULT_FIELD, embed
from orchestration_server.db.connection import Connection
from orchestration_server.errors import FailedPrecondition
from orchestration_server.model import AttemptOutcome, TaskStatus
from orchestration_server.store import leases as lease_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.leases import PastAttempts
from orchestration_server.store.prepared import LeaseRow, Prepared
from orchestration_server.store.writes import Change, Fence
from orchestration_server.work import attempts, fences, retries
from orchestration_server.work.events import LEASE_EXPIRED, RELEASED, end_facts, lost_priority, work_events
from orchestration_server.writes.preconditions import present
from orchestration_server.writes.task_rows import task_columns
from orchestration_server.writes.write import Lock, Write

_ATTEMPT_FIELD = coordination_pb2.ReleaseTaskResponse.ATTEMPT_FIELD_NUMBER


@dataclass(kw_only=True)
class EndAttempt(Write[PastAttempts]):
    """The end of the open attempt at a task."""

    code: str
    tried: bool = False
    event_type: ClassVar[str] = RELEASED

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", self.code)]

    def prepare(self, conn: Connection) -> Prepared[PastAttempts]:
        if self.tried:
            # A heartbeat came in between. Now that the locks are held, further ones wait for the end.
            lease_store.lock(conn, project=self.call.project, task=self.code)
        self.tried = True
        return lease_store.prepare_end(conn, project=self.call.project, request=self.request, task=self.code)

    def decide(self, conn: Connection, found: Prepared[PastAttempts]) -> Change:
        row = present(found, "task", self.code)
        lease = self.lease_to_end(conn, row.lease)
        if lease is None:
            return Change(b"")
        outcome, report, now = self.outcome(lease, found), self.report(), found.now
        task = task_pb2.Task.FromString(row.body)
        after = retries.after(task, outcome, found.extra, now, retryable=not report.not_retryable)
        ended = attempts.end(self.code, lease, outcome, now, report, parked=after.parked)
        before = task_content(task)
        task.status = int(after.status)  # type: ignore[assignment]  # the numbers are the same
        if after.status is TaskStatus.PENDING:
            task.assignee = ""
        content = task_content(task)
        TASK.advance(task, row.revision, content, now)
        columns = task_columns(task, revision=row.revision, update_time=now, retry_time=after.retry_time)
        reason = report.reason if not after.parked else f"{after.reason}. {report.reason}".strip(" .")
        payload = end_facts(lease, ended, report.reason) | ({"parked": True} if after.parked else {})
        if after.retry_time is not None:
            payload["retry_time"] = after.retry_time.isoformat()
        return Change(
            embed(RESULT_FIELD, columns.body) + embed(_ATTEMPT_FIELD, ended.body),
            sql=task_store.UPDATE,
            params=task_store.columns([columns]),
            expected=1,
            fences=[Fence(self.code, lease.fence)] if lease.valid else (),
            ends=[ended],
            events=work_events(
                self.call,
                self.event_type,
                task,
                before,
                content,
                now,
                payload,
                reason=reason,
                priority=lost_priority(task) if self.event_type == LEASE_EXPIRED else 0,
            ),
            frees=found.extra.blocks or after.status is not TaskStatus.COMPLETED,
        )

    @abstractmethod
    def lease_to_end(self, conn: Connection, lease: LeaseRow | None) -> LeaseRow | None:
        """Return the lease that ends. Raises an error of the ledger if the caller may not end it.

        Return None if there is nothing to do.
        """

    @abstractmethod
    def outcome(self, lease: LeaseRow, found: Prepared[PastAttempts]) -> AttemptOutcome:
        """Return the outcome of the attempt."""

    def report(self) -> lease_pb2.Attempt:
        """Return what the caller says of the attempt."""
        return lease_pb2.Attempt()


@dataclass(kw_only=True)
class ReleaseTask(EndAttempt):
    """The end of an attempt by its holder."""

    message: coordination_pb2.ReleaseTaskRequest

    def lease_to_end(self, conn: Connection, lease: LeaseRow | None) -> LeaseRow | None:
        fences.check_fence(conn, self.call, self.code, lease, self.message.fence)
        return lease

    def outcome(self, lease: LeaseRow, found: Prepared[PastAttempts]) -> AttemptOutcome:
        return AttemptOutcome(self.message.outcome)

    def report(self) -> lease_pb2.Attempt:
        given = self.message
        report = lease_pb2.Attempt(
            reason=given.reason, not_retryable=given.not_retryable, artifacts=given.artifacts
        )
        if given.HasField("usage"):
            report.usage.CopyFrom(given.usage)
        return report


@dataclass(kw_only=True)
class PreemptTask(EndAttempt):
    """The end of an attempt by somebody else."""

    reason: str

    def lease_to_end(self, conn: Connection, lease: LeaseRow | None) -> LeaseRow | None:
        if lease is None or not lease.valid:
            raise FailedPrecondition(
                f"nobody holds task {self.code}", reason="NOT_HELD", subject=f"task {self.code}"
            )
        return lease

    def outcome(self, lease: LeaseRow, found: Prepared[PastAttempts]) -> AttemptOutcome:
        return AttemptOutcome.PREEMPTED

    def report(self) -> lease_pb2.Attempt:
        return lease_pb2.Attempt(reason=self.reason)


@dataclass(kw_only=True)
class ExpireLease(EndAttempt):
    """The end of an attempt whose lease is no longer valid. Nothing is done if another claim was first."""

    event_type: ClassVar[str] = LEASE_EXPIRED

    def lease_to_end(self, conn: Connection, lease: LeaseRow | None) -> LeaseRow | None:
        return None if lease is None or lease.valid else lease

    def outcome(self, lease: LeaseRow, found: Prepared[PastAttempts]) -> AttemptOutcome:
        return attempts.lost_outcome(lease, found.now)
