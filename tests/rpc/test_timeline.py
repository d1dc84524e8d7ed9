"""StreamTimeline: history, live, and every place to start from."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, Priority
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server, new_database, open_channel
from tests.support import factories
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server

SECONDS = 10


def put(events: EventServiceStub, count: int, name: str = "e", **fields: Any) -> list[str]:
    """Stores so many events in one commit; their ids."""
    new = [factories.event(actor=f"{name}{number}", **fields) for number in range(count)]
    messages = [event_pb2.EmitEventsRequest(request_id=f"{name}-{count}", events=new)]
    (answer,) = events.EmitEvents(iter(messages), timeout=SECONDS)
    assert answer.stored == count, answer.error
    return list(answer.event_ids)


def history(events: EventServiceStub, **fields: Any) -> list[event_pb2.Event]:
    """All that a stream without follow gives."""
    request = event_pb2.StreamTimelineRequest(**fields)
    found: list[event_pb2.Event] = []
    for message in events.StreamTimeline(request, timeout=SECONDS):
        found += message.events.events
    return found


class Following:
    """A stream with follow, read message by message."""

    def __init__(self, events: EventServiceStub, **fields: Any) -> None:
        request = event_pb2.StreamTimelineRequest(follow=True, **fields)
        self.call = events.StreamTimeline(request, timeout=SECONDS)
        self._events = self._flat()

    def until_caught_up(self) -> tuple[list[event_pb2.Event], str]:
        """The events before caught_up, and its cursor."""
        found: list[event_pb2.Event] = []
        for message in self.call:
            if message.WhichOneof("message") == "caught_up":
                return found, message.caught_up.cursor
            found += message.events.events
        raise AssertionError("the stream ended")

    def take(self, count: int) -> list[event_pb2.Event]:
        return [next(self._events) for _ in range(count)]

    def close(self) -> None:
        self.call.cancel()

    def _flat(self) -> Iterator[event_pb2.Event]:
        for message in self.call:
            yield from message.events.events


@pytest.fixture
def follow(events: EventServiceStub) -> Iterator[Callable[..., Following]]:
    opened: list[Following] = []

    def start(**fields: Any) -> Following:
        opened.append(Following(events, **fields))
        return opened[-1]

    yield start
    for stream in opened:
        stream.close()


def ids(found: list[event_pb2.Event]) -> list[str]:
    return [event.id for event in found]


def test_history_comes_whole_in_batches_and_the_stream_ends(events: EventServiceStub) -> None:
    stored = [id_ for part in range(5) for id_ in put(events, 500, f"p{part}-")]

    for size in (0, 500, 7):
        batches = [
            message.events.events
            for message in events.StreamTimeline(
                event_pb2.StreamTimelineRequest(batch_size=size), timeout=SECONDS
            )
            if message.WhichOneof("message") == "events"
        ]
        assert [event.id for batch in batches for event in batch] == stored
        assert max(len(batch) for batch in batches) <= (size or 500)


def test_an_empty_log_has_an_empty_history(
    events: EventServiceStub, follow: Callable[..., Following]
) -> None:
    assert history(events) == []
    stream = follow()
    found, cursor = stream.until_caught_up()
    assert found == []
    assert cursor
    stored = put(events, 3)
    assert ids(stream.take(3)) == stored


def test_live_events_follow_history_without_gap_or_repeat(
    events: EventServiceStub, tasks: TaskServiceStub, follow: Callable[..., Following]
) -> None:
    stored = put(events, 3)
    stream = follow()
    found, _ = stream.until_caught_up()
    assert ids(found) == stored

    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
    live = stream.take(1)
    assert live[0].type == "orchestration.task.created"
    more = put(events, 1200 // 3, "m")
    live += stream.take(len(more))
    assert ids(live[1:]) == more
    assert history(events) == found + live


def test_every_cursor_resumes_after_its_event(events: EventServiceStub) -> None:
    put(events, 7, "a")
    put(events, 1, "b")
    put(events, 4, "c")
    everything = history(events)

    assert len({event.cursor for event in everything}) == 12
    for place, event in enumerate(everything):
        assert history(events, after_cursor=event.cursor) == everything[place + 1 :]


def test_a_cursor_of_caught_up_resumes_after_it(
    events: EventServiceStub, follow: Callable[..., Following]
) -> None:
    put(events, 3, "a")
    _, cursor = follow().until_caught_up()
    later = put(events, 2, "b")
    assert ids(history(events, after_cursor=cursor)) == later
    assert ids(follow(after_cursor=cursor).take(2)) == later


def test_a_filter_that_matches_nothing_still_moves_the_cursor(
    events: EventServiceStub, follow: Callable[..., Following]
) -> None:
    put(events, 500, "a")
    chosen = event_pb2.EventFilter(types=["none.*"])
    stream = follow(filter=chosen)
    found, cursor = stream.until_caught_up()
    assert found == []
    put(events, 2, "b")
    # Without the filter the same cursor gives what came after: nothing of the 500 is read again.
    assert len(history(events, after_cursor=cursor)) == 2

    for message in events.StreamTimeline(event_pb2.StreamTimelineRequest(filter=chosen), timeout=SECONDS):
        kind = message.WhichOneof("message")
        assert kind in ("checkpoint", "caught_up")
        last = message.checkpoint.cursor or message.caught_up.cursor
    assert history(events, after_cursor=last) == []


def test_filters_hold_in_history_and_live(events: EventServiceStub, follow: Callable[..., Following]) -> None:
    task = EntityType.ENTITY_TYPE_TASK

    def store(name: str) -> None:
        put(events, 1, f"{name}-a", type_="x.one", entity_type=task, entity_code="t")
        put(events, 1, f"{name}-b", type_="x.two", sprint_code="s")
        put(events, 1, f"{name}-c", type_="y.two", priority=Priority.PRIORITY_P0)
        put(events, 1, f"{name}-end", type_="end.of", sprint_code="s")

    cases = [
        ({"types": ["x.*"]}, ["a", "b"]),
        ({"types": ["x.two", "y.*"]}, ["b", "c"]),
        ({"task_code": "t"}, ["a"]),
        ({"sprint_code": "s"}, ["b", "end"]),
        ({"priorities": [Priority.PRIORITY_P0]}, ["c"]),
        ({"sprint_code": "s", "types": ["x.*"]}, ["b"]),
        ({"sprint_code": "s", "task_code": "t"}, []),
    ]
    store("old")
    streams = [follow(filter=event_pb2.EventFilter(**chosen)) for chosen, _ in cases]  # type: ignore[arg-type]  # any field
    past = [stream.until_caught_up()[0] for stream in streams]
    store("new")
    for (_, names), stream, before in zip(cases, streams, past, strict=True):
        assert [event.actor for event in before] == [f"old-{name}0" for name in names]
        live = stream.take(len(names))
        assert [event.actor for event in live] == [f"new-{name}0" for name in names]


def test_the_last_events_are_those_before_the_present(
    events: EventServiceStub, follow: Callable[..., Following]
) -> None:
    stored = put(events, 10) + put(events, 5, "x", type_="x.y")

    assert ids(history(events, last=7)) == stored[-7:]
    assert ids(history(events, last=15)) == stored
    assert ids(history(events, last=10_000)) == stored
    only = event_pb2.EventFilter(types=["agents.*"])
    assert ids(history(events, last=3, filter=only)) == stored[7:10]
    found, _ = follow(last=2).until_caught_up()
    assert ids(found) == stored[-2:]


def test_a_time_starts_at_the_first_event_recorded_then(events: EventServiceStub) -> None:
    put(events, 3, "a", occur_time=Timestamp(seconds=1_600_000_000))
    later = put(events, 2, "b", occur_time=Timestamp(seconds=1_500_000_000))
    everything = history(events)
    recorded = everything[3].emit_time

    assert ids(history(events, from_time=recorded)) == later
    assert ids(history(events, from_time=everything[0].emit_time)) == ids(everything)
    assert ids(history(events, from_time=Timestamp(seconds=1))) == ids(everything)
    assert history(events, from_time=Timestamp(seconds=recorded.seconds + 3_600)) == []


def test_projects_do_not_see_each_other(events: EventServiceStub, follow: Callable[..., Following]) -> None:
    stream = follow()
    stream.until_caught_up()
    events.EmitEvent(
        event_pb2.EmitEventRequest(event=factories.event()),
        metadata=(("orchestration-project", "other"),),
    )
    mine = put(events, 1)

    assert ids(stream.take(1)) == mine
    assert ids(history(events)) == mine


def test_a_changed_or_foreign_cursor_is_refused(
    events: EventServiceStub, engines: Engines, start_server: Callable[[str], Server]
) -> None:
    put(events, 1)
    cursor = history(events)[0].cursor
    with new_database(engines) as url:
        other = start_server(url)
        with open_channel(other.address) as channel:
            stub = EventServiceStub(channel)
            put(stub, 1)
            foreign = history(stub)[0].cursor
        assert other.app is not None
        other.app.stop()

    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for wrong in (foreign, changed, cursor[:-1], "x"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID", "beginning") as caught:
            history(events, after_cursor=wrong)
        assert "after_cursor" in violations(caught.value)


def test_a_cursor_ahead_of_this_copy_of_the_log_is_refused(events: EventServiceStub, server: Server) -> None:
    """A copy that was taken before the cursor was given has its secret, and not its events."""
    put(events, 1)
    assert server.app is not None
    with psycopg.connect(server.database_url) as conn:
        row = conn.execute("select secret from log_state").fetchone()
    assert row is not None
    from orchestration_server.codec.cursors import CursorSigner
    from orchestration_server.model import Position

    ahead = CursorSigner(row[0]).cursor(Position(1, 2**40, 1))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN", "beginning"):
        history(events, after_cursor=ahead)


def test_a_cursor_of_another_project_is_told_to_be_one(
    events: EventServiceStub, contexts: ContextServiceStub, tasks: TaskServiceStub
) -> None:
    other = (("orchestration-project", "other"),)
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    request = event_pb2.EmitEventRequest(event=factories.event())
    cursor = events.EmitEvent(request, metadata=other).event.cursor

    def refuses(call: Callable[[], object]) -> None:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_OF_ANOTHER_PROJECT", "another project"):
            call()

    refuses(lambda: history(events, after_cursor=cursor))
    state = event_pb2.ReconstructStateRequest(
        entity_type=EntityType.ENTITY_TYPE_TASK, entity_code="t", cursor=cursor
    )
    refuses(lambda: events.ReconstructState(state))
    context = context_pb2.AssembleContextRequest(
        task_code="t", options=context_pb2.ContextOptions(since_cursor=cursor)
    )
    refuses(lambda: contexts.AssembleContext(context))
    assert history(events, after_cursor=history(events)[0].cursor) == []


def test_a_planned_stop_ends_a_stream_with_a_reason_of_its_own(start_app: Callable[..., App]) -> None:
    # A grace of one second may be too short for the answer on a busy machine.
    app = start_app(grace_seconds=SECONDS)
    with open_channel(app.address) as channel:
        stream = Following(EventServiceStub(channel))
        stream.until_caught_up()
        app.stop()
        with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", "stopping"):
            stream.take(1)


def test_a_log_that_came_from_another_cluster_goes_on_in_a_new_epoch(
    database_url: str, start_server: Callable[[str], Server]
) -> None:
    first = start_server(database_url)
    with open_channel(first.address) as channel:
        before = put(EventServiceStub(channel), 3, "a")
        cursors = [event.cursor for event in history(EventServiceStub(channel))]
    assert first.app is not None
    first.app.stop()
    with psycopg.connect(database_url) as conn:
        # As a restored dump stands: another cluster's name, and transaction ids far ahead of this one.
        conn.execute("update log_state set cluster = 'elsewhere'")
        conn.execute("update events set xid = (xid::text::bigint + 1000000000)::text::xid8")

    second = start_server(database_url)
    with open_channel(second.address) as channel:
        stub = EventServiceStub(channel)
        after = put(stub, 2, "b")
        everything = history(stub)
        assert ids(everything) == before + after
        assert history(stub, after_cursor=everything[2].cursor) == everything[3:]
        # Cursors given before the xids moved name places where this log has no event.
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN", "beginning"):
            history(stub, after_cursor=cursors[0])


def test_what_was_read_before_all_connections_were_replaced_is_read_again(
    events: EventServiceStub, server: Server, follow: Callable[..., Following]
) -> None:
    """Postgres may have crashed, and give out again the ids up to which the tail was read."""
    before = put(events, 2, "before")
    stream = follow()
    found, cursor = stream.until_caught_up()
    assert ids(found) == before
    assert server.app is not None
    pool = server.app.db._pool
    lent = [pool.getconn() for _ in range(pool.max_size)]
    for conn in lent:
        conn.close()
        pool.putconn(conn)
    # Nobody met a connection that was lost: that they are new is all there is to see.
    assert stream.until_caught_up() == ([], cursor)
    after = put(events, 2, "after")
    assert ids(stream.take(2)) == after


@pytest.mark.parametrize("fields", [{"last": 0}, {"last": 10_001}, {"batch_size": 501}])
def test_limits_of_a_request_are_held(events: EventServiceStub, fields: dict[str, int]) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        history(events, **fields)


def test_an_open_write_holds_the_timeline_back_and_loses_nothing(
    events: EventServiceStub, server: Server, follow: Callable[..., Following]
) -> None:
    stream = follow()
    stream.until_caught_up()
    with psycopg.connect(server.database_url) as conn:
        conn.execute("select pg_current_xact_id()")
        held = put(events, 2, "held")
        # What a transaction that began earlier may still write comes first, so nothing is shown yet.
        assert history(events) == []
        conn.rollback()
    assert ids(stream.take(2)) == held


def test_an_open_write_in_another_database_holds_nothing_back(
    events: EventServiceStub, engines: Engines
) -> None:
    with psycopg.connect(engines.database_url) as conn:
        conn.execute("select pg_current_xact_id()")
        stored = put(events, 2)
        assert ids(history(events)) == stored
        conn.rollback()
