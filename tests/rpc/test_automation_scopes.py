"""The actions that a caller causes stay inside the scope of the caller's key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import common_pb2, context_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.app import App
from orchestration_server.jobs.automation import Automation
from orchestration_server.model import Role
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import automation, drain, payload, rules_of
from tests.support.credentials import bearer, calling_with, make_key
from tests.support.emission import DEBOUNCE, Clock, teller
from tests.support.ledger import Ledger

TASK = common_pb2.ENTITY_TYPE_TASK
PENDING, RUNNING, COMPLETED = (
    common_pb2.TASK_STATUS_PENDING, common_pb2.TASK_STATUS_IN_PROGRESS, common_pb2.TASK_STATUS_COMPLETED,
)  # fmt: skip
OUT_OF_SCOPE = "orchestration.automation.out_of_scope"

RULES = """
rules:
  - name: a-relays
    on: team.asked
    then:
      - emit: {type: team.relayed, payload: {changes: {sprint_code: {from: "{payload.sprint}"}}}}
  - name: cancels-sprint
    on: [team.asked, team.relayed]
    then:
      - set_status: {of: sprint, to: cancelled}
  - name: cancels-left
    on: [team.moved, team.relayed]
    then:
      - set_status: {of: previous_sprint, to: cancelled}
  - name: begins
    on: [team.begun, orchestration.context.assembled]
    then:
      - set_status: {of: task, to: in_progress}
  - name: stops-sprint
    on: orchestration.task.status_updated
    when: {payload.changes.status.to: in_progress}
    then:
      - set_status: {of: sprint, to: planning}
"""


@pytest.fixture
def server(
    start_app: Callable[..., App], database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Server:
    """Start a server, with emission policies if a test has some."""
    policies = None
    if hasattr(request, "param"):
        policies = tmp_path / "emission.yaml"
        policies.write_text(request.param)
    app = start_app(emission_file=policies)
    return Server(app.address, database_url, app)


@pytest.fixture
def admin(closed: App, channel: grpc.Channel, database_url: str) -> Ledger:
    ledger = Ledger(calling_with(channel, make_key(database_url, role=Role.ADMIN)))
    for number in (1, 2):
        ledger.sprint(f"s{number}", status=2)
        ledger.task(f"t{number}", sprint_code=f"s{number}")
    ledger.task("u1", sprint_code="s1")
    ledger.session("k", task_code="t1")
    return ledger


@pytest.fixture
def rules(server: Server, tmp_path: Path) -> Automation:
    return automation(server, rules_of(tmp_path, RULES))


@pytest.fixture
def with_key(admin: Ledger, channel: grpc.Channel, database_url: str) -> Callable[..., Ledger]:
    return lambda **fields: Ledger(calling_with(channel, make_key(database_url, **fields)))


def states(admin: Ledger) -> dict[str, int]:
    sprints = admin.sprints.ListSprints(sprint_pb2.ListSprintsRequest()).sprints
    tasks = admin.tasks.ListTasks(task_pb2.ListTasksRequest()).tasks
    return {sprint.code: sprint.status for sprint in sprints} | {task.code: task.status for task in tasks}


def emit(ledger: Ledger, type_: str, **fields: Any) -> None:
    ledger.events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event(type_, **fields)))


def refused_actions(admin: Ledger) -> list[dict[str, Any]]:
    return [payload(event)["action"]["set_status"] for event in admin.log(OUT_OF_SCOPE)]


FORGED = {"changes": {"sprint_code": {"from": "s2", "to": "s1"}}, "sprint": "s2"}


@pytest.mark.parametrize("type_", ["team.moved", "team.asked"])
@pytest.mark.parametrize("key", [{"sprint_code": "s1"}, {"role": Role.ADMIN}], ids=["scoped", "admin"])
def test_a_callers_event_cannot_name_the_sprint_that_a_rule_changes(
    with_key: Callable[..., Ledger], admin: Ledger, rules: Automation, type_: str, key: dict[str, Any]
) -> None:
    """An event of a rule that contains the caller's texts cannot name it either."""
    before = states(admin)
    emit(with_key(**key), type_, entity_type=TASK, entity_code="t1", payload=FORGED)
    drain(rules)
    assert states(admin)["s2"] == before["s2"]


def test_a_task_that_the_ledger_moved_has_left_its_sprint(
    admin: Ledger, server: Server, tmp_path: Path
) -> None:
    rule = RULES.replace("on: [team.moved, team.relayed]", "on: orchestration.task.updated")
    moved = task_pb2.Task(code="t2", sprint_code="s1")
    admin.tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(task=moved, update_mask=FieldMask(paths=["sprint_code"]))
    )
    drain(automation(server, rules_of(tmp_path, rule)))
    assert states(admin)["s2"] == common_pb2.SPRINT_STATUS_CANCELLED


def test_a_depth_in_a_callers_event_disables_no_rule(admin: Ledger, rules: Automation) -> None:
    for depth in (5, 10**6):
        emit(
            admin, "team.begun", entity_type=TASK, entity_code="t1", payload={"automation": {"depth": depth}}
        )
        drain(rules)
        assert states(admin)["t1"] == RUNNING
        admin.set_status("t1", PENDING)
    assert not admin.log("orchestration.automation.depth_exceeded")


def test_a_key_of_a_tasks_session_changes_no_sprint_through_a_rule(
    with_key: Callable[..., Ledger], admin: Ledger, rules: Automation
) -> None:
    """Neither its own event, nor an event that a rule emits for it, nor its change of the task does so."""
    session = with_key(session_key="k")
    before = states(admin)
    emit(session, "team.asked", entity_type=TASK, entity_code="t1")
    session.set_status("t1", RUNNING)
    drain(rules)
    assert states(admin) == before | {"t1": RUNNING}
    assert refused_actions(admin) == [
        {"of": "sprint", "code": "s1", "to": to} for to in ("cancelled", "planning", "cancelled")
    ]
    # The same change by a caller without a scope.
    emit(admin, "team.asked", entity_type=TASK, entity_code="t1")
    drain(rules)
    assert states(admin)["s1"] == common_pb2.SPRINT_STATUS_CANCELLED


def test_events_of_a_stream_record_the_scope_of_the_key(
    admin: Ledger, rules: Automation, database_url: str
) -> None:
    """A stream of events goes into the log by another path than one event."""
    key = make_key(database_url, session_key="k")
    messages = [
        event_pb2.EmitEventsRequest(
            request_id=str(size),
            events=[factories.event("team.asked", entity_type=TASK, entity_code="t1")] * size,
        )
        for size in (1, 40)
    ]
    answers = list(admin.events.EmitEvents(iter(messages), metadata=bearer(key)))
    assert [answer.stored for answer in answers] == [1, 40]
    before = states(admin)
    drain(rules)
    assert states(admin) == before
    assert len(refused_actions(admin)) == 2 * 41


def test_a_key_of_a_sprint_may_cause_what_is_inside(
    with_key: Callable[..., Ledger], admin: Ledger, rules: Automation
) -> None:
    emit(with_key(sprint_code="s1"), "team.asked", entity_type=TASK, entity_code="t1")
    drain(rules)
    assert states(admin)["s1"] == common_pb2.SPRINT_STATUS_CANCELLED
    assert not refused_actions(admin)


def test_completing_a_sprint_needs_no_right_if_the_ledger_checks_it(
    with_key: Callable[..., Ledger], admin: Ledger, rules: Automation
) -> None:
    """The sprint is completed when the session completes its last task."""
    admin.set_status("u1", COMPLETED)
    with_key(session_key="k").set_status("t1", COMPLETED)
    drain(rules)
    assert states(admin)["s1"] == common_pb2.SPRINT_STATUS_COMPLETED
    assert not refused_actions(admin)


def test_a_reader_causes_no_change(with_key: Callable[..., Ledger], admin: Ledger, rules: Automation) -> None:
    for key in ({}, {"sprint_code": "s1"}):
        reader = with_key(role=Role.READER, **key)
        reader.contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code="t1"))
        drain(rules)
        assert states(admin)["t1"] == PENDING
    admin.contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code="t1"))
    drain(rules)
    assert states(admin)["t1"] == RUNNING


@pytest.mark.parametrize("server", [DEBOUNCE], indirect=True)
def test_a_debounced_event_stays_inside_the_scopes_of_all_its_callers(
    with_key: Callable[..., Ledger], admin: Ledger, rules: Automation, server: Server
) -> None:
    """The last change is the admin's, and the event also logs the session's change."""
    session = with_key(session_key="k")
    session.set_status("t1", common_pb2.TASK_STATUS_BLOCKED)
    session.set_status("t1", PENDING)
    session.set_status("t1", RUNNING)
    session.set_status("t1", PENDING)
    admin.set_status("t1", RUNNING)
    clock = Clock()
    clock.goes_on(60)
    teller(server, clock).run_once()
    before = states(admin)
    drain(rules)
    assert states(admin) == before
    assert refused_actions(admin) == [{"of": "sprint", "code": "s1", "to": "planning"}]
