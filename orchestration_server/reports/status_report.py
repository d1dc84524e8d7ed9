"""Sprint status reports: the parts of the message, and its rendering as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, event_pb2, report_pb2, task_pb2
from orchestration_server.codec.content import task_summary
from orchestration_server.codec.names import PRIORITY_NAMES, SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.store.reports import BlockedTask

DAYS = 7
COMPLETED = Value(string_value="completed").SerializeToString()
"""Bytes that the body of each completion's event contains. Other events may contain them too."""
_MARKUP = re.compile(r"([\\`*<\[|])")


def blocked(found: BlockedTask) -> report_pb2.BlockedTask:
    """Return a task that cannot proceed, with the reason of its last blocking."""
    row = report_pb2.BlockedTask(
        task=task_summary(task_pb2.Task.FromString(found.body)), blocked_by=found.blocked_by
    )
    if found.event is not None:
        event = event_pb2.Event.FromString(found.event)
        if "reason" in event.payload.fields:
            row.reason = event.payload.fields["reason"].string_value
        row.blocked_time.CopyFrom(event.occur_time)
    elif row.task.status == common_pb2.TASK_STATUS_BLOCKED:
        row.blocked_time.CopyFrom(to_timestamp(found.create_time))
    return row


def first_day(now: datetime) -> datetime:
    """Return the start of the first day of a report. ``now`` is a time in UTC on its last day."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)


def throughput(first: date, changes: Iterable[tuple[date, str, bytes]]) -> list[report_pb2.DailyThroughput]:
    """Return the number of tasks completed on each day. A task counts once a day."""
    done: dict[date, set[str]] = {first + timedelta(days=n): set() for n in range(DAYS)}
    for day, code, body in changes:
        if day in done and code not in done[day] and _completes(body):
            done[day].add(code)
    return [
        report_pb2.DailyThroughput(date=day.isoformat(), completed=len(codes)) for day, codes in done.items()
    ]


def _completes(body: bytes) -> bool:
    changes = event_pb2.Event.FromString(body).payload.fields["changes"].struct_value
    return changes.fields["status"].struct_value.fields["to"].string_value == "completed"


# Markdown. Texts of callers are escaped: they start no line and make no markup.


def markdown(report: report_pb2.GetSprintStatusReportResponse) -> str:
    """Return a report as Markdown, with its page of the table of tasks."""
    parts = [*_head(report), *_blocked(report), *_completed(report), *_tasks(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: report_pb2.GetSprintStatusReportResponse) -> list[str]:
    sprint, counts = report.sprint, report.task_counts
    facts = [f"Status: {SPRINT_STATUS_NAMES[sprint.status]}"]
    if sprint.owner:
        facts.append(f"owner: {_text(sprint.owner)}")
    if sprint.start_date or sprint.end_date:
        facts.append(f"{sprint.start_date or 'open'} to {sprint.end_date or 'open'}")
    by_status = [(name, str(getattr(counts, name))) for name in TASK_STATUS_NAMES[1:]]
    by_priority = [(name, str(getattr(report.priority_counts, name.lower()))) for name in PRIORITY_NAMES[1:]]
    return [
        f"# Sprint {sprint.code}: {_text(sprint.title)}",
        ", ".join(facts) + ".",
        f"Goal: {_text(sprint.goal)}" if sprint.goal else "",
        "## Progress",
        f"**{report.progress_percent:.1f}%**: {counts.completed} of {counts.total - counts.cancelled} tasks"
        f" completed, {counts.cancelled} cancelled.",
        _table(("Status", "Tasks"), by_status),
        _table(("Priority", "Tasks"), by_priority),
    ]


def _blocked(report: report_pb2.GetSprintStatusReportResponse) -> list[str]:
    if not report.blocked_total:
        return ["## Cannot go on", "Nothing is held up."]
    rows = [
        (
            row.task.code,
            _text(row.task.title),
            PRIORITY_NAMES[row.task.priority],
            _minute(row.blocked_time) if row.HasField("blocked_time") else "",
            _text(row.reason),
            ", ".join(row.blocked_by),
        )
        for row in report.blocked
    ]
    left_out = report.blocked_total - len(rows)
    return [
        f"## Cannot go on: {report.blocked_total}",
        _table(("Task", "Title", "Priority", "Blocked since", "Reason", "Waits for"), rows),
        f"And {left_out} more." if left_out else "",
    ]


def _completed(report: report_pb2.GetSprintStatusReportResponse) -> list[str]:
    rows = [(day.date, str(day.completed)) for day in report.throughput]
    found = ["## Completed in the last 7 days", _table(("Day", "Tasks"), rows)]
    if report.HasField("oldest_in_progress"):
        task = report.oldest_in_progress
        found.append(
            f"Longest in progress: {task.code}, {_text(task.title)},"
            f" since {_minute(report.oldest_in_progress_time)}."
        )
    return found


def _tasks(report: report_pb2.GetSprintStatusReportResponse) -> list[str]:
    if not report.tasks:
        return ["## Tasks", "There are none."]
    rows = [
        (
            task.code,
            _text(task.title),
            TASK_STATUS_NAMES[task.status],
            PRIORITY_NAMES[task.priority],
            _text(task.assignee),
            _text(task.phase),
            _minute(task.update_time),
        )
        for task in report.tasks
    ]
    return [
        "## Tasks",
        _table(("Task", "Title", "Status", "Priority", "Assignee", "Phase", "Changed"), rows),
        "More tasks are on the next page." if report.next_page_token else "",
    ]


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(value: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(value.split()))


def _minute(time: Timestamp) -> str:
    return f"{to_datetime(time):%Y-%m-%d %H:%M}"
