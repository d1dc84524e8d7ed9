"""A small fake ledger whose streams break on request, for tests of the client."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import (
    code_pb2,
    error_details_pb2,
    status_pb2,
)
from grpc_status import rpc_status

from orchestration.v1 import event_pb2_grpc, task_pb2_grpc
from orchestration.v1.event_pb2 import (
    EmitError,
    EmitEventsRequest,
    EmitEventsResponse,
    Event,
    EventBatch,
    StreamTimelineRequest,
    StreamTimelineResponse,
    TimelineCaughtUp,
    TimelineCheckpoint,
)
from orchestration.v1.task_pb2 import (
    CreateTaskRequest,
    CreateTaskResponse,
    GetTaskRequest,
    GetTaskResponse,
    ListTasksRequest,
    ListTasksResponse,
    Task,
)

BREAKS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class FakeTasks(task_pb2_grpc.TaskServiceServicer):
    """A task service that records requests, and refuses some as the ledger does."""

    def __init__(self) -> None:
        self.created: list[CreateTaskRequest] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.deadlines: list[float] = []
        self.cancel_first = 0

    def CreateTask(self, request: CreateTaskRequest, context: grpc.ServicerContext) -> CreateTaskResponse:
        self.created.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.deadlines.append(context.time_remaining())
        if len(self.created) <= self.cancel_first:
            context.abort(grpc.StatusCode.CANCELLED, "shutting down")
        return CreateTaskResponse(task=request.task)

    def GetTask(self, request: GetTaskRequest, context: grpc.ServicerContext) -> GetTaskResponse:
        status = status_pb2.Status(code=code_pb2.ABORTED, message="stale")
        for detail in (
            error_details_pb2.ErrorInfo(
                reason="STALE_REVISION",
                domain="orchestration.v1",
                metadata={"current_revision": "7"},
            ),
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field="a.b", description="wrong")
                ]
            ),
            error_details_pb2.ResourceInfo(resource_type="task", resource_name=request.task_code),
            error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000)),
        ):
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.abort_with_status(rpc_status.to_status(status))

    def ListTasks(self, request: ListTasksRequest, context: grpc.ServicerContext) -> ListTasksResponse:
        if request.page_token == "bad":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such page")
        start = int(request.page_token or 0)
        return ListTasksResponse(
            tasks=[Task(code=f"t{n}") for n in range(start, min(start + 3, 8))],
            next_page_token=str(start + 3) if start + 3 < 8 else "",
        )


@dataclass
class FakeEvents(event_pb2_grpc.EventServiceServicer):
    """A log whose streams break after the numbers of messages in `breaks`, and then no more."""

    events: list[Event] = field(default_factory=list)
    breaks: list[tuple[int, grpc.StatusCode | None]] = field(default_factory=list)
    batch: int = 3
    starts: list[StreamTimelineRequest] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    refuse: Callable[[EmitEventsRequest, int], EmitError | None] = lambda _request, _seen: None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def append(self, count: int) -> None:
        with self.changed:
            first = len(self.events) + 1
            self.events.extend(Event(id=f"e{n}", cursor=str(n)) for n in range(first, first + count))
            self.changed.notify_all()

    def StreamTimeline(
        self, request: StreamTimelineRequest, context: grpc.ServicerContext
    ) -> Iterator[StreamTimelineResponse]:
        self.starts.append(request)
        left, code = self.breaks.pop(0) if self.breaks else (-1, None)
        for message in self._timeline(request, context):
            if left == 0:
                if code is None:
                    return
                context.abort(code, "broken on purpose")
            left -= 1
            yield message

    def _timeline(
        self, request: StreamTimelineRequest, context: grpc.ServicerContext
    ) -> Iterator[StreamTimelineResponse]:
        if request.after_cursor == "of-another-log":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "start elsewhere")
        position = int(request.after_cursor or 0)
        if request.WhichOneof("start") == "last":
            position = max(0, len(self.events) - request.last)
        context.add_callback(self._wake)
        while context.is_active():
            while batch := self.events[position : position + self.batch]:
                position += len(batch)
                yield StreamTimelineResponse(events=EventBatch(events=batch))
            yield StreamTimelineResponse(checkpoint=TimelineCheckpoint(cursor=str(position)))
            if not request.follow:
                return
            yield StreamTimelineResponse(caught_up=TimelineCaughtUp(cursor=str(position)))
            with self.changed:
                self.changed.wait_for(
                    lambda: len(self.events) > position or not context.is_active()  # noqa: B023 - called at once
                )

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def EmitEvents(
        self, request_iterator: Iterator[EmitEventsRequest], context: grpc.ServicerContext
    ) -> Iterator[EmitEventsResponse]:
        left, code = self.breaks.pop(0) if self.breaks else (-1, None)
        for request in request_iterator:
            seen = self.received.count(request.request_id)
            self.received.append(request.request_id)
            if error := self.refuse(request, seen):
                yield EmitEventsResponse(request_id=request.request_id, error=error)
                continue
            self.stored[request.request_id] = len(request.events)
            if left == 0:  # the events are stored, but the answer is lost
                if code is None:
                    return
                context.abort(code, "broken on purpose")
            left -= 1
            yield EmitEventsResponse(request_id=request.request_id, stored=len(request.events))


@dataclass
class Ledger:
    address: str
    tasks: FakeTasks
    events: FakeEvents
    server: grpc.Server

    def stop(self) -> None:
        self.server.stop(None).wait()


def serve(address: str, tasks: FakeTasks, events: FakeEvents) -> Ledger:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
    task_pb2_grpc.add_TaskServiceServicer_to_server(tasks, server)
    event_pb2_grpc.add_EventServiceServicer_to_server(events, server)
    port = server.add_insecure_port(address)
    server.start()
    return Ledger(f"127.0.0.1:{port}", tasks, events, server)


@contextlib.contextmanager
def running_ledger() -> Iterator[Ledger]:
    tasks = FakeTasks()  # type: ignore[abstract]  # it implements only the tested methods
    events = FakeEvents()  # type: ignore[abstract]  # as above
    ledger = serve("127.0.0.1:0", tasks, events)
    try:
        yield ledger
    finally:
        ledger.stop()
