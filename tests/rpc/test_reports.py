"""Status reports through ReportService's stub."""

from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import coordination_pb2, event_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import Priority, TaskStatus
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import refused
from tests.support.statements import counted

pytestmark = pytest.mark.shared_server

PENDING = TaskStatus.TASK_STATUS_PENDING
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
CANCELLED = TaskStatus.TASK_STATUS_CANCELLED
P0, P1, P2, P3 = (
    Priority.PRIORITY_P0,
    Priority.PRIORITY_P1,
    Priority.PRIORITY_P2,
    Priority.PRIORITY_P3,
)
Report = report_pb2.GetSprintStatusReportResponse


@pytest.fixture(autouse=True)
def sprint(sprints: SprintServiceStub) -> None:
    made = factories.sprint("S", title="Ship it", owner="ann", goal="Ship | it\n# now")
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=made))


def create(tasks: TaskServiceStub, *codes: str, **fields: Any) -> None:
    tasks.BatchCreateTasks(
        task_pb2.BatchCreateTasksRequest(
            tasks=[
                task_pb2.NewTask(task=factories.task(code, **{"sprint_code": "S"} | fields)) for code in codes
            ]
        )
    )


def move(tasks: TaskServiceStub, code: str, *statuses: TaskStatus.ValueType, reason: str = "") -> None:
    for status in statuses:
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code=code, status=status, reason=reason))


def link(coordination: CoordinationServiceStub, task: str, *blockers: str) -> None:
    for blocker in blockers:
        dependency = coordination_pb2.Dependency(task_code=task, depends_on_code=blocker)
        coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=dependency))


def report(reports: ReportServiceStub, code: str = "S", **fields: Any) -> Report:
    request = report_pb2.GetSprintStatusReportRequest(sprint_code=code, **fields)
    return reports.GetSprintStatusReport(request)


def completed_by_day(found: Report) -> list[int]:
    return [day.completed for day in found.throughput]


def test_a_sprint_without_tasks_is_reported(reports: ReportServiceStub) -> None:
    found = report(reports, include_markdown=True)

    assert found.sprint.title == "Ship it"
    assert found.task_counts.total == found.blocked_total == 0
    assert found.progress_percent == 0
    assert completed_by_day(found) == [0] * 7
    assert not found.HasField("oldest_in_progress")
    assert not found.tasks
    assert "There are none." in found.markdown


def test_tasks_are_counted_by_status_and_priority(
    reports: ReportServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> None:
    create(tasks, "a", "b", priority=P0)
    create(tasks, "c", "d", "e", status=COMPLETED)
    create(tasks, "f", status=IN_PROGRESS, priority=P3)
    create(tasks, "g", status=BLOCKED, priority=P1)
    create(tasks, "h", "i", status=CANCELLED)
    create(tasks, "deleted", "elsewhere")
    create(tasks, "never-here", sprint_code="")
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="deleted"))
    away = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="elsewhere"))
    away.update_mask.paths.append("sprint_code")
    tasks.UpdateTask(away)

    found = report(reports)

    counts = found.task_counts
    assert (counts.total, counts.pending, counts.in_progress) == (9, 2, 1)
    assert (counts.blocked, counts.completed, counts.cancelled) == (1, 3, 2)
    by_priority = found.priority_counts
    assert [by_priority.p0, by_priority.p1, by_priority.p2, by_priority.p3, by_priority.p4] == [2, 1, 5, 1, 0]
    assert found.progress_percent == 42.9


def test_blocked_tasks_are_listed_with_reason_and_blockers(
    reports: ReportServiceStub, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "open-1", "open-2", "done", "waits", "free", "stuck", "silent")
    create(tasks, "urgent", priority=P0)
    create(tasks, "made-so", status=BLOCKED)
    create(tasks, "other", sprint_code="")
    link(coordination, "waits", "open-2", "open-1", "done", "other")
    link(coordination, "free", "done")
    link(coordination, "stuck", "open-1")
    move(tasks, "done", COMPLETED)
    move(tasks, "stuck", BLOCKED, reason="no key yet")
    move(tasks, "stuck", PENDING)
    move(tasks, "stuck", BLOCKED, reason="the key is wrong")
    move(tasks, "silent", BLOCKED)
    move(tasks, "urgent", BLOCKED, reason="on fire")
    titled = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="stuck", title="Later"))
    titled.update_mask.paths.append("title")
    tasks.UpdateTask(titled)

    found = report(reports)

    assert [row.task.code for row in found.blocked] == ["urgent", "silent", "stuck", "made-so", "waits"]
    assert found.blocked_total == 5
    rows = {row.task.code: row for row in found.blocked}
    assert [rows[code].reason for code in ("urgent", "silent", "stuck", "made-so", "waits")] == [
        "on fire", "", "the key is wrong", "", "",
    ]  # fmt: skip
    assert list(rows["waits"].blocked_by) == ["open-1", "open-2", "other"]
    assert list(rows["stuck"].blocked_by) == ["open-1"]
    assert rows["stuck"].task.title == "Later"
    assert not rows["waits"].HasField("blocked_time")
    assert all(row.HasField("blocked_time") for code, row in rows.items() if code != "waits")
    before, after = rows["silent"].blocked_time.ToDatetime(), rows["urgent"].blocked_time.ToDatetime()
    assert rows["stuck"].blocked_time.ToDatetime() < before < after


def test_the_task_in_progress_for_longest_counts_from_its_last_start(
    reports: ReportServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "restarted", "first", "unblocked")
    move(tasks, "restarted", IN_PROGRESS)
    move(tasks, "first", IN_PROGRESS)
    move(tasks, "unblocked", BLOCKED, IN_PROGRESS)
    move(tasks, "restarted", PENDING, IN_PROGRESS)

    found = report(reports)
    assert found.oldest_in_progress.code == "first"
    assert found.oldest_in_progress_time == found.oldest_in_progress.update_time

    move(tasks, "first", COMPLETED)
    found = report(reports)
    assert found.oldest_in_progress.code == "unblocked"
    assert found.oldest_in_progress_time == found.oldest_in_progress.update_time

    create(tasks, "made-so", status=IN_PROGRESS)
    assert report(reports).oldest_in_progress.code == "unblocked"
    move(tasks, "unblocked", PENDING)
    move(tasks, "restarted", PENDING)
    found = report(reports)
    assert found.oldest_in_progress.code == "made-so"
    assert found.oldest_in_progress_time == found.oldest_in_progress.update_time


def test_completions_count_once_a_task_and_day(
    reports: ReportServiceStub, tasks: TaskServiceStub, server: Server
) -> None:
    create(tasks, "a", "b", "c", "d", "old", "older")
    create(tasks, "other", sprint_code="")
    for code in ("a", "b", "c", "old", "older", "other"):
        move(tasks, code, COMPLETED)
    move(tasks, "a", PENDING, COMPLETED)
    # The text says so, and it is no completion.
    move(tasks, "d", IN_PROGRESS, reason="completed")
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        for code, days in (("b", 1), ("c", 6), ("old", 7), ("older", 40)):
            conn.execute(
                "update events set occur_time = occur_time - %s * interval '1 day'"
                " where entity_code = %s and type = 'orchestration.task.status_updated'",
                (days, code),
            )
        row = conn.execute("select current_date::text, (current_date - 6)::text").fetchone()
    assert row is not None

    found = report(reports)

    assert completed_by_day(found) == [1, 0, 0, 0, 0, 1, 1]
    assert (found.throughput[-1].date, found.throughput[0].date) == row


def test_the_table_is_paged_by_priority_then_age(
    reports: ReportServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> None:
    create(tasks, "b", "d", "f", assignee="ann", phase="build")
    create(tasks, "a", "c", priority=P0)
    create(tasks, "e", priority=P3)

    codes, token, pages = [], "", 0
    while True:
        page = report(reports, page_size=2, page_token=token)
        assert page.task_counts.total == 6
        codes += [task.code for task in page.tasks]
        pages += 1
        token = page.next_page_token
        if not token:
            break

    assert codes == ["a", "c", "b", "d", "f", "e"]
    assert pages == 3
    row = report(reports).tasks[2]
    stored = tasks.GetTask(task_pb2.GetTaskRequest(task_code="b")).task
    assert row == task_pb2.TaskSummary(
        code="b", title="Task b", status=PENDING, priority=P2, assignee="ann", phase="build",
        update_time=stored.update_time,
    )  # fmt: skip

    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S2")))
    token = report(reports, page_size=2).next_page_token
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        report(reports, "S2", page_token=token)


def test_a_report_of_an_unknown_sprint_is_not_found(
    reports: ReportServiceStub, sprints: SprintServiceStub
) -> None:
    with refused(grpc.StatusCode.NOT_FOUND):
        report(reports, "none")
    sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="S"))
    with refused(grpc.StatusCode.NOT_FOUND):
        report(reports)
    request = report_pb2.GetSprintStatusReportRequest(sprint_code="S")
    with refused(grpc.StatusCode.NOT_FOUND):
        reports.GetSprintStatusReport(request, metadata=(("orchestration-project", "other"),))


def test_events_after_the_cursor_are_not_in_the_report(
    reports: ReportServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, "a")
    cursor = report(reports).as_of_cursor
    create(tasks, "b")

    stream = events.StreamTimeline(event_pb2.StreamTimelineRequest(after_cursor=cursor), timeout=10)
    codes = [event.entity_code for message in stream for event in message.events.events]
    assert codes == ["b"]
    assert report(reports).task_counts.total == 2


def test_markdown_agrees_and_escapes_callers_texts(
    reports: ReportServiceStub, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", title="One | two\n# three <b>`x`</b> [link](x)", priority=P0, assignee="ann")
    create(tasks, "b", "c")
    move(tasks, "a", IN_PROGRESS)
    move(tasks, "c", COMPLETED)
    link(coordination, "b", "a")

    found = report(reports, include_markdown=True, page_size=2)

    lines = found.markdown.splitlines()
    title = "One \\| two # three \\<b>\\`x\\`\\</b> \\[link](x)"
    assert lines[0] == "# Sprint S: Ship it"
    assert "Status: planning, owner: ann." in lines
    assert "Goal: Ship \\| it # now" in lines
    assert "**33.3%**: 1 of 3 tasks completed, 0 cancelled." in lines
    assert "| in_progress | 1 |" in lines
    assert "| P2 | 2 |" in lines
    assert "## Cannot go on: 1" in lines
    assert "| b | Task b | P2 |  |  | a |" in lines
    assert f"| {found.throughput[-1].date} | 1 |" in lines
    assert any(line.startswith(f"Longest in progress: a, {title}, since 20") for line in lines)
    assert any(line.startswith(f"| a | {title} | in_progress | P0 | ann |  | 20") for line in lines)
    assert "More tasks are on the next page." in lines
    assert sum(line.startswith("#") for line in lines) == 5
    assert not report(reports).markdown


def test_the_statements_of_a_report_do_not_grow_with_its_sprint(
    reports: ReportServiceStub,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count() -> int:
        with counted(monkeypatch) as seen:
            report(reports, page_size=500, include_markdown=True)
        return len(seen)

    # The first cursor that a server makes reads the epochs of its log.
    report(reports)
    small = count()
    codes = [f"t{number}" for number in range(300)]
    create(tasks, *codes)
    for number in range(1, 60):
        link(coordination, codes[number], codes[number - 1])
    tasks.BatchUpdateTaskStatus(
        task_pb2.BatchUpdateTaskStatusRequest(
            changes=[
                task_pb2.TaskStatusChange(task_code=code, status=status, reason=f"why {code}")
                for code, status in zip(
                    codes, [BLOCKED] * 120 + [COMPLETED] * 60 + [IN_PROGRESS] * 60, strict=False
                )
            ]
        )
    )

    assert small == count() == 4
    found = report(reports)
    assert len(found.blocked) == 100
    assert found.blocked_total == 120
    assert all(row.reason == f"why {row.task.code}" for row in found.blocked)
    assert completed_by_day(found)[-1] == 60
