"""The import on a ledger that fails on purpose.

The server is a real grpc server whose answers each test makes up. tests/rpc/test_import.py tests the import
on a real ledger.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from orchestration import ErrorDetails, retry
from orchestration.v1 import event_pb2, task_pb2
from orchestration_server.cli.importing import client as client_module
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.jsonl_format import ImportEventRow, ImportTaskRow
from orchestration_server.cli.importing.loader import (
    BATCH_BYTES,
    EventLoader,
    TaskLoader,
    batches,
    split_refused,
)


class Listed:
    """A listing that records its rows."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str]] = []

    def refused(self, line: int, reason: str) -> None:
        self.rows.append((line, reason))

    def unresolved(self, line: int, reason: str) -> None:
        self.rows.append((line, reason))

    def changed(self, line: int, reason: str) -> None:
        self.rows.append((line, reason))

    def warning(self, line: int, reason: str) -> None:
        self.rows.append((line, reason))


class Tasks:
    """A task service that stores codes. `refuse` may fail a call."""

    def __init__(self, refuse: Callable[[list[str], int], grpc.StatusCode | None]) -> None:
        self.codes: list[str] = []
        self.request_ids: list[str] = []
        self._refuse = refuse

    def BatchCreateTasks(
        self, request: task_pb2.BatchCreateTasksRequest, context: grpc.ServicerContext
    ) -> task_pb2.BatchCreateTasksResponse:
        self.request_ids.append(request.request_id)
        codes = [new.task.code for new in request.tasks]
        if code := self._refuse(codes, len(self.request_ids)):
            context.abort(code, "made up")
        self.codes += codes
        return task_pb2.BatchCreateTasksResponse()


class Events:
    """An event service that stores each dedup_key once. `refuse` may break the stream or refuse a message."""

    def __init__(
        self, refuse: Callable[[event_pb2.EmitEventsRequest, int], event_pb2.EmitError | None]
    ) -> None:
        self.keys: dict[str, int] = {}
        self.messages = 0
        self._refuse = refuse

    def EmitEvents(
        self, request_iterator: Any, context: grpc.ServicerContext
    ) -> Iterator[event_pb2.EmitEventsResponse]:
        for request in request_iterator:
            self.messages += 1
            error = self._refuse(request, self.messages)
            if error is not None and error.reason == "BREAK":
                context.abort(grpc.StatusCode.UNAVAILABLE, "made up")
            if error is not None:
                yield event_pb2.EmitEventsResponse(request_id=request.request_id, error=error)
                continue
            fresh = [e for e in request.events if e.dedup_key not in self.keys]
            self.keys |= {e.dedup_key: 1 for e in fresh}
            yield event_pb2.EmitEventsResponse(
                request_id=request.request_id,
                stored=len(fresh),
                duplicates=len(request.events) - len(fresh),
            )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_LONGEST", 0.0)
    monkeypatch.setattr(client_module, "FIRST_RETRY_TIMEOUT", 0.5)


def handler(service: str, rpc: str, method: Any) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(f"orchestration.v1.{service}", {rpc: method})


@contextmanager
def serving(tasks: Tasks | None = None, events: Events | None = None) -> Iterator[ImportClient]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    if tasks:
        create = grpc.unary_unary_rpc_method_handler(
            tasks.BatchCreateTasks,
            request_deserializer=task_pb2.BatchCreateTasksRequest.FromString,
            response_serializer=task_pb2.BatchCreateTasksResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((handler("TaskService", "BatchCreateTasks", create),))
    if events:
        emit = grpc.stream_stream_rpc_method_handler(
            events.EmitEvents,
            request_deserializer=event_pb2.EmitEventsRequest.FromString,
            response_serializer=event_pb2.EmitEventsResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((handler("EventService", "EmitEvents", emit),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with ImportClient(f"127.0.0.1:{port}", "default") as client:
            yield client
    finally:
        server.stop(None).wait()


def task_rows(count: int) -> list[ImportTaskRow]:
    return [
        ImportTaskRow(n, task_pb2.NewTask(task=task_pb2.Task(code=f"t-{n}", title="A task")))
        for n in range(count)
    ]


def event_rows(count: int) -> list[ImportEventRow]:
    return [ImportEventRow(n, event_pb2.NewEvent(type="import.x", dedup_key=str(n))) for n in range(count)]


def test_bad_rows_of_a_batch_are_found_by_halving() -> None:
    bad = {"t-3", "t-4", "t-90"}
    tasks = Tasks(lambda codes, _: grpc.StatusCode.INVALID_ARGUMENT if bad & {*codes} else None)
    listed = Listed()
    with serving(tasks) as client:
        loader = TaskLoader(client, listed)
        loader.create(task_rows(100))
    assert tasks.codes == [f"t-{n}" for n in range(100) if f"t-{n}" not in bad]
    assert [line for line, _ in listed.rows] == [3, 4, 90]
    assert loader.tasks.created == 97
    assert len(tasks.request_ids) == len(set(tasks.request_ids)) < 50


def test_a_transient_failure_is_retried_under_one_request_id() -> None:
    aborted = grpc.StatusCode.ABORTED
    tasks = Tasks(lambda _, call: aborted if call < 3 else None)
    with serving(tasks) as client:
        TaskLoader(client, Listed()).create(task_rows(5))
    assert len(tasks.codes) == 5
    assert len(tasks.request_ids) == 3
    assert len(set(tasks.request_ids)) == 1


def test_a_failure_that_is_not_about_rows_ends_the_import() -> None:
    tasks = Tasks(lambda _, __: grpc.StatusCode.PERMISSION_DENIED)
    listed = Listed()
    with serving(tasks) as client, pytest.raises(CallFailed, match="PERMISSION_DENIED: made up"):
        TaskLoader(client, listed).create(task_rows(5))
    assert len(tasks.request_ids) == 1
    assert not listed.rows


def test_a_broken_stream_is_opened_again_and_nothing_is_lost() -> None:
    broken = event_pb2.EmitError(reason="BREAK")
    events = Events(lambda _, message: broken if message % 3 == 0 else None)
    with serving(events=events) as client:
        loader = EventLoader(client, Listed())
        loader.load(batches(event_rows(6000)))
    assert len(events.keys) == 6000
    assert loader.events.stored + loader.events.duplicates == 6000


def test_a_stream_that_breaks_for_ever_ends_the_import() -> None:
    events = Events(lambda _, __: event_pb2.EmitError(reason="BREAK"))
    with serving(events=events) as client, pytest.raises(CallFailed, match="UNAVAILABLE"):
        EventLoader(client, Listed()).load(batches(event_rows(10)))


@pytest.mark.parametrize("named", [False, True])
def test_bad_events_of_a_message_are_found(named: bool) -> None:
    bad = {"7", "8", "501", "1200"}

    def refuse(request: event_pb2.EmitEventsRequest, _: int) -> event_pb2.EmitError | None:
        places = [n for n, event in enumerate(request.events) if event.dedup_key in bad]
        paths = {f"events[{n}].type": "is wrong" for n in places} if named else {}
        return event_pb2.EmitError(code=3, message="no", violations=paths) if places else None

    events, listed = Events(refuse), Listed()
    with serving(events=events) as client:
        loader = EventLoader(client, listed)
        loader.load(batches(event_rows(1500)))
    assert {str(line) for line, _ in listed.rows} == bad
    assert set(events.keys) == {str(n) for n in range(1500)} - bad
    assert loader.events.stored == 1496
    if named:
        assert listed.rows[0][1].endswith("type: is wrong")


def test_a_message_that_may_succeed_later_is_sent_again() -> None:
    later = event_pb2.EmitError(code=14, message="later", retryable=True)
    events = Events(lambda _, message: later if message in {1, 2, 4} else None)
    with serving(events=events) as client:
        loader = EventLoader(client, Listed())
        loader.load(batches(event_rows(1200)))
    assert loader.events.stored == 1200


def test_a_message_above_its_rate_is_sent_until_it_is_stored() -> None:
    limited = event_pb2.EmitError(code=8, message="more", reason="EVENTS_RATE_LIMITED", retryable=True)
    events = Events(lambda _, message: limited if message <= 50 else None)
    with serving(events=events) as client:
        loader = EventLoader(client, Listed())
        loader.load(batches(event_rows(400)))
    assert (loader.events.stored, events.messages) == (400, 51)


def test_batches_keep_to_rows_and_bytes() -> None:
    assert [len(batch) for batch in batches(task_rows(1201))] == [500, 500, 201]
    wide = [
        ImportTaskRow(n, task_pb2.NewTask(task=task_pb2.Task(description="x" * 100_000))) for n in range(30)
    ]
    sizes = [sum(row.new.ByteSize() for row in batch) for batch in batches(wide)]
    assert max(sizes) <= BATCH_BYTES
    assert [row.line for batch in batches(wide) for row in batch] == list(range(30))


def test_violations_that_name_no_row_of_the_batch_are_not_trusted() -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    rows = task_rows(4)
    for path in ("request_id", "tasks", "tasks[4].task.code", "tasks[x]"):
        failure = CallFailed(
            ErrorDetails(invalid, "no", violations={path: "bad", "tasks[0].task.code": "bad"})
        )
        assert split_refused(rows, failure) == ([], [rows[:2], rows[2:]])
    violations = {"tasks[1].task.code": "a", "tasks[1].task.title": "b"}
    failure = CallFailed(ErrorDetails(invalid, "no", violations=violations))
    assert split_refused(rows, failure) == (
        [(rows[1], "task.code: a; task.title: b")],
        [[rows[0], rows[2], rows[3]]],
    )
