"""Sixteen identical concurrent calls with one request_id: one takes effect, all get its response."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from orchestration.v1 import (
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
)
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.race.conftest import CALLS, at_once
from tests.support import factories
from tests.support.lengths import lengths
from tests.support.rpc_errors import Metadata, must_be, refused

DONE = TaskStatus.TASK_STATUS_COMPLETED
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
TITLE = FieldMask(paths=["title"])
PAUSED = FieldMask(paths=["paused"])


@dataclass(frozen=True)
class Mutation:
    """An rpc with a request, and another body for the same request_id.

    The ledger has the tasks "T0" to "T9", the sprints "S0" and "S1", a link from T1 to T0, a session "A0" on
    T0, and the schedules "C0" and "C1".
    """

    service: type[Any]
    rpc: str
    request: Message
    other: Message
    events: int = 1


def _link(task: str, on: str) -> coordination_pb2.Dependency:
    return coordination_pb2.Dependency(task_code=task, depends_on_code=on)


def _new(*codes: str) -> list[task_pb2.NewTask]:
    return [task_pb2.NewTask(task=factories.task(code)) for code in codes]


def _changes(*codes: str) -> list[task_pb2.TaskStatusChange]:
    return [task_pb2.TaskStatusChange(task_code=code, status=DONE) for code in codes]


def _retitled(code: str, title: str, **fields: Any) -> task_pb2.UpdateTaskRequest:
    task = factories.task(code, title=title)
    return task_pb2.UpdateTaskRequest(task=task, update_mask=TITLE, **fields)


def _retitled_sprint(code: str, title: str, **fields: Any) -> sprint_pb2.UpdateSprintRequest:
    sprint = factories.sprint(code, title=title)
    return sprint_pb2.UpdateSprintRequest(sprint=sprint, update_mask=TITLE, **fields)


MUTATIONS = [
    Mutation(
        SprintServiceStub,
        "CreateSprint",
        sprint_pb2.CreateSprintRequest(sprint=factories.sprint("new")),
        sprint_pb2.CreateSprintRequest(sprint=factories.sprint("newer")),
    ),
    Mutation(
        SprintServiceStub,
        "UpdateSprint",
        _retitled_sprint("S0", "New", expected_revision=1),
        _retitled_sprint("S0", "Newer"),
    ),
    Mutation(
        SprintServiceStub,
        "DeleteSprint",
        sprint_pb2.DeleteSprintRequest(sprint_code="S0", expected_revision=1),
        sprint_pb2.DeleteSprintRequest(sprint_code="S1"),
    ),
    Mutation(
        TaskServiceStub,
        "CreateTask",
        task_pb2.CreateTaskRequest(task=factories.task("new", metadata={"a": 1, "b": 2, "c": 3})),
        task_pb2.CreateTaskRequest(task=factories.task("newer")),
    ),
    Mutation(
        TaskServiceStub,
        "UpdateTask",
        _retitled("T0", "New", expected_revision=1),
        _retitled("T0", "Newer"),
    ),
    Mutation(
        TaskServiceStub,
        "UpdateTaskStatus",
        task_pb2.UpdateTaskStatusRequest(task_code="T0", status=BLOCKED, expected_revision=1),
        task_pb2.UpdateTaskStatusRequest(task_code="T0", status=DONE),
    ),
    Mutation(
        TaskServiceStub,
        "DeleteTask",
        task_pb2.DeleteTaskRequest(task_code="T0", expected_revision=1),
        task_pb2.DeleteTaskRequest(task_code="T1"),
    ),
    Mutation(
        TaskServiceStub,
        "BatchCreateTasks",
        task_pb2.BatchCreateTasksRequest(tasks=_new("n3", "n1", "n2")),
        task_pb2.BatchCreateTasksRequest(tasks=_new("n4")),
        events=3,
    ),
    Mutation(
        TaskServiceStub,
        "BatchUpdateTaskStatus",
        task_pb2.BatchUpdateTaskStatusRequest(changes=_changes("T2", "T0", "T1")),
        task_pb2.BatchUpdateTaskStatusRequest(changes=_changes("T3")),
        events=3,
    ),
    Mutation(
        CoordinationServiceStub,
        "AddDependency",
        coordination_pb2.AddDependencyRequest(dependency=_link("T3", "T2")),
        coordination_pb2.AddDependencyRequest(dependency=_link("T2", "T3")),
    ),
    Mutation(
        CoordinationServiceStub,
        "RemoveDependency",
        coordination_pb2.RemoveDependencyRequest(dependency=_link("T1", "T0")),
        coordination_pb2.RemoveDependencyRequest(dependency=_link("T0", "T1")),
    ),
    Mutation(
        SessionServiceStub,
        "LogActivity",
        session_pb2.LogActivityRequest(session_key="A0", kind="note", message="One"),
        session_pb2.LogActivityRequest(session_key="A0", kind="note", message="Two"),
    ),
    Mutation(
        SessionServiceStub,
        "PauseSession",
        session_pb2.PauseSessionRequest(session_key="A0", reason="One"),
        session_pb2.PauseSessionRequest(session_key="A0", reason="Two"),
    ),
    Mutation(
        SessionServiceStub,
        "CloseSession",
        session_pb2.CloseSessionRequest(session_key="A0", summary="One"),
        session_pb2.CloseSessionRequest(session_key="A0", summary="Two"),
    ),
    Mutation(
        ReportServiceStub,
        "CreateAdr",
        report_pb2.CreateAdrRequest(title="One", decision="We do.", task_code="T0"),
        report_pb2.CreateAdrRequest(title="Two", decision="We do."),
    ),
    Mutation(
        ReportServiceStub,
        "CreateBugReport",
        report_pb2.CreateBugReportRequest(title="It fails", task_code="T0", sync_to_file=True),
        report_pb2.CreateBugReportRequest(title="It fails"),
    ),
    Mutation(
        ScheduleServiceStub,
        "CreateSchedule",
        schedule_pb2.CreateScheduleRequest(schedule=factories.schedule("new")),
        schedule_pb2.CreateScheduleRequest(schedule=factories.schedule("newer")),
    ),
    Mutation(
        ScheduleServiceStub,
        "UpdateSchedule",
        schedule_pb2.UpdateScheduleRequest(
            schedule=factories.schedule("C0", paused=True), update_mask=PAUSED, expected_revision=1
        ),
        schedule_pb2.UpdateScheduleRequest(
            schedule=factories.schedule("C1", paused=True), update_mask=PAUSED
        ),
    ),
    Mutation(
        ScheduleServiceStub,
        "DeleteSchedule",
        schedule_pb2.DeleteScheduleRequest(schedule_code="C0", expected_revision=1),
        schedule_pb2.DeleteScheduleRequest(schedule_code="C1"),
    ),
    Mutation(
        ScheduleServiceStub,
        "TriggerSchedule",
        schedule_pb2.TriggerScheduleRequest(schedule_code="C0"),
        schedule_pb2.TriggerScheduleRequest(schedule_code="C1"),
        events=3,
    ),
    Mutation(
        EventServiceStub,
        "EmitEvent",
        event_pb2.EmitEventRequest(event=factories.event(actor="one")),
        event_pb2.EmitEventRequest(event=factories.event(actor="two")),
    ),
]


def prepare(channel: grpc.Channel, metadata: Metadata) -> None:
    tasks = TaskServiceStub(channel)
    tasks.BatchCreateTasks(
        task_pb2.BatchCreateTasksRequest(tasks=_new(*(f"T{n}" for n in range(10)))),
        metadata=metadata,
    )
    for number in range(2):
        SprintServiceStub(channel).CreateSprint(
            sprint_pb2.CreateSprintRequest(sprint=factories.sprint(f"S{number}")),
            metadata=metadata,
        )
        ScheduleServiceStub(channel).CreateSchedule(
            schedule_pb2.CreateScheduleRequest(schedule=factories.schedule(f"C{number}")),
            metadata=metadata,
        )
    CoordinationServiceStub(channel).AddDependency(
        coordination_pb2.AddDependencyRequest(dependency=_link("T1", "T0")), metadata=metadata
    )
    SessionServiceStub(channel).InitAgent(
        session_pb2.InitAgentRequest(task_code="T0", agent="ann", new_session_key="A0"), metadata=metadata
    )


def logged(channel: grpc.Channel, metadata: Metadata) -> list[event_pb2.Event]:
    """Return the events without context.assembled, which is logged outside of the call's transaction."""
    stream = EventServiceStub(channel).StreamTimeline(
        event_pb2.StreamTimelineRequest(), metadata=metadata, timeout=10
    )
    found = [event for message in stream for event in message.events.events]
    return [event for event in found if event.type != "orchestration.context.assembled"]


def _next(turns: Iterator[Callable[..., Message]], request: Message, metadata: Metadata) -> Message:
    return next(turns)(request, metadata=metadata, timeout=20)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rpc)
@lengths("rounds", short=1, long=3)
def test_one_of_sixteen_identical_calls_takes_effect(
    channels: list[grpc.Channel], mutation: Mutation, rounds: int
) -> None:
    calls = [getattr(mutation.service(channel), mutation.rpc) for channel in channels]
    for number in range(rounds):
        metadata = (("orchestration-project", f"round-{number}"),)
        prepare(channels[0], metadata)
        before = logged(channels[0], metadata)
        request = type(mutation.request)()
        request.CopyFrom(mutation.request)
        request.request_id = "once"  # type: ignore[attr-defined]  # every mutating request has it
        turns = iter(calls * CALLS)

        answers = at_once(partial(_next, turns, request, metadata))

        # But for the duplicate flag, the response to the retry of an emit equals the first one to the byte.
        assert all(answer == answers[0] for answer in answers)
        after = logged(channels[0], metadata)
        assert len(after) == len(before) + mutation.events
        assert calls[0](request, metadata=metadata) == answers[0]

        other = type(mutation.other)()
        other.CopyFrom(mutation.other)
        other.request_id = "once"  # type: ignore[attr-defined]
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            calls[0](other, metadata=metadata)
        assert logged(channels[0], metadata) == after


def test_one_of_sixteen_identical_messages_takes_effect(channels: list[grpc.Channel]) -> None:
    new = [factories.event(actor=str(number)) for number in range(20)]
    message = event_pb2.EmitEventsRequest(request_id="once", events=new)
    stubs = [EventServiceStub(channel) for channel in channels]
    turns = iter(stubs * CALLS)

    answers = at_once(lambda: list(next(turns).EmitEvents(iter([message]), timeout=20)))

    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0].stored == 20
    assert [event.id for event in logged(channels[0], ())] == list(answers[0][0].event_ids)


def test_a_request_id_belongs_to_its_rpc_and_project(channels: list[grpc.Channel]) -> None:
    tasks, sprints = TaskServiceStub(channels[0]), SprintServiceStub(channels[0])
    request = task_pb2.CreateTaskRequest(task=factories.task("a"), request_id="same")
    mine = tasks.CreateTask(request)
    theirs = tasks.CreateTask(request, metadata=(("orchestration-project", "other"),))
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("a"), request_id="same"))

    assert mine.task.uid != theirs.task.uid


def test_a_refused_call_may_be_tried_again_with_its_request_id(
    channels: list[grpc.Channel],
) -> None:
    tasks, sprints = TaskServiceStub(channels[0]), SprintServiceStub(channels[1])
    request = task_pb2.CreateTaskRequest(task=factories.task("a", sprint_code="s"), request_id="again")
    with refused(grpc.StatusCode.NOT_FOUND):
        tasks.CreateTask(request)
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    assert tasks.CreateTask(request).task.code == "a"


def retitle_at_once(channels: list[grpc.Channel], **fields: Any) -> list[int]:
    """Return the revisions after concurrent updates of a new task, in order; 0 for an ABORTED one."""
    stubs = [TaskServiceStub(channel) for channel in channels]
    stubs[0].CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
    turns = iter([(stub, number) for number, stub in enumerate(stubs * CALLS)])

    def change() -> int:
        stub, number = next(turns)
        try:
            request = _retitled("a", f"Title {number}", **fields)
            return int(stub.UpdateTask(request, timeout=20).task.revision)
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.ABORTED)
            return 0

    return sorted(at_once(change))


def test_one_of_many_updates_of_a_revision_succeeds(channels: list[grpc.Channel]) -> None:
    assert retitle_at_once(channels, expected_revision=1) == [0] * (CALLS - 1) + [2]


def test_no_update_is_lost(channels: list[grpc.Channel]) -> None:
    assert retitle_at_once(channels) == list(range(2, CALLS + 2))
