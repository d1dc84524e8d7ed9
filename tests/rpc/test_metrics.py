"""The metrics that Prometheus reads after known calls, from one process and from several."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import grpc
import psycopg
import pytest
import typer
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.cli.metrics_server import serve_metrics
from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import Engines
from orchestration_server.errors import Conflict, ResourceExhausted
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.exposition import Exposition, MultiProcessCollector, added, serve_worker
from orchestration_server.writes.batch import EmitBatch
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.waits import read_ready, turns

SECONDS = 30
EMIT_STREAMS = 64
STREAMS = 96
PROMISED = """
    rpc_calls_total rpc_seconds rpc_in_flight rpc_refused_total streams_open fanout_seconds slow_readers_total
    horizon_age_seconds pool_connections pool_wait_seconds pool_exhausted_total sql_seconds
    cache_requests_total emit_queue_events emit_queue_bytes events_emitted_total events_debounced_total
    events_sampled_out_total events_accepted_queue events_accepted_lost_total job_batches_total job_rows_total
    job_seconds job_failing job_queue_rows job_oldest_seconds file_sync_slow_total file_sync_seconds
    event_rows event_bytes events_week workspace_files workspace_bytes workspace_large_files alert_firing
    agent_events_minute_max
"""
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """A server in other processes, with its metrics."""

    def __init__(self, process: subprocess.Popen[bytes], ready: Path) -> None:
        self.process = process
        told = read_ready(process, ready, SECONDS)
        self.address: str = told["address"]
        self.url = f"http://{told['metrics_address']}/metrics"

    def read(self) -> Samples:
        with urllib.request.urlopen(self.url, timeout=SECONDS) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def serve(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Scraped]]:
    with ExitStack() as stack:

        def start(*arguments: str) -> Scraped:
            ready = tmp_path / "ready"
            log = stack.enter_context((tmp_path / "log").open("wb"))
            process = subprocess.Popen(
                [Path(sys.executable).with_name("orchestration"), "serve", "--address", "127.0.0.1:0",
                 "--metrics-address", "127.0.0.1:0", "--ready-file", ready, *arguments],
                env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or "",
                     "ORCHESTRATION_BACKGROUND": "false"},
                stdout=log,
                stderr=log,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return Scraped(process, ready)

        yield start


@pytest.fixture
def exposition() -> Iterator[Exposition]:
    found = Exposition("127.0.0.1:0", metrics.REGISTRY)
    found.start()
    yield found
    found.close()


def get(address: str, path: str = "/metrics", accept: str = "text/plain") -> tuple[int, str, bytes]:
    """Return the status, the content type and the body of an answer."""
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answered:
            return answered.status, answered.headers["Content-Type"], answered.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers["Content-Type"], refused.read()


def test_the_calls_of_all_processes_are_summed(serve: Callable[..., Scraped]) -> None:
    scraped = serve("--workers", "2", "--threads", "4")
    for number in range(8):
        with open_channel(scraped.address) as channel:
            tasks = TaskServiceStub(channel)
            tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(f"t{number}")), timeout=SECONDS)
            with pytest.raises(grpc.RpcError):
                tasks.GetTask(task_pb2.GetTaskRequest(task_code="none"), timeout=SECONDS)
    found = scraped.read()

    def value(name: str, **labels: str) -> float:
        return found[f"orchestration_{name}", frozenset(labels.items())]

    assert value("rpc_calls_total", rpc="TaskService/CreateTask", code="OK") == 8
    assert value("rpc_calls_total", rpc="TaskService/GetTask", code="NOT_FOUND") == 8
    assert value("rpc_seconds_count", rpc="TaskService/CreateTask") == 8
    assert value("rpc_seconds_bucket", rpc="TaskService/GetTask", le="+Inf") == 8
    assert value("rpc_seconds_sum", rpc="TaskService/GetTask") > 0
    assert value("rpc_in_flight", rpc="TaskService/CreateTask") == 0
    assert value("sql_seconds_count", statement="writes.apply insert tasks") == 8
    assert value("events_emitted_total") == 8
    assert value("pool_connections", state="size") == 2 * (4 + BACKGROUND_CONNECTIONS)


def test_a_worker_exposes_its_own_metrics(
    engines: Engines, server: Server, database_url: str, tasks: TaskServiceStub, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with ExitStack() as stack:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("orchestration"), "worker", "--metrics-address", "127.0.0.1:0",
             "--workspace", tmp_path],
            env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or ""},
            stderr=stack.enter_context(log.open("wb")),
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.terminate)
        request = task_pb2.CreateTaskRequest(task=factories.task("t"), sync_to_file=True)
        tasks.CreateTask(request)
        for _ in turns(SECONDS):
            if told := [json.loads(line) for line in log.read_text().splitlines()]:
                break
        address = next(line["address"] for line in told if line["event"] == "metrics")
        for _ in turns(SECONDS):
            if b'orchestration_files_total{result="written"} 2.0' in get(address)[2]:
                break


def test_a_taken_address_ends_the_command(exposition: Exposition) -> None:
    settings = Settings(metrics_address=exposition.address)
    with pytest.raises(typer.Exit), serve_metrics(settings, CollectorRegistry()):
        pass
    with serve_metrics(Settings(), CollectorRegistry()) as off:
        assert off == ""


# One server, in this process


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"orchestration_{name}", labels) or 0.0


class Since:
    """The increase of counters since a moment. Other servers have run in this process before."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> Samples:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in metrics.REGISTRY.collect()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        key = (f"orchestration_{name}", frozenset(labels.items()))
        return self._read().get(key, 0.0) - self._before.get(key, 0.0)

    def until(self, wanted: float, name: str, **labels: str) -> None:
        """Wait for a value: the end of a call is counted a moment before or after its caller sees it."""
        for _ in turns(SECONDS):
            if self.value(name, **labels) == wanted:
                break

    def calls(self, rpc: str) -> dict[str, float]:
        """Return the results of an rpc's calls."""
        return {
            code: count
            for code in grpc.StatusCode.__members__
            if (count := self.value("rpc_calls_total", rpc=rpc, code=code))
        }


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
        for _ in range(rng.randrange(4)):
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


# The HTTP server


def test_the_only_page_is_metrics(exposition: Exposition) -> None:
    assert get(exposition.address, "/")[0] == 404
    status, kind, body = get(exposition.address, accept="application/openmetrics-text")
    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_without_a_host_metrics_are_served_on_loopback() -> None:
    found = Exposition(":0", CollectorRegistry())
    assert found.address.startswith("127.0.0.1:")
    found.close()


def test_a_client_that_sends_no_request_is_disconnected(
    exposition: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration_server.telemetry.exposition.REQUEST_SECONDS", 0.1)
    host, port = exposition.address.split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(b"GET /met")
        assert get(exposition.address)[0] == 200
        assert silent.recv(1) == b""


def test_a_scrape_is_complete_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration_server.telemetry.exposition.ANSWER_SECONDS", 0.1)
    pairs = [socket.socketpair() for _ in range(2)]
    serve_worker(pairs[0][1])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MultiProcessCollector([ours for ours, _ in pairs]))
    found = Exposition("127.0.0.1:0", registry)
    found.start()
    assert get(found.address)[0] == 503
    # Once the other process answers, earlier requests to it do not matter.
    serve_worker(pairs[1][1])
    monkeypatch.setattr("orchestration_server.telemetry.exposition.ANSWER_SECONDS", SECONDS)
    status, _, whole = get(found.address)
    assert status == 200
    assert b"orchestration_rpc_in_flight" in whole
    found.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_counters_are_added_and_gauges_about_the_ledger_take_the_largest() -> None:
    def dump(calls: float, age: float) -> list[Any]:
        name, gauge = "orchestration_events_emitted", "orchestration_horizon_age_seconds"
        return [
            [name, "h", "counter", [[f"{name}_total", {}, calls]]],
            [gauge, "h", "gauge", [[gauge, {}, age]]],
        ]

    families = {family.name: family.samples[0].value for family in added([dump(2, 5.0), dump(3, 4.0)])}
    assert families == {"orchestration_events_emitted": 5, "orchestration_horizon_age_seconds": 5.0}


# The documentation


def documented() -> set[str]:
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    text = text[text.index("## Metrics") : text.index("## How large")]
    return set(re.findall(r"^\| `(\w+)", text, re.MULTILINE))


def exposed_names() -> set[str]:
    """Return the names as queries use them, without the suffixes of histograms."""
    return {
        family.name.removeprefix("orchestration_") + ("_total" if family.type == "counter" else "")
        for family in metrics.REGISTRY.collect()
    }


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    assert documented() == exposed_names()


def test_the_metrics_of_alerts_and_dashboards_exist() -> None:
    assert exposed_names() >= set(PROMISED.split())
