"""The rules of sprint.proto, task.proto, and the links of coordination.proto."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.validation.constraints import (
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
    Rule,
    Rules,
    Span,
    Sub,
    Text,
    Time,
    Violations,
)
from orchestration_server.validation.fields import (
    CHANGE_POLICY,
    CODE,
    CODE_OR_NONE,
    FENCE_OR_NONE,
    LABEL,
    LINES,
    NAME,
    OCCUR_TIME,
    PAGE,
    PAGE_SIZE,
    PRIORITY,
    REASON,
    REQUEST_ID,
    REVISION,
    SPRINT_STATUS,
    TASK_STATUS,
    TITLE,
    dates_in_order,
    enum_of,
    no_code_twice,
)

_DAY = 86_400
SERVER_SET = ("uid", "revision", "hash", "create_time", "update_time")

_STATUS = EnumValue(TASK_STATUS, required=True)
_TASK: dict[str, Rule] = {
    "title": TITLE,
    "description": Text(0, 100_000),
    "sprint_code": CODE_OR_NONE,
    "status": EnumValue(TASK_STATUS),
    "priority": EnumValue(PRIORITY),
    "phase": Text(0, 100),
    "assignee": NAME,
    "labels": Items(50, LABEL, unique=True),
    "objectives": LINES,
    "deliverables": LINES,
    "acceptance_criteria": LINES,
    "agent_config": Json(),
    "metadata": Json(),
    "capabilities": Items(50, LABEL, unique=True),
    "not_before": Time(),
    "due_time": Time(),
    "retry_policy": Sub(task_pb2.RetryPolicy),
    "completed_by_children": Flag(),
}
_SPRINT: dict[str, Rule] = {
    "title": TITLE,
    "status": EnumValue(SPRINT_STATUS),
    "owner": NAME,
    "goal": Text(0, 10_000),
    "start_date": Date(),
    "end_date": Date(),
    "metadata": Json(),
}
_CHANGE: dict[str, Rule] = {
    "task_code": CODE,
    "status": _STATUS,
    "reason": REASON,
    "expected_revision": REVISION,
    "fence": FENCE_OR_NONE,
}
_MUTATION: dict[str, Rule] = {"request_id": REQUEST_ID, "sync_to_file": Flag()}
_TASK_UPDATE = (("status", _STATUS), ("priority", EnumValue(PRIORITY, required=True)))
_SPRINT_UPDATE = (("status", EnumValue(SPRINT_STATUS, required=True)),)


def _dates_of_update(request: sprint_pb2.UpdateSprintRequest) -> Violations | None:
    if not {"start_date", "end_date"}.issubset(request.update_mask.paths):
        return None
    return {"sprint." + path: text for path, text in (dates_in_order(request.sprint) or {}).items()}


def _ends_apart(link: coordination_pb2.Dependency) -> Violations | None:
    same = link.task_code == link.depends_on_code and link.task_code
    return {"depends_on_code": "must differ from task_code"} if same else None


RULES: Rules = {
    # task.proto
    task_pb2.RetryPolicy: {
        "max_attempts": Int(0, 100),
        "backoff": Span(0, _DAY),
        "max_backoff": Span(0, 30 * _DAY),
        "budget": Sub(task_pb2.Budget),
    },
    task_pb2.Budget: {
        **dict.fromkeys(("tokens", "cost_micros", "tool_calls"), Int(0, 2**53)),
        "wall_time": Span(0, 3_650 * _DAY),
    },
    task_pb2.Task: {"code": CODE, **_TASK, **dict.fromkeys(SERVER_SET, Ignored())},
    task_pb2.CreateTaskRequest: {
        "task": Sub(task_pb2.Task, required=True),
        "occur_time": OCCUR_TIME,
        **_MUTATION,
    },
    task_pb2.GetTaskRequest: {"task_code": CODE, "view": enum_of(task_pb2.GetTaskRequest, "view")},
    task_pb2.ListTasksRequest: {
        "sprint_code": CODE_OR_NONE,
        "statuses": Items(5, _STATUS),
        "priorities": Items(5, EnumValue(PRIORITY, required=True)),
        "assignee": NAME,
        "labels": Items(10, LABEL),
        "order": enum_of(task_pb2.ListTasksRequest, "order"),
        **PAGE,
    },
    task_pb2.UpdateTaskRequest: {
        "task": Masked(task_pb2.Task, _TASK_UPDATE),
        "update_mask": Mask(frozenset(_TASK)),
        "expected_revision": REVISION,
        "emission_policy": CHANGE_POLICY,
        "fence": FENCE_OR_NONE,
        **_MUTATION,
    },
    task_pb2.UpdateTaskStatusRequest: {**_CHANGE, "emission_policy": CHANGE_POLICY, **_MUTATION},
    task_pb2.DeleteTaskRequest: {
        "task_code": CODE,
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
        "fence": FENCE_OR_NONE,
    },
    task_pb2.NewTask: {"task": Sub(task_pb2.Task, required=True), "occur_time": OCCUR_TIME},
    task_pb2.BatchCreateTasksRequest: {"tasks": Items(1_000, Sub(task_pb2.NewTask), low=1), **_MUTATION},
    task_pb2.TaskStatusChange: _CHANGE,
    task_pb2.BatchUpdateTaskStatusRequest: {
        "changes": Items(1_000, Sub(task_pb2.TaskStatusChange), low=1),
        "emission_policy": CHANGE_POLICY,
        **_MUTATION,
    },
    task_pb2.TaskFromTemplate: {"task_code": CODE, "variables": Json()},
    task_pb2.CreateTasksFromTemplateRequest: {
        "template": CODE,
        "sprint_code": CODE_OR_NONE,
        "variables": Json(),
        "items": Items(1_000, Sub(task_pb2.TaskFromTemplate), low=1),
        **_MUTATION,
    },
    # sprint.proto
    sprint_pb2.Sprint: {"code": CODE, **_SPRINT, **dict.fromkeys(SERVER_SET, Ignored())},
    sprint_pb2.CreateSprintRequest: {
        "sprint": Sub(sprint_pb2.Sprint, required=True),
        "occur_time": OCCUR_TIME,
        **_MUTATION,
    },
    sprint_pb2.GetSprintRequest: {
        "sprint_code": CODE,
        "view": enum_of(sprint_pb2.GetSprintRequest, "view"),
        "task_page_size": PAGE_SIZE,
    },
    sprint_pb2.ListSprintsRequest: {
        "statuses": Items(4, EnumValue(SPRINT_STATUS, required=True)),
        "owner": NAME,
        **PAGE,
    },
    sprint_pb2.UpdateSprintRequest: {
        "sprint": Masked(sprint_pb2.Sprint, _SPRINT_UPDATE),
        "update_mask": Mask(frozenset(_SPRINT)),
        "expected_revision": REVISION,
        "emission_policy": CHANGE_POLICY,
        **_MUTATION,
    },
    sprint_pb2.DeleteSprintRequest: {
        "sprint_code": CODE,
        "expected_revision": REVISION,
        "request_id": REQUEST_ID,
    },
    sprint_pb2.SprintOverrides: {**_SPRINT, **dict(_SPRINT_UPDATE)},
    sprint_pb2.CreateSprintFromTemplateRequest: {
        "template": CODE,
        "sprint_code": CODE,
        "variables": Json(),
        "overrides": Sub(sprint_pb2.SprintOverrides),
        **_MUTATION,
    },
    sprint_pb2.SyncSprintRequest: {"sprint_code": CODE, "request_id": REQUEST_ID},
    # coordination.proto
    coordination_pb2.Dependency: {
        "task_code": CODE,
        "depends_on_code": CODE,
        "kind": enum_of(coordination_pb2.Dependency, "kind"),
    },
    coordination_pb2.AddDependencyRequest: {
        "dependency": Sub(coordination_pb2.Dependency, required=True),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.RemoveDependencyRequest: {
        "dependency": Sub(coordination_pb2.Dependency, required=True),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ListDependenciesRequest: {
        "task_code": CODE,
        "direction": enum_of(coordination_pb2.ListDependenciesRequest, "direction"),
        "kinds": Items(10, EnumValue(common_pb2.DependencyKind.DESCRIPTOR, required=True)),
        **PAGE,
    },
    coordination_pb2.ListReadyTasksRequest: {
        "sprint_code": CODE_OR_NONE,
        "include_not_due": Flag(),
        **PAGE,
    },
}

ACROSS: Mapping[type[Message], Check] = {
    task_pb2.BatchCreateTasksRequest: no_code_twice("tasks", "task.code", lambda item: str(item.task.code)),
    task_pb2.BatchUpdateTaskStatusRequest: no_code_twice(
        "changes", "task_code", lambda item: str(item.task_code)
    ),
    task_pb2.CreateTasksFromTemplateRequest: no_code_twice(
        "items", "task_code", lambda item: str(item.task_code)
    ),
    sprint_pb2.Sprint: dates_in_order,
    sprint_pb2.SprintOverrides: dates_in_order,
    sprint_pb2.UpdateSprintRequest: _dates_of_update,
    coordination_pb2.Dependency: _ends_apart,
}
