"""Lists of events and their statistics, through the stub."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.common_pb2 import EntityType, Priority
from orchestration.v1.event_pb2_grpc import EventServiceStub
from tests.support import factories
from tests.support.event_calls import at, emit, listed
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server


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
