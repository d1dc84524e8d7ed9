"""The table of constraints is complete, and each limit is checked at its edge."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

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
from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import RULES, SERVER_SET, validate
from orchestration_server.validation.constraints import Ignored, day

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
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
)
REQUESTS = [
    GetMessageClass(method.input_type)
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def reachable(message: Any) -> Iterator[Descriptor]:
    """Yield the ledger's own messages that a request may contain."""
    yield message
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("orchestration."):
            yield from reachable(inner)


def violations(request: Message) -> dict[str, str]:
    """Return the violations of a request."""
    try:
        validate(request)
    except InvalidArgument as error:
        return dict(error.violations)
    return {}


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
def test_every_field_has_a_rule(request_class: type[Message]) -> None:
    for message in reachable(request_class.DESCRIPTOR):
        rules = RULES[GetMessageClass(message)]
        assert set(rules) == {field.name for field in message.fields}, message.full_name


def test_every_rule_belongs_to_a_message_of_some_request() -> None:
    held = {each for request in REQUESTS for each in reachable(request.DESCRIPTOR)}
    assert {rule.DESCRIPTOR for rule in RULES} == held


GOOD: dict[type[Message], dict[str, Any]] = {
    task_pb2.CreateTaskRequest: {"task": {"code": "T", "title": "t"}},
    task_pb2.GetTaskRequest: {"task_code": "T"},
    task_pb2.ListTasksRequest: {},
    task_pb2.UpdateTaskRequest: {"task": {"code": "T", "title": "t"}, "update_mask": "title"},
    task_pb2.UpdateTaskStatusRequest: {"task_code": "T", "status": 1},
    task_pb2.DeleteTaskRequest: {"task_code": "T"},
    task_pb2.BatchCreateTasksRequest: {"tasks": [{"task": {"code": "T", "title": "t"}}]},
    task_pb2.BatchUpdateTaskStatusRequest: {"changes": [{"task_code": "T", "status": 1}]},
    task_pb2.CreateTasksFromTemplateRequest: {"template": "t", "items": [{"task_code": "T"}]},
    sprint_pb2.CreateSprintRequest: {"sprint": {"code": "S", "title": "t"}},
    sprint_pb2.GetSprintRequest: {"sprint_code": "S"},
    sprint_pb2.ListSprintsRequest: {},
    sprint_pb2.UpdateSprintRequest: {"sprint": {"code": "S", "title": "t"}, "update_mask": "title"},
    sprint_pb2.DeleteSprintRequest: {"sprint_code": "S"},
    sprint_pb2.CreateSprintFromTemplateRequest: {"template": "t", "sprint_code": "S"},
    sprint_pb2.SyncSprintRequest: {"sprint_code": "S"},
    event_pb2.EmitEventRequest: {"event": {"type": "a.b"}},
    event_pb2.EmitEventsRequest: {"request_id": "r", "events": [{"type": "a.b"}]},
    event_pb2.GetEventRequest: {"event_id": ID},
    event_pb2.ListEventsRequest: {},
    event_pb2.StreamTimelineRequest: {},
    event_pb2.GetEventStatsRequest: {},
    event_pb2.GetEntityHistoryRequest: {"entity_type": 1, "entity_code": "S"},
    event_pb2.ReconstructStateRequest: {"entity_type": 1, "entity_code": "S"},
    event_pb2.ReplayEventsRequest: {"correlation_id": "c", "dry_run": True},
    session_pb2.InitAgentRequest: {"task_code": "T"},
    session_pb2.GetSessionRequest: {"session_key": "K"},
    session_pb2.ListSessionsRequest: {},
    session_pb2.GetSessionContextRequest: {"session_key": "K"},
    session_pb2.LogActivityRequest: {"session_key": "K", "kind": "progress", "message": "m"},
    session_pb2.PauseSessionRequest: {"session_key": "K"},
    session_pb2.CloseSessionRequest: {"session_key": "K"},
    context_pb2.AssembleContextRequest: {"task_code": "T"},
    context_pb2.ReadContextFileRequest: {"task_code": "T", "path": "a"},
    template_pb2.ListTemplatesRequest: {},
    template_pb2.GetTemplateRequest: {"name": "t"},
    template_pb2.RenderTemplateRequest: {"name": "t"},
    schedule_pb2.CreateScheduleRequest: {"schedule": {"code": "C", "template": "t", "cron": "0 4 * * *"}},
    schedule_pb2.GetScheduleRequest: {"schedule_code": "C"},
    schedule_pb2.ListSchedulesRequest: {},
    schedule_pb2.UpdateScheduleRequest: {
        "schedule": {"code": "C", "template": "t", "cron": "0 4 * * *"},
        "update_mask": "cron",
    },
    schedule_pb2.DeleteScheduleRequest: {"schedule_code": "C"},
    schedule_pb2.TriggerScheduleRequest: {"schedule_code": "C"},
    report_pb2.GetSprintStatusReportRequest: {"sprint_code": "S"},
    report_pb2.CreateAdrRequest: {"title": "t", "decision": "d"},
    report_pb2.CreateBugReportRequest: {"title": "t"},
    coordination_pb2.AddDependencyRequest: {"dependency": {"task_code": "A", "depends_on_code": "B"}},
    coordination_pb2.RemoveDependencyRequest: {"dependency": {"task_code": "A", "depends_on_code": "B"}},
    coordination_pb2.ListDependenciesRequest: {"task_code": "T"},
    coordination_pb2.ListReadyTasksRequest: {},
    coordination_pb2.ClaimTaskRequest: {},
    coordination_pb2.HeartbeatRequest: {"leases": [{"task_code": "T", "fence": 1}]},
    coordination_pb2.ReleaseTaskRequest: {"task_code": "T", "fence": 1, "outcome": 1},
    coordination_pb2.PreemptTaskRequest: {"task_code": "T", "reason": "r"},
    coordination_pb2.ListLeasesRequest: {},
    coordination_pb2.ListAttemptsRequest: {"task_code": "T"},
    coordination_pb2.ExplainReadinessRequest: {},
    coordination_pb2.PauseWorkRequest: {"scope": {"project": True}, "reason": "r"},
    coordination_pb2.ResumeWorkRequest: {"scope": {"project": True}},
    coordination_pb2.ListPausesRequest: {},
    coordination_pb2.SetWorkLimitRequest: {"limit": {"agent": "a"}},
    coordination_pb2.ListWorkLimitsRequest: {},
    admin_pb2.GetServerInfoRequest: {},
    admin_pb2.ArchiveEventsRequest: {"older_than": "7776000s"},
    admin_pb2.GetStorageStatsRequest: {},
    admin_pb2.ListAlertsRequest: {},
}


def merged(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return ``base`` with the field at a dotted path set."""
    head, _, rest = path.partition(".")
    return {**base, head: merged(base.get(head, {}), rest, value) if rest else value}


def made(request: type[Message], path: str, value: Any) -> Message:
    """Return a valid request with one field set."""
    return ParseDict(merged(GOOD[request], path, value), request())


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
def test_a_small_valid_request_passes(request_class: type[Message]) -> None:
    assert violations(ParseDict(GOOD[request_class], request_class())) == {}


def nested(levels: int) -> dict[str, Any]:
    """Return nested objects."""
    return {"k": nested(levels - 1)} if levels > 1 else {}


JSON_OVERHEAD = len(b'{"k":""}')
STRUCTS = (
    [
        {"k": "x" * (65_536 - JSON_OVERHEAD)},
        {"k": "\x01" * 10_920},
        {"k": [None, [], True, -1.5]},
        nested(16),
    ],
    [
        {"k": "x" * (65_537 - JSON_OVERHEAD)},
        {"k": "\x01" * 10_922},
        {"k": "\0"},
        {"a": [{"\0": 1}]},
        {"k": [0] * 32_800},
        {"k": "x" * 2_000_000},
        nested(17),
    ],
)
CODES = (["a", "9", "A.b_c-d", "x" * 128], ["x" * 129, "-a", ".a", "a b", "a\n", "é", "a/b"])
REQUIRED_CODES = (CODES[0], ["", *CODES[1]])
TEXT_200 = (["", "é" * 200, "a\nb"], ["x" * 201, "a\0b"])
TITLES = (
    ["x", "😀" * 500, "\u200b x", "\u2019", "ก็", "漢", "-", "\U0001faea"],
    [
        "",
        "x" * 501,
        "\0",
        "x\0",
        " ",
        "\t\n",
        "\u200b\u2060\ufeff",
        "\u00a0\u3000",
        "\u3164",
        "\u0301",
        "\u2800",
    ],
)
REQUEST_IDS = (["", "x y~", "x" * 128], ["x" * 129, "é", "a\n", "\x7f"])
PAGE_SIZES = ([0, 1, 500], [-1, 501])
TOKENS = (["", "x" * 8192], ["x" * 8193, "é"])
REVISIONS = ([0, 1, 2**63 - 1], [-1, -(2**63)])
LABELS: tuple[list[Any], list[Any]] = (
    [[], ["x" * 100], [str(n) for n in range(50)]],
    [[""], ["x" * 101], ["a", "a"], [str(n) for n in range(51)]],
)
LINES = ([[""], ["x" * 2_000], ["x"] * 100], [["x" * 2_001], ["x"] * 101, ["\0"]])
DATES = (
    ["", "2024-02-29", "0001-01-01", "9999-12-31"],
    ["2023-02-29", "20240101", "2024-W01-1", "2024-1-1", "0000-01-01", "2024-01-01\n"],
)
CURSORS = (["x", "x" * 4096], ["", "x" * 4097, "é"])
TIMES = (
    ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"],
    ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"],
)
PRIORITIES = ([0, 1, 5], [6, -1])
PRIORITY_LISTS = ([[], [1, 1, 1, 1, 1]], [[1] * 6, [0], [6]])
TYPE_LISTS = (
    [[], ["a.b"], ["a.*"], ["a.b.*"], ["orchestration.*"], ["a.b"] * 50],
    [
        ["a.b"] * 51,
        ["a"],
        ["*"],
        [".*"],
        ["a*"],
        ["a.*.b"],
        ["a.b*"],
        ["A.b"],
        [""],
        ["a." + "b" * 127],
    ],
)

TASK: dict[str, tuple[list[Any], list[Any]]] = {
    "code": REQUIRED_CODES,
    "title": TITLES,
    "description": (["", "x" * 100_000], ["x" * 100_001, "\0"]),
    "sprint_code": CODES,
    "status": ([0, 1, 5], [6, -1]),
    "priority": PRIORITIES,
    "phase": (["", "x" * 100], ["x" * 101]),
    "assignee": TEXT_200,
    "labels": LABELS,
    "objectives": LINES,
    "deliverables": LINES,
    "acceptance_criteria": LINES,
    "agent_config": STRUCTS,
    "metadata": STRUCTS,
    "capabilities": LABELS,
    "not_before": TIMES,
    "due_time": TIMES,
    "retry_policy.max_attempts": ([0, 1, 100], [-1, 101]),
    "retry_policy.backoff": (["0s", "86400s"], ["-0.1s", "86400.1s"]),
    "retry_policy.max_backoff": (["0s", "2592000s"], ["-1s", "2592000.1s"]),
    "retry_policy.budget.tokens": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.cost_micros": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.tool_calls": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.wall_time": (["0s", "315360000s"], ["-1s", "315360000.1s"]),
    "completed_by_children": ([False, True], []),
    "uid": (["\0" * 9_999], []),
    "revision": ([-1], []),
    "hash": (["\0"], []),
    "create_time": (["0001-01-01T00:00:00Z"], []),
}
SPRINT: dict[str, tuple[list[Any], list[Any]]] = {
    "code": REQUIRED_CODES,
    "title": TITLES,
    "status": ([0, 1, 4], [5, -1]),
    "owner": TEXT_200,
    "goal": (["", "x" * 10_000], ["x" * 10_001]),
    "start_date": DATES,
    "end_date": DATES,
    "metadata": STRUCTS,
    "uid": (["\0"], []),
    "revision": ([-1], []),
}
EVENT: dict[str, tuple[list[Any], list[Any]]] = {
    "type": (
        ["a.b", "a-b.c_d.0", "orchestrations.x", "a." + "b" * 126],
        ["", "a", "a.", ".a", "a..b", "A.b", "a.b\n", "orchestration.x", "a." + "b" * 127],
    ),
    "sprint_code": CODES,
    "priority": PRIORITIES,
    "actor": TEXT_200,
    "payload": STRUCTS,
    "occur_time": TIMES,
    "dedup_key": (["", "x" * 200], ["x" * 201, "é", "\n"]),
}
STATUS = ([1, 5], [0, 6])
AGENTS = (["", "x y~", "x" * 128], ["x" * 129, "é", "a\n"])
KEYS = REQUIRED_CODES
TEXT_10K = (["", "x" * 10_000], ["x" * 10_001, "\0"])
TEXT_20K = (["", "x" * 20_000], ["x" * 20_001, "\0"])
PATHS = (
    ["a", "a/b.md", ".hash", "..a/b..", "a/.b/c d/é", "x" * 512],
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "a/./b",
        "a\\b",
        "a\0",
        "a\n",
        "x" * 513,
    ],
)


def options(path: str) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return the edges of the ContextOptions at a path."""
    edges: dict[str, tuple[list[Any], list[Any]]] = {
        "max_events": PAGE_SIZES,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
        "token_budget": ([0, 200, 1_000_000], [-1, 1, 199, 1_000_001]),
        "since_cursor": (["", "x" * 4096], ["x" * 4097, "é"]),
        "omit_sections": ([[], list(range(2, 16))], [[0], [1], [2, 2], [16]]),
    }
    return {f"{path}.{name}": edge for name, edge in edges.items()}


DOCUMENT: dict[str, tuple[list[Any], list[Any]]] = {
    "title": TITLES,
    "sprint_code": CODES,
    "task_code": CODES,
    "template": CODES,
    "variables": STRUCTS,
    "request_id": REQUEST_IDS,
}
SCHEDULE: dict[str, tuple[list[Any], list[Any]]] = {
    "code": (["a", "9", "A.b_c-d", "x" * 50], ["", "x" * 51, "-a", ".a", "a b", "a\n", "é", "a/b"]),
    "template": REQUIRED_CODES,
    "variables": STRUCTS,
    "sprint_code": CODES,
    "cron": (
        [
            "* * * * *",
            "0,30 */2 1-15/3 jan-JUN MON-FRI",
            "0 0 L * *",
            "0 0 LW * *",
            "0 0 29 2 *",
            "0 0 * * 5L",
            "0 0 * * MON#2",
            "0 0 30,31 2 MON",
            "  5   4 * * *\t",
            "0 0 1 1 " + ",".join(["7"] * 90),
        ],
        [
            "", " ", "* * * *", "* * * * * *", "0 0 4 * * *", "@daily", "60 * * * *", "* 24 * * *",
            "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
            "1,,2 * * * *", "a b c d e", "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 L-3 * *",
            "0 0 * * L", "0 0 * * MON#6", "\u0661 * * * *", "0 0 * * \u00b2L", "0 0 * *\n*",
            "0 0 * * *\0", "* * * * " + "1" * 200,
        ],
    ),
    "time_zone": (
        ["", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/GMT+5"],
        [
            "europe/berlin", "Berlin", "America", "+01:00", "../../etc/passwd", "/etc/localtime", "localtime",
            "Factory", "posixrules", "right/Europe/Berlin", "Europe/Berlin\0", "x" * 101, "Mars/Olympus",
        ],
    ),
    "catch_up": ([0, 2], [3, -1]),
    "overlap": ([0, 2], [3, -1]),
}  # fmt: skip
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


@pytest.mark.parametrize("request_class", [each for each in REQUESTS if GOOD[each]])
def test_an_empty_request_names_the_required_fields(request_class: type[Message]) -> None:
    found = violations(request_class())
    fields = request_class.DESCRIPTOR.fields_by_name
    oneofs = {name: fields[name].containing_oneof for name in GOOD[request_class]}
    expected = {name if oneof is None else oneof.name for name, oneof in oneofs.items()}
    assert {path.split(".")[0] for path in found} == expected


def test_all_violations_are_reported_at_once() -> None:
    request = task_pb2.BatchCreateTasksRequest(request_id="é")
    for code in ("A", "B", "A"):
        request.tasks.add(task=task_pb2.Task(code=code, title="t"))
    request.tasks[1].task.title = ""
    request.tasks[1].task.labels.extend(("a", ""))
    request.tasks.add()
    assert set(violations(request)) == {
        "request_id",
        "tasks[1].task.title",
        "tasks[1].task.labels[1]",
        "tasks[2].task.code",
        "tasks[3].task",
    }


def test_batches_are_bounded_and_name_no_task_twice() -> None:
    changes = [
        task_pb2.TaskStatusChange(task_code=f"T-{n}", status=task_pb2.Task(status=1).status)  # type: ignore[arg-type]  # a number will do
        for n in range(1_001)
    ]
    assert not violations(task_pb2.BatchUpdateTaskStatusRequest(changes=changes[:1_000]))
    assert set(violations(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))) == {"changes"}
    twice = task_pb2.BatchUpdateTaskStatusRequest(changes=[changes[0], changes[0]])
    assert set(violations(twice)) == {"changes[1].task_code"}


def test_an_update_checks_only_the_fields_of_its_mask() -> None:
    request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="T", description="x" * 100_001))
    request.update_mask.paths.append("phase")
    assert violations(request) == {}
    request.update_mask.paths.extend(("title", "status", "priority", "labels", "metadata"))
    assert set(violations(request)) == {"task.title", "task.status", "task.priority"}
    sprint = sprint_pb2.UpdateSprintRequest(sprint=sprint_pb2.Sprint(code="S"))
    sprint.update_mask.paths.extend(("title", "status", "start_date"))
    assert set(violations(sprint)) == {"sprint.title", "sprint.status"}


def test_a_sprint_ends_no_sooner_than_it_starts() -> None:
    sprint = sprint_pb2.Sprint(code="S", title="t", start_date="2024-05-02", end_date="2024-05-02")
    assert violations(sprint_pb2.CreateSprintRequest(sprint=sprint)) == {}
    sprint.end_date = "2024-05-01"
    assert set(violations(sprint_pb2.CreateSprintRequest(sprint=sprint))) == {"sprint.end_date"}
    update = sprint_pb2.UpdateSprintRequest(sprint=sprint)
    update.update_mask.paths.append("end_date")
    assert violations(update) == {}
    update.update_mask.paths.append("start_date")
    assert set(violations(update)) == {"sprint.end_date"}
    overrides = {"start_date": "2024-05-02", "end_date": "2024-05-01"}
    found = violations(made(sprint_pb2.CreateSprintFromTemplateRequest, "overrides", overrides))
    assert set(found) == {"overrides.end_date"}


SHORT_FORMS = (
    ["T:a", "S:a.b", "SESSION:x", "SESSION:" + "x" * 128],
    ["", "T:", "T", "t:a", "X:a", "T:a b", "T:a:b", "SESSION:" + "x" * 129, "T:a\n"],
)


def test_the_short_form_of_a_target_is_checked() -> None:
    for short in SHORT_FORMS[0]:
        assert violations(session_pb2.InitAgentRequest(short_form=short)) == {}, short
    for short in SHORT_FORMS[1]:
        assert set(violations(session_pb2.InitAgentRequest(short_form=short))) == {"short_form"}, short


@pytest.mark.parametrize("target", [{"session_key": "K"}, {"short_form": "SESSION:K"}])
def test_a_session_is_resumed_or_new(target: dict[str, str]) -> None:
    resumed = session_pb2.InitAgentRequest(**target, new_session_key="N", force_new=True)  # type: ignore[arg-type]
    assert set(violations(resumed)) == {"new_session_key", "force_new"}
    new = session_pb2.InitAgentRequest(task_code="T", new_session_key="N", force_new=True)
    assert violations(new) == {}


@pytest.mark.parametrize(
    ("entity_type", "entity_code", "expected"),
    [
        (0, "", set()),
        (2, "T", set()),
        (2, "", {"event.entity_code"}),
        (0, "T", {"event.entity_type"}),
        (7, "T", {"event.entity_type"}),
    ],
)
def test_an_event_needs_both_entity_type_and_entity_code(
    entity_type: int, entity_code: str, expected: set[str]
) -> None:
    about = {"type": "a.b", "entity_type": entity_type, "entity_code": entity_code}
    assert set(violations(made(event_pb2.EmitEventRequest, "event", about))) == expected


def test_ranges_of_time_are_checked() -> None:
    for request in (event_pb2.ListEventsRequest(), event_pb2.GetEventStatsRequest()):
        request.start_time.seconds = request.end_time.seconds = 1_700_000_000
        assert set(violations(request)) == {"end_time"}
        request.end_time.nanos = 1
        assert violations(request) == {}
    stats = event_pb2.GetEventStatsRequest()
    stats.start_time.seconds = 1_000
    stats.end_time.seconds = 1_000 + 366 * 86_400
    assert violations(stats) == {}
    stats.end_time.nanos = 1
    assert set(violations(stats)) == {"end_time"}


@pytest.mark.parametrize(("seconds", "nanos"), [(253_402_300_800, 0), (0, -1), (0, 10**9)])
def test_times_that_json_cannot_represent_are_refused(seconds: int, nanos: int) -> None:
    request = event_pb2.ListEventsRequest()
    request.start_time.seconds, request.start_time.nanos = seconds, nanos
    assert set(violations(request)) == {"start_time"}


@pytest.mark.parametrize(("seconds", "nanos"), [(86_401, -1), (86_401, 10**9), (86_401, -(10**9)), (-1, 1)])
def test_durations_that_json_cannot_represent_are_refused(seconds: int, nanos: int) -> None:
    request = admin_pb2.ArchiveEventsRequest()
    request.older_than.seconds, request.older_than.nanos = seconds, nanos
    assert set(violations(request)) == {"older_than"}
    request.older_than.seconds, request.older_than.nanos = 86_400, 10**9 - 1
    assert violations(request) == {}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_represent_are_refused(number: float) -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    request.task.metadata["k"] = [1.0, number]
    assert set(violations(request)) == {"task.metadata"}


def test_a_value_without_a_kind_is_refused() -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    request.task.metadata.fields["k"].list_value.values.add()
    assert set(violations(request)) == {"task.metadata"}


def test_a_null_of_another_number_is_refused() -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    value = request.task.agent_config.fields["k"].list_value.values.add()
    for number, wrong in ((0, {}), (1, {"task.agent_config": "must not contain an unknown null"})):
        value.null_value = number  # type: ignore[assignment]  # the wire takes any
        assert violations(request) == wrong


def test_a_self_link_is_refused() -> None:
    link = coordination_pb2.Dependency(task_code="T", depends_on_code="T")
    found = violations(coordination_pb2.AddDependencyRequest(dependency=link))
    assert set(found) == {"dependency.depends_on_code"}


def test_fields_that_the_server_sets_are_ignored() -> None:
    for entity in (task_pb2.Task, sprint_pb2.Sprint):
        assert all(isinstance(RULES[entity][name], Ignored) for name in SERVER_SET)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e12, 1e12) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def has_nul(value: Any) -> bool:
    """Return whether a string or key in a value contains NUL."""
    if isinstance(value, dict):
        return any("\0" in key or has_nul(item) for key, item in value.items())
    return any(map(has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


@given(JSON)
def test_a_small_struct_passes_unless_it_contains_nul(value: Any) -> None:
    found = violations(made(task_pb2.CreateTaskRequest, "task.metadata", {"k": value}))
    assert bool(found) == has_nul(value)


@given(st.text(max_size=3), st.integers(10_000, 70_000))
def test_a_structs_size_is_that_of_its_json(text: str, length: int) -> None:
    value = {"k": (text.replace("\0", "") or "x") * (length // 3)}
    struct = ParseDict(value, Struct())
    found = violations(made(task_pb2.CreateTaskRequest, "task.metadata", MessageToDict(struct)))
    assert bool(found) == (len(orjson.dumps(value)) > 65_536)


@given(st.text(max_size=130))
def test_a_code_consists_of_its_allowed_characters(code: str) -> None:
    allowed = all(each.isascii() and (each.isalnum() or each in "._-") for each in code)
    good = 1 <= len(code) <= 128 and allowed and code[0].isalnum()
    assert bool(violations(task_pb2.GetTaskRequest(task_code=code))) != good


@given(st.dates())
def test_every_day_is_read_as_itself(value: Any) -> None:
    assert day(value.isoformat()) == value


@given(st.sampled_from(REQUESTS), st.binary(max_size=300))
def test_validation_raises_only_invalid_argument(request: type[Message], body: bytes) -> None:
    message = request()
    try:
        message.ParseFromString(body)
    except Exception:  # what does not parse never gets here
        return
    violations(message)
