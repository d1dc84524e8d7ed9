"""The status of a task after an attempt, by its retry policy."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.v1 import task_pb2
from orchestration_server.model import AttemptOutcome, TaskStatus
from orchestration_server.store.leases import PastAttempts

MAX_ATTEMPTS = 3
"""Attempts that may fail, if the task's policy gives no number."""
MAX_LOSSES = 20
"""Leases that may be lost in a row. Losses say more about the machines than about the task."""
BACKOFF_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 3_600.0
JITTER = 0.2
"""The largest part of a pause that is added at random."""

_STATUS = {
    AttemptOutcome.COMPLETED: TaskStatus.COMPLETED,
    AttemptOutcome.BLOCKED: TaskStatus.BLOCKED,
    AttemptOutcome.CANCELLED: TaskStatus.CANCELLED,
}
_FAILURES = frozenset((AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT))


@dataclass(frozen=True, slots=True)
class After:
    """The status of a task after an attempt, and when it may be tried again."""

    status: TaskStatus
    retry_time: datetime | None = None
    """When the task may be claimed again. None means at once."""
    parked: bool = False
    """True if no try is left: the task is blocked until somebody sets it to pending."""
    reason: str = ""
    """Why it is parked."""


def after(
    task: task_pb2.Task, outcome: AttemptOutcome, past: PastAttempts, now: datetime, *, retryable: bool = True
) -> After:
    """Return what follows an attempt that ends with an outcome."""
    if outcome in _STATUS:
        return After(_STATUS[outcome])
    if outcome in _FAILURES:
        most, failures = task.retry_policy.max_attempts or MAX_ATTEMPTS, past.failures + 1
        if not retryable:
            return After(TaskStatus.BLOCKED, parked=True, reason="the attempt failed and cannot be retried")
        if failures >= most:
            return After(TaskStatus.BLOCKED, parked=True, reason=f"{failures} of {most} attempts failed")
        return After(TaskStatus.PENDING, now + timedelta(seconds=_pause(task.retry_policy, failures)))
    if outcome is AttemptOutcome.EXPIRED and past.losses + 1 >= MAX_LOSSES:
        return After(
            TaskStatus.BLOCKED, parked=True, reason=f"{past.losses + 1} leases were lost one after the other"
        )
    return After(TaskStatus.PENDING)


def _pause(policy: task_pb2.RetryPolicy, failures: int) -> float:
    """Return the seconds until the next attempt: doubled with each failure, with some chance added."""
    first = policy.backoff.ToTimedelta().total_seconds() if policy.HasField("backoff") else BACKOFF_SECONDS
    most = (
        policy.max_backoff.ToTimedelta().total_seconds()
        if policy.HasField("max_backoff")
        else MAX_BACKOFF_SECONDS
    )
    return min(first * 2.0 ** min(failures - 1, 60), most) * random.uniform(1.0, 1.0 + JITTER)
