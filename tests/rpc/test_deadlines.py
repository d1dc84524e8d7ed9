"""A deadline stops the call's statement in the database, and no other call's."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic

import grpc
import psycopg
import pytest

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import DeadlineExceeded
from orchestration_server.model import Call
from tests.conftest import Server
from tests.support import factories
from tests.support.locks import SLEEPING, held, waiting
from tests.support.rpc_errors import refused

DEADLINE = 0.3
SECONDS = 10
THREADS = 16
"""As many unary calls as the server runs at once."""
SLEEPS = 16
SLEEP = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$;
create trigger slow before insert on tasks for each row when (new.code like 'slow-%') execute function slow()
"""


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
def test_a_caller_that_leaves_stops_the_statement_that_waits(tasks: TaskServiceStub, server: Server) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
    with psycopg.connect(server.database_url, autocommit=True) as conn, held(server.database_url):
        call = tasks.UpdateTaskStatus.future(request, timeout=SECONDS)
        waiting(conn, 1)
        call.cancel()
        assert waiting(conn, 0) < 1.0
    assert tasks.GetTask(task_pb2.GetTaskRequest(task_code="a")).task.revision == 1


@pytest.mark.connections(12)
@pytest.mark.usefixtures("task")
def test_calls_that_wait_for_a_lock_free_the_server_at_their_deadline(
    tasks: TaskServiceStub, server: Server
) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
    with held(server.database_url):
        calls = [tasks.UpdateTaskStatus.future(request, timeout=DEADLINE) for _ in range(2 * THREADS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), timeout=2)


@pytest.mark.usefixtures("task")
def test_emits_that_wait_for_a_lock_free_the_server_at_their_deadline(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    request = event_pb2.EmitEventRequest(event=factories.event())
    with held(server.database_url, "lock table events in share mode"):
        calls = [events.EmitEvent.future(request, timeout=DEADLINE) for _ in range(THREADS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), timeout=2)


@pytest.mark.usefixtures("task")
def test_a_deadline_that_passes_cancels_no_other_call(tasks: TaskServiceStub) -> None:
    """Calls with tiny deadlines share the pool's connections with calls that have time."""
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


@pytest.mark.usefixtures("task")
@pytest.mark.parametrize("latest", [0, 10])
def test_a_stream_whose_client_leaves_stops_its_reading(
    events: EventServiceStub, server: Server, latest: int
) -> None:
    request = event_pb2.StreamTimelineRequest(follow=True)
    if latest:
        request.last = latest
    with (
        psycopg.connect(server.database_url, autocommit=True) as conn,
        held(server.database_url, "lock table events in access exclusive mode"),
    ):
        stream = events.StreamTimeline(request, timeout=SECONDS)
        waiting(conn, 1)
        stream.cancel()
        waiting(conn, 0)
        # The few readers of history are free again.
        late = events.StreamTimeline(request, timeout=SECONDS)
        waiting(conn, 1)
    assert next(late).HasField("events")


@pytest.mark.usefixtures("task")
def test_a_deadline_stops_the_statement_of_a_file_that_is_read(
    contexts: ContextServiceStub, server: Server
) -> None:
    request = context_pb2.ReadContextFileRequest(task_code="a", path="TASK.md")
    with (
        psycopg.connect(server.database_url, autocommit=True) as conn,
        held(server.database_url, "lock table tasks in access exclusive mode"),
    ):
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
            next(contexts.ReadContextFile(request, timeout=DEADLINE))
        waiting(conn, 0)


@pytest.mark.connections(12)
def test_many_deadlines_that_pass_at_once_stop_all_their_statements(
    tasks: TaskServiceStub, server: Server
) -> None:
    def slow(number: int) -> task_pb2.CreateTaskRequest:
        return task_pb2.CreateTaskRequest(task=factories.task(f"slow-{number}"))

    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute(SLEEP.encode())
        calls = [tasks.CreateTask.future(slow(n), timeout=DEADLINE) for n in range(SLEEPS)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        waiting(conn, 0, SLEEPING)
    assert not tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS).tasks


class Leaver:
    """A caller that leaves when the test says so."""

    def __init__(self) -> None:
        self.call = Call("Test/Leave", on_end=self._hooks_on)
        self._hooks: list[Callable[[], None]] = []

    def _hooks_on(self, hook: Callable[[], None]) -> bool:
        self._hooks.append(hook)
        return True

    def leave(self) -> None:
        for hook in self._hooks:
            hook()


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    found = Database(database_url, size=1).start()
    yield found
    found.close()


def backend(conn: Connection) -> int:
    row = conn.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    pid: int = row[0]
    return pid


def test_a_caller_that_leaves_between_two_statements_stops_the_second(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaver = Leaver()

    def work() -> None:
        with db.connection(leaver.call) as conn:
            stop, stopped = conn.cancel_safe, threading.Event()

            def cancel_safe(*, timeout: float) -> None:
                stop(timeout=timeout)
                stopped.set()

            monkeypatch.setattr(conn, "cancel_safe", cancel_safe)
            conn.execute("select 1")
            leaver.leave()
            assert stopped.wait(SECONDS)
            conn.execute("select pg_sleep(60)")

    with pytest.raises(DeadlineExceeded):
        work()
    with db.connection(timeout=SECONDS) as conn:
        conn.execute("select pg_sleep(0.1)")


def test_a_connection_that_a_late_cancellation_may_reach_is_not_lent_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaver = Leaver()
    tried = threading.Event()

    def cancel_safe(*, timeout: float) -> None:
        tried.set()
        raise psycopg.OperationalError("no answer in time")

    with db.connection(leaver.call) as conn:
        first = backend(conn)
        monkeypatch.setattr(conn, "cancel_safe", cancel_safe)
        leaver.leave()
        assert tried.wait(SECONDS)
    with db.connection(timeout=SECONDS) as conn:
        assert backend(conn) != first
