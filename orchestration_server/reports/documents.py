"""The codes, paths, template variables and event content of decisions and bug reports."""

from __future__ import annotations

from typing import Any

from orchestration.v1 import report_pb2
from orchestration_server.codec.names import ADR_STATUS_NAMES, BUG_SEVERITY_NAMES
from orchestration_server.codec.slugs import slug
from orchestration_server.codec.timestamps import to_datetime

SLUG_LENGTH = 60
_ADR_TEXTS = ("code", "title", "sprint_code", "task_code", "author", "document", "path")
_BUG_TEXTS = (
    "code", "fingerprint", "title", "component", "reporter", "sprint_code", "task_code", "document", "path",
)  # fmt: skip


def number_adr(adr: report_pb2.Adr, number: int) -> None:
    """Set a decision's number, code and path."""
    adr.number = number
    adr.code = f"ADR-{number:04}"
    adr.path = _path("docs/adr", f"{number:04}", adr.title)


def number_bug(bug: report_pb2.BugReport, number: int) -> None:
    """Set a bug report's code and path."""
    bug.code = f"BUG-{number:04}"
    bug.path = _path("delegation/backlog", bug.code, bug.title)


def _path(directory: str, head: str, title: str) -> str:
    return f"{directory}/{'-'.join(filter(None, (head, slug(title, SLUG_LENGTH))))}.md"


def adr_content(adr: report_pb2.Adr) -> dict[str, Any]:
    """Return a decision as plain values, without uid, revision and times."""
    content: dict[str, Any] = {"number": adr.number, "status": ADR_STATUS_NAMES[adr.status]}
    return content | {name: getattr(adr, name) for name in _ADR_TEXTS}


def bug_content(bug: report_pb2.BugReport) -> dict[str, Any]:
    """Return a bug report as plain values, without uid, revision and the times that the server sets."""
    return {
        **{name: getattr(bug, name) for name in _BUG_TEXTS},
        "severity": BUG_SEVERITY_NAMES[bug.severity],
        "count": bug.count,
        "first_seen_time": to_datetime(bug.first_seen_time).isoformat(),
        "last_seen_time": to_datetime(bug.last_seen_time).isoformat(),
    }


def adr_variables(request: report_pb2.CreateAdrRequest, adr: report_pb2.Adr) -> dict[str, Any]:
    """Return the built-in variables of a decision's template. ``adr`` must have its number."""
    return {
        "title": adr.title,
        "context": request.context,
        "decision": request.decision,
        "consequences": request.consequences,
        "alternatives": list(request.alternatives),
        "status": ADR_STATUS_NAMES[adr.status],
        "author": adr.author,
        "sprint_code": adr.sprint_code,
        "task_code": adr.task_code,
        "code": adr.code,
        "date": to_datetime(adr.create_time).date().isoformat(),
    }


def bug_variables(request: report_pb2.CreateBugReportRequest, bug: report_pb2.BugReport) -> dict[str, Any]:
    """Return the built-in variables of a bug report's template. ``bug`` must have its code."""
    return {
        "title": bug.title,
        "description": request.description,
        "steps_to_reproduce": list(request.steps_to_reproduce),
        "expected_behavior": request.expected_behavior,
        "actual_behavior": request.actual_behavior,
        "severity": BUG_SEVERITY_NAMES[bug.severity],
        "component": bug.component,
        "environment": request.environment,
        "error_text": request.error_text,
        "stack_trace": request.stack_trace,
        "reporter": bug.reporter,
        "occur_time": to_datetime(bug.first_seen_time).isoformat(),
        "sprint_code": bug.sprint_code,
        "task_code": bug.task_code,
        "code": bug.code,
        "date": to_datetime(bug.create_time).date().isoformat(),
    }
