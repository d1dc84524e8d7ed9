"""The events of claims and of the ends of attempts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestration.v1 import lease_pb2, task_pb2
from orchestration_server.codec.content import field_changes, snapshot
from orchestration_server.codec.entities import TASK
from orchestration_server.codec.names import ATTEMPT_OUTCOME_NAMES
from orchestration_server.model import PRIORITY_P1, Call, EventRow
from orchestration_server.store.prepared import LeaseRow
from orchestration_server.store.writes import AttemptEnd
from orchestration_server.writes.task_rows import task_event

LEASE_EXPIRED = "task.lease_expired"
RELEASED = "task.released"


def work_events(
    call: Call,
    type_: str,
    task: task_pb2.Task,
    before: dict[str, Any],
    content: dict[str, Any],
    now: datetime,
    payload: dict[str, Any],
    *,
    reason: str = "",
    priority: int = 0,
) -> list[EventRow]:
    """Return the events of one revision: that of a change of status, and one of ``type_`` for the rest.

    So whatever looks for changes of a status finds those of claims and releases, too.
    """
    changes = field_changes(before, content)
    events = []
    status = changes.pop("status", None)
    if status is not None:
        name = f"task.{TASK.aspects['status'](status)}"
        why = {"reason": reason} if reason else {}
        events.append(task_event(call, name, task, now, {"changes": {"status": status}, **why}))
    whole = snapshot(content, revision=task.revision, create_time=task.create_time)
    events.append(
        task_event(call, type_, task, now, {"changes": changes, **payload, **whole}, priority=priority)
    )
    return events


def end_facts(lease: LeaseRow, ended: AttemptEnd, reason: str = "") -> dict[str, Any]:
    """Return what the event of the end of an attempt says of it."""
    facts: dict[str, Any] = {
        "attempt": lease_pb2.Attempt.FromString(lease.attempt).number,
        "fence": str(lease.fence),
        "agent": lease.agent,
        "session_key": lease.session_key,
        "outcome": ATTEMPT_OUTCOME_NAMES[ended.outcome],
    }
    return facts | ({"attempt_reason": reason} if reason else {})


def lost_priority(task: task_pb2.Task) -> int:
    """Return the priority of the event of a lost lease: P1, or the task's if that is higher."""
    return min(PRIORITY_P1, task.priority)
