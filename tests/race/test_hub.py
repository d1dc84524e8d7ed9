"""Streams that join the moving live feed, or fall behind it, miss no event and get none twice."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.codec.events import event_row, event_tail
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.db.connection import Connection
from orchestration_server.model import Call
from orchestration_server.store import event_rows, writes
from orchestration_server.store import events as event_store
from orchestration_server.telemetry import metrics
from orchestration_server.timeline.hub import READ_AHEAD, Hub
from orchestration_server.timeline.live_feed import QUEUE_BYTES, QUEUE_MESSAGES
from tests.conftest import Server
from tests.support import factories
from tests.support.timeline_readers import Reader, emit
from tests.support.timeline_readers import hub as hub
from tests.support.timeline_readers import open_reader as open_reader

SECONDS = 10
MARK = "marks.one"
LARGE = 30_000


class Held:
    """A gate that blocks one call of a function until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def hold(self) -> None:
        self.reached.set()
        assert self.go_on.wait(SECONDS)


@pytest.fixture
def held() -> Iterator[Held]:
    found = Held()
    yield found
    found.go_on.set()


@pytest.mark.parametrize(
    ("history", "missed", "size", "batch"),
    [
        pytest.param(QUEUE_MESSAGES + 36, 1, 0, 1, id="history-above-the-queue"),
        pytest.param(READ_AHEAD + 1, QUEUE_MESSAGES + 36, 0, 1, id="some-history-and-many-messages"),
        pytest.param(0, QUEUE_MESSAGES + 36, 0, 1, id="missed-messages-above-the-queue"),
        pytest.param(0, 2 * QUEUE_BYTES // LARGE, LARGE, 500, id="missed-bytes-above-the-queue"),
    ],
)
def test_a_stream_that_joins_with_more_than_its_queue_takes_misses_nothing(
    events: EventServiceStub,
    open_reader: Callable[..., Reader],
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
    history: int,
    missed: int,
    size: int,
    batch: int,
) -> None:
    project = "p"
    text = {"text": "x" * size}
    stored = emit(events, project, [factories.event()] * history) if history else []
    # This stream follows the marks alone, so a mark shows how far the tail has been read.
    prompt = open_reader(project, types=(MARK,))
    prompt.until("caught_up")
    page = event_store.page

    def held_page(*args: Any, **fields: Any) -> Any:
        found = page(*args, **fields)
        if not held.reached.is_set():
            held.hold()
        return found

    monkeypatch.setattr(event_store, "page", held_page)
    joining = open_reader(project, batch=batch)
    assert held.reached.wait(SECONDS)
    # The tail is read several times between the last page of the stream and its joining.
    stored += emit(events, project, [factories.event(payload=text)] * missed)
    for _ in range(2):
        stored += emit(events, project, [factories.event(MARK)])
        prompt.take(stored[-1])
    held.go_on.set()

    assert joining.take(stored[-1]) == stored
    stored = emit(events, project, [factories.event(), factories.event(MARK)])
    assert joining.take(stored[-1]) == stored


def test_a_project_new_to_the_hub_gets_its_first_live_event_while_the_tail_is_being_read(
    events: EventServiceStub,
    open_reader: Callable[..., Reader],
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = open_reader("known")
    known.until("caught_up")
    tail = event_store.tail

    def held_tail(conn: Any, *, projects: list[str], **fields: Any) -> Any:
        if "new" not in projects and not held.go_on.is_set():
            held.hold()
        return tail(conn, projects=projects, **fields)

    monkeypatch.setattr(event_store, "tail", held_tail)
    # The read under way asks for the events of the known project alone.
    assert held.reached.wait(SECONDS)
    new = open_reader("new")
    assert new.until("caught_up") == []
    first = emit(events, "new", [factories.event()])
    mine = emit(events, "known", [factories.event()])
    held.go_on.set()

    assert new.take(first[-1]) == first
    assert known.take(mine[-1]) == mine
    later = emit(events, "new", [factories.event()] * 3)
    assert new.take(later[-1]) == later


def test_a_stream_whose_client_left_before_it_was_opened_is_not_kept(hub: Hub) -> None:
    reader = Reader()
    stream = reader.stream("p")
    hub.discard(stream)
    hub.open(stream)
    assert hub.open_subscriptions == 0
    assert hub._projects == {}
    assert reader.messages.empty()

    kept = Reader()
    other = kept.stream("p")
    hub.open(other)
    kept.until("caught_up")
    assert hub.open_subscriptions == 1
    # A second discard does nothing: the client may leave while the stream ends.
    hub.discard(other)
    hub.discard(other)
    assert hub.open_subscriptions == 0
    assert hub._projects == {}


def test_a_stream_that_stops_falls_behind_alone_and_misses_nothing(
    events: EventServiceStub, hub: Hub, open_reader: Callable[..., Reader]
) -> None:
    good = open_reader("p")
    slow = open_reader("p", batch=1)
    good.until("caught_up")
    slow.until("caught_up")
    slow.stopped.set()
    counted = metrics.REGISTRY.get_sample_value("orchestration_slow_readers_total") or 0.0
    stored = emit(events, "p", [factories.event()])
    assert slow.take(stored[0]) == good.take(stored[0]) == stored
    # Three times more than the queue holds, while one message is in flight.
    for _ in range(3):
        more = emit(events, "p", [factories.event()] * (QUEUE_MESSAGES + 1))
        assert good.take(more[-1]) == more
        stored += more
    (stream,) = (one for one in hub._subscriptions if one.request.batch == 1)
    assert slow.messages.empty()
    # The stream learns that it fell behind when it goes on, and costs nothing until then.
    assert len(stream.queue.messages) == 1
    assert not stream.read.live
    assert not stream.read.reading
    slow.go_on()
    assert slow.until("fell_behind") == []
    assert slow.take(stored[-1]) == stored[1:]
    assert metrics.REGISTRY.get_sample_value("orchestration_slow_readers_total") == counted + 1
    # The stream is live again.
    stored = emit(events, "p", [factories.event()])
    assert slow.take(stored[0]) == stored
    assert slow.kinds.count("fell_behind") == 1


def test_a_stream_that_takes_nothing_for_too_long_is_cancelled(
    events: EventServiceStub, server: Server, hub: Hub
) -> None:
    assert server.app is not None
    impatient = Hub(server.app.db, hub._cursors, max_subscriptions=10, stuck_seconds=0.1)
    impatient.start()
    good, dead = Reader(), Reader()
    dead.stopped.set()
    try:
        for reader in (good, dead):
            impatient.open(reader.stream("p"))
        for reader in (good, dead):
            assert reader.until("caught_up") == []
        stored = emit(events, "p", [factories.event()])
        # The dead stream has that message in flight.
        assert dead.cancelled.wait(SECONDS)
        stored += emit(events, "p", [factories.event()])
        assert good.take(stored[-1]) == stored
        assert not good.cancelled.is_set()
        # A later report of the transport on it wakes nobody.
        dead.go_on()
        assert good.take(emit(events, "p", [factories.event()])[0])
        assert impatient.open_subscriptions == 1
        assert dead.messages.empty()
    finally:
        impatient.close()
    assert impatient.open_subscriptions == 0


class Transport:
    """A thread that takes messages, one of each stream at a time, as the thread of grpc does."""

    def __init__(self) -> None:
        self._sent: queue.SimpleQueue[tuple[Taker, Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def send(self, taker: "Taker", done: Callable[[], None]) -> None:
        self._sent.put((taker, done))

    def _run(self) -> None:
        while (sent := self._sent.get()) is not None:
            taker, done = sent
            taker.in_flight -= 1
            done()

    def close(self) -> None:
        self._sent.put(None)
        self._thread.join(SECONDS)


class Taker(Reader):
    """A reader whose messages are taken by a transport."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self.in_flight = 0
        self.most_in_flight = 0
        self._transport = transport

    def _send(self, body: bytes, done: Callable[[], None]) -> bool:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.messages.put(event_pb2.StreamTimelineResponse.FromString(body))
        self._transport.send(self, done)
        return True


def test_a_transport_that_takes_messages_while_others_come_loses_none(
    events: EventServiceStub, open_reader: Callable[..., Reader]
) -> None:
    transport = Transport()
    try:
        takers = [Taker(transport) for _ in range(20)]
        for taker in takers:
            open_reader("p", taker, batch=1)
            taker.until("caught_up")
        stored: list[str] = []
        for _ in range(60):
            stored += emit(events, "p", [factories.event()] * 7)
        for taker in takers:
            assert taker.take(stored[-1]) == stored
            assert taker.most_in_flight == 1
    finally:
        transport.close()


def test_a_time_misses_no_event_of_a_transaction_that_was_open_then(
    events: EventServiceStub, server: Server
) -> None:
    project = "p"
    metadata = (("orchestration-project", project),)
    emit(events, project, [factories.event()] * 3)
    with Connection.connect(server.database_url, autocommit=True) as conn, conn.transaction():
        now = event_store.now(conn)
        call = Call(rpc="EventService/EmitEvent", project=project)
        row = event_row(
            event_pb2.Event(type="agents.older", priority=3),  # type: ignore[arg-type]  # P2
            call,
            now=now,
            occur_time=None,
            tail=event_tail(call, now),
        )
        event_rows.copy_events(conn, writes.begin_log(conn), [row])
        later = emit(events, project, [factories.event()] * 2)
        request = event_pb2.StreamTimelineRequest(follow=True, from_time=to_timestamp(now))
        stream = events.StreamTimeline(request, metadata=metadata, timeout=SECONDS)
        # Events stored after the open transaction began come only when it has ended.
        assert next(stream).WhichOneof("message") == "caught_up"
    found: list[str] = []
    while len(found) < 1 + len(later):
        found += [event.id for event in next(stream).events.events]
    stream.cancel()
    assert found == [str(row.event_id), *later]
