"""Schedules: their messages, their definitions as plain values, and their events."""

from __future__ import annotations

from typing import Any

from orchestration.v1 import schedule_pb2
from orchestration_server.codec.content import plain
from orchestration_server.codec.events import change_event
from orchestration_server.codec.names import CATCH_UP_NAMES, OVERLAP_NAMES
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.model import Call, EntityType, EventRow
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.schedules import ScheduleRow

_TEXTS = ("template", "sprint_code", "cron", "time_zone")


def schedule_of(row: ScheduleRow) -> schedule_pb2.Schedule:
    """Return a stored schedule as a message."""
    schedule = schedule_pb2.Schedule.FromString(row.body)
    if row.next_time is not None:
        schedule.next_time.CopyFrom(to_timestamp(row.next_time))
    if row.last_time is not None:
        schedule.last_time.CopyFrom(to_timestamp(row.last_time))
    if row.last_kind == EntityType.SPRINT:
        schedule.last_sprint_code = row.last_code
    else:
        schedule.last_task_code = row.last_code
    if row.last_error is not None:
        schedule.last_error.ParseFromString(row.last_error)
    return schedule


def definition(schedule: schedule_pb2.Schedule) -> dict[str, Any]:
    """Return what the caller defines of a schedule as plain values, as events have it."""
    found: dict[str, Any] = {name: getattr(schedule, name) for name in _TEXTS}
    return found | {
        "variables": plain(schedule.variables) if schedule.HasField("variables") else {},
        "paused": schedule.paused,
        "catch_up": CATCH_UP_NAMES[schedule.catch_up],
        "overlap": OVERLAP_NAMES[schedule.overlap],
    }


def schedule_event(
    call: Call,
    name: str,
    schedule: schedule_pb2.Schedule,
    found: Prepared[object],
    payload: dict[str, Any],
    *,
    revision: int = 0,
) -> EventRow:
    """Return an event of a schedule, of its current revision unless another one is given."""
    return change_event(
        call, f"schedule.{name}", found.now, entity=EntityType.SCHEDULE, code=schedule.code,
        uid=schedule.uid, revision=revision or schedule.revision, payload=payload,
        sprint_code=schedule.sprint_code,
    )  # fmt: skip
