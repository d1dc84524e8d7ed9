"""The rules for every field of every request: one table, enforced in one place.

``RULES`` gives each message its rules by field name. They are compiled at import to plain
functions (``rules``), so that a good request costs microseconds; a field without a rule fails a test.
What depends on stored state (a status change, a date beside one that is already stored) is the
services' business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.errors import InvalidArgument
from orchestration_server.rules import (
    Check,
    Date,
    EnumValue,
    Flag,
    Ignored,
    Int,
    Items,
    Json,
    Mask,
    Masked,
    Pattern,
    Printable,
    Rule,
    Rules,
    Sub,
    Text,
    Time,
    Violations,
    compile_rules,
    day,
)

UNPARSABLE: Final = object()
"""Stands for a request whose bytes do not parse. An error raised in the deserializer itself would leak
memory in grpc for ever."""

AHEAD_SECONDS = 300
STATS_SECONDS = 366 * 86_400

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TYPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_TYPE_FILTER = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.(\*|[a-z0-9_-]+)")

# Rules across fields: the message in, violations by path out


def dates_in_order(sprint: sprint_pb2.Sprint) -> Violations | None:
    """A sprint ends no sooner than it starts. An update asks again with stored dates merged in."""
    start, end = day(sprint.start_date), day(sprint.end_date)
    return {"end_date": "must not be before start_date"} if start and end and end < start else None


def _dates_of_update(request: sprint_pb2.UpdateSprintRequest) -> Violations | None:
    if not {"start_date", "end_date"}.issubset(request.update_mask.paths):
        return None
    return {"sprint." + path: text for path, text in (dates_in_order(request.sprint) or {}).items()}


def _ends_apart(link: coordination_pb2.Dependency) -> Violations | None:
    same = link.task_code == link.depends_on_code and link.task_code
    return {"depends_on_code": "must differ from task_code"} if same else None


def _event_about(event: event_pb2.NewEvent) -> Violations | None:
    found: Violations = {}
    if event.type.startswith("orchestration."):
        found["type"] = "must not begin with orchestration., which is the ledger's own"
    if event.entity_type and not event.entity_code:
        found["entity_code"] = "is required with entity_type"
    if event.entity_code and not event.entity_type:
        found["entity_type"] = "is required with entity_code"
    return found or None


def _range(request: event_pb2.ListEventsRequest) -> Violations | None:
    if request.HasField("start_time") and request.HasField("end_time"):
        start, end = request.start_time, request.end_time
        if (end.seconds, end.nanos) <= (start.seconds, start.nanos):
            return {"end_time": "must be after start_time"}
    return None


def _stats_range(request: event_pb2.GetEventStatsRequest) -> Violations | None:
    if not request.HasField("start_time"):
        return None
    start = (request.start_time.seconds, request.start_time.nanos)
    given = request.HasField("end_time")
    end = (request.end_time.seconds, request.end_time.nanos) if given else (int(time.time()) + 1, 0)
    if end <= start:
        return {"end_time": "must be after start_time"} if given else {"start_time": "must be past"}
    if given and end > (start[0] + STATS_SECONDS, start[1]):
        return {"end_time": "must be at most 366 days after start_time"}
    # Without an end_time, now has just moved up to a second on.
    if not given and end[0] - 1 > start[0] + STATS_SECONDS:
        return {"start_time": "must be at most 366 days before now"}
    return None


def _no_code_twice(batch: str, path: str, code_of: Callable[[Any], str]) -> Check:
    def check(request: Any) -> Violations | None:
        first: dict[str, int] = {}
        found: Violations = {}
        for index, item in enumerate(getattr(request, batch)):
            before = first.setdefault(code_of(item), index)
            if before != index:
                found[f"{batch}[{index}].{path}"] = f"is that of {batch}[{before}] too"
        return found or None

    return check


# The table

CODE_TEXT = "must be 1 to 128 characters of [A-Za-z0-9._-], the first a letter or a digit"
CODE = Pattern(_CODE, CODE_TEXT, required=True)
CODE_OR_NONE = Pattern(_CODE, CODE_TEXT)
REQUEST_ID = Printable(128)
REVISION = Int(0, 2**63 - 1)
PAGE_SIZE = Int(0, 500)
PAGE_TOKEN = Printable(2048)
CURSOR = Printable(200, required=True)
LINES = Items(100, Text(0, 2_000))
LABEL = Text(1, 100)
NAME = Text(0, 200)
OCCUR_TIME = Time(ahead=AHEAD_SECONDS)
UUID = Pattern(_UUID, "must be a UUID", required=True)
TYPE_TEXT = "must be 3 to 128 characters: two or more parts of [a-z0-9_-] with dots between"

_enums = common_pb2.DESCRIPTOR.enum_types_by_name
_PRIORITY, _TASK_STATUS = _enums["Priority"], _enums["TaskStatus"]
_SPRINT_STATUS, _ENTITY_TYPE = _enums["SprintStatus"], _enums["EntityType"]


def _enum(message: type[Message], field: str) -> EnumValue:
    """Any value of the field's own enum, the unspecified one too."""
    enum: Any = message.DESCRIPTOR.fields_by_name[field].enum_type
    return EnumValue(enum)


SERVER_SET = ("uid", "revision", "hash", "create_time", "update_time")
_TASK: dict[str, Rule] = {
    "title": Text(1, 500),
    "description": Text(0, 100_000),
    "sprint_code": CODE_OR_NONE,
    "status": EnumValue(_TASK_STATUS),
    "priority": EnumValue(_PRIORITY),
    "phase": Text(0, 100),
    "assignee": NAME,
    "labels": Items(50, LABEL, unique=True),
    "objectives": LINES,
    "deliverables": LINES,
    "acceptance_criteria": LINES,
    "agent_config": Json(),
    "metadata": Json(),
}
_SPRINT: dict[str, Rule] = {
    "title": Text(1, 500),
    "status": EnumValue(_SPRINT_STATUS),
    "owner": NAME,
    "goal": Text(0, 10_000),
    "start_date": Date(),
    "end_date": Date(),
    "metadata": Json(),
}
_STATUS = EnumValue(_TASK_STATUS, required=True)
_CHANGE: dict[str, Rule] = {
    "task_code": CODE,
    "status": _STATUS,
    "reason": Text(0, 2_000),
    "expected_revision": REVISION,
}
_PAGE: dict[str, Rule] = {"page_size": PAGE_SIZE, "page_token": PAGE_TOKEN}
_TYPES = Items(
    50, Pattern(_TYPE_FILTER, 'must be an event type, or one whose last part is "*"', required=True)
)
_PRIORITIES = Items(5, EnumValue(_PRIORITY, required=True))
_TASK_UPDATE = (("status", _STATUS), ("priority", EnumValue(_PRIORITY, required=True)))
_SPRINT_UPDATE = (("status", EnumValue(_SPRINT_STATUS, required=True)),)

RULES: Rules = {
    # task.proto
    task_pb2.Task: {"code": CODE, **_TASK, **dict.fromkeys(SERVER_SET, Ignored())},
    task_pb2.CreateTaskRequest: {
        "task": Sub(task_pb2.Task, required=True),
        "request_id": REQUEST_ID,
        "occur_time": OCCUR_TIME,
    },
    task_pb2.GetTaskRequest: {"task_code": CODE},
    task_pb2.ListTasksRequest: {
        "sprint_code": CODE_OR_NONE,
        "statuses": Items(5, _STATUS),
        "priorities": _PRIORITIES,
        "assignee": NAME,
        "labels": Items(10, LABEL),
        "order": _enum(task_pb2.ListTasksRequest, "order"),
        **_PAGE,
    },
    task_pb2.UpdateTaskRequest: {
        "task": Masked(task_pb2.Task, _TASK_UPDATE),
        "update_mask": Mask(frozenset(_TASK)),
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    task_pb2.UpdateTaskStatusRequest: {**_CHANGE, "request_id": REQUEST_ID},
    task_pb2.DeleteTaskRequest: {
        "task_code": CODE,
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    task_pb2.NewTask: {"task": Sub(task_pb2.Task, required=True), "occur_time": OCCUR_TIME},
    task_pb2.BatchCreateTasksRequest: {
        "tasks": Items(1_000, Sub(task_pb2.NewTask), low=1),
        "request_id": REQUEST_ID,
    },
    task_pb2.TaskStatusChange: _CHANGE,
    task_pb2.BatchUpdateTaskStatusRequest: {
        "changes": Items(1_000, Sub(task_pb2.TaskStatusChange), low=1),
        "request_id": REQUEST_ID,
    },
    task_pb2.CreateTasksFromTemplateRequest: {
        "template": Text(1, 128),
        "sprint_code": CODE_OR_NONE,
        "variables": Json(),
        "request_id": REQUEST_ID,
    },
    # sprint.proto
    sprint_pb2.Sprint: {"code": CODE, **_SPRINT, **dict.fromkeys(SERVER_SET, Ignored())},
    sprint_pb2.CreateSprintRequest: {
        "sprint": Sub(sprint_pb2.Sprint, required=True),
        "request_id": REQUEST_ID,
        "occur_time": OCCUR_TIME,
    },
    sprint_pb2.GetSprintRequest: {
        "sprint_code": CODE,
        "view": _enum(sprint_pb2.GetSprintRequest, "view"),
        "task_page_size": PAGE_SIZE,
    },
    sprint_pb2.ListSprintsRequest: {
        "statuses": Items(4, EnumValue(_SPRINT_STATUS, required=True)),
        "owner": NAME,
        **_PAGE,
    },
    sprint_pb2.UpdateSprintRequest: {
        "sprint": Masked(sprint_pb2.Sprint, _SPRINT_UPDATE),
        "update_mask": Mask(frozenset(_SPRINT)),
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    sprint_pb2.DeleteSprintRequest: {
        "sprint_code": CODE,
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    sprint_pb2.CreateSprintFromTemplateRequest: {
        "template": Text(1, 128),
        "sprint_code": CODE,
        "variables": Json(),
        "request_id": REQUEST_ID,
    },
    sprint_pb2.SyncSprintRequest: {"sprint_code": CODE, "request_id": REQUEST_ID},
    # event.proto
    event_pb2.NewEvent: {
        "type": Pattern(_TYPE, TYPE_TEXT, required=True),
        "entity_type": EnumValue(_ENTITY_TYPE),
        "entity_code": CODE_OR_NONE,
        "sprint_code": CODE_OR_NONE,
        "priority": EnumValue(_PRIORITY),
        "actor": NAME,
        "payload": Json(),
        "occur_time": OCCUR_TIME,
        "dedup_key": Printable(200),
    },
    event_pb2.EmitEventRequest: {
        "event": Sub(event_pb2.NewEvent, required=True),
        "request_id": REQUEST_ID,
    },
    event_pb2.EmitEventsRequest: {
        "request_id": Printable(128, required=True),
        "events": Items(500, Sub(event_pb2.NewEvent), low=1),
    },
    event_pb2.GetEventRequest: {"event_id": UUID, "include_archived": Flag()},
    event_pb2.EventFilter: {
        "sprint_code": CODE_OR_NONE,
        "task_code": CODE_OR_NONE,
        "session_key": NAME,
        "correlation_id": NAME,
        "types": _TYPES,
        "priorities": _PRIORITIES,
    },
    event_pb2.ListEventsRequest: {
        "filter": Sub(event_pb2.EventFilter),
        "start_time": Time(),
        "end_time": Time(),
        "order": _enum(event_pb2.ListEventsRequest, "order"),
        "include_archived": Flag(),
        **_PAGE,
    },
    event_pb2.StreamTimelineRequest: {
        "filter": Sub(event_pb2.EventFilter),
        "after_cursor": CURSOR,
        "from_time": Time(),
        "last": Int(1, 10_000),
        "follow": Flag(),
        "include_archived": Flag(),
        "batch_size": Int(0, 500),
    },
    event_pb2.GetEventStatsRequest: {
        "group_by": _enum(event_pb2.GetEventStatsRequest, "group_by"),
        "start_time": Time(),
        "end_time": Time(),
        "sprint_code": CODE_OR_NONE,
        "limit": Int(0, 1_000),
    },
    event_pb2.GetEntityHistoryRequest: {
        "entity_type": EnumValue(_ENTITY_TYPE, required=True),
        "entity_code": CODE,
        **_PAGE,
    },
    event_pb2.ReconstructStateRequest: {
        "entity_type": EnumValue(_ENTITY_TYPE, required=True),
        "entity_code": CODE,
        "time": Time(),
        "cursor": CURSOR,
    },
    event_pb2.ReplayEventsRequest: {"correlation_id": Text(1, 200)},
    # coordination.proto
    coordination_pb2.Dependency: {
        "task_code": CODE,
        "depends_on_code": CODE,
        "kind": _enum(coordination_pb2.Dependency, "kind"),
    },
    coordination_pb2.AddDependencyRequest: {
        "dependency": Sub(coordination_pb2.Dependency, required=True),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.RemoveDependencyRequest: {
        "dependency": Sub(coordination_pb2.Dependency, required=True),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ListReadyTasksRequest: {"sprint_code": CODE_OR_NONE, **_PAGE},
}

ACROSS: Mapping[type[Message], Check] = {
    task_pb2.BatchCreateTasksRequest: _no_code_twice("tasks", "task.code", lambda item: str(item.task.code)),
    task_pb2.BatchUpdateTaskStatusRequest: _no_code_twice(
        "changes", "task_code", lambda item: str(item.task_code)
    ),
    sprint_pb2.Sprint: dates_in_order,
    sprint_pb2.UpdateSprintRequest: _dates_of_update,
    event_pb2.NewEvent: _event_about,
    event_pb2.ListEventsRequest: _range,
    event_pb2.GetEventStatsRequest: _stats_range,
    coordination_pb2.Dependency: _ends_apart,
}

_CHECKS = compile_rules(RULES, ACROSS)


def check(request: Any) -> None:
    """Refuses what does not parse or breaks a rule."""
    if request is UNPARSABLE:
        raise InvalidArgument(
            {"": "the bytes are not a message of this rpc's request type"}, reason="UNPARSABLE"
        )
    validate(request)


def validate(request: Message) -> None:
    """Raises InvalidArgument with everything that is wrong with a request, by the field's path."""
    if found := _CHECKS[type(request)](request):
        raise InvalidArgument(found)
