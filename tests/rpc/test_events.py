"""EventService without its timeline, through its stub."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server

START = datetime(2024, 3, 1, tzinfo=UTC)


def at(hours: float) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(START + timedelta(hours=hours))
    return time


def emit(events: EventServiceStub, **fields: Any) -> event_pb2.EmitEventResponse:
    return events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event(**fields)))


def listed(events: EventServiceStub, **fields: Any) -> list[event_pb2.Event]:
    """Return the events on all pages, by default oldest first."""
    found: list[event_pb2.Event] = []
    fields = {"order": event_pb2.EVENT_ORDER_OLDEST_FIRST} | fields
    token = ""
    while True:
        page = events.ListEvents(event_pb2.ListEventsRequest(page_token=token, **fields))
        found += page.events
        token = page.next_page_token
        if not token:
            return found


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


def test_lists_are_ordered_by_occur_time(events: EventServiceStub) -> None:
    hours = [5, 1, 3, 3, 2, 4, 3]
    for number, hour in enumerate(hours):
        emit(events, occur_time=at(hour), actor=str(number))
    oldest = [number for _, number in sorted(zip(hours, range(7), strict=True))]

    def actors(**fields: Any) -> list[int]:
        return [int(event.actor) for event in listed(events, **fields)]

    assert actors(page_size=2) == oldest
    newest = event_pb2.EVENT_ORDER_UNSPECIFIED
    assert actors(page_size=3, order=newest) == oldest[::-1]
    assert actors(start_time=at(2), end_time=at(4)) == [4, 2, 3, 6]
    assert actors(start_time=at(4)) == [5, 0]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        actors(start_time=at(4), end_time=at(2))


def test_filters_are_joined_by_and(events: EventServiceStub) -> None:
    def put(name: str, session: str, **fields: Any) -> None:
        events.EmitEvent(
            event_pb2.EmitEventRequest(event=factories.event(actor=name, **fields)),
            metadata=(
                ("orchestration-session", session),
                ("orchestration-correlation-id", f"c-{session}"),
            ),
        )

    task = EntityType.ENTITY_TYPE_TASK
    put("a", "1", type_="x.one", entity_type=task, entity_code="t", sprint_code="s")
    put("b", "1", type_="x.two", priority=Priority.PRIORITY_P0, sprint_code="s")
    put("c", "2", type_="x.two.deep", entity_type=task, entity_code="t")
    put("d", "2", type_="xa.one", entity_type=EntityType.ENTITY_TYPE_SPRINT, entity_code="t")

    def named(**fields: Any) -> str:
        chosen = event_pb2.EventFilter(**fields)
        return "".join(event.actor for event in listed(events, filter=chosen))

    assert named() == "abcd"
    assert named(sprint_code="s") == "ab"
    assert named(task_code="t") == "ac"
    assert named(session_key="2") == "cd"
    assert named(correlation_id="c-1") == "ab"
    assert named(types=["x.*"]) == "abc"
    assert named(types=["x.two.*", "xa.one"]) == "cd"
    assert named(types=["x.two"]) == "b"
    assert named(priorities=[Priority.PRIORITY_P0]) == "b"
    assert named(task_code="t", session_key="1", types=["x.*"]) == "a"
    assert named(task_code="none") == ""


def test_a_page_token_of_another_list_is_refused(events: EventServiceStub) -> None:
    for _ in range(3):
        emit(events)
    page = events.ListEvents(event_pb2.ListEventsRequest(page_size=1))
    token = page.next_page_token

    for foreign in (
        event_pb2.ListEventsRequest(order=event_pb2.EVENT_ORDER_OLDEST_FIRST, page_token=token),
        event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=["a.b"]), page_token=token),
        event_pb2.ListEventsRequest(page_token=page.events[0].cursor),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
            events.ListEvents(foreign)
        assert "page_token" in violations(caught.value)


def _hour(event: event_pb2.Event) -> str:
    return f"{event.occur_time.ToDatetime():%Y-%m-%dT%H:00:00Z}"


def _day(event: event_pb2.Event) -> str:
    return f"{event.occur_time.ToDatetime():%Y-%m-%dT00:00:00Z}"


def _week(event: event_pb2.Event) -> str:
    day = event.occur_time.ToDatetime()
    return f"{day - timedelta(days=day.weekday()):%Y-%m-%dT00:00:00Z}"


def _entity(event: event_pb2.Event) -> str:
    names = {EntityType.ENTITY_TYPE_TASK: "task", EntityType.ENTITY_TYPE_SPRINT: "sprint"}
    return f"{names[event.entity_type]}/{event.entity_code}" if event.entity_type else ""


@pytest.mark.parametrize(
    ("group", "key"),
    [
        (event_pb2.EVENT_GROUPING_HOUR, _hour),
        (event_pb2.EVENT_GROUPING_DAY, _day),
        (event_pb2.EVENT_GROUPING_WEEK, _week),
        (event_pb2.EVENT_GROUPING_TYPE, lambda event: event.type),
        (event_pb2.EVENT_GROUPING_ENTITY, _entity),
        (event_pb2.EVENT_GROUPING_ACTOR, lambda event: event.actor or event.agent),
    ],
)
def test_statistics_equal_a_plain_count(
    events: EventServiceStub,
    group: event_pb2.EventGrouping.ValueType,
    key: Callable[[event_pb2.Event], str],
) -> None:
    kinds = [EntityType.ENTITY_TYPE_TASK, EntityType.ENTITY_TYPE_SPRINT]
    new = [
        factories.event(
            f"x.{'abc'[number % 3]}",
            occur_time=at(number * 1.7),
            actor=["", "ann", "ben"][number % 3],
            sprint_code="s" if number % 2 else "",
            **({"entity_type": kinds[number % 2], "entity_code": f"e{number % 5}"} if number % 4 else {}),
        )
        for number in range(200)
    ]
    messages = [event_pb2.EmitEventsRequest(request_id="all", events=new)]
    answers = list(events.EmitEvents(iter(messages), metadata=(("orchestration-agent", "bot"),), timeout=20))
    assert answers[0].stored == 200
    start, end = at(20), at(300)
    for sprint in ("", "s"):
        chosen = event_pb2.EventFilter(sprint_code=sprint)
        counted = Counter(
            key(event)
            for event in listed(events, filter=chosen, start_time=start, end_time=end, page_size=500)
        )
        del counted[""]

        stats = events.GetEventStats(
            event_pb2.GetEventStatsRequest(
                group_by=group, start_time=start, end_time=end, sprint_code=sprint, limit=1000
            )
        )
        found = [(c.key or c.start_time.ToJsonString(), c.count) for c in stats.counts]
        assert dict(found) == counted
        assert len(found) == len(counted)
        assert stats.total == counted.total()
        assert (stats.start_time, stats.end_time) == (start, end)
        if group in (
            event_pb2.EVENT_GROUPING_HOUR,
            event_pb2.EVENT_GROUPING_DAY,
            event_pb2.EVENT_GROUPING_WEEK,
        ):
            assert found == sorted(found)
        else:
            counts = [count for _, count in found]
            assert counts == sorted(counts, reverse=True)
        few = events.GetEventStats(
            event_pb2.GetEventStatsRequest(
                group_by=group, start_time=start, end_time=end, sprint_code=sprint, limit=2
            )
        )
        assert len(few.counts) <= 2
        assert few.total == stats.total


def test_statistics_count_the_last_week_and_see_each_event_at_once(
    events: EventServiceStub,
) -> None:
    emit(events, occur_time=at(0))
    for number in range(1, 4):
        emit(events)
        stats = events.GetEventStats(event_pb2.GetEventStatsRequest())
        assert [(count.key, count.count) for count in stats.counts] == [("agents.note.taken", number)]
    assert stats.end_time.seconds - stats.start_time.seconds == 7 * 86_400
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        events.GetEventStats(event_pb2.GetEventStatsRequest(start_time=at(0), end_time=at(24 * 367)))


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
