"""Pauses of work: claims stop, holders are told, and the timeline says who did it and why."""

from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.rpc.test_claims import claim, create
from tests.support.rpc_errors import refused

pytestmark = pytest.mark.shared_server

PAUSE, DRAIN, CANCEL = (
    coordination_pb2.PAUSE_MODE_PAUSE,
    coordination_pb2.PAUSE_MODE_DRAIN,
    coordination_pb2.PAUSE_MODE_CANCEL,
)
OPERATOR = (("orchestration-agent", "operator"),)


def scope(**fields: Any) -> coordination_pb2.WorkScope:
    return coordination_pb2.WorkScope(**fields)


def pause(
    coordination: CoordinationServiceStub,
    mode: coordination_pb2.PauseMode.ValueType = PAUSE,
    *,
    reason: str = "they loop",
    request_id: str = "",
    **fields: Any,
) -> coordination_pb2.Pause:
    request = coordination_pb2.PauseWorkRequest(
        scope=scope(**fields), mode=mode, reason=reason, request_id=request_id
    )
    return coordination.PauseWork(request, metadata=OPERATOR).pause


def resume(coordination: CoordinationServiceStub, **fields: Any) -> None:
    coordination.ResumeWork(coordination_pb2.ResumeWorkRequest(scope=scope(**fields)), metadata=OPERATOR)


def directive(
    coordination: CoordinationServiceStub, one: coordination_pb2.ClaimedTask
) -> coordination_pb2.LeaseState:
    ref = coordination_pb2.LeaseRef(task_code=one.lease.task_code, fence=one.lease.fence)
    (state,) = coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref])).leases
    assert state.status == coordination_pb2.LEASE_STATUS_HELD
    return state


def work_events(events: EventServiceStub) -> list[event_pb2.Event]:
    listed = events.ListEvents(event_pb2.ListEventsRequest(page_size=500)).events
    return [event for event in listed if event.type.startswith("orchestration.work.")]


@pytest.fixture
def in_sprint(sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
    """Make a ready task ``T`` with the label ``db`` in the active sprint ``S``."""
    sprint = sprint_pb2.Sprint(code="S", title="S", status=common_pb2.SPRINT_STATUS_ACTIVE)
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint))
    create(tasks, "T", sprint_code="S", labels=["db"])


@pytest.mark.usefixtures("in_sprint")
@pytest.mark.parametrize(
    "fields",
    [{"project": True}, {"sprint_code": "S"}, {"agent": "a1"}, {"label": "db"}, {"task_code": "T"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_pause_stops_claims_until_it_is_resumed(
    coordination: CoordinationServiceStub, events: EventServiceStub, fields: dict[str, Any]
) -> None:
    pause(coordination, **fields)
    assert claim(coordination) == []
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_NOT_READY"):
        claim(coordination, task_code="T")
    (listed,) = coordination.ListPauses(coordination_pb2.ListPausesRequest()).pauses
    assert (listed.scope, listed.reason, listed.agent) == (scope(**fields), "they loop", "operator")

    resume(coordination, **fields)

    assert coordination.ListPauses(coordination_pb2.ListPausesRequest()) == (
        coordination_pb2.ListPausesResponse()
    )
    assert len(claim(coordination)) == 1
    resumed, paused = work_events(events)
    assert (paused.type, resumed.type) == ("orchestration.work.paused", "orchestration.work.resumed")
    assert paused.agent == "operator"
    assert paused.priority == common_pb2.PRIORITY_P1
    assert paused.payload["scope"] == fields
    assert paused.payload["mode"] == "pause"
    assert paused.payload["reason"] == "they loop"
    assert paused.sprint_code == ("S" if {"sprint_code", "task_code"} & set(fields) else "")


@pytest.mark.usefixtures("in_sprint")
def test_other_work_goes_on(coordination: CoordinationServiceStub, tasks: TaskServiceStub) -> None:
    create(tasks, "other", labels=["ui"])
    scopes: list[dict[str, Any]] = [
        {"sprint_code": "S"},
        {"label": "db"},
        {"task_code": "T"},
        {"agent": "a2"},
    ]
    for fields in scopes:
        pause(coordination, **fields)
    assert claim(coordination, "a2") == []
    assert [one.task.code for one in claim(coordination, "a1", count=5)] == ["other"]


@pytest.mark.usefixtures("in_sprint")
def test_a_holder_gets_the_strictest_directive_and_keeps_its_lease(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    (one,) = claim(coordination, "a1", task_code="T")
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_CONTINUE
    pause(coordination, PAUSE, project=True, reason="deploy")
    state = directive(coordination, one)
    assert state.directive == coordination_pb2.DIRECTIVE_PAUSE
    assert state.reason == "deploy (by operator)"
    assert state.time_left.seconds >= 85
    pause(coordination, DRAIN, agent="a1")
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_DRAIN
    pause(coordination, CANCEL, sprint_code="S")
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_CANCEL
    resume(coordination, sprint_code="S")
    resume(coordination, agent="a1")
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_PAUSE
    resume(coordination, project=True)
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_CONTINUE
    # A label that the task got after the claim counts, too.
    task = task_pb2.Task(code="T", labels=["late"])
    update = task_pb2.UpdateTaskRequest(task=task)
    update.update_mask.paths.append("labels")
    tasks.UpdateTask(update)
    pause(coordination, CANCEL, label="late")
    assert directive(coordination, one).directive == coordination_pb2.DIRECTIVE_CANCEL


def test_pausing_again_replaces_mode_and_reason(coordination: CoordinationServiceStub) -> None:
    pause(coordination, PAUSE, project=True, reason="one")
    again = pause(coordination, CANCEL, project=True, reason="two")
    (listed,) = coordination.ListPauses(coordination_pb2.ListPausesRequest()).pauses
    assert listed == again
    assert (listed.mode, listed.reason) == (CANCEL, "two")


def test_a_retried_pause_acts_once(coordination: CoordinationServiceStub, events: EventServiceStub) -> None:
    first = pause(coordination, project=True, request_id="r1")
    resume(coordination, project=True)
    assert pause(coordination, project=True, request_id="r1") == first
    assert len(work_events(events)) == 2
    assert not coordination.ListPauses(coordination_pb2.ListPausesRequest()).pauses


def test_pauses_come_by_page(coordination: CoordinationServiceStub) -> None:
    for number in range(3):
        pause(coordination, agent=f"a{number}")
    request = coordination_pb2.ListPausesRequest(page_size=2)
    first = coordination.ListPauses(request)
    request.page_token = first.next_page_token
    second = coordination.ListPauses(request)
    assert [p.scope.agent for p in [*first.pauses, *second.pauses]] == ["a0", "a1", "a2"]
    assert not second.next_page_token


@pytest.mark.parametrize("fields", [{"sprint_code": "none"}, {"task_code": "none"}], ids=str)
def test_a_scope_must_exist(coordination: CoordinationServiceStub, fields: dict[str, Any]) -> None:
    with refused(grpc.StatusCode.NOT_FOUND):
        pause(coordination, **fields)
    with refused(grpc.StatusCode.NOT_FOUND):
        resume(coordination, **fields)


def test_a_pause_needs_a_scope_and_a_reason(coordination: CoordinationServiceStub) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        pause(coordination)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        pause(coordination, agent="")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        pause(coordination, project=True, reason="")


@pytest.mark.usefixtures("in_sprint")
def test_the_pause_of_a_deleted_sprint_or_task_can_be_ended(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> None:
    pause(coordination, task_code="T")
    pause(coordination, sprint_code="S")
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="T"))
    sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="S"))
    resume(coordination, task_code="T")
    resume(coordination, sprint_code="S")
