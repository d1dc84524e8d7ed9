"""Postgres is killed and comes back: calls fail fast, then work, and nothing acknowledged is gone."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import cast

import grpc
import psycopg
import pytest
from psycopg import sql

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App, migrate
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import DATABASE, EmbeddedEngines, Engines
from tests.conftest import _other, open_channel, running
from tests.support import factories
from tests.support.database_wire import Wire
from tests.support.rpc_errors import details, refused

SECONDS = 10
BACK_SECONDS = 5.0
CONNECTIONS = 10
"""One for each thread of calls, and few for the rest: a silent connection holds a call up for a second."""


def expect_unavailable(error: grpc.RpcError) -> None:
    call = cast(grpc.Call, error)
    assert call.code() == grpc.StatusCode.UNAVAILABLE, call.details()


class Ledger:
    """A server on a Postgres that may be killed."""

    def __init__(self, engines: EmbeddedEngines, url: str, channel: grpc.Channel) -> None:
        self.engines = engines
        self.database_url = url
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)

    def kill(self) -> None:
        self.engines.stop_postgres("kill")

    def create(self, code: str) -> None:
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code)), timeout=SECONDS)

    def get(self, code: str) -> task_pb2.Task:
        return self.tasks.GetTask(task_pb2.GetTaskRequest(task_code=code), timeout=SECONDS).task

    def emit(self) -> str:
        """An event, which is stored sooner or later; its id."""
        request = event_pb2.EmitEventRequest(event=factories.event())
        return self.events.EmitEvent(request, timeout=SECONDS).event.id

    def back(self) -> float:
        """How long it took until a call was answered again."""
        began = monotonic()
        while monotonic() < began + BACK_SECONDS:
            try:
                self.tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=1)
            except grpc.RpcError as error:
                expect_unavailable(error)
                continue
            return monotonic() - began
        raise AssertionError("the server does not answer again")


@pytest.fixture(scope="module", params=[True, False], ids=["durable", "ephemeral"])
def postgres(request: pytest.FixtureRequest) -> Iterator[tuple[EmbeddedEngines, str]]:
    """Run a Postgres that tests may kill; return it with its URL."""
    engines = EmbeddedEngines(None, durable=request.param, valkey=False)
    try:
        url = engines.start().database_url
        migrate(url)
        yield engines, url
    finally:
        engines.stop()


@pytest.fixture
def ledger(postgres: tuple[EmbeddedEngines, str]) -> Iterator[Ledger]:
    engines, url = postgres
    if engines.ended() or engines.postgres_pid is None:
        engines.start_postgres()
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(_other(url, "postgres"), autocommit=True) as conn:
        copied = sql.SQL("create database {} template {}")
        conn.execute(copied.format(sql.Identifier(name), sql.Identifier(DATABASE)))
    url = _other(url, name)
    with running(Engines(url, None, Path()), url) as address, open_channel(address) as channel:
        yield Ledger(engines, url, channel)


def follow(ledger: Ledger, cursor: str = "") -> Iterator[event_pb2.StreamTimelineResponse]:
    request = event_pb2.StreamTimelineRequest(follow=True, batch_size=1)
    if cursor:
        request.after_cursor = cursor
    return ledger.events.StreamTimeline(request, timeout=SECONDS)


def until_caught_up(stream: Iterator[event_pb2.StreamTimelineResponse]) -> tuple[list[str], str]:
    """The ids of the events before caught_up, and its cursor."""
    found: list[str] = []
    for message in stream:
        if message.WhichOneof("message") == "caught_up":
            return found, message.caught_up.cursor
        found += [event.id for event in message.events.events]
    raise AssertionError("the stream ended")


def collected(ledger: Ledger, stream: Iterator[event_pb2.StreamTimelineResponse], cursor: str,
              last: str) -> list[str]:  # fmt: skip
    """What a client that resumes where it stood gets, up to an event."""
    found: list[str] = []
    while True:
        try:
            for message in stream:
                for event in message.events.events:
                    found.append(event.id)
                    cursor = event.cursor
                    if event.id == last:
                        return found
        except grpc.RpcError as error:
            expect_unavailable(error)
            stream = follow(ledger, cursor)


def test_calls_fail_fast_while_it_is_away_and_work_again_at_once(ledger: Ledger) -> None:
    ledger.create("before")
    ledger.kill()
    for number in range(20):
        began = monotonic()
        with refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE") as caught:
            if number % 2:
                ledger.create(f"during-{number}")
            else:
                ledger.emit()
        assert monotonic() - began < 2
        assert details(caught.value)["RetryInfo"].retry_delay.ToMilliseconds() > 0

    ledger.engines.start_postgres()
    assert ledger.back() < 2
    for number in range(40):
        ledger.create(f"after-{number}")
    assert ledger.get("before").revision == 1


def test_what_was_acknowledged_before_the_kill_is_there(ledger: Ledger) -> None:
    for number in range(20):
        ledger.create(f"t{number}")
    ledger.kill()
    ledger.engines.start_postgres()
    ledger.back()
    assert [ledger.get(f"t{number}").code for number in range(20)] == [f"t{n}" for n in range(20)]


def test_connections_that_all_broke_fail_no_call_once_one_was_answered(ledger: Ledger) -> None:
    """As after a crash of one backend, which ends all others: Postgres is back before it is missed."""
    futures = [ledger.tasks.ListTasks.future(task_pb2.ListTasksRequest(), timeout=SECONDS) for _ in range(50)]
    assert [future.code() for future in futures] == [grpc.StatusCode.OK] * 50
    with psycopg.connect(ledger.database_url, autocommit=True) as conn:
        conn.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'orchestration'"
        )
    ledger.back()
    end = monotonic() + BACK_SECONDS
    failed = 1
    while failed and monotonic() < end:
        futures = [
            ledger.tasks.ListTasks.future(task_pb2.ListTasksRequest(), timeout=SECONDS) for _ in range(8)
        ]
        failed = sum(future.code() != grpc.StatusCode.OK for future in futures)
    assert not failed


def test_an_open_stream_misses_nothing(ledger: Ledger) -> None:
    stream = follow(ledger)
    assert until_caught_up(stream)[0] == []
    expected = [ledger.emit() for _ in range(5)]
    first = next(stream).events.events[0]
    assert first.id == expected[0]
    ledger.kill()
    ledger.engines.start_postgres()
    ledger.back()
    expected += [ledger.emit() for _ in range(5)]
    assert collected(ledger, stream, first.cursor, expected[-1]) == expected[1:]


def test_transaction_ids_that_are_given_out_again_after_the_kill_hide_nothing(ledger: Ledger) -> None:
    """An id whose transaction left no trace on disk is used again, by a later event.

    So neither an open stream nor a cursor may stand beyond the last event that was there.
    """
    first = ledger.emit()
    with psycopg.connect(ledger.database_url, autocommit=True) as conn:
        for _ in range(50):
            conn.execute("select pg_current_xact_id()")
    stream = follow(ledger)
    before, cursor = until_caught_up(stream)
    assert before == [first]
    ledger.kill()
    ledger.engines.start_postgres()
    ledger.back()
    expected = [ledger.emit() for _ in range(5)]
    resumed = follow(ledger, cursor)
    assert collected(ledger, resumed, cursor, expected[-1]) == expected
    assert collected(ledger, stream, cursor, expected[-1]) == expected


def test_connections_that_are_silent_hold_calls_up_for_a_while_and_no_stop(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration_server.db.cancellation.SILENT_SECONDS", 0.2)
    monkeypatch.setattr("orchestration_server.rpc.executor.JOIN_SECONDS", 0.5)
    wire = Wire(database_url)
    settings = Settings(
        address="127.0.0.1:0", database_url=wire.url, redis_url="", grace_seconds=1, connections=CONNECTIONS
    )
    app = App(settings)
    with open_channel(app.start()) as channel:
        tasks = TaskServiceStub(channel)
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")), timeout=SECONDS)
        wire.forget()
        end = monotonic() + 6 * SECONDS
        answered = 0
        # Each of the connections that were free may hold one call up.
        while answered < 20:
            assert monotonic() < end
            calls = [
                tasks.GetTask.future(task_pb2.GetTaskRequest(task_code="a"), timeout=0.5) for _ in range(8)
            ]
            answered += sum(call.exception() is None for call in calls)
        wire.forget()
        stuck = tasks.GetTask.future(task_pb2.GetTaskRequest(task_code="a"), timeout=SECONDS)
        began = monotonic()
        app.stop()
        assert monotonic() - began < 3 * SECONDS
        assert stuck.exception() is not None
    wire.close()
