"""The end of an attempt: one function for all callers."""

from __future__ import annotations

from datetime import datetime

from orchestration.v1 import lease_pb2
from orchestration_server.codec import budgets
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.model import AttemptOutcome, TaskStatus
from orchestration_server.store.prepared import LeaseRow
from orchestration_server.store.writes import AttemptEnd

OUTCOME_OF_STATUS = {
    TaskStatus.PENDING: AttemptOutcome.RETURNED,
    TaskStatus.BLOCKED: AttemptOutcome.BLOCKED,
    TaskStatus.COMPLETED: AttemptOutcome.COMPLETED,
    TaskStatus.CANCELLED: AttemptOutcome.CANCELLED,
}
"""The outcome of an attempt whose holder sets a status of the task."""


def end_time(lease: LeaseRow, now: datetime) -> datetime:
    """Return when an attempt ends: not before the expiry that its holder was told, if its lease was lost.

    ``now`` was read before the expiry was judged, and may be some milliseconds earlier.
    """
    if lease.valid or lease.expire_time is None:
        return now
    return max(now, lease.expire_time)


def lost_outcome(lease: LeaseRow, now: datetime) -> AttemptOutcome:
    """Return the outcome of an attempt whose lease is no longer valid."""
    if lease.expire_time is None:
        return AttemptOutcome.SESSION_CLOSED
    if lease.deadline is not None and lease.deadline <= now:
        return AttemptOutcome.TIMED_OUT
    return AttemptOutcome.EXPIRED


def end(
    code: str,
    lease: LeaseRow,
    outcome: AttemptOutcome,
    now: datetime,
    report: lease_pb2.Attempt | None = None,
    *,
    parked: bool = False,
) -> AttemptEnd:
    """Return the end of a task's open attempt. ``report`` has what the holder or the caller says of it."""
    attempt = lease_pb2.Attempt.FromString(lease.attempt)
    if report is not None:
        attempt.MergeFrom(report)
    if lease.used is not None and not budgets.grows(lease.used, budgets.amounts(attempt.usage)):
        # The holder did not report usage now, or less than before.
        attempt.usage.ParseFromString(lease.usage or b"")
    used = budgets.amounts(attempt.usage) if attempt.HasField("usage") else None
    attempt.outcome = int(outcome)  # type: ignore[assignment]  # the numbers are the same
    attempt.end_time.CopyFrom(to_timestamp(end_time(lease, now)))
    return AttemptEnd(
        code,
        lease.fence,
        int(outcome),
        attempt.SerializeToString(),
        parked,
        lost=not lease.valid,
        used=budgets.to_array(used),
        seen=budgets.to_array(lease.used),
    )


def ended_by_status(code: str, lease: LeaseRow | None, status: TaskStatus, now: datetime) -> list[AttemptEnd]:
    """Return the end of a task's attempt, if it has one, because the task gets a status.

    The holder gave its fence, or the lease is no longer valid.
    """
    if lease is None or (lease.valid and status is TaskStatus.IN_PROGRESS):
        return []
    outcome = OUTCOME_OF_STATUS[status] if lease.valid else lost_outcome(lease, now)
    return [end(code, lease, outcome, now)]
