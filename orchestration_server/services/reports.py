"""ReportService: status reports, decisions and bug reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.v1 import report_pb2, task_pb2
from orchestration_server.codec.content import (
    field_changes,
    new_uid,
    plain,
    progress_percent,
    snapshot,
    task_counts,
    task_summary,
)
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.events import change_event
from orchestration_server.codec.names import PRIORITY_NAMES
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.codec.wire import RESULT_FIELD, embed
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import InvalidArgument, NotFound, OutOfBounds
from orchestration_server.model import BEGINNING, Call, EntityType, EventRow, OutboxRow
from orchestration_server.reports import documents, status_report
from orchestration_server.reports.fingerprint import fingerprint
from orchestration_server.services.paging import listed_after, next_page_token
from orchestration_server.store import events as event_store
from orchestration_server.store import reports as report_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.prepared import EntityRow, Prepared
from orchestration_server.store.reports import DocumentTarget
from orchestration_server.store.writes import Change
from orchestration_server.templates import TemplateKind, Templates
from orchestration_server.validation.occur_time import check_occur_times
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.write import Lock, Write

_TEMPLATES = {TemplateKind.ADR: "adr", TemplateKind.BUG_REPORT: "bug-report"}
_DUPLICATE = report_pb2.CreateBugReportResponse(duplicate=True).SerializeToString()

_REPORTED = (
    "description", "expected_behavior", "actual_behavior", "component", "environment", "error_text",
    "stack_trace",
)  # fmt: skip

_DocumentRequest = report_pb2.CreateAdrRequest | report_pb2.CreateBugReportRequest
Render = Callable[[TemplateKind, _DocumentRequest, Mapping[str, Any]], str]
"""Renders the document of a request with the fields that the server sets."""


class ReportService:
    """The rpcs of ReportService."""

    def __init__(self, db: Database, gate: Gate, cursors: CursorSigner, templates: Templates) -> None:
        self._db = db
        self._gate = gate
        self._templates = templates
        self._cursors = cursors

    def GetSprintStatusReport(
        self, request: report_pb2.GetSprintStatusReportRequest, call: Call
    ) -> report_pb2.GetSprintStatusReportResponse:
        project, code = call.project, request.sprint_code
        scope = ["report", project, code]
        after = listed_after(self._cursors.page_position(request.page_token, scope))
        with self._db.connection(call) as conn, conn.snapshot():
            # The cursor is read first, so that the report has all events up to it.
            as_of = event_store.last(conn, project=project) or BEGINNING
            state = report_store.sprint_state(conn, project=project, sprint=code)
            if state is None:
                raise NotFound("sprint", code)
            first = status_report.first_day(state.now)
            changes = report_store.completions(
                conn, project=project, sprint=code, since=first, becoming=status_report.COMPLETED
            )
            page = task_store.list_page(
                conn, project=project, filters={"sprint_code": code}, by_priority=True, after=after,
                limit=page_size(request.page_size),
            )  # fmt: skip
        report = _report(state)
        report.throughput.extend(status_report.throughput(first.date(), changes))
        report.tasks.extend(task_summary(task_pb2.Task.FromString(row.body)) for row in page.rows)
        report.next_page_token = next_page_token(self._cursors, page, scope)
        report.as_of_cursor = self._cursors.cursor(as_of)
        if request.include_markdown:
            report.markdown = status_report.markdown(report)
        return report

    def CreateAdr(self, request: report_pb2.CreateAdrRequest, call: Call) -> bytes:
        return self._gate.write(_CreateAdr(call, request_key(call, request), self._render, request))

    def CreateBugReport(self, request: report_pb2.CreateBugReportRequest, call: Call) -> bytes:
        return self._gate.write(_CreateBugReport(call, request_key(call, request), self._render, request))

    def _render(
        self,
        kind: TemplateKind,
        request: _DocumentRequest,
        fields: Mapping[str, Any],
    ) -> str:
        further = plain(request.variables)
        if taken := sorted(further.keys() & fields.keys()):
            raise InvalidArgument({f"variables.{name}": "is a field of the request" for name in taken})
        return self._templates.render(request.template or _TEMPLATES[kind], {**further, **fields}, kind)


@dataclass
class _DocumentWrite(Write[DocumentTarget]):
    """A write of a document. It takes its locks first, since the next number depends on other rows."""

    render: Render

    @property
    def lock_first(self) -> bool:
        return True


@dataclass
class _CreateAdr(_DocumentWrite):
    message: report_pb2.CreateAdrRequest

    @property
    def locks(self) -> Sequence[Lock]:
        return _locks("adr", self.message.task_code)

    def prepare(self, conn: Connection) -> Prepared[DocumentTarget]:
        message = self.message
        return report_store.prepare_adr(
            conn, project=self.call.project, request=self.request, sprint=message.sprint_code,
            task=message.task_code,
        )  # fmt: skip

    def decide(self, conn: Connection, found: Prepared[DocumentTarget]) -> Change:
        call, message = self.call, self.message
        sprint = message.sprint_code
        adr = self._new_adr(found, _sprint_of(found, sprint, message.task_code))
        content = documents.adr_content(adr)
        body = adr.SerializeToString()
        return Change(
            embed(RESULT_FIELD, body),
            sql=report_store.INSERT_ADR,
            params={
                "c_number": adr.number, "c_code": adr.code, "c_sprint": adr.sprint_code,
                "c_task": adr.task_code, "c_update": found.now, "c_body": body,
            },
            expected=1,
            events=[change_event(
                call, "adr.created", found.now, entity=EntityType.ADR, code=adr.code, uid=adr.uid,
                revision=1, sprint_code=adr.sprint_code,
                payload=snapshot(content, revision=1, create_time=adr.create_time),
            )],
            anchors=[sprint] if sprint else (),
            outbox=[OutboxRow("adr", adr.code)] if message.sync_to_file else (),
        )  # fmt: skip

    def _new_adr(self, found: Prepared[DocumentTarget], sprint: str) -> report_pb2.Adr:
        message = self.message
        adr = report_pb2.Adr(
            uid=new_uid(),
            title=message.title,
            status=message.status or report_pb2.ADR_STATUS_PROPOSED,
            sprint_code=sprint,
            task_code=message.task_code,
            author=self.call.agent,
            revision=1,
            create_time=to_timestamp(found.now),
            update_time=to_timestamp(found.now),
        )
        documents.number_adr(adr, found.extra.number)
        adr.document = self.render(TemplateKind.ADR, message, documents.adr_variables(message, adr))
        return adr


@dataclass
class _CreateBugReport(_DocumentWrite):
    message: report_pb2.CreateBugReportRequest

    def __post_init__(self) -> None:
        message = self.message
        self.fingerprint = fingerprint(
            component=message.component,
            title=message.title,
            error_text=message.error_text,
            stack_trace=message.stack_trace,
        )

    @property
    def locks(self) -> Sequence[Lock]:
        return _locks("bug_report", self.message.task_code)

    def prepare(self, conn: Connection) -> Prepared[DocumentTarget]:
        message = self.message
        return report_store.prepare_bug(
            conn, project=self.call.project, request=self.request, sprint=message.sprint_code,
            task=message.task_code, fingerprint=self.fingerprint,
        )  # fmt: skip

    def decide(self, conn: Connection, found: Prepared[DocumentTarget]) -> Change:
        call, message = self.call, self.message
        check_occur_times(message, found.now)
        own_sprint = _sprint_of(found, message.sprint_code, message.task_code)
        known = next(iter(found.rows.values()), None)
        if known is None:
            bug = self._new_bug(found, own_sprint)
            sql, answer = report_store.INSERT_BUG, b""
            payload = snapshot(documents.bug_content(bug), revision=1, create_time=bug.create_time)
        else:
            bug, payload = _seen_again(message, call, found, known, own_sprint)
            if call.scope is not None and not call.scope.covers_document(bug.sprint_code, bug.task_code):
                raise OutOfBounds("the bug report exists and is not in the scope of the key")
            sql, answer = report_store.UPDATE_BUG, _DUPLICATE
        body = bug.SerializeToString()
        return Change(
            embed(RESULT_FIELD, body) + answer,
            sql=sql,
            params={
                "c_number": found.extra.number,
                "c_code": bug.code,
                "c_fingerprint": self.fingerprint,
                "c_revision": bug.revision - 1,
                "c_update": found.now,
                "c_body": body,
            },
            expected=1,
            events=[_bug_event(message, call, found, bug, own_sprint, payload)],
            anchors=[message.sprint_code] if message.sprint_code else (),
            outbox=[OutboxRow("bug_report", bug.code)] if message.sync_to_file else (),
        )

    def _new_bug(self, found: Prepared[DocumentTarget], sprint: str) -> report_pb2.BugReport:
        message = self.message
        seen = to_timestamp(_seen(message, found))
        bug = report_pb2.BugReport(
            uid=new_uid(),
            fingerprint=self.fingerprint.hex(),
            title=message.title,
            severity=message.severity or report_pb2.BUG_SEVERITY_MEDIUM,
            component=message.component,
            reporter=message.reporter or self.call.agent,
            sprint_code=sprint,
            task_code=message.task_code,
            count=1,
            first_seen_time=seen,
            last_seen_time=seen,
            revision=1,
            create_time=to_timestamp(found.now),
            update_time=to_timestamp(found.now),
        )
        documents.number_bug(bug, found.extra.number)
        bug.document = self.render(TemplateKind.BUG_REPORT, message, documents.bug_variables(message, bug))
        return bug


def _report(state: report_store.SprintState) -> report_pb2.GetSprintStatusReportResponse:
    """Return a report without its throughput and its table of tasks."""
    by_status: dict[int, int] = {}
    by_priority: dict[int, int] = {}
    for status, priority, count in state.counts:
        by_status[status] = by_status.get(status, 0) + count
        by_priority[priority] = by_priority.get(priority, 0) + count
    counts = task_counts(by_status)
    report = report_pb2.GetSprintStatusReportResponse(
        task_counts=counts,
        priority_counts=report_pb2.PriorityCounts(
            **{name.lower(): by_priority.get(n, 0) for n, name in enumerate(PRIORITY_NAMES) if n}
        ),
        progress_percent=progress_percent(counts),
        blocked=[status_report.blocked(row) for row in state.blocked],
        blocked_total=state.blocked_total,
    )
    report.sprint.MergeFromString(state.sprint)
    if state.oldest is not None:
        body, since = state.oldest
        report.oldest_in_progress.CopyFrom(task_summary(task_pb2.Task.FromString(body)))
        report.oldest_in_progress_time.CopyFrom(to_timestamp(since))
    return report


def _locks(kind: str, task: str) -> list[tuple[str, str]]:
    """Return the locks for a document: its kind's, which guards the next number, and its task's."""
    return [(kind, ""), *([("task", task)] if task else [])]


def _sprint_of(found: Prepared[DocumentTarget], sprint: str, task: str) -> str:
    """Return the sprint of a document, by default that of its task. Raises NotFound if either is missing."""
    if sprint and sprint not in found.sprints:
        raise NotFound("sprint", sprint)
    if not task:
        return sprint
    if found.extra.task is None:
        raise NotFound("task", task)
    return sprint or task_pb2.Task.FromString(found.extra.task).sprint_code


def _seen(request: report_pb2.CreateBugReportRequest, found: Prepared[object]) -> datetime:
    return to_datetime(request.occur_time) if request.HasField("occur_time") else found.now


def _seen_again(
    request: report_pb2.CreateBugReportRequest,
    call: Call,
    found: Prepared[object],
    row: EntityRow,
    sprint: str,
) -> tuple[report_pb2.BugReport, dict[str, Any]]:
    """Return the bug report with one more occurrence, and the payload of its event."""
    bug = report_pb2.BugReport.FromString(row.body)
    before = documents.bug_content(bug)
    seen = _seen(request, found)
    bug.count += 1
    # A lower number is more severe.
    bug.severity = min(bug.severity, request.severity or report_pb2.BUG_SEVERITY_MEDIUM)
    bug.first_seen_time.CopyFrom(to_timestamp(min(seen, to_datetime(bug.first_seen_time))))
    bug.last_seen_time.CopyFrom(to_timestamp(max(seen, to_datetime(bug.last_seen_time))))
    bug.revision = row.revision + 1
    bug.update_time.CopyFrom(to_timestamp(found.now))
    return bug, {
        "changes": field_changes(before, documents.bug_content(bug)),
        "title": request.title,
        "reporter": request.reporter or call.agent,
        "sprint_code": sprint,
        "task_code": request.task_code,
        "report": _report_of(request),
    }


def _report_of(request: report_pb2.CreateBugReportRequest) -> dict[str, Any]:
    """Return the fields of a report besides its title, so that no text of a duplicate is lost."""
    fields: dict[str, Any] = {name: value for name in _REPORTED if (value := getattr(request, name))}
    if request.steps_to_reproduce:
        fields["steps_to_reproduce"] = list(request.steps_to_reproduce)
    if request.variables.fields:
        fields["variables"] = plain(request.variables)
    return fields


def _bug_event(
    request: report_pb2.CreateBugReportRequest,
    call: Call,
    found: Prepared[object],
    bug: report_pb2.BugReport,
    sprint: str,
    payload: dict[str, Any],
) -> EventRow:
    """Return the event of a bug report. ``sprint`` is the sprint of this occurrence."""
    name = "created" if bug.revision == 1 else "seen_again"
    return change_event(
        call, f"bug_report.{name}", found.now, entity=EntityType.BUG_REPORT, code=bug.code, uid=bug.uid,
        revision=bug.revision, payload=payload, sprint_code=sprint, occur_time=_seen(request, found),
    )  # fmt: skip
