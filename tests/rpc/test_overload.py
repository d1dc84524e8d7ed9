"""Limits: a call above one is refused at once, with a reason, and calls below it go on as before."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import TASK_STATUS_IN_PROGRESS as IN_PROGRESS
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.telemetry import metrics
from tests.conftest import open_channel
from tests.support import factories
from tests.support.locks import held, waiting
from tests.support.rpc_errors import details, refused

SECONDS = 20
SMALL_MESSAGE = 64 * 1024
SERVICE = "orchestration.v1.TaskService"
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass
class Small:
    """A server with small limits and the task "a"."""

    channel: grpc.Channel
    url: str

    def __post_init__(self) -> None:
        self.tasks = TaskServiceStub(self.channel)
        self.events = EventServiceStub(self.channel)
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")), timeout=SECONDS)

    def change(self) -> Any:
        """Start a call that locks the task."""
        request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="a", title="b"))
        request.update_mask.paths.append("title")
        return self.tasks.UpdateTask.future(request, timeout=SECONDS)

    def get(self) -> task_pb2.Task:
        return self.tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), timeout=SECONDS).task

    @contextmanager
    def held(self, calls: int) -> Iterator[list[Any]]:
        """Keep `calls` calls waiting in the database until the end of the block."""
        with psycopg.connect(self.url, autocommit=True) as watch, held(self.url):
            inside = [self.change() for _ in range(calls)]
            waiting(watch, calls)
            yield inside
        for call in inside:
            assert call.result().task.title == "b"


@pytest.fixture
def start(start_app: Callable[..., App], database_url: str) -> Iterator[Callable[..., Small]]:
    with ExitStack() as stack:

        def serve(**settings: Any) -> Small:
            app = start_app(**settings)
            return Small(stack.enter_context(open_channel(app.address)), database_url)

        yield serve


def retry_seconds(error: grpc.RpcError) -> float:
    found: float = details(error)["RetryInfo"].retry_delay.ToTimedelta().total_seconds()
    return found


def count(counter: Any) -> float:
    value: float = counter._value.get()
    return value


def test_calls_above_the_queue_are_refused_while_all_threads_are_in_use(
    start: Callable[..., Small],
) -> None:
    small = start(threads=2, waiting_calls=3)
    with small.held(2):
        ended: SimpleQueue[Any] = SimpleQueue()
        calls = [small.change() for _ in range(40)]
        for call in calls:
            call.add_done_callback(ended.put)
        for _ in range(37):
            with refused(EXHAUSTED, "TOO_MANY_CALLS") as caught:
                ended.get(timeout=SECONDS).result()
            assert 0 < retry_seconds(caught.value) <= 1
        assert ended.empty()
        # A health check is answered although the server is busy.
        health = health_pb2_grpc.HealthStub(small.channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert sum(call.code() is grpc.StatusCode.OK for call in calls) == 3
    assert small.get().title == "b"


@pytest.mark.parametrize(
    ("rpc", "body"),
    [("GetTask", bytes(4_096)), ("CreateTask", gzip.compress(bytes(16 << 20), 9))],
    ids=["as sent", "as gzip tells"],
)
def test_a_request_that_is_too_large_needs_no_thread(
    start: Callable[..., Small], rpc: str, body: bytes
) -> None:
    small = start(threads=2)
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = small.channel.unary_unary(f"/{SERVICE}/{rpc}")
    with small.held(2), refused(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE"):
        call(body, timeout=SECONDS)


@pytest.mark.connections(12)
def test_calls_that_get_no_connection_are_refused(start: Callable[..., Small]) -> None:
    small = start(threads=8, connections=2)
    before = count(metrics.POOL_EXHAUSTED)
    with small.held(2):
        for _ in range(5):
            with refused(EXHAUSTED, "POOL_EXHAUSTED") as caught:
                small.get()
            assert 0 < retry_seconds(caught.value) <= 1
    assert count(metrics.POOL_EXHAUSTED) >= before + 5
    assert small.get().title == "b"


def test_a_message_that_is_too_large_is_refused_alone(start: Callable[..., Small]) -> None:
    small = start(max_message_bytes=SMALL_MESSAGE)
    large = factories.task("large", description="x" * SMALL_MESSAGE)
    with refused(EXHAUSTED) as caught:
        small.tasks.CreateTask(task_pb2.CreateTaskRequest(task=large), timeout=SECONDS)
    assert details(caught.value) == {}, "the transport itself refuses it"

    event = factories.event()
    event.payload["text"] = "x" * SMALL_MESSAGE
    messages = [event_pb2.EmitEventsRequest(request_id="r", events=[event])]
    with refused(EXHAUSTED) as caught:
        list(small.events.EmitEvents(iter(messages), timeout=SECONDS))
    assert details(caught.value) == {}
    assert small.get().code == "a"


def test_a_response_that_is_too_large_is_a_typed_error(start: Callable[..., Small]) -> None:
    small = start(max_message_bytes=SMALL_MESSAGE)
    for number in range(6):
        task = factories.task(f"t{number}", description="x" * (SMALL_MESSAGE - 4096))
        small.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)
    with refused(EXHAUSTED, "ANSWER_TOO_LARGE") as caught:
        small.tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
    assert "RetryInfo" not in details(caught.value), "it does not help to come again"
    page = small.tasks.ListTasks(task_pb2.ListTasksRequest(page_size=2), timeout=SECONDS)
    assert len(page.tasks) == 2


def test_a_write_whose_response_is_too_large_writes_nothing(start: Callable[..., Small]) -> None:
    small = start(max_message_bytes=SMALL_MESSAGE)
    codes = [f"t{number}" for number in range(6)]
    for code in codes:
        task = factories.task(code, description="x" * (SMALL_MESSAGE - 4096))
        small.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)
    changes = [task_pb2.TaskStatusChange(task_code=code, status=IN_PROGRESS) for code in codes]
    request = task_pb2.BatchUpdateTaskStatusRequest(changes=changes, request_id="r")
    for _ in range(2):
        with refused(EXHAUSTED, "ANSWER_TOO_LARGE"):
            small.tasks.BatchUpdateTaskStatus(request, timeout=SECONDS)
    for code in codes:
        task = small.tasks.GetTask(task_pb2.GetTaskRequest(task_code=code), timeout=SECONDS).task
        assert (task.status, task.revision) == (1, 1)
    del request.changes[2:]
    assert len(small.tasks.BatchUpdateTaskStatus(request, timeout=SECONDS).tasks) == 2


def test_clients_that_watch_the_health_are_bounded(
    start: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration_server.rpc.health.WATCHES", 2)
    health = health_pb2_grpc.HealthStub(start().channel)
    watching = [health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS) for _ in range(2)]
    for watch in watching:
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    with refused(EXHAUSTED):
        next(health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS))
    unknown = health_pb2.HealthCheckRequest(service="none")
    watching[0].cancel()
    end = monotonic() + SECONDS
    while monotonic() < end:
        watch = health.Watch(unknown, timeout=SECONDS)
        try:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        except grpc.RpcError:
            continue
        break
    else:
        raise AssertionError("no place became free")
