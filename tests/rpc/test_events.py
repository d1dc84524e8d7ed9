"""Events that changes log and that callers emit, through the stub."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, Priority, TaskStatus
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.event_calls import at, emit, listed
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server


def payload(event: event_pb2.Event) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(event.payload)
    return found


def test_each_change_of_a_task_is_logged(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
    for status in (2, 3, 1, 4):
        tasks.UpdateTaskStatus(
            task_pb2.UpdateTaskStatusRequest(
                task_code="a", status=TaskStatus.ValueType(status), reason="because"
            )
        )
    tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(
            task=factories.task("a", title="New", labels=["x"]),
            update_mask=FieldMask(paths=["title", "labels"]),
        )
    )
    tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(
            task=factories.task("a", priority=Priority.PRIORITY_P0),
            update_mask=FieldMask(paths=["priority"]),
        )
    )
    tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(
            task=factories.task("a", assignee="ann"), update_mask=FieldMask(paths=["assignee"])
        )
    )
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))

    logged = listed(events)
    assert [event.type.removeprefix("orchestration.task.") for event in logged] == [
        "created",
        "status_updated",
        "blocked",
        "unblocked",
        "status_updated",
        "updated",
        "priority_changed",
        "assigned",
        "deleted",
    ]
    assert [event.entity_revision for event in logged] == list(range(1, 10))
    assert {(event.entity_type, event.entity_code) for event in logged} == {
        (EntityType.ENTITY_TYPE_TASK, "a")
    }
    assert len({event.entity_uid for event in logged}) == 1
    assert payload(logged[1])["changes"] == {"status": {"from": "pending", "to": "in_progress"}}
    assert payload(logged[1])["reason"] == "because"
    assert payload(logged[5])["changes"] == {
        "title": {"from": "Task a", "to": "New"},
        "labels": {"from": [], "to": ["x"]},
    }
    assert payload(logged[6])["changes"] == {"priority": {"from": "P2", "to": "P0"}}
    assert payload(logged[7])["changes"] == {"assignee": {"from": "", "to": "ann"}}
    assert logged[6].priority == Priority.PRIORITY_P0


def test_an_update_without_changes_logs_nothing(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    task = tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a"))).task
    tasks.UpdateTask(task_pb2.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=["title", "status"])))
    with pytest.raises(grpc.RpcError):
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))

    assert len(listed(events)) == 1


def test_changes_of_sprints_and_links_are_logged(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    events: EventServiceStub,
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    for change in (
        {"goal": "g"},
        {"status": 2},
        {"metadata": {"k": "v"}},
    ):
        sprints.UpdateSprint(
            sprint_pb2.UpdateSprintRequest(
                sprint=factories.sprint("s", **change), update_mask=FieldMask(paths=list(change))
            )
        )
    new = [task_pb2.NewTask(task=factories.task(code, sprint_code="s")) for code in "ab"]
    tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    link = coordination_pb2.Dependency(task_code="b", depends_on_code="a")
    for _ in range(2):
        coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))
    coordination.RemoveDependency(coordination_pb2.RemoveDependencyRequest(dependency=link))

    logged = listed(events)
    assert [event.type.removeprefix("orchestration.") for event in logged] == [
        "sprint.created",
        "sprint.updated",
        "sprint.status_changed",
        "sprint.metadata_updated",
        "task.created",
        "task.created",
        "task.dependency_added",
        "task.dependency_removed",
    ]
    assert payload(logged[2])["changes"] == {"status": {"from": "planning", "to": "active"}}
    assert {event.sprint_code for event in logged} == {"s"}
    assert logged[6].entity_code == "b"


def test_an_event_names_its_caller(events: EventServiceStub) -> None:
    metadata = (
        ("orchestration-session", "session-1"),
        ("orchestration-agent", "builder"),
        ("orchestration-correlation-id", "work-1"),
    )
    request = event_pb2.EmitEventRequest(event=factories.event(actor="ann"))
    _, call = events.EmitEvent.with_call(request, metadata=metadata)
    _, other = events.EmitEvent.with_call(request)

    made = dict(other.trailing_metadata() or ())["orchestration-correlation-id"]
    assert ("orchestration-correlation-id", "work-1") in (call.trailing_metadata() or ())
    first, second = listed(events)
    assert (first.session_key, first.agent, first.actor, first.correlation_id) == (
        "session-1",
        "builder",
        "ann",
        "work-1",
    )
    assert second.correlation_id == made != ""


def test_an_emitted_event_is_read_as_it_was_returned(
    events: EventServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    task = tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a", sprint_code="s"))).task
    stored = emit(
        events,
        entity_type=EntityType.ENTITY_TYPE_TASK,
        entity_code="a",
        payload={"n": 1, "deep": {"list": ["é", None]}},
        occur_time=at(0),
    ).event

    assert stored.id
    assert stored.cursor
    assert stored.entity_uid == task.uid
    assert stored.entity_revision == 0
    assert stored.sprint_code == "s"
    assert stored.priority == Priority.PRIORITY_P2
    assert stored.occur_time == at(0)
    assert stored.emit_time.seconds > at(0).seconds
    found = events.GetEvent(event_pb2.GetEventRequest(event_id=stored.id)).event
    assert found == stored
    unknown = "01900000-0000-7000-8000-000000000000"
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        events.GetEvent(event_pb2.GetEventRequest(event_id=unknown))
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        events.GetEvent(
            event_pb2.GetEventRequest(event_id=stored.id),
            metadata=(("orchestration-project", "other"),),
        )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"type_": "orchestration.task.created"}, "event.type"),
        ({"type_": "one"}, "event.type"),
        ({"type_": "With.Capitals"}, "event.type"),
        ({"entity_type": EntityType.ENTITY_TYPE_TASK}, "event.entity_code"),
        ({"dedup_key": "x" * 201}, "event.dedup_key"),
        ({"payload": {"text": "x" * 70_000}}, "event.payload"),
        ({"priority": 9}, "event.priority"),
        ({"occur_time": Timestamp(seconds=4_102_444_800)}, "event.occur_time"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused(
    events: EventServiceStub, fields: dict[str, Any], wrong: str
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        emit(events, **fields)
    assert wrong in violations(caught.value)
    assert listed(events) == []


def test_a_dedup_key_stores_one_event(events: EventServiceStub) -> None:
    first = emit(events, dedup_key="k", payload={"n": 1})
    again = emit(events, dedup_key="k", payload={"n": 2})
    other = events.EmitEvent(
        event_pb2.EmitEventRequest(event=factories.event(dedup_key="k")),
        metadata=(("orchestration-project", "other"),),
    )

    assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)
    assert again.event == first.event
    assert [event.id for event in listed(events)] == [first.event.id]


def test_emit_events_answers_each_message_and_a_bad_one_fails_alone(
    events: EventServiceStub,
) -> None:
    def message(request_id: str, *new: event_pb2.NewEvent) -> event_pb2.EmitEventsRequest:
        return event_pb2.EmitEventsRequest(request_id=request_id, events=new)

    many = [factories.event(dedup_key=f"k{number}") for number in range(500)]
    bad = factories.event("orchestration.not.yours")
    messages = [
        message("one", *many),
        message("two", factories.event(), bad),
        message("three"),
        message("four", factories.event(dedup_key="k7"), factories.event(dedup_key="new")),
        message("five", *many, factories.event()),
        message("one", *many),
        message("one", factories.event()),
        message("six", factories.event(dedup_key="twice"), factories.event(dedup_key="twice")),
    ]
    answers = list(events.EmitEvents(iter(messages), timeout=20))

    assert [answer.request_id for answer in answers] == [m.request_id for m in messages]
    one, two, three, four, five, again, reused, six = answers
    assert (one.stored, one.duplicates, len(set(one.event_ids))) == (500, 0, 500)
    assert (two.error.reason, two.error.code) == ("INVALID_ARGUMENT", 3)
    assert "events[1].type" in two.error.violations
    assert not two.error.retryable
    assert three.error.reason == five.error.reason == "INVALID_ARGUMENT"
    assert (four.stored, four.duplicates) == (1, 1)
    assert four.event_ids[0] == one.event_ids[7]
    assert again == one
    assert reused.error.reason == "REQUEST_ID_REUSED"
    assert (six.stored, six.duplicates) == (1, 1)
    assert len(set(six.event_ids)) == 1
    assert len(listed(events, page_size=500)) == 502


def test_messages_of_a_stream_are_logged_in_order(events: EventServiceStub) -> None:
    messages, size = 40, 500
    requests = [
        event_pb2.EmitEventsRequest(
            request_id=f"message-{n}",
            events=[factories.event("agents.counted", actor=str(n * size + i)) for i in range(size)],
        )
        for n in range(messages)
    ]
    answers = list(events.EmitEvents(iter(requests), timeout=60))
    assert not [answer.error for answer in answers if answer.HasField("error")]
    assert sum(answer.stored for answer in answers) == messages * size
    found = [
        int(event.actor)
        for answer in events.StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=60)
        for event in answer.events.events
    ]
    assert found == list(range(messages * size))
