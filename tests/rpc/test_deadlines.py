"""Deadlines reach the database, and reach nobody else's statement."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from time import monotonic

import grpc
import psycopg
import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests import factories
from tests.conftest import Server
from tests.status import refused

DEADLINE = 0.3
SECONDS = 10
THREADS = 16
"""As many unary calls as the server has at work at once."""
# It waits inside Postgres, and is no statement of the pool: those are named after the server.
RUNNING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and application_name = 'orchestration' and state <> 'idle' and wait_event_type = 'Lock'"
)


@contextmanager
def held(url: str, statement: str = "select 1 from tasks where code = 'a' for update") -> Iterator[None]:
    """A row, or what the statement locks, is somebody else's for the block."""
    with psycopg.connect(url) as conn:
        conn.execute(statement.encode())
        yield
        conn.rollback()


def waiting(conn: psycopg.Connection, wanted: int) -> float:
    """How long it took until so many of the server's statements waited for a lock."""
    began = monotonic()
    while monotonic() < began + SECONDS:
        row = conn.execute(RUNNING).fetchone()
        if row == (wanted,):
            return monotonic() - began
    raise AssertionError(f"not {wanted} statements wait, but {row}")


def change(timeout_tasks: TaskServiceStub) -> Callable[[float], task_pb2.UpdateTaskStatusResponse]:
    request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
    return lambda timeout: timeout_tasks.UpdateTaskStatus(request, timeout=timeout)


@pytest.fixture
def task(tasks: TaskServiceStub) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))


@pytest.mark.usefixtures("task")
def test_a_deadline_stops_the_statement_that_waits(tasks: TaskServiceStub, server: Server) -> None:
    with psycopg.connect(server.database_url, autocommit=True) as conn, held(server.database_url):
        began = monotonic()
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
            change(tasks)(DEADLINE)
        assert monotonic() - began < DEADLINE + 0.5
        assert waiting(conn, 0) < 1.0

    assert tasks.GetTask(task_pb2.GetTaskRequest(task_code="a")).task.revision == 1
    assert change(tasks)(SECONDS).task.revision == 2


@pytest.mark.usefixtures("task")
def test_a_caller_who_leaves_stops_the_statement_that_waits(tasks: TaskServiceStub, server: Server) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
    with psycopg.connect(server.database_url, autocommit=True) as conn, held(server.database_url):
        call = tasks.UpdateTaskStatus.future(request, timeout=SECONDS)
        waiting(conn, 1)
        call.cancel()
        assert waiting(conn, 0) < 1.0
    assert tasks.GetTask(task_pb2.GetTaskRequest(task_code="a")).task.revision == 1


@pytest.mark.usefixtures("task")
def test_calls_that_wait_for_a_lock_leave_the_server_free_once_their_deadline_passed(
    tasks: TaskServiceStub, server: Server
) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
    with held(server.database_url):
        calls = [tasks.UpdateTaskStatus.future(request, timeout=DEADLINE) for _ in range(2 * THREADS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), timeout=2)


@pytest.mark.usefixtures("task")
def test_emits_that_wait_for_a_lock_leave_the_server_free_once_their_deadline_passed(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    request = event_pb2.EmitEventRequest(event=factories.event())
    with held(server.database_url, "lock table events in share mode"):
        calls = [events.EmitEvent.future(request, timeout=DEADLINE) for _ in range(THREADS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), timeout=2)


@pytest.mark.usefixtures("task")
def test_a_deadline_that_passes_cancels_no_neighbour(tasks: TaskServiceStub) -> None:
    """The ones with tiny deadlines share the pool's connections with the ones that have time."""
    random = Random(1)
    request = task_pb2.GetTaskRequest(task_code="a")

    def hurried(timeout: float) -> grpc.StatusCode:
        code: grpc.StatusCode = tasks.GetTask.future(request, timeout=timeout).code()
        return code

    def patient(number: int) -> grpc.StatusCode:
        if number % 3:
            code: grpc.StatusCode = tasks.GetTask.future(request, timeout=SECONDS).code()
            return code
        new = task_pb2.CreateTaskRequest(task=factories.task(f"n{number}"))
        written: grpc.StatusCode = tasks.CreateTask.future(new, timeout=SECONDS).code()
        return written

    with ThreadPoolExecutor(6) as some, ThreadPoolExecutor(6) as others:
        ended = some.map(hurried, [random.uniform(0.0005, 0.006) for _ in range(300)])
        kept = others.map(patient, range(300))
        assert Counter(kept) == {grpc.StatusCode.OK: 300}
        assert set(ended) <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
