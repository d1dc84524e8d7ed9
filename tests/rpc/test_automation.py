"""Rules of automation: the actions of the built-in ones, and how they read the log."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, Priority, SprintStatus, TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs import automation as jobs
from tests.conftest import open_channel
from tests.support import factories
from tests.support.automated_sprints import Ledger
from tests.support.automated_sprints import ledger as ledger
from tests.support.automation import automation, by_rules, drain, history, payload
from tests.support.statements import counted

IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
CANCELLED = TaskStatus.TASK_STATUS_CANCELLED
ACTIVE = SprintStatus.SPRINT_STATUS_ACTIVE
PLANNING = SprintStatus.SPRINT_STATUS_PLANNING


def test_a_sprint_is_completed_with_the_last_of_its_tasks(ledger: Ledger, events: EventServiceStub) -> None:
    ledger.sprint("s", "a", "b", "c")
    runner = automation(ledger.server)
    ledger.turn("a", COMPLETED)
    ledger.turn("b", CANCELLED)
    drain(runner)
    assert ledger.status("s") == ACTIVE
    ledger.turn("c", COMPLETED, chain="last")
    drain(runner)
    assert ledger.status("s") == SprintStatus.SPRINT_STATUS_COMPLETED

    told = history(events)
    (done,) = by_rules(told)
    cause = told[-2]
    assert done.type == "orchestration.sprint.status_changed"
    assert (done.agent, done.correlation_id, done.entity_code) == ("orchestration.automation", "last", "s")
    assert payload(done)["changes"] == {"status": {"from": "active", "to": "completed"}}
    assert payload(done)["automation"] == {"rule": "complete-sprint", "cause": cause.id, "depth": 1}
    assert cause.entity_code == "c"
    assert drain(runner) == 0
    assert by_rules(history(events)) == [done]


def test_cancelling_the_last_blocked_task_completes_the_sprint(ledger: Ledger) -> None:
    ledger.sprint("s", "a", "b")
    ledger.turn("a", COMPLETED)
    ledger.turn("b", BLOCKED, CANCELLED)
    drain(automation(ledger.server))
    assert ledger.status("s") == SprintStatus.SPRINT_STATUS_COMPLETED


def test_a_sprint_is_completed_when_its_last_open_task_is_deleted(ledger: Ledger) -> None:
    ledger.sprint("s", "a", "b")
    ledger.sprint("empty", "c")
    ledger.turn("a", COMPLETED)
    for code in "bc":
        ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code))
    drain(automation(ledger.server))
    assert ledger.status("s") == SprintStatus.SPRINT_STATUS_COMPLETED
    assert ledger.status("empty") == ACTIVE


def test_a_sprint_is_completed_when_its_last_open_task_leaves_it(
    ledger: Ledger, events: EventServiceStub
) -> None:
    for code in ("moved", "freed", "busy", "undone", "retitled"):
        ledger.sprint(code, f"{code}-1", f"{code}-2")
    ledger.task("busy-3", sprint_code="busy")
    ledger.sprint("other", "other-1")
    for code in ("moved", "freed", "busy", "retitled"):
        ledger.turn(f"{code}-1", COMPLETED)
    ledger.turn("undone-1", CANCELLED)
    runner = automation(ledger.server)
    drain(runner)
    ledger.edit("moved-2", sprint_code="other", title="Moved", assignee="ada")
    ledger.edit("freed-2", sprint_code="")
    ledger.edit("busy-2", sprint_code="other")
    ledger.edit("undone-2", sprint_code="other")
    ledger.edit("retitled-2", title="Another")
    ledger.task("loose")
    ledger.edit("loose", sprint_code="other")
    drain(runner)
    completed = SprintStatus.SPRINT_STATUS_COMPLETED
    assert [ledger.status(code) for code in ("moved", "freed")] == [completed] * 2
    for code in ("busy", "undone", "retitled", "other"):
        assert ledger.status(code) == ACTIVE
    told = history(events)
    done = {event.entity_code: event for event in by_rules(told)}
    causes = {event.entity_code: event for event in told if event.type == "orchestration.task.updated"}
    assert set(done) == {"moved", "freed"}
    for code, event in done.items():
        assert payload(event)["automation"] == {
            "rule": "complete-sprint-after-move",
            "cause": causes[f"{code}-2"].id,
            "depth": 1,
        }


def test_a_rule_checks_the_present_state_beside_the_event(ledger: Ledger) -> None:
    ledger.sprint("grown", "a")
    ledger.sprint("reopened", "b")
    ledger.sprint("left", "c")
    ledger.sprint("cancelled", "d", "e")
    ledger.sprint("planned", "f", status=PLANNING)
    for code in "abcf":
        ledger.turn(code, COMPLETED)
    ledger.task("late", sprint_code="grown")
    ledger.turn("b", IN_PROGRESS)
    ledger.edit("c", sprint_code="grown")
    ledger.turn("d", CANCELLED)
    ledger.turn("e", CANCELLED)
    drain(automation(ledger.server))
    for code in ("grown", "reopened", "left", "cancelled"):
        assert ledger.status(code) == ACTIVE
    assert ledger.status("planned") == PLANNING


def test_a_sprint_that_was_reopened_stays_open(ledger: Ledger) -> None:
    ledger.sprint("s", "a")
    ledger.turn("a", COMPLETED)
    runner = automation(ledger.server)
    drain(runner)
    ledger.set_sprint("s", ACTIVE)
    drain(runner)
    assert ledger.status("s") == ACTIVE


def test_announcements_are_logged_about_the_entity_itself(ledger: Ledger, events: EventServiceStub) -> None:
    ledger.sprint("s", "a", status=PLANNING)
    ledger.set_sprint("s", ACTIVE)
    ledger.turn("a", BLOCKED, reason="No key.", chain="c1")
    ledger.edit("a", priority=Priority.PRIORITY_P0)
    ledger.task("born-urgent", priority=Priority.PRIORITY_P0)
    drain(automation(ledger.server))
    told = {event.type: event for event in by_rules(history(events))}
    assert sorted(told) == [
        "orchestration.alert.raised",
        "orchestration.announcement.made",
        "orchestration.notice.raised",
    ]
    notice = told["orchestration.notice.raised"]
    assert (notice.entity_type, notice.entity_code, notice.sprint_code, notice.correlation_id) == (
        EntityType.ENTITY_TYPE_TASK, "a", "s", "c1",
    )  # fmt: skip
    assert payload(notice)["message"] == "Task a is blocked: No key."
    assert notice.entity_uid
    alert = told["orchestration.alert.raised"]
    assert payload(alert)["message"] == "Task a went from P2 to P0."
    assert alert.priority == Priority.PRIORITY_P0
    assert told["orchestration.announcement.made"].entity_code == "s"


def test_projects_proceed_independently(ledger: Ledger, events: EventServiceStub) -> None:
    for project in ("one", "two", "three"):
        metadata = (("orchestration-project", project),)
        ledger.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")), metadata=metadata)
        ledger.tasks.UpdateTaskStatus(
            task_pb2.UpdateTaskStatusRequest(task_code="a", status=BLOCKED), metadata=metadata
        )
    runner = automation(ledger.server)
    assert drain(runner) == 6
    for project in ("one", "two", "three"):
        assert len(by_rules(history(events, project))) == 1


def test_long_histories_are_read_in_batches_and_written_together(
    ledger: Ledger, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 500)
    new = [task_pb2.NewTask(task=factories.task(f"t{n}")) for n in range(600)]
    ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    changes = [task_pb2.TaskStatusChange(task_code=f"t{n}", status=BLOCKED) for n in range(600)]
    ledger.tasks.BatchUpdateTaskStatus(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))
    runner = automation(ledger.server)
    with counted(monkeypatch) as statements:
        assert runner.run_once() == 500
    assert len(statements) == 6, "projects, place three times as it is new, events, place"
    with counted(monkeypatch) as statements:
        assert runner.run_once() == 500
    assert len(statements) == 7, "projects, place, events; locks, clock, place, write"
    drain(runner)
    with counted(monkeypatch) as statements:
        assert runner.run_once() == 0
    assert len(statements) == 1
    raised = Counter(event.entity_code for event in by_rules(history(events)))
    assert raised == dict.fromkeys((f"t{n}" for n in range(600)), 1)


def test_a_server_runs_its_rules_by_itself(database_url: str, engines: Engines, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{name: greet, on: x.came, then: [{emit: {type: x.greeted}}]}]")
    settings = Settings(
        address="127.0.0.1:0",
        database_url=database_url,
        redis_url="",
        grace_seconds=1,
        background=True,
        rules_file=path,
    )
    app = App(settings)
    with ExitStack() as stack:
        stack.callback(app.stop)
        events = EventServiceStub(stack.enter_context(open_channel(app.start())))
        events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event("x.came")))
        stream = events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=True), timeout=20)
        came = (event for message in stream for event in message.events.events)
        assert [next(came).type for _ in range(2)] == ["x.came", "x.greeted"]
        stream.cancel()
