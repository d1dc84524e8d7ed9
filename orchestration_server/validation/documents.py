"""The rules of template.proto and report.proto."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import report_pb2, template_pb2
from orchestration_server.validation.constraints import Check, Flag, Items, Json, Rule, Rules, Text
from orchestration_server.validation.fields import (
    CODE,
    CODE_OR_NONE,
    LINES,
    NAME,
    OCCUR_TIME,
    PAGE,
    REQUEST_ID,
    TITLE,
    enum_of,
)

_DOCUMENT: dict[str, Rule] = {
    "title": TITLE,
    "sprint_code": CODE_OR_NONE,
    "task_code": CODE_OR_NONE,
    "template": CODE_OR_NONE,
    "variables": Json(),
    "sync_to_file": Flag(),
    "request_id": REQUEST_ID,
}

RULES: Rules = {
    # template.proto
    template_pb2.ListTemplatesRequest: {"kind": enum_of(template_pb2.ListTemplatesRequest, "kind"), **PAGE},
    template_pb2.GetTemplateRequest: {"name": CODE},
    template_pb2.RenderTemplateRequest: {"name": CODE, "variables": Json()},
    # report.proto
    report_pb2.GetSprintStatusReportRequest: {"sprint_code": CODE, "include_markdown": Flag(), **PAGE},
    report_pb2.CreateAdrRequest: {
        **_DOCUMENT,
        "context": Text(0, 20_000),
        "decision": Text(1, 20_000),
        "consequences": Text(0, 20_000),
        "alternatives": Items(50, Text(1, 2_000)),
        "status": enum_of(report_pb2.CreateAdrRequest, "status"),
    },
    report_pb2.CreateBugReportRequest: {
        **_DOCUMENT,
        "description": Text(0, 20_000),
        "steps_to_reproduce": LINES,
        "expected_behavior": Text(0, 10_000),
        "actual_behavior": Text(0, 10_000),
        "severity": enum_of(report_pb2.CreateBugReportRequest, "severity"),
        "component": NAME,
        "environment": Text(0, 10_000),
        "error_text": Text(0, 10_000),
        "stack_trace": Text(0, 100_000),
        "reporter": NAME,
        "occur_time": OCCUR_TIME,
    },
}

ACROSS: Mapping[type[Message], Check] = {}
