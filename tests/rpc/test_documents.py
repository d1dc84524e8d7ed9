"""Decisions and bug reports through ReportService's stub."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import event_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.codec import slugs
from orchestration_server.codec.content import plain
from orchestration_server.config.settings import Settings
from orchestration_server.reports import documents
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server

AGENT = (("orchestration-agent", "ann"),)
PROPOSED, ACCEPTED = report_pb2.ADR_STATUS_PROPOSED, report_pb2.ADR_STATUS_ACCEPTED
CRITICAL, HIGH = report_pb2.BUG_SEVERITY_CRITICAL, report_pb2.BUG_SEVERITY_HIGH
MEDIUM, LOW = report_pb2.BUG_SEVERITY_MEDIUM, report_pb2.BUG_SEVERITY_LOW
FIELDS_OF_THE_SERVER = ("uid", "document", "create_time", "update_time")


@pytest.fixture(autouse=True)
def work(sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
    for code in ("S", "other"):
        sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint(code)))
    for code, sprint in (("T", "S"), ("alone", "")):
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, sprint_code=sprint)))


def decide(reports: ReportServiceStub, title: str = "Use Postgres", **fields: Any) -> report_pb2.Adr:
    request = report_pb2.CreateAdrRequest(title=title, **{"decision": "We do."} | fields)
    return reports.CreateAdr(request, metadata=AGENT).adr


def tell(reports: ReportServiceStub, title: str = "It fails", **fields: Any) -> report_pb2.BugReport:
    request = report_pb2.CreateBugReportRequest(title=title, **fields)
    return reports.CreateBugReport(request, metadata=AGENT).bug_report


def logged(events: EventServiceStub, *types: str) -> list[event_pb2.Event]:
    chosen = event_pb2.EventFilter(types=[f"orchestration.{name}" for name in types])
    request = event_pb2.StreamTimelineRequest(filter=chosen)
    stream = events.StreamTimeline(request, timeout=10)
    return [event for message in stream for event in message.events.events]


def queued(server: Server) -> list[tuple[str, str]]:
    with psycopg.connect(server.database_url) as conn:
        return [(row[0], row[1]) for row in conn.execute("select kind, code from file_outbox order by 1, 2")]


def at(time: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(time)
    return found


def without_server_fields(message: Any) -> Any:
    for name in FIELDS_OF_THE_SERVER:
        assert getattr(message, name), name
        message.ClearField(name)
    return message


def test_a_decision_is_numbered_rendered_and_logged(
    reports: ReportServiceStub, events: EventServiceStub
) -> None:
    made = decide(
        reports,
        "Use Postgres: für alles!",
        context="We need a store.",
        consequences="One more engine.",
        alternatives=["Files", "Memory"],
        status=ACCEPTED,
        task_code="T",
    )
    again = decide(reports, "日本")

    assert [made.code, again.code] == ["ADR-0001", "ADR-0002"]
    for part in ("Use Postgres: für alles!", "ADR-0001", "accepted", "We need a store.", "One more engine.",
                 "Memory", "ann"):  # fmt: skip
        assert part in made.document
    assert again.path == "docs/adr/0002.md"
    (event, _) = logged(events, "adr.created")
    assert (event.entity_type, event.entity_code) == (EntityType.ENTITY_TYPE_ADR, "ADR-0001")
    assert (event.entity_uid, event.entity_revision, event.sprint_code) == (made.uid, 1, "S")
    snapshot = plain(event.payload)["snapshot"]
    assert snapshot["document"] == made.document
    assert snapshot["status"] == "accepted"
    assert without_server_fields(made) == report_pb2.Adr(
        number=1, code="ADR-0001", title="Use Postgres: für alles!", status=ACCEPTED, sprint_code="S",
        task_code="T", author="ann", path="docs/adr/0001-use-postgres-fur-alles.md", revision=1,
    )  # fmt: skip


def test_a_decision_belongs_to_existing_entities(reports: ReportServiceStub, tasks: TaskServiceStub) -> None:
    for wrong in ({"sprint_code": "none"}, {"task_code": "none"}, {"task_code": "T", "sprint_code": "none"}):
        with refused(grpc.StatusCode.NOT_FOUND):
            decide(reports, **wrong)
    assert decide(reports, task_code="T", sprint_code="other").sprint_code == "other"
    assert decide(reports, task_code="alone").sprint_code == ""
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="alone"))
    with refused(grpc.StatusCode.NOT_FOUND):
        decide(reports, task_code="alone")

    made = decide(reports)
    assert (made.number, made.status, made.sprint_code) == (3, PROPOSED, "")


def test_a_retry_returns_the_same_number(reports: ReportServiceStub) -> None:
    first = decide(reports, request_id="once")
    assert decide(reports, "Other").number == 2
    assert decide(reports, request_id="once") == first
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        decide(reports, "Third", request_id="once")
    assert decide(reports, "Third").number == 3


def test_each_project_has_its_own_numbers(reports: ReportServiceStub) -> None:
    decide(reports)
    request = report_pb2.CreateAdrRequest(title="Theirs", decision="We do.")
    theirs = reports.CreateAdr(request, metadata=(("orchestration-project", "theirs"),))
    assert theirs.adr.number == 1


def test_files_are_written_on_request(reports: ReportServiceStub, server: Server) -> None:
    decide(reports)
    tell(reports)
    assert queued(server) == []
    decide(reports, sync_to_file=True)
    tell(reports, sync_to_file=True)
    tell(reports, sync_to_file=True)
    assert queued(server) == [("adr", "ADR-0002"), ("bug_report", "BUG-0001")]


def test_a_bug_is_numbered_rendered_and_logged(reports: ReportServiceStub, events: EventServiceStub) -> None:
    seen = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    made = tell(
        reports,
        "The queue is stuck",
        description="Nothing moves.",
        steps_to_reproduce=["Start it", "Wait"],
        expected_behavior="It moves.",
        actual_behavior="It does not.",
        severity=HIGH,
        component="queue",
        environment="three workers",
        error_text="TimeoutError: 30 s",
        stack_trace="in worker.py, line 3",
        reporter="bob",
        task_code="T",
        occur_time=at(seen),
    )

    for part in ("The queue is stuck", "BUG-0001", "Nothing moves.", "Wait", "It moves.", "It does not.",
                 "high", "three workers", "TimeoutError: 30 s", "in worker.py, line 3", "bob"):  # fmt: skip
        assert part in made.document
    (event,) = logged(events, "bug_report.*")
    assert event.type == "orchestration.bug_report.created"
    assert (event.entity_type, event.entity_code) == (EntityType.ENTITY_TYPE_BUG_REPORT, "BUG-0001")
    assert (event.entity_uid, event.sprint_code, event.occur_time) == (made.uid, "S", at(seen))
    assert plain(event.payload)["snapshot"]["count"] == 1
    assert len(made.fingerprint) == 64
    made.ClearField("fingerprint")
    assert without_server_fields(made) == report_pb2.BugReport(
        code="BUG-0001", title="The queue is stuck", severity=HIGH, component="queue", reporter="bob",
        sprint_code="S", task_code="T", count=1, first_seen_time=at(seen), last_seen_time=at(seen),
        path="delegation/backlog/BUG-0001-the-queue-is-stuck.md", revision=1,
    )  # fmt: skip


def test_a_bug_that_is_reported_again_is_counted(
    reports: ReportServiceStub, events: EventServiceStub
) -> None:
    noon = datetime(2020, 1, 2, 12, tzinfo=UTC)
    first = tell(reports, error_text="no row 17 in /var/db/a.sqlite", severity=MEDIUM, occur_time=at(noon))
    for error, severity, hours in (
        ("No row 4711 in /tmp/x/a.sqlite", LOW, 2),
        ("no row 2 in C:\\db\\a.sqlite", CRITICAL, -3),
    ):
        answer = reports.CreateBugReport(
            report_pb2.CreateBugReportRequest(
                title="Seen elsewhere",
                error_text=error,
                severity=severity,
                sprint_code="other",
                reporter="bob",
                occur_time=at(noon + timedelta(hours=hours)),
            )
        )
        assert answer.duplicate
    other = tell(reports, error_text="no table 17 in /var/db/a.sqlite")

    bug = answer.bug_report
    assert (bug.code, bug.uid, bug.count, bug.revision) == ("BUG-0001", first.uid, 3, 3)
    assert (bug.title, bug.document, bug.reporter, bug.sprint_code) == ("It fails", first.document, "ann", "")
    assert bug.severity == CRITICAL
    assert (bug.first_seen_time, bug.last_seen_time) == (
        at(noon - timedelta(hours=3)),
        at(noon + timedelta(hours=2)),
    )
    assert (other.code, other.count) == ("BUG-0002", 1)
    again = logged(events, "bug_report.seen_again")
    assert [event.entity_revision for event in again] == [2, 3]
    payload = plain(again[1].payload)
    assert payload["changes"] == {
        "count": {"from": 2, "to": 3},
        "severity": {"from": "medium", "to": "critical"},
        "first_seen_time": {"from": "2020-01-02T12:00:00+00:00", "to": "2020-01-02T09:00:00+00:00"},
    }
    assert (payload["reporter"], again[1].sprint_code) == ("bob", "other")
    # The texts of the duplicate are in its event, and the bug report keeps its first ones.
    assert payload["report"] == {"error_text": "no row 2 in C:\\db\\a.sqlite"}


def test_a_retried_report_counts_once(reports: ReportServiceStub) -> None:
    first = tell(reports, request_id="once")
    assert tell(reports, request_id="once") == first
    assert tell(reports).count == 2


@contextmanager
def with_templates(server: Server, directory: Path, files: dict[str, str]) -> Iterator[ReportServiceStub]:
    """A second server of the same ledger has its own templates directory."""
    for name, text in files.items():
        (directory / name).write_text(text)
    app = App(
        Settings(
            address="127.0.0.1:0",
            database_url=server.database_url,
            grace_seconds=1,
            background=False,
            templates_dir=directory,
        )
    )
    try:
        with open_channel(app.start()) as channel:
            yield ReportServiceStub(channel)
    finally:
        app.stop()


def test_a_request_may_choose_a_template_with_its_own_variables(server: Server, tmp_path: Path) -> None:
    files = {
        "short.md": "---\nkind: adr\ntitle: Short\nvariables:\n- name: board\n  type: string\n---\n"
        "{{ code }} {{ title }} by {{ board }}: {{ decision }}",
        "broken.md": "---\nkind: adr\ntitle: Broken\n---\nThe first: {{ alternatives | first }}",
    }
    with with_templates(server, tmp_path, files) as reports:
        made = decide(reports, template="short", variables=Struct(fields={"board": _text("the board")}))
        assert made.document.strip() == "ADR-0001 Use Postgres by the board: We do."

        for fields, name in (
            ({}, "variables.board"),
            ({"board": _text("b"), "more": _text("x")}, "variables.more"),
            ({"board": _text("b"), "title": _text("x")}, "variables.title"),
        ):
            with refused(grpc.StatusCode.INVALID_ARGUMENT) as error:
                decide(reports, template="short", variables=Struct(fields=fields))
            assert list(violations(error.value)) == [name]
        with refused(grpc.StatusCode.NOT_FOUND):
            decide(reports, template="none")
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            decide(reports, template="bug-report")
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TEMPLATE_BROKEN"):
            decide(reports, template="broken")

        assert decide(reports).number == 2


def _text(value: str) -> Any:
    found = Struct()
    found.update({"value": value})
    return found.fields["value"]


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Use Postgres", "use-postgres"),
        ("../../etc/passwd\0", "etc-passwd"),
        ("  Äpfel & Öl — 50 %! ", "apfel-ol-50"),
        ("x" * 500, "x" * 60),
        ("word " * 100, ("word-" * 12)[:-1]),
        ("日本", ""),
    ],
)
def test_the_slug_of_a_title_is_a_safe_name(title: str, short: str) -> None:
    assert slugs.slug(title, documents.SLUG_LENGTH) == short
