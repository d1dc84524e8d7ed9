"""Rules of automation from an operator's file: what they may do, their limits, and errors in them."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.common_pb2 import Priority, SprintStatus, TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.rules.automation import load
from tests.support import factories
from tests.support.automated_sprints import Ledger
from tests.support.automated_sprints import ledger as ledger
from tests.support.automation import automation, by_rules, drain, history, payload, rules_of

IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
ACTIVE = SprintStatus.SPRINT_STATUS_ACTIVE
PLANNING = SprintStatus.SPRINT_STATUS_PLANNING

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
    assert emit["payload"]["message"] == "Task a is blocked: R."
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


def test_the_command_refuses_an_invalid_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - name: x")
    command = Path(sys.executable).with_name("orchestration")
    ended = subprocess.run(
        [command, "serve", "--rules-file", path], capture_output=True, text=True, timeout=30, env={}
    )
    assert ended.returncode == 2
    assert f"{path}:2: rules[0] must have on" in ended.stderr
