"""Each limit of a field is checked at its edge."""

from typing import Any

import pytest
from google.protobuf.message import Message

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)
from tests.support.field_edges import (
    AGENTS,
    CODES,
    CURSORS,
    DATES,
    DOCUMENT,
    EVENT,
    KEYS,
    LINES,
    PAGE_SIZES,
    PATHS,
    PRIORITY_LISTS,
    REQUEST_IDS,
    REQUIRED_CODES,
    REVISIONS,
    SCHEDULE,
    SPRINT,
    STATUS,
    STRUCTS,
    TASK,
    TEXT_10K,
    TEXT_20K,
    TEXT_200,
    TIMES,
    TITLES,
    TOKENS,
    TYPE_LISTS,
    options,
)
from tests.support.valid_requests import ID, made, violations

EDGES: dict[type[Message], dict[str, tuple[list[Any], list[Any]]]] = {
    task_pb2.CreateTaskRequest: {
        **{f"task.{name}": edge for name, edge in TASK.items()},
        "request_id": REQUEST_IDS,
        "occur_time": TIMES,
    },
    task_pb2.GetTaskRequest: {"task_code": REQUIRED_CODES},
    task_pb2.ListTasksRequest: {
        "sprint_code": CODES,
        "statuses": ([[], [1, 2, 3, 4, 5]], [[1] * 6, [0], [6]]),
        "priorities": PRIORITY_LISTS,
        "assignee": TEXT_200,
        "labels": ([[], ["x" * 100] * 10], [["x"] * 11, [""], ["x" * 101]]),
        "order": ([0, 2], [3]),
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    task_pb2.UpdateTaskRequest: {
        "task.code": REQUIRED_CODES,
        "task.title": TITLES,
        "expected_revision": REVISIONS,
        "request_id": REQUEST_IDS,
        "update_mask": (["title", "title,title"], ["", "code,title", "title,hash", "title,none"]),
    },
    task_pb2.UpdateTaskStatusRequest: {
        "task_code": REQUIRED_CODES,
        "status": STATUS,
        "reason": (["", "x" * 2_000], ["x" * 2_001, "\0"]),
        "expected_revision": REVISIONS,
        "request_id": REQUEST_IDS,
    },
    task_pb2.DeleteTaskRequest: {"task_code": REQUIRED_CODES, "expected_revision": REVISIONS},
    schedule_pb2.CreateScheduleRequest: {
        **{f"schedule.{name}": edge for name, edge in SCHEDULE.items()},
        "request_id": REQUEST_IDS,
    },
    schedule_pb2.UpdateScheduleRequest: {
        "schedule.code": SCHEDULE["code"],
        "schedule.cron": SCHEDULE["cron"],
        "expected_revision": REVISIONS,
        "request_id": REQUEST_IDS,
        "update_mask": (["cron", "timeZone,paused"], ["", "code", "nextTime", "agent", "lastError"]),
    },
    schedule_pb2.DeleteScheduleRequest: {"schedule_code": REQUIRED_CODES, "expected_revision": REVISIONS},
    schedule_pb2.TriggerScheduleRequest: {"schedule_code": REQUIRED_CODES, "request_id": REQUEST_IDS},
    schedule_pb2.ListSchedulesRequest: {"page_size": PAGE_SIZES, "page_token": TOKENS},
    task_pb2.CreateTasksFromTemplateRequest: {
        "template": REQUIRED_CODES,
        "sprint_code": CODES,
        "variables": STRUCTS,
        "items": (
            [[{"task_code": f"T-{n}"} for n in range(1_000)]],
            [[], [{}], [{"task_code": "T"}, {"task_code": "T"}]],
        ),
        "request_id": REQUEST_IDS,
    },
    sprint_pb2.CreateSprintRequest: {
        **{f"sprint.{name}": edge for name, edge in SPRINT.items()},
        "request_id": REQUEST_IDS,
        "occur_time": TIMES,
    },
    sprint_pb2.GetSprintRequest: {
        "sprint_code": REQUIRED_CODES,
        "view": ([0, 2], [3]),
        "task_page_size": PAGE_SIZES,
    },
    sprint_pb2.ListSprintsRequest: {
        "statuses": ([[], [1, 2, 3, 4]], [[1] * 5, [0], [5]]),
        "owner": TEXT_200,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    sprint_pb2.DeleteSprintRequest: {"sprint_code": REQUIRED_CODES, "expected_revision": REVISIONS},
    sprint_pb2.CreateSprintFromTemplateRequest: {
        "template": REQUIRED_CODES,
        "sprint_code": REQUIRED_CODES,
        "variables": STRUCTS,
        "overrides.title": TITLES,
        "overrides.status": ([1, 4], [0, 5]),
        "overrides.owner": TEXT_200,
        "overrides.goal": TEXT_10K,
        "overrides.start_date": DATES,
        "overrides.end_date": DATES,
        "overrides.metadata": STRUCTS,
        "request_id": REQUEST_IDS,
    },
    sprint_pb2.SyncSprintRequest: {"sprint_code": REQUIRED_CODES, "request_id": REQUEST_IDS},
    event_pb2.EmitEventRequest: {
        **{f"event.{name}": edge for name, edge in EVENT.items()},
        "request_id": REQUEST_IDS,
    },
    event_pb2.EmitEventsRequest: {
        "request_id": (["x" * 128], ["", "x" * 129]),
        "events": ([[{"type": "a.b"}] * 500], [[], [{"type": "a.b"}] * 501]),
    },
    event_pb2.GetEventRequest: {"event_id": ([ID, ID.upper()], ["", "x", ID + "0"])},
    event_pb2.ListEventsRequest: {
        "filter.sprint_code": CODES,
        "filter.task_code": CODES,
        "filter.session_key": TEXT_200,
        "filter.correlation_id": TEXT_200,
        "filter.types": TYPE_LISTS,
        "filter.priorities": PRIORITY_LISTS,
        "start_time": TIMES,
        "end_time": TIMES,
        "order": ([0, 2], [3]),
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    event_pb2.StreamTimelineRequest: {
        "filter.types": TYPE_LISTS,
        "after_cursor": CURSORS,
        "from_time": TIMES,
        "last": ([1, 10_000], [0, -1, 10_001]),
        "batch_size": PAGE_SIZES,
    },
    event_pb2.GetEventStatsRequest: {
        "group_by": ([0, 6], [7]),
        "start_time": TIMES,
        "end_time": TIMES,
        "sprint_code": CODES,
        "limit": ([0, 1_000], [-1, 1_001]),
    },
    event_pb2.GetEntityHistoryRequest: {
        "entity_type": ([1, 6], [0, 7]),
        "entity_code": REQUIRED_CODES,
        "order": ([0, 2], [3]),
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    event_pb2.ReconstructStateRequest: {
        "entity_type": ([1, 3], [0, 4, 5, 6]),
        "entity_code": REQUIRED_CODES,
        "time": TIMES,
        "cursor": CURSORS,
        "revision": ([1, 2**63 - 1], [0, -1]),
    },
    admin_pb2.ArchiveEventsRequest: {
        "older_than": (["86400s", "3153600000s"], ["86399.999s", "0s", "-86400s", "3153600000.001s"]),
    },
    event_pb2.ReplayEventsRequest: {
        "correlation_id": (["x" * 200], ["", "x" * 201]),
        "dry_run": ([True], [False]),
    },
    session_pb2.InitAgentRequest: {
        "task_code": REQUIRED_CODES,
        "agent": AGENTS,
        "new_session_key": CODES,
        "metadata": STRUCTS,
        "request_id": REQUEST_IDS,
        **options("context_options"),
    },
    session_pb2.GetSessionRequest: {"session_key": KEYS},
    session_pb2.ListSessionsRequest: {
        "statuses": ([[], [1, 2, 3]], [[1] * 4, [0], [4]]),
        "agent": AGENTS,
        "task_code": REQUIRED_CODES,
        "sprint_code": REQUIRED_CODES,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    session_pb2.GetSessionContextRequest: {"session_key": KEYS, **options("options")},
    session_pb2.LogActivityRequest: {
        "session_key": KEYS,
        "kind": (["a", "a-b_0", "x" * 64], ["", "A", "a.b", "a b", "x" * 65]),
        "message": (["x" * 10_000], ["", "x" * 10_001, "\0"]),
        "payload": STRUCTS,
        "request_id": REQUEST_IDS,
    },
    session_pb2.PauseSessionRequest: {
        "session_key": KEYS,
        "reason": (["", "x" * 2_000], ["x" * 2_001, "\0"]),
        "request_id": REQUEST_IDS,
    },
    session_pb2.CloseSessionRequest: {
        "session_key": KEYS,
        "summary": TEXT_10K,
        "outcome": ([0, 4], [5, -1]),
        "request_id": REQUEST_IDS,
    },
    context_pb2.AssembleContextRequest: {"task_code": REQUIRED_CODES, **options("options")},
    context_pb2.ReadContextFileRequest: {"task_code": REQUIRED_CODES, "path": PATHS},
    template_pb2.ListTemplatesRequest: {
        "kind": ([0, 5], [6, -1]),
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    template_pb2.GetTemplateRequest: {"name": REQUIRED_CODES},
    template_pb2.RenderTemplateRequest: {"name": REQUIRED_CODES, "variables": STRUCTS},
    report_pb2.GetSprintStatusReportRequest: {
        "sprint_code": REQUIRED_CODES,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    report_pb2.CreateAdrRequest: {
        **DOCUMENT,
        "context": TEXT_20K,
        "decision": (["x" * 20_000], ["", "x" * 20_001, "\0"]),
        "consequences": TEXT_20K,
        "alternatives": ([[], ["x" * 2_000] * 50], [["x"] * 51, [""], ["x" * 2_001]]),
        "status": ([0, 5], [6, -1]),
    },
    report_pb2.CreateBugReportRequest: {
        **DOCUMENT,
        "description": TEXT_20K,
        "steps_to_reproduce": LINES,
        "expected_behavior": TEXT_10K,
        "actual_behavior": TEXT_10K,
        "severity": ([0, 4], [5, -1]),
        "component": TEXT_200,
        "environment": TEXT_10K,
        "error_text": TEXT_10K,
        "stack_trace": (["", "x" * 100_000], ["x" * 100_001, "\0"]),
        "reporter": TEXT_200,
        "occur_time": TIMES,
    },
    coordination_pb2.AddDependencyRequest: {
        "dependency.task_code": REQUIRED_CODES,
        "dependency.depends_on_code": REQUIRED_CODES,
        "dependency.kind": ([0, 4], [5]),
        "request_id": REQUEST_IDS,
    },
    coordination_pb2.ListDependenciesRequest: {
        "task_code": REQUIRED_CODES,
        "direction": ([0, 2], [3]),
        "kinds": ([[], [1], [4] * 10], [[0], [5], [1] * 11]),
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    coordination_pb2.ListReadyTasksRequest: {
        "sprint_code": CODES,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
    },
    coordination_pb2.ClaimTaskRequest: {
        "task_code": CODES,
        "sprint_code": CODES,
        "labels": ([[], ["x"] * 10], [["x"] * 11, [""], ["x" * 101]]),
        "priorities": ([[], [1], [5]], [[0], [6], [1] * 6]),
        "capabilities": ([[], ["x" * 100]], [["x"] * 51, [""]]),
        "agent": (["", "x" * 128], ["x" * 129, "orchestration.x", "é"]),
        "provider": (["", "x" * 100], ["x" * 101]),
        "lease": (["10s", "86400s"], ["9.999s", "86400.001s", "0s", "-10s"]),
        "attempt_deadline": (["10s", "2592000s"], ["9s", "2592001s"]),
        "wait": (["0s", "60s"], ["60.001s", "-1s"]),
        "count": ([0, 1, 100], [-1, 101]),
        "request_id": REQUEST_IDS,
    },
    coordination_pb2.HeartbeatRequest: {
        "leases": (
            [[{"task_code": "T", "fence": 1}] * 10_000],
            [[], [{"task_code": "T", "fence": 0}], [{"fence": 1}], [{"task_code": "T", "fence": 1}] * 10_001],
        ),
    },
    coordination_pb2.ReleaseTaskRequest: {
        "task_code": REQUIRED_CODES,
        "fence": ([1, 2**63 - 1], [0, -1]),
        "outcome": ([1, 2, 3, 9], [0, 5, 6, 7, 8, 10]),
        "reason": (["", "x" * 2_000], ["x" * 2_001]),
        "artifacts": ([[], [{"name": "n"}] * 100], [[{}], [{"name": "n"}] * 101]),
        "request_id": REQUEST_IDS,
    },
    coordination_pb2.PreemptTaskRequest: {
        "task_code": REQUIRED_CODES,
        "reason": (["x"], ["", "x" * 2_001]),
    },
    coordination_pb2.PauseWorkRequest: {
        "mode": ([0, 3], [4]),
        "reason": (["x"], ["", "x" * 2_001]),
    },
    coordination_pb2.SetWorkLimitRequest: {"limit.max_leases": ([0, 100_000], [-1, 100_001])},
}
CASES = [
    pytest.param(request, path, edge, id=f"{request.DESCRIPTOR.name}-{path}")
    for request, edges in EDGES.items()
    for path, edge in edges.items()
]


@pytest.mark.parametrize(("request_class", "path", "edge"), CASES)
def test_each_limit_accepts_and_refuses_at_its_edge(
    request_class: type[Message], path: str, edge: tuple[list[Any], list[Any]]
) -> None:
    just_in, just_out = edge
    for value in just_in:
        assert violations(made(request_class, path, value)) == {}, repr(value)[:80]
    for value in just_out:
        found = violations(made(request_class, path, value))
        assert found, repr(value)[:80]
        assert all(key == path or key.startswith(path + "[") for key in found), found
