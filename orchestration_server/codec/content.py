"""The content of entities as plain values: what hashes, changes and snapshots are made of."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson
import rfc8785
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from uuid_utils import uuid7

from orchestration.structs import plain as plain
from orchestration.v1 import common_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.names import (
    PRIORITY_NAMES,
    SESSION_OUTCOME_NAMES,
    SESSION_STATUS_NAMES,
    SPRINT_STATUS_NAMES,
    TASK_STATUS_NAMES,
)
from orchestration_server.codec.retry_policies import retry_policy_content
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.model import ENTITY_NAMES, TaskStatus

SNAPSHOT_EVERY = 32
"""Revisions of an entity between two events that hold all of its content."""

TASK_TEXTS = ("title", "description", "sprint_code", "phase", "assignee")
TASK_LISTS = ("labels", "objectives", "deliverables", "acceptance_criteria")
TASK_STRUCTS = ("agent_config", "metadata")
TASK_TIMES = ("not_before", "due_time")
TASK_MESSAGES = (*TASK_TIMES, "retry_policy")
TASK_OPTIONAL = ("capabilities", *TASK_MESSAGES, "completed_by_children")
"""Fields that the content has only if they are set, so that hashes of tasks without them stay as they are."""
SPRINT_TEXTS = ("title", "owner", "goal", "start_date", "end_date")
SESSION_TEXTS = ("key", "agent", "target_code", "correlation_id", "pause_reason", "summary")


def new_uid() -> str:
    """Return a new UUIDv7 as text."""
    return str(uuid7())


def to_struct(values: dict[str, Any]) -> Struct:
    """Return plain values as a Struct."""
    struct = Struct()
    struct.update(values)
    return struct


def task_content(task: task_pb2.Task) -> dict[str, Any]:
    """Return a task as plain values, without uid, revision, hash and times."""
    content: dict[str, Any] = {
        "code": task.code,
        "status": TASK_STATUS_NAMES[task.status],
        "priority": PRIORITY_NAMES[task.priority],
    }
    for name in TASK_TEXTS:
        content[name] = getattr(task, name)
    for name in TASK_LISTS:
        content[name] = list(getattr(task, name))
    for name in TASK_STRUCTS:
        content[name] = plain(getattr(task, name)) if task.HasField(name) else {}  # type: ignore[arg-type]
    if task.capabilities:
        content["capabilities"] = list(task.capabilities)
    for name in TASK_TIMES:
        if task.HasField(name):  # type: ignore[arg-type]
            content[name] = to_datetime(getattr(task, name)).isoformat()
    if task.HasField("retry_policy") and (policy := retry_policy_content(task.retry_policy)):
        content["retry_policy"] = policy
    if task.completed_by_children:
        content["completed_by_children"] = True
    return content


def sprint_content(sprint: sprint_pb2.Sprint) -> dict[str, Any]:
    """Return a sprint as plain values, without uid, revision, hash and times."""
    content: dict[str, Any] = {"code": sprint.code, "status": SPRINT_STATUS_NAMES[sprint.status]}
    for name in SPRINT_TEXTS:
        content[name] = getattr(sprint, name)
    content["metadata"] = plain(sprint.metadata) if sprint.HasField("metadata") else {}
    return content


def session_content(session: common_pb2.Session) -> dict[str, Any]:
    """Return a session as plain values, without uid, revision and times.

    ``close_time`` needs no place of its own: a session whose status is completed was closed by its last
    update.
    """
    content: dict[str, Any] = {
        "status": SESSION_STATUS_NAMES[session.status],
        "target_type": ENTITY_NAMES[session.target_type],
        "outcome": SESSION_OUTCOME_NAMES[session.outcome],
    }
    for name in SESSION_TEXTS:
        content[name] = getattr(session, name)
    content["metadata"] = plain(session.metadata) if session.HasField("metadata") else {}
    return content


def task_summary(task: task_pb2.Task) -> task_pb2.TaskSummary:
    """Return the fields of a task that lists and reports show."""
    return task_pb2.TaskSummary(
        code=task.code,
        title=task.title,
        status=task.status,
        priority=task.priority,
        assignee=task.assignee,
        phase=task.phase,
        update_time=task.update_time,
    )


def task_counts(counts: Mapping[int, int]) -> task_pb2.TaskCounts:
    """Return a number of tasks for each status as a message."""
    return task_pb2.TaskCounts(
        total=sum(counts.values()),
        pending=counts.get(TaskStatus.PENDING, 0),
        in_progress=counts.get(TaskStatus.IN_PROGRESS, 0),
        blocked=counts.get(TaskStatus.BLOCKED, 0),
        completed=counts.get(TaskStatus.COMPLETED, 0),
        cancelled=counts.get(TaskStatus.CANCELLED, 0),
    )


def progress_percent(counts: task_pb2.TaskCounts) -> float:
    """Return the share of completed tasks in percent, with one decimal. Cancelled tasks do not count."""
    counted = counts.total - counts.cancelled
    return round(100 * counts.completed / counted, 1) if counted else 0.0


def content_hash(content: dict[str, Any]) -> str:
    """Return the SHA-256 of the content as canonical JSON (RFC 8785).

    orjson writes strings as RFC 8785 does, but not numbers and the order of nested keys. What a caller
    may nest goes through rfc8785.
    """
    parts = {
        key: orjson.Fragment(rfc8785.dumps(value)) if isinstance(value, dict) and value else value
        for key, value in content.items()
    }
    return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def field_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that differ, each with both values under ``from`` and ``to``.

    The value of a field that a content does not have is None.
    """
    changes = {
        key: {"from": before.get(key), "to": value}
        for key, value in after.items()
        if before.get(key) != value
        or (value and isinstance(value, dict) and not _same_json(before[key], value))
    }
    if not before.keys() <= after.keys():
        changes |= {key: {"from": value, "to": None} for key, value in before.items() if key not in after}
    return changes


def _same_json(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two equal values have equal types: in Python, ``True == 1``."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def snapshot(content: dict[str, Any], *, revision: int, create_time: Timestamp) -> dict[str, Any]:
    """Return the payload from which reconstruction can start, or nothing for most revisions.

    The first revision and each ``SNAPSHOT_EVERY``th one carry the whole content (docs/decisions/0006).
    """
    if revision != 1 and revision % SNAPSHOT_EVERY:
        return {}
    return {"snapshot": content | {"create_time": to_datetime(create_time).isoformat()}}
