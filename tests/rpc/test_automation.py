"""Rules of automation: the actions of the built-in ones, changes by a file, and limits."""

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, Priority, SprintStatus, TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs import automation as jobs
from orchestration_server.rules.automation import load
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.automation import automation, by_rules, drain, history, payload, rules_of
from tests.support.statements import counted

IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
CANCELLED = TaskStatus.TASK_STATUS_CANCELLED
ACTIVE = SprintStatus.SPRINT_STATUS_ACTIVE
PLANNING = SprintStatus.SPRINT_STATUS_PLANNING


class Ledger:
    def __init__(self, server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
        self.server = server
        self.sprints, self.tasks = sprints, tasks

    def sprint(self, code: str, *tasks: str, status: SprintStatus.ValueType = ACTIVE) -> None:
        new = factories.sprint(code, status=status)
        self.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=new))
        for task in tasks:
            self.task(task, sprint_code=code)

    def task(self, code: str, **fields: object) -> None:
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, **fields)))

    def turn(self, code: str, *statuses: TaskStatus.ValueType, reason: str = "", chain: str = "") -> None:
        for status in statuses:
            self.tasks.UpdateTaskStatus(
                task_pb2.UpdateTaskStatusRequest(task_code=code, status=status, reason=reason),
                metadata=(("orchestration-correlation-id", chain),) if chain else (),
            )

    def edit(self, code: str, **fields: Any) -> None:
        """Set fields of a task."""
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, **fields), update_mask=FieldMask(paths=list(fields))
        )
        self.tasks.UpdateTask(request)

    def status(self, code: str) -> SprintStatus.ValueType:
        return self.sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=code)).sprint.status

    def set_sprint(self, code: str, status: SprintStatus.ValueType) -> None:
        self.sprints.UpdateSprint(
            sprint_pb2.UpdateSprintRequest(
                sprint=sprint_pb2.Sprint(code=code, status=status), update_mask=FieldMask(paths=["status"])
            )
        )


@pytest.fixture
def ledger(server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub) -> Ledger:
    return Ledger(server, sprints, tasks)


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


LEFT = """
rules:
  - {name: complete-sprint-after-move, dry_run: true}
  - name: given-back
    on: orchestration.task.updated
    then: [{set_status: {of: previous_sprint, to: planning}}]
"""


def test_a_rule_may_change_the_sprint_that_a_task_left(
    ledger: Ledger, events: EventServiceStub, tmp_path: Path
) -> None:
    ledger.sprint("s", "a", "b")
    ledger.turn("a", COMPLETED)
    drain(automation(ledger.server))
    ledger.edit("b", sprint_code="")
    drain(automation(ledger.server, rules_of(tmp_path, LEFT)))
    would, did = by_rules(history(events))
    assert payload(would)["action"] == {
        "set_status": {"of": "previous_sprint", "code": "s", "to": "completed"}
    }
    assert payload(did)["changes"]["status"] == {"from": "active", "to": "planning"}
    assert ledger.status("s") == PLANNING


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
    assert payload(notice)["message"] == "Task a is blocked. No key."
    assert notice.entity_uid
    alert = told["orchestration.alert.raised"]
    assert payload(alert)["message"] == "Task a went from P2 to P0."
    assert alert.priority == Priority.PRIORITY_P0
    assert told["orchestration.announcement.made"].entity_code == "s"


RING = """
rules:
  - {name: ping, on: x.ping, then: [{emit: {type: x.pong}}]}
  - {name: pong, on: [x.pong], then: [{emit: {type: x.ping, payload: {n: 1}}}]}
  - {name: all, on: "orchestration.*", when: {type: orchestration.automation.depth_exceeded},
     then: [{emit: {type: x.never}}]}
"""


def test_a_loop_of_rules_ends_at_depth_five_and_is_logged(
    ledger: Ledger, events: EventServiceStub, tmp_path: Path
) -> None:
    events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event("x.ping")))
    drain(automation(ledger.server, rules_of(tmp_path, RING)))
    told = history(events)
    assert [event.type for event in told] == [
        "x.ping", "x.pong", "x.ping", "x.pong", "x.ping", "x.pong",
        "orchestration.automation.depth_exceeded",
    ]  # fmt: skip
    assert [payload(event)["automation"]["depth"] for event in told[1:]] == [1, 2, 3, 4, 5, 6]
    end = payload(told[-1])
    assert end["limit"] == 5
    assert end["automation"]["cause"] == told[-2].id
    assert len({event.correlation_id for event in told}) == 1


DRY = """
rules:
  - {name: complete-sprint, dry_run: true}
  - {name: notice-blocked, dry_run: true}
"""


def test_a_dry_run_logs_what_the_rule_would_do_and_changes_nothing(
    ledger: Ledger, events: EventServiceStub, tmp_path: Path
) -> None:
    ledger.sprint("s", "a", "b")
    ledger.turn("a", BLOCKED, IN_PROGRESS, COMPLETED, reason="R.")
    runner = automation(ledger.server, rules_of(tmp_path, DRY))
    drain(runner)
    ledger.turn("b", COMPLETED)
    drain(runner)
    assert ledger.status("s") == ACTIVE
    told = by_rules(history(events))
    assert [event.type for event in told] == ["orchestration.automation.would_act"] * 2
    emit = payload(told[0])["action"]["emit"]
    assert emit["type"] == "orchestration.notice.raised"
    assert emit["payload"]["message"] == "Task a is blocked. R."
    assert payload(told[1])["action"] == {"set_status": {"of": "sprint", "code": "s", "to": "completed"}}


OTHER = """
rules:
  - name: notice-blocked
    enabled: false
  - name: complete-sprint
    when: {payload.changes.status.to: completed}
  - name: return-urgent
    on: orchestration.task.blocked
    when: {priority: [P0, P1], entity_type: task, payload.changes.status.from: in_progress}
    then:
      - set_status: {of: task, to: pending}
      - emit:
          type: team.task.returned
          priority: P1
          payload: {task: "{entity_code}", deep: {n: [1, "{type}"]}}
"""


def test_a_file_adds_changes_and_disables_rules(
    ledger: Ledger, events: EventServiceStub, tmp_path: Path
) -> None:
    rules = rules_of(tmp_path, OTHER)
    assert [rule.name for rule in rules] == [
        "alert-urgent",
        "announce-sprint",
        "complete-sprint",
        "complete-sprint-after-delete",
        "complete-sprint-after-move",
        "return-urgent",
    ]
    ledger.task("a", priority=Priority.PRIORITY_P1)
    ledger.task("b")
    for code in "ab":
        ledger.turn(code, IN_PROGRESS, BLOCKED)
    drain(automation(ledger.server, rules))
    told = by_rules(history(events))
    assert [(event.type, event.entity_code) for event in told] == [
        ("orchestration.task.unblocked", "a"),
        ("team.task.returned", "a"),
    ]
    assert payload(told[0])["automation"]["rule"] == "return-urgent"
    assert told[1].priority == Priority.PRIORITY_P1
    found = payload(told[1])
    assert (found["task"], found["deep"]) == ("a", {"n": [1, "orchestration.task.blocked"]})


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (1, "", "is empty"),
        (1, "rule: []", "rule is not known"),
        (1, "rules: {}", "must be a list"),
        (1, "rules: [{name: x}]", "must have on"),
        (2, "rules:\n  - on: x.y", "must have name"),
        (2, "rules:\n  - {name: a b, on: x.y, then: []}", "rules[0].name must be 1 to 128"),
        (3, "rules:\n  - {name: announce-sprint}\n  - {name: announce-sprint}", "line 2 has the first"),
        (2, "rules:\n  - {name: x, on: x.y, then: []}", "must have an action"),
        (3, "rules:\n  - name: x\n    on: orchestration.automation.would_act\n    then: []",
         "no rule is for it"),
        (4, "rules:\n  - name: x\n    on: x.y\n    then: [{emit: {type: orchestration.task.created}}]",
         "a prefix of your own"),
        (4, "rules:\n  - name: x\n    on: x.y\n    then: [{set_status: {of: sprint, to: blocked}}]",
         "must be one of planning"),
        (4, "rules:\n  - name: x\n    on: x.y\n    then: [{set_status: {of: task, to: pending,"
         " require: all_tasks_completed}}]", "for sprints alone"),
        (3, "rules:\n  - name: x\n    when: {colour: red}\n    on: x.y\n    then: [{emit: {type: x.z}}]",
         "names 'colour'"),
        (5, "rules:\n  - name: x\n    on: x.y\n    then:\n      - emit: {type: x.z, payload: {m: '{who}'}}",
         "names 'who'"),
        (1, "rules: [{name: x, on: x.y, then: [{emit: {type: x.z, payload: {automation: 1}}}]}]", "own"),
        (1, "rules: [{name: x, on: x.y, then: [{emit: {type: x.z, payload: {d: 2020-01-01}}}]}]", "a date"),
        (1, "rules: [{name: x, on: x.y, enabled: 1, then: [{emit: {type: x.z}}]}]", "true or false"),
        (1, "rules: [{name: x, name: y}]", "is there twice"),
        (2, "a: &a 1\nb: *a", "aliases"),
        (1, "[" * 40, "nested too deeply"),
        (2, "rules:\n\t- x", "token"),
    ],
)  # fmt: skip
def test_an_error_in_a_file_is_reported_with_its_line(
    tmp_path: Path, line: int, text: str, says: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")


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


def test_the_command_refuses_an_invalid_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - name: x")
    command = Path(sys.executable).with_name("orchestration")
    ended = subprocess.run(
        [command, "serve", "--rules-file", path], capture_output=True, text=True, timeout=30, env={}
    )
    assert ended.returncode == 2
    assert f"{path}:2: rules[0] must have on" in ended.stderr
