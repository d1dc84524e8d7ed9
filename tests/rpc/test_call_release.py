"""A call that has ended is released at once.

grpc keeps the stream of a call for as long as Python holds on to it, and counts it against the calls of its
connection: one reference in a circle, and a connection is refused for good after so many calls.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.auth.api_keys import new_key
from orchestration_server.embedded.engines import Engines
from tests.conftest import new_database, open_channel, running
from tests.support import factories
from tests.support.credentials import bearer, make_key
from tests.support.rpc_errors import Metadata

SECONDS = 20
MOST = 20
CALLS = 5 * MOST
TASK = task_pb2.GetTaskRequest(task_code="a")


def get(channel: grpc.Channel, metadata: Metadata) -> None:
    TaskServiceStub(channel).GetTask(TASK, metadata=metadata, timeout=SECONDS)


def get_none(channel: grpc.Channel, metadata: Metadata) -> None:
    request = task_pb2.GetTaskRequest(task_code="none")
    TaskServiceStub(channel).GetTask(request, metadata=metadata, timeout=SECONDS)


def get_wrong(channel: grpc.Channel, metadata: Metadata) -> None:
    TaskServiceStub(channel).GetTask(task_pb2.GetTaskRequest(), metadata=metadata, timeout=SECONDS)


def get_large(channel: grpc.Channel, metadata: Metadata) -> None:
    request = task_pb2.GetTaskRequest(task_code="a" * 5_000)
    TaskServiceStub(channel).GetTask(request, metadata=metadata, timeout=SECONDS)


def emit(channel: grpc.Channel, metadata: Metadata) -> None:
    messages = [event_pb2.EmitEventsRequest(request_id="r", events=[factories.event()])]
    list(EventServiceStub(channel).EmitEvents(iter(messages), metadata=metadata, timeout=SECONDS))


def emit_one(channel: grpc.Channel, metadata: Metadata) -> None:
    request = event_pb2.EmitEventRequest(event=factories.event())
    EventServiceStub(channel).EmitEvent(request, metadata=metadata, timeout=SECONDS)


def read_timeline(channel: grpc.Channel, metadata: Metadata) -> None:
    request = event_pb2.StreamTimelineRequest()
    list(EventServiceStub(channel).StreamTimeline(request, metadata=metadata, timeout=SECONDS))


def leave_timeline(channel: grpc.Channel, metadata: Metadata) -> None:
    request = event_pb2.StreamTimelineRequest(follow=True)
    stream = EventServiceStub(channel).StreamTimeline(request, metadata=metadata, timeout=SECONDS)
    next(stream)
    stream.cancel()


def read_no_file(channel: grpc.Channel, metadata: Metadata) -> None:
    request = context_pb2.ReadContextFileRequest(task_code="a", path="none")
    list(ContextServiceStub(channel).ReadContextFile(request, metadata=metadata, timeout=SECONDS))


def check_health(channel: grpc.Channel, metadata: Metadata) -> None:
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)


def call_nothing(channel: grpc.Channel, metadata: Metadata) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/orchestration.v1.None/None")
    call(b"", timeout=SECONDS)


def send_nothing(channel: grpc.Channel, metadata: Metadata) -> None:
    ending = threading.Event()

    def nothing() -> Iterator[bytes]:
        ending.wait(SECONDS)
        yield from ()

    call: grpc.StreamUnaryMultiCallable[bytes, bytes]
    call = channel.stream_unary("/orchestration.v1.TaskService/GetTask")
    future: Any = call.future(nothing(), metadata=metadata, timeout=SECONDS)
    future.cancel()
    ending.set()


def code_of(call: Callable[[], None]) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        return cast(grpc.Call, error).code()
    return grpc.StatusCode.OK


ENDINGS = [get, get_none, get_wrong, get_large, emit, emit_one, read_timeline, leave_timeline, read_no_file,
           check_health, call_nothing, send_nothing]  # fmt: skip


@pytest.fixture(scope="module", params=["open", "key", "missing", "unknown"])
def caller(engines: Engines, request: pytest.FixtureRequest) -> Iterator[tuple[str, Metadata]]:
    """Run a server with a task; return its address and the metadata of a caller."""
    auth = "open" if request.param == "open" else "required"
    with new_database(engines) as url, running(engines, url, auth=auth, connection_calls=MOST) as address:
        key = bearer(make_key(url))
        with open_channel(address) as channel:
            TaskServiceStub(channel).CreateTask(
                task_pb2.CreateTaskRequest(task=factories.task("a")), metadata=key, timeout=SECONDS
            )
        yield address, {"key": key, "unknown": bearer(new_key()[1])}.get(request.param, ())


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda one: str(one.__name__))
def test_no_ended_call_stays_referenced(caller: tuple[str, Metadata], ending: Callable[..., None]) -> None:
    address, metadata = caller
    gc.disable()
    try:
        # Without retries, which would hide an occasional refusal.
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options) as channel:
            codes = {code_of(lambda: ending(channel, metadata)) for _ in range(CALLS)}
            assert grpc.StatusCode.UNAVAILABLE not in codes
    finally:
        gc.enable()
