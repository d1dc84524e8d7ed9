"""Streams that join the live feed while it moves: nothing is missed, whatever comes in between."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server import convert
from orchestration_server.model import Call, EventFilter
from orchestration_server.store import events as event_store
from orchestration_server.store import writes
from orchestration_server.streams import Reply, Stream
from orchestration_server.timeline import QUEUE_BYTES, QUEUE_MESSAGES, READ_AHEAD, Hub
from tests import factories
from tests.conftest import Server

SECONDS = 10
MARK = "marks.one"
LARGE = 30_000


@dataclass
class Reader:
    """A client of a hub within the process, which takes each message as it comes."""

    messages: queue.SimpleQueue[event_pb2.StreamTimelineResponse] = field(default_factory=queue.SimpleQueue)
    kinds: list[str] = field(default_factory=list)

    def stream(self, project: str, batch: int = 500, types: tuple[str, ...] = ()) -> Stream:
        return Stream(
            project=project,
            chosen=EventFilter(types=list(types)),
            follow=True,
            batch=batch,
            reply=Reply(self._send, lambda error: None, lambda: None),
        )

    def _send(self, body: bytes, done: Callable[[], None]) -> bool:
        self.messages.put(event_pb2.StreamTimelineResponse.FromString(body))
        done()
        return True

    def _next(self) -> list[str]:
        message = self.messages.get(timeout=SECONDS)
        self.kinds.append(message.WhichOneof("message") or "")
        return [event.id for event in message.events.events]

    def until(self, kind: str) -> list[str]:
        """The events before the next message of this kind."""
        found: list[str] = []
        while True:
            found += self._next()
            if self.kinds[-1] == kind:
                return found

    def take(self, last: str) -> list[str]:
        """The events up to this one. Checkpoints go on where it never comes, so the whole has a limit."""
        found: list[str] = []
        deadline = monotonic() + SECONDS
        while last not in found:
            assert monotonic() < deadline, f"{last} did not come"
            found += self._next()
        return found


class Held:
    """Lets the calls of a function through but for one, which it holds until it is told to go on."""

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


@pytest.fixture
def hub(server: Server) -> Hub:
    assert server.app is not None
    return server.app.hub


@pytest.fixture
def open_reader(hub: Hub) -> Iterator[Callable[..., Reader]]:
    opened: list[Stream] = []

    def start(project: str, **fields: Any) -> Reader:
        reader = Reader()
        opened.append(reader.stream(project, **fields))
        hub.open(opened[-1])
        return reader

    yield start
    for stream in opened:
        hub.discard(stream)


def emit(events: EventServiceStub, project: str, new: list[event_pb2.NewEvent]) -> list[str]:
    """Stores the events in one commit; their ids."""
    message = event_pb2.EmitEventsRequest(request_id=uuid4().hex, events=new)
    metadata = (("orchestration-project", project),)
    (answer,) = events.EmitEvents(iter([message]), metadata=metadata, timeout=SECONDS)
    assert answer.stored == len(new), answer.error
    return list(answer.event_ids)


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
    # It follows the marks alone, and tells when the tail has been read up to one.
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
    # Between its reading and its joining the tail moves on by several readings.
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
    # The reading that is on its way asks for the events of the one project alone.
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
    assert hub.open_streams == 0
    assert hub._projects == {}
    assert reader.messages.empty()

    kept = Reader()
    other = kept.stream("p")
    hub.open(other)
    kept.until("caught_up")
    assert hub.open_streams == 1
    # Twice is once: the client may leave while the stream ends.
    hub.discard(other)
    hub.discard(other)
    assert hub.open_streams == 0
    assert hub._projects == {}


def test_a_time_misses_no_event_of_a_transaction_that_was_open_then(
    events: EventServiceStub, server: Server
) -> None:
    project = "p"
    metadata = (("orchestration-project", project),)
    emit(events, project, [factories.event()] * 3)
    with psycopg.connect(server.database_url) as conn:
        now = event_store.now(conn)
        call = Call(rpc="EventService/EmitEvent", project=project)
        row = convert.event_row(
            event_pb2.Event(type="agents.older", priority=3),  # type: ignore[arg-type]  # P2
            call,
            now=now,
            occur_time=None,
            tail=convert.event_tail(call, now),
        )
        writes.copy_events(conn, [row])
        later = emit(events, project, [factories.event()] * 2)
        request = event_pb2.StreamTimelineRequest(follow=True, from_time=convert.stamp(now))
        stream = events.StreamTimeline(request, metadata=metadata, timeout=SECONDS)
        # What was stored after the open transaction began is held back until that has ended.
        assert next(stream).WhichOneof("message") == "caught_up"
        conn.commit()
    found: list[str] = []
    while len(found) < 1 + len(later):
        found += [event.id for event in next(stream).events.events]
    stream.cancel()
    assert found == [str(row.event_id), *later]
