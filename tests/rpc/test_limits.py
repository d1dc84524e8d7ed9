"""The limits on open streams and on the size of responses."""

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.rpc import interceptor
from orchestration_server.rpc.server import REFLECTIONS, SPARE
from orchestration_server.services.context import ContextService
from tests.conftest import MAX_MESSAGE, open_channel
from tests.support import factories
from tests.support.rpc_errors import details, must_be, refused

SECONDS = 10
EMIT_STREAMS = 2
FILE_STREAMS = 2
FILE_CHUNK = 64 * 1024
THREADS = 2
TIMELINES = 300
LARGE_TASKS = 9
LARGE = "漢"
"""Three bytes, and one character as the rules count them."""


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def small(database_url: str, engines: Engines, opened: ExitStack) -> grpc.Channel:
    """Return a channel to a server with few threads and streams."""
    app = App(
        Settings(
            address="127.0.0.1:0",
            database_url=database_url,
            redis_url=engines.redis_url or "",
            grace_seconds=1,
            threads=THREADS,
            emit_streams=EMIT_STREAMS,
            file_streams=FILE_STREAMS,
            connection_calls=2 * TIMELINES,
        )
    )
    opened.callback(app.stop)
    return opened.enter_context(open_channel(app.start()))


class Idle:
    """A bidirectional stream that the client leaves open."""

    def __init__(self, rpc: Callable[..., Any]) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = rpc(iter(self._requests.get, None), timeout=SECONDS)

    def ask(self, request: Any) -> Any:
        self._requests.put(request)
        return next(self.call)

    def end(self) -> None:
        """Close the client's side and wait for the server to end the stream."""
        self._requests.put(None)
        assert list(self.call) == []

    def close(self) -> None:
        self._requests.put(None)
        self.call.cancel()


@pytest.fixture
def idle(opened: ExitStack) -> Callable[[Callable[..., Any]], Idle]:
    def start(rpc: Callable[..., Any]) -> Idle:
        stream = Idle(rpc)
        opened.callback(stream.close)
        return stream

    return start


def until_taken(start: Callable[[], Idle], request: Any) -> Any:
    """Open streams until one is accepted, as a client does that retries."""
    deadline = monotonic() + SECONDS
    while True:
        try:
            return start().ask(request)
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.RESOURCE_EXHAUSTED)
        if monotonic() > deadline:
            raise AssertionError("no place became free")


def until_read(start: Callable[[], Any]) -> Any:
    """Start to read until a stream is accepted."""
    deadline = monotonic() + SECONDS
    while True:
        try:
            return next(start())
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.RESOURCE_EXHAUSTED)
        if monotonic() > deadline:
            raise AssertionError("no place became free")


def test_idle_reflection_streams_do_not_delay_unary_calls(
    small: grpc.Channel, idle: Callable[[Callable[..., Any]], Idle]
) -> None:
    reflection = reflection_pb2_grpc.ServerReflectionStub(small)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    streams = [idle(reflection.ServerReflectionInfo) for _ in range(REFLECTIONS)]
    for stream in streams:
        assert stream.ask(asked).list_services_response.service
    assert len(streams) > THREADS

    tasks = TaskServiceStub(small)
    for _ in range(2 * THREADS):
        tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
    for _ in range(2 * SPARE):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS") as caught:
            next(idle(reflection.ServerReflectionInfo).call)
        assert details(caught.value)["RetryInfo"].retry_delay.seconds == 1
    tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)

    # The server accepts another stream when one has ended or its client has left.
    streams[0].end()
    assert idle(reflection.ServerReflectionInfo).ask(asked).list_services_response.service
    streams[1].close()
    until_taken(lambda: idle(reflection.ServerReflectionInfo), asked)


def test_emit_streams_above_the_limit_are_refused_at_once(
    small: grpc.Channel, idle: Callable[[Callable[..., Any]], Idle]
) -> None:
    events = EventServiceStub(small)
    message = event_pb2.EmitEventsRequest(request_id="r", events=[factories.event()])
    streams = [idle(events.EmitEvents) for _ in range(EMIT_STREAMS)]
    for stream in streams:
        assert stream.ask(message).stored == 1

    # More than the spare threads, one after the other and at once. None of them sends a message.
    above = [idle(events.EmitEvents) for _ in range(3 * SPARE)]
    for stream in above:
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS") as caught:
            next(stream.call)
        assert details(caught.value)["RetryInfo"].retry_delay.seconds == 1
    for _ in range(3 * SPARE):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"):
            next(idle(events.EmitEvents).call)
    # The open streams go on, and so do unary calls.
    for stream in streams:
        assert stream.ask(message).stored == 1
    events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), timeout=SECONDS)

    streams[0].end()
    assert idle(events.EmitEvents).ask(message).stored == 1
    streams[1].close()
    assert until_taken(lambda: idle(events.EmitEvents), message).stored == 1


@pytest.fixture
def endless_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that never ends."""

    def read(*_: Any) -> Iterator[context_pb2.ReadContextFileResponse]:
        while True:
            yield context_pb2.ReadContextFileResponse(data=bytes(FILE_CHUNK))

    monkeypatch.setattr(ContextService, "ReadContextFile", read)


@pytest.mark.usefixtures("endless_file")
def test_file_streams_above_the_limit_are_refused_at_once(small: grpc.Channel) -> None:
    contexts = ContextServiceStub(small)
    request = context_pb2.ReadContextFileRequest(task_code="t", path="TASK.md")
    streams = [contexts.ReadContextFile(request, timeout=SECONDS) for _ in range(FILE_STREAMS)]
    for stream in streams:
        assert len(next(stream).data) == FILE_CHUNK

    for _ in range(2 * SPARE):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS") as caught:
            next(contexts.ReadContextFile(request, timeout=SECONDS))
        assert details(caught.value)["RetryInfo"].retry_delay.seconds == 1
    TaskServiceStub(small).ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
    streams[0].cancel()
    first = until_read(lambda: contexts.ReadContextFile(request, timeout=SECONDS))
    assert len(first.data) == FILE_CHUNK


@pytest.mark.usefixtures("endless_file")
def test_a_client_that_stops_reading_a_file_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, small: grpc.Channel
) -> None:
    monkeypatch.setattr(interceptor, "READ_SECONDS", 0.3)
    contexts = ContextServiceStub(small)
    request = context_pb2.ReadContextFileRequest(task_code="t", path="TASK.md")
    streams = [contexts.ReadContextFile(request, timeout=SECONDS) for _ in range(FILE_STREAMS)]
    for stream in streams:
        next(stream)
    # No client reads on; the next one is accepted once the first two are cut off.
    until_read(lambda: contexts.ReadContextFile(request, timeout=SECONDS))
    for stream in streams:
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        must_be(caught.value, grpc.StatusCode.CANCELLED)


def test_a_files_path_is_checked(small: grpc.Channel) -> None:
    request = context_pb2.ReadContextFileRequest(task_code="t", path="../TASK.md")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        next(ContextServiceStub(small).ReadContextFile(request, timeout=SECONDS))


def test_many_timelines_that_open_at_once_are_accepted_and_do_not_delay_unary_calls(
    small: grpc.Channel, opened: ExitStack
) -> None:
    events, tasks = EventServiceStub(small), TaskServiceStub(small)
    stored = events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), timeout=SECONDS)
    request = event_pb2.StreamTimelineRequest(last=1, follow=True)
    streams: list[Any] = []
    for _ in range(TIMELINES):
        streams.append(events.StreamTimeline(request, timeout=6 * SECONDS))
        opened.callback(streams[-1].cancel)
    for stream in streams[::10]:
        tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
        assert [event.id for event in next(stream).events.events] == [stored.event.id]
    for place, stream in enumerate(streams):
        if place % 10:
            assert next(stream).HasField("events")
        assert next(stream).HasField("caught_up")

    live = events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), timeout=SECONDS)
    for stream in streams:
        assert [event.id for event in next(stream).events.events] == [live.event.id]


@pytest.fixture
def large(tasks: TaskServiceStub) -> list[str]:
    """Return the codes of tasks as large as the rules allow, together too large for one message."""
    lines = [LARGE * 2_000] * 100
    codes = [f"large-{number:02}" for number in range(LARGE_TASKS)]
    total = 0
    for code in codes:
        task = factories.task(
            code,
            description=LARGE * 100_000,
            objectives=lines,
            deliverables=lines,
            acceptance_criteria=lines,
        )
        total += task.ByteSize()
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)
    assert total > MAX_MESSAGE
    return codes


def test_a_client_that_accepts_16_mib_reads_large_tasks_whole(
    tasks: TaskServiceStub, events: EventServiceStub, large: list[str]
) -> None:
    listed: list[str] = []
    token, pages = "", 0
    while token or not pages:
        page = tasks.ListTasks(task_pb2.ListTasksRequest(page_token=token), timeout=SECONDS)
        assert page.tasks
        listed += [task.code for task in page.tasks]
        assert all(len(task.description) == 100_000 for task in page.tasks)
        token, pages = page.next_page_token, pages + 1
    assert pages > 1
    assert sorted(listed) == large

    orders = ((event_pb2.EVENT_ORDER_OLDEST_FIRST, large), (event_pb2.EVENT_ORDER_NEWEST_FIRST, large[::-1]))
    for order, expected in orders:
        listed, token, pages = [], "", 0
        while token or not pages:
            request = event_pb2.ListEventsRequest(order=order, page_token=token)
            some = events.ListEvents(request, timeout=SECONDS)
            listed += [event.entity_code for event in some.events]
            token, pages = some.next_page_token, pages + 1
        assert pages > 1
        assert listed == expected

    found = [
        event.entity_code
        for message in events.StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS)
        for event in message.events.events
    ]
    assert found == large


def test_an_actor_whose_name_looks_like_an_entity_is_counted_by_its_name(events: EventServiceStub) -> None:
    for actor, count in (("7/x", 3), ("2/x", 2), ("a/b/c", 1)):
        for _ in range(count):
            request = event_pb2.EmitEventRequest(event=factories.event(actor=actor))
            events.EmitEvent(request, timeout=SECONDS)
    answer = events.GetEventStats(
        event_pb2.GetEventStatsRequest(group_by=event_pb2.EVENT_GROUPING_ACTOR), timeout=SECONDS
    )
    assert [(found.key, found.count) for found in answer.counts] == [("7/x", 3), ("2/x", 2), ("a/b/c", 1)]
