"""Calls, streams, statements and events are counted once, by how they end."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.database import Database
from orchestration_server.errors import Conflict, ResourceExhausted
from orchestration_server.telemetry import metrics
from orchestration_server.writes.batch import EmitBatch
from tests.conftest import Server
from tests.support import factories
from tests.support.waits import turns

SECONDS = 30
EMIT_STREAMS = 64
STREAMS = 96
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"orchestration_{name}", labels) or 0.0


class Since:
    """The increase of counters since a moment. Other servers have run in this process before."""

    def __init__(self) -> None:
        self._collectors: dict[str, Collector] = {}
        self._before = self._read()

    def _read(self, name: str = "") -> Samples:
        """Return the samples of the collector that has the name, or of all if none has it yet.

        All are several thousand after other tests of this process.
        """
        known = self._collectors.get(name)
        found: Samples = {}
        for collector in [known] if known else list(metrics.REGISTRY._collector_to_names):
            for family in collector.collect():
                for sample in family.samples:
                    self._collectors[sample.name] = collector
                    found[sample.name, frozenset(sample.labels.items())] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float:
        key = (f"orchestration_{name}", frozenset(labels.items()))
        return self._read(key[0]).get(key, 0.0) - self._before.get(key, 0.0)

    def until(self, wanted: float, name: str, **labels: str) -> None:
        """Wait for a value: the end of a call is counted a moment before or after its caller sees it."""
        for _ in turns(SECONDS):
            if self.value(name, **labels) == wanted:
                break

    def calls(self, rpc: str) -> dict[str, float]:
        """Return the results of an rpc's calls."""
        name = "orchestration_rpc_calls_total"
        found = {
            dict(labels)["code"]: now - self._before.get((name, labels), 0.0)
            for (found_name, labels), now in self._read(name).items()
            if found_name == name and dict(labels)["rpc"] == rpc
        }
        return {code: count for code, count in found.items() if count}


@pytest.fixture
def since(server: Server) -> Since:
    return Since()


def test_each_call_is_counted_once_by_its_result(
    since: Since, channel: grpc.Channel, tasks: TaskServiceStub
) -> None:
    create = task_pb2.CreateTaskRequest(task=factories.task("t"))
    tasks.CreateTask(create)
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            tasks.CreateTask(create)
    with pytest.raises(grpc.RpcError):
        tasks.CreateTask(task_pb2.CreateTaskRequest())
    with pytest.raises(grpc.RpcError):
        tasks.CreateTask(create, metadata=(("orchestration-project", "no project"),))
    raw: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/orchestration.v1.TaskService/CreateTask"
    )
    with pytest.raises(grpc.RpcError):
        raw(b"\xff")
    assert since.calls("TaskService/CreateTask") == {"OK": 1, "ALREADY_EXISTS": 2, "INVALID_ARGUMENT": 3}
    assert since.value("rpc_seconds_count", rpc="TaskService/CreateTask") == 6
    assert since.value("rpc_in_flight", rpc="TaskService/CreateTask") == 0


@pytest.mark.parametrize(("timeout", "code"), [(None, "CANCELLED"), (0.3, "DEADLINE_EXCEEDED")])
def test_a_call_whose_caller_leaves_is_counted_once(
    since: Since, tasks: TaskServiceStub, database_url: str, timeout: float | None, code: str
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    with psycopg.connect(database_url) as holder:
        holder.execute("select from tasks for update")
        request = task_pb2.UpdateTaskStatusRequest(task_code="t", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
        call = tasks.UpdateTaskStatus.future(request, timeout=timeout)
        since.until(1, "rpc_in_flight", rpc="TaskService/UpdateTaskStatus")
        if timeout is None:
            call.cancel()
        with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
            call.result()
        since.until(0, "rpc_in_flight", rpc="TaskService/UpdateTaskStatus")
    assert since.calls("TaskService/UpdateTaskStatus") == {code: 1}


def test_an_open_timeline_counts_as_a_stream_until_it_ends(
    since: Since, events: EventServiceStub, tasks: TaskServiceStub
) -> None:
    rpc = "EventService/StreamTimeline"
    follow = event_pb2.StreamTimelineRequest(follow=True)
    first, second = events.StreamTimeline(follow), events.StreamTimeline(follow)
    for stream in (first, second):
        assert next(stream).WhichOneof("message") == "caught_up"
    assert since.value("streams_open", rpc=rpc) == 2
    assert since.value("rpc_in_flight", rpc=rpc) == 0
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    for stream in (first, second):
        assert next(stream).WhichOneof("message") == "events"
    assert since.value("fanout_seconds_count") == 2
    assert since.value("fanout_seconds_sum") > 0
    first.cancel()
    since.until(1, "streams_open", rpc=rpc)
    assert since.calls(rpc) == {"CANCELLED": 1}
    # Events that are read from the log are not counted as live.
    assert len(list(events.StreamTimeline(event_pb2.StreamTimelineRequest()))) == 2
    since.until(1, "streams_open", rpc=rpc)
    assert since.calls(rpc) == {"CANCELLED": 1, "OK": 1}
    assert since.value("fanout_seconds_count") == 2
    with pytest.raises(grpc.RpcError):
        list(events.StreamTimeline(event_pb2.StreamTimelineRequest(after_cursor="none")))
    since.until(1, "rpc_calls_total", rpc=rpc, code="INVALID_ARGUMENT")
    second.cancel()
    since.until(0, "streams_open", rpc=rpc)
    # Streams last until their readers end them.
    assert value("rpc_seconds_count", rpc=rpc) == 0


def test_a_stream_of_events_ends_however_its_caller_leaves(since: Since, events: EventServiceStub) -> None:
    rpc = "EventService/EmitEvents"
    sent = [
        event_pb2.EmitEventsRequest(request_id=f"r{count}", events=[factories.event()] * count)
        for count in (1, 40)
    ]
    assert [answer.stored for answer in events.EmitEvents(iter(sent))] == [1, 40]
    since.until(1, "rpc_calls_total", rpc=rpc, code="OK")
    assert since.value("events_emitted_total") == 41
    leave = threading.Event()

    def messages() -> Iterator[event_pb2.EmitEventsRequest]:
        yield sent[0]
        leave.wait()

    stream = events.EmitEvents(messages())
    assert next(stream).stored == 1
    assert since.value("streams_open", rpc=rpc) == 1
    stream.cancel()
    leave.set()
    since.until(0, "streams_open", rpc=rpc)
    # If a client leaves, grpc may report the end of its messages first.
    assert sum(since.calls(rpc).values()) == 2
    # A repeated message gets its first answer, and is stored once.
    assert since.value("events_emitted_total") == 41


def test_events_of_a_rolled_back_transaction_are_not_counted(
    since: Since, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group is rolled back after its events were copied if another writer took one of its keys first."""
    apply = EmitBatch._apply
    undone: list[float] = []

    def late(group: EmitBatch, *given: Any) -> None:
        if len(undone) < 2:
            undone.append(since.value("events_emitted_total"))
            raise Conflict
        apply(group, *given)

    monkeypatch.setattr(EmitBatch, "_apply", late)
    request = event_pb2.EmitEventsRequest(request_id="r", events=[factories.event()] * 40)
    assert [answer.stored for answer in events.EmitEvents(iter([request]))] == [40]
    assert undone == [0, 0]
    assert since.value("events_emitted_total") == 40


def test_however_streams_and_their_callers_end_each_is_counted_once(
    since: Since, events: EventServiceStub, tasks: TaskServiceStub
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    rng = random.Random(1)

    def use(number: int) -> None:
        stream = events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=number % 3 == 0))
        # Some leave before the first message, some after it, some while the stream ends.
        # A third would wait for a sign of life.
        for _ in range(rng.randrange(3)):
            if next(stream, None) is None:
                break
        stream.cancel()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(STREAMS)))
    rpc = "EventService/StreamTimeline"
    since.until(0, "streams_open", rpc=rpc)
    ended = since.calls(rpc)
    assert ended.keys() <= {"OK", "CANCELLED"}
    # The server never sees a call that is cancelled before it leaves its client.
    assert 0 < sum(ended.values()) <= STREAMS


def test_a_refused_stream_is_counted_and_is_not_open(since: Since, events: EventServiceStub) -> None:
    rpc = "EventService/EmitEvents"
    leave = threading.Event()

    def messages() -> Iterator[event_pb2.EmitEventsRequest]:
        yield event_pb2.EmitEventsRequest(events=[factories.event()])
        leave.wait()

    streams = []
    for _ in range(EMIT_STREAMS):
        streams.append(events.EmitEvents(messages()))
        next(streams[-1])
    with pytest.raises(grpc.RpcError):
        next(events.EmitEvents(messages()))
    leave.set()
    for stream in streams:
        assert list(stream) == []
    since.until(0, "streams_open", rpc=rpc)
    assert since.calls(rpc) == {"OK": EMIT_STREAMS, "RESOURCE_EXHAUSTED": 1}
    assert since.value("rpc_refused_total", reason="TOO_MANY_STREAMS") == 1


def test_statements_the_pool_and_the_cache_are_counted(
    since: Since, tasks: TaskServiceStub, contexts: ContextServiceStub
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    waits = since.value("pool_wait_seconds_count")
    tasks.GetTask(task_pb2.GetTaskRequest(task_code="t"))
    assert since.value("pool_wait_seconds_count") == waits + 1
    assert since.value("sql_seconds_count", statement="tasks.get") == 1
    assert since.value("sql_seconds_count", statement="tasks.prepare") == 1
    assert since.value("sql_seconds_count", statement="writes.apply insert tasks") == 1
    for _ in range(3):
        contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code="t"))
    assert since.value("cache_requests_total", kind="context", result="miss") == 1
    assert since.value("cache_requests_total", kind="context", result="hit") == 2


def test_a_pool_without_a_free_connection_is_counted(since: Since, database_url: str) -> None:
    database = Database(database_url, size=1).start()
    database.connection().__enter__()
    assert value("pool_connections", state="used") >= 1
    with pytest.raises(ResourceExhausted), database.connection():
        pass
    assert since.value("pool_exhausted_total") == 1
    assert since.value("pool_wait_seconds_sum") > 0.9
    database.close()


def test_a_slow_statement_is_logged_as_postgres_got_it(database_url: str) -> None:
    database = Database(database_url, size=1, slow_seconds=1e-9).start()
    with database.connection() as conn, capture_logs() as logged:
        conn.execute("select %(secret)s::text", {"secret": "canary-7f3a"}, name="tests.slow")
    [line] = logged
    assert line["event"] == "slow statement"
    assert line["statement"] == "tests.slow"
    assert line["sql"] == "select $1::text"
    assert "canary" not in str(line)
    database.close()


def test_the_queue_of_events_is_read_at_each_scrape(
    since: Since, events: EventServiceStub, database_url: str
) -> None:
    request = event_pb2.EmitEventRequest(event=factories.event())
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with (
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as watch,
        ThreadPoolExecutor(6) as pool,
    ):
        holder.execute("lock table events in exclusive mode")
        calls = [pool.submit(events.EmitEvent, request)]
        while not watch.execute(waiting.encode()).rowcount:
            assert not calls[0].done()
        # One message is being stored, and the others wait for it.
        calls += [pool.submit(events.EmitEvent, request) for _ in range(5)]
        since.until(5, "emit_queue_events")
        assert value("emit_queue_bytes") > 0
        holder.rollback()
        for call in calls:
            call.result()
    since.until(0, "emit_queue_events")
