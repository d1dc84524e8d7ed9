"""A task's row and events, as each write of tasks stores them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestration.v1 import task_pb2
from orchestration_server.codec import budgets
from orchestration_server.codec.content import snapshot
from orchestration_server.codec.entities import TASK
from orchestration_server.codec.events import change_event
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.model import Call, EntityType, EventRow
from orchestration_server.store.tasks import TaskColumns


def task_columns(
    task: task_pb2.Task, *, revision: int, update_time: datetime, retry_time: datetime | None = None
) -> TaskColumns:
    """Return the row of a task. ``revision`` is the one that the change is made from."""
    return TaskColumns(
        code=task.code,
        uid=task.uid,
        sprint_code=task.sprint_code,
        status=task.status,
        priority=task.priority,
        assignee=task.assignee,
        labels=task.labels,
        revision=revision,
        create_time=to_datetime(task.create_time),
        update_time=update_time,
        body=task.SerializeToString(),
        retry_time=retry_time,
        capabilities=task.capabilities,
        not_before=to_datetime(task.not_before) if task.HasField("not_before") else None,
        due_time=to_datetime(task.due_time) if task.HasField("due_time") else None,
        completed_by_children=task.completed_by_children,
        budget=budgets.limits(task.retry_policy.budget),
    )


def created(call: Call, new: task_pb2.NewTask, now: datetime) -> tuple[task_pb2.Task, TaskColumns, EventRow]:
    """Return a new task, its row, and the event of its creation."""
    occur_time = to_datetime(new.occur_time) if new.HasField("occur_time") else None
    task, content = TASK.create(new.task, create_time=occur_time or now, now=now)
    payload = snapshot(content, revision=task.revision, create_time=task.create_time)
    event = task_event(call, "task.created", task, now, payload, occur_time)
    return task, task_columns(task, revision=0, update_time=now), event


def task_event(
    call: Call,
    type_: str,
    task: task_pb2.Task,
    now: datetime,
    payload: dict[str, Any],
    occur: datetime | None = None,
    *,
    priority: int = 0,
) -> EventRow:
    """Return an event of a task. ``type_`` has no ``orchestration.`` prefix.

    ``priority`` replaces the task's.
    """
    return change_event(
        call, type_, now, entity=EntityType.TASK, code=task.code, uid=task.uid,
        revision=task.revision, payload=payload, sprint_code=task.sprint_code,
        priority=priority or task.priority, occur_time=occur,
    )  # fmt: skip
