"""Clients that stop reading delay no other client and cost little."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.timeline.hub import Hub
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.rpc_errors import must_be, refused

SECONDS = 60
STALLED = 8
GOOD = 4
EVENT_BYTES = 30_000
MESSAGES, EVENTS = 60, 20
"""36 MB: more than the flow-control windows and the queue of a subscription take."""
MEMORY = 200 * 1024 * 1024
"""The memory that all stalled readers may cost the server together."""
PROMPT = 1.0


class Watched:
    """A server in another process, whose memory is measured."""

    def __init__(self, server: Server, ready: Path) -> None:
        self.address = server.address
        self._status = Path(f"/proc/{json.loads(ready.read_text())['pid']}/status")

    def peak(self) -> int:
        """Return the peak memory of the process in bytes."""
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
def watched(database_url: str, start_process: Callable[[str], Server], tmp_path: Path) -> Watched:
    found = start_process(database_url)
    (ready,) = (path for path in tmp_path.glob("ready-*") if path.suffix != ".log")
    return Watched(found, ready)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Reader:
    """A client that reads all events on its own thread."""

    def __init__(self, channel: grpc.Channel, wanted: int) -> None:
        request = event_pb2.StreamTimelineRequest(follow=True, batch_size=10)
        self.call = EventServiceStub(channel).StreamTimeline(request, timeout=SECONDS)
        self.live = threading.Event()
        self.ids: list[str] = []
        self._wanted = wanted

    def run(self) -> list[str]:
        for message in self.call:
            if message.HasField("caught_up"):
                self.live.set()
            self.ids += [event.id for event in message.events.events]
            if len(self.ids) >= self._wanted:
                break
        self.call.cancel()
        return self.ids


def stall(opened: ExitStack, address: str, **fields: Any) -> Any:
    """Open a stream and read only its first message."""
    channel = opened.enter_context(open_channel(address))
    request = event_pb2.StreamTimelineRequest(batch_size=10, **fields)
    call = EventServiceStub(channel).StreamTimeline(request, timeout=SECONDS)
    opened.callback(call.cancel)
    next(call)
    return call


def emit(events: EventServiceStub) -> list[str]:
    """Emit the events and return their ids. It fails if the server does not answer promptly."""
    large = factories.event(payload={"text": "x" * EVENT_BYTES})
    messages = (
        event_pb2.EmitEventsRequest(request_id=f"m{number}", events=[large] * EVENTS)
        for number in range(MESSAGES)
    )
    found: list[str] = []
    for answer in events.EmitEvents(messages, timeout=SECONDS):
        assert answer.stored == EVENTS, answer.error
        found += answer.event_ids
    return found


def test_readers_that_stop_delay_no_others(watched: Watched, opened: ExitStack) -> None:
    channel = opened.enter_context(open_channel(watched.address))
    events, tasks = EventServiceStub(channel), TaskServiceStub(channel)
    pool = opened.enter_context(ThreadPoolExecutor(GOOD))
    readers = [
        Reader(opened.enter_context(open_channel(watched.address)), MESSAGES * EVENTS) for _ in range(GOOD)
    ]
    results = [pool.submit(reader.run) for reader in readers]
    for reader in readers:
        assert reader.live.wait(10)
    for _ in range(STALLED):
        stall(opened, watched.address, follow=True)
    before = watched.peak()

    stored = emit(events)
    stored_at = monotonic()
    assert [result.result(timeout=10) for result in results] == [stored] * GOOD
    assert monotonic() - stored_at < 5 * PROMPT

    for number in range(50):
        began = monotonic()
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(f"t{number}")), timeout=SECONDS)
        assert monotonic() - began < PROMPT
    assert watched.peak() - before < MEMORY


def test_readers_of_history_that_stop_delay_no_others(watched: Watched, opened: ExitStack) -> None:
    channel = opened.enter_context(open_channel(watched.address))
    events, tasks = EventServiceStub(channel), TaskServiceStub(channel)
    stored = emit(events)
    before = watched.peak()
    for _ in range(STALLED):
        stall(opened, watched.address)

    assert Reader(opened.enter_context(open_channel(watched.address)), len(stored)).run() == stored
    tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=PROMPT)
    assert watched.peak() - before < MEMORY


def test_a_reader_that_goes_on_after_a_pause_misses_nothing(watched: Watched, opened: ExitStack) -> None:
    channel = opened.enter_context(open_channel(watched.address))
    events = EventServiceStub(channel)
    stream = stall(opened, watched.address, follow=True)
    stored = emit(events)
    found: list[str] = []
    cursor = ""
    try:
        for message in stream:
            for event in message.events.events:
                found.append(event.id)
                cursor = event.cursor
            if len(found) == len(stored):
                break
    except grpc.RpcError:
        # The server cancelled it for its pause; the client resumes.
        request = event_pb2.StreamTimelineRequest(after_cursor=cursor, batch_size=10)
        for message in events.StreamTimeline(request, timeout=SECONDS):
            found += [event.id for event in message.events.events]
    assert found == stored


def test_a_reader_that_stops_for_too_long_is_cancelled_alone(
    database_url: str,
    start_server: Callable[[str], Server],
    monkeypatch: pytest.MonkeyPatch,
    opened: ExitStack,
) -> None:
    cancelled = threading.Event()

    class Impatient(Hub):
        def _cancel_stuck(self, now: float) -> None:
            before = self.open_subscriptions
            super()._cancel_stuck(now)
            if self.open_subscriptions < before:
                cancelled.set()

    monkeypatch.setattr("orchestration_server.app.Hub", partial(Impatient, stuck_seconds=0.2))
    address = start_server(database_url).address
    pool = opened.enter_context(ThreadPoolExecutor(1))
    good = Reader(opened.enter_context(open_channel(address)), MESSAGES * EVENTS)
    result = pool.submit(good.run)
    assert good.live.wait(10)
    dead = stall(opened, address, follow=True)

    stored = emit(EventServiceStub(opened.enter_context(open_channel(address))))
    assert result.result(timeout=10) == stored
    assert cancelled.wait(10)
    with pytest.raises(grpc.RpcError) as caught:
        list(dead)
    must_be(caught.value, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_a_server_stops_in_time_with_readers_that_stopped(
    start_app: Callable[..., App], opened: ExitStack
) -> None:
    # Time enough for the live client to get its status on a busy machine. Stalled clients use all of it.
    app = start_app(grace_seconds=8)
    emit(EventServiceStub(opened.enter_context(open_channel(app.address))))
    stalled = [stall(opened, app.address) for _ in range(STALLED)]
    live = EventServiceStub(opened.enter_context(open_channel(app.address))).StreamTimeline(
        event_pb2.StreamTimelineRequest(last=1, follow=True), timeout=SECONDS
    )
    assert next(live).HasField("events")
    assert next(live).HasField("caught_up")
    began = monotonic()
    app.stop()
    assert monotonic() - began < 14
    with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", "stopping"):
        next(live)
    for call in stalled:
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        must_be(caught.value, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_history_of_large_events_comes_in_messages_that_a_client_accepts(
    watched: Watched, opened: ExitStack
) -> None:
    """A client accepts messages of up to 4 MB by default."""
    channel = opened.enter_context(open_channel(watched.address))
    stored = emit(EventServiceStub(channel))
    plain = opened.enter_context(
        grpc.insecure_channel(watched.address, options=[("grpc.use_local_subchannel_pool", 1)])
    )
    request = event_pb2.StreamTimelineRequest()
    found: list[str] = []
    for message in EventServiceStub(plain).StreamTimeline(request, timeout=SECONDS):
        found += [event.id for event in message.events.events]
    assert found == stored
