"""The rules of schedule.proto."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import schedule_pb2
from orchestration_server import recurrence
from orchestration_server.validation.constraints import (
    Check,
    Flag,
    Form,
    Ignored,
    Json,
    Mask,
    Masked,
    Pattern,
    Rule,
    Rules,
    Sub,
)
from orchestration_server.validation.fields import CODE, CODE_OR_NONE, PAGE, REQUEST_ID, REVISION, enum_of

CODE_LENGTH = 50
"""The most characters of a schedule's code. The codes that it creates are longer, by a time and more."""
_CODE = Pattern(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    f"must be 1 to {CODE_LENGTH} characters of [A-Za-z0-9._-], the first a letter or a digit",
    high=CODE_LENGTH,
    required=True,
)
_SCHEDULE: dict[str, Rule] = {
    "template": CODE,
    "variables": Json(),
    "sprint_code": CODE_OR_NONE,
    "cron": Form(recurrence.MAX_CRON, recurrence.cron_fault, required=True),
    "time_zone": Form(100, recurrence.zone_fault),
    "paused": Flag(),
    "catch_up": enum_of(schedule_pb2.Schedule, "catch_up"),
    "overlap": enum_of(schedule_pb2.Schedule, "overlap"),
}
_SERVER_SET = (
    "uid", "next_time", "last_time", "last_task_code", "last_sprint_code", "agent", "revision", "create_time",
    "update_time",
)  # fmt: skip

RULES: Rules = {
    schedule_pb2.ScheduleError: dict.fromkeys(
        ("reason", "message", "scheduled_time", "fail_time"), Ignored()
    ),
    schedule_pb2.Schedule: {
        "code": _CODE,
        **_SCHEDULE,
        **dict.fromkeys(_SERVER_SET, Ignored()),
        "last_error": Sub(schedule_pb2.ScheduleError),
    },
    schedule_pb2.CreateScheduleRequest: {
        "schedule": Sub(schedule_pb2.Schedule, required=True),
        "request_id": REQUEST_ID,
    },
    schedule_pb2.GetScheduleRequest: {"schedule_code": CODE},
    schedule_pb2.ListSchedulesRequest: PAGE,
    schedule_pb2.UpdateScheduleRequest: {
        "schedule": Masked(schedule_pb2.Schedule, ()),
        "update_mask": Mask(frozenset(_SCHEDULE)),
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    schedule_pb2.DeleteScheduleRequest: {
        "schedule_code": CODE,
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    schedule_pb2.TriggerScheduleRequest: {"schedule_code": CODE, "request_id": REQUEST_ID},
}

ACROSS: Mapping[type[Message], Check] = {}
