"""``serve --workers``: several processes on one port, which end together."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.embedded.engines import Engines
from tests.conftest import new_database, open_channel
from tests.support import factories

SECONDS = 30
CHANNELS = 24
CONNECTIONS = "4"
"""Of each process to Postgres. A connection costs Postgres 4 ms of CPU time."""
ESTABLISHED = "01"


class Served:
    """The command with its two server processes."""

    def __init__(self, process: subprocess.Popen[bytes], ready: Path) -> None:
        self.process = process
        self.log = ready.with_name("log")
        self.address = _address(process, ready)
        self.port = int(self.address.rpartition(":")[2])
        self.workers = _children(process.pid)
        self.watched = [os.pidfd_open(pid) for pid in self.workers]

    def connections(self, worker: int) -> int:
        """Return the number of clients that are connected to one of the processes."""
        own = set()
        for link in Path(f"/proc/{worker}/fd").iterdir():
            try:
                own.add(str(link.readlink()))
            except FileNotFoundError:
                continue
        # grpc listens on IPv6 sockets for IPv4 addresses too.
        tables = (Path("/proc/net", name).read_text() for name in ("tcp", "tcp6"))
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        return sum(
            line[1].endswith(f":{self.port:04X}") and line[3] == ESTABLISHED and f"socket:[{line[9]}]" in own
            for line in lines
        )

    def alive(self) -> list[int]:
        return [pid for pid in self.workers if not _ended(pid)]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _address(process: subprocess.Popen[bytes], ready: Path) -> str:
    end = monotonic() + SECONDS
    while not ready.exists():
        assert monotonic() < end, "the server did not become ready"
        try:
            code = process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the server ended with {code}")
    found: str = json.loads(ready.read_text())["address"]
    return found


@pytest.fixture(scope="module")
def ledger_url(engines: Engines) -> Iterator[str]:
    with new_database(engines) as url:
        yield url


@pytest.fixture(scope="module")
def serve(ledger_url: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    with ExitStack() as stack:

        def start(
            ready: Path, url: str = ledger_url, address: str = "127.0.0.1:0"
        ) -> subprocess.Popen[bytes]:
            command = Path(sys.executable).with_name("orchestration")
            log = stack.enter_context(ready.with_name("log").open("wb"))
            process = subprocess.Popen(
                [command, "serve", "--workers", "2", "--address", address, "--ready-file", ready],
                env={"DATABASE_URL": url, "ORCHESTRATION_CONNECTIONS": CONNECTIONS},
                stdout=log,
                stderr=log,
            )
            stack.callback(_stop, process)
            return process

        yield start


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def last(
    serve: Callable[..., subprocess.Popen[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Served]]:
    """Return the server of the last test, or a new one if that test ended it."""
    started: list[Served] = []

    def find() -> Served:
        if not started or started[-1].process.poll() is not None:
            ready = tmp_path_factory.mktemp("workers") / "ready"
            started.append(Served(serve(ready), ready))
        return started[-1]

    yield find
    for watched in (one for found in started for one in found.watched):
        os.close(watched)


@pytest.fixture
def served(last: Callable[[], Served]) -> Served:
    return last()


def test_both_workers_answer_on_the_one_port(served: Served) -> None:
    assert len(served.workers) == 2
    with ExitStack() as stack:
        channels = [stack.enter_context(open_channel(served.address)) for _ in range(CHANNELS)]
        for number, channel in enumerate(channels):
            request = task_pb2.CreateTaskRequest(task=factories.task(f"t{number}"))
            TaskServiceStub(channel).CreateTask(request, timeout=SECONDS)
        counts = [served.connections(worker) for worker in served.workers]
        # Connections of earlier tests may still be closing.
        assert sum(counts) >= CHANNELS
        assert min(counts) > 0
        # One process reads what the other wrote.
        for channel in channels:
            listed = TaskServiceStub(channel).ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
            assert {task.code for task in listed.tasks} >= {f"t{number}" for number in range(CHANNELS)}


def test_sigterm_ends_all_processes(served: Served) -> None:
    served.process.terminate()

    assert served.process.wait(timeout=SECONDS) == 0
    assert served.alive() == []


def test_the_workers_end_with_a_server_that_is_killed(served: Served) -> None:
    served.process.kill()
    served.process.wait()

    end = monotonic() + SECONDS
    while served.alive():
        assert monotonic() < end
    with pytest.raises(ConnectionRefusedError):
        _connect(served.port)


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_all_end_and_the_command_fails_when_a_worker_dies(served: Served) -> None:
    os.kill(served.workers[0], signal.SIGKILL)

    assert served.process.wait(timeout=SECONDS) != 0
    assert served.alive() == []
    said = served.log.read_text()
    assert f"server process {served.workers[0]} was ended by SIGKILL" in said


def test_workers_that_cannot_start_fail_the_command(
    serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = serve(tmp_path / "ready", "postgresql:///nothing?host=/nowhere")

    assert process.wait(timeout=SECONDS) != 0
    assert not (tmp_path / "ready").exists()


def test_workers_do_not_share_the_port_of_another_server(
    serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, ledger_url: str
) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = serve(tmp_path / "ready", ledger_url, f"127.0.0.1:{port}")
        assert process.wait(timeout=SECONDS) != 0
    assert "cannot listen" in (tmp_path / "log").read_text()


def test_a_call_in_flight_ends_as_it_should(served: Served, ledger_url: str) -> None:
    with open_channel(served.address) as channel, psycopg.connect(ledger_url) as conn:
        tasks = TaskServiceStub(channel)
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")), timeout=SECONDS)
        conn.execute("select 1 from tasks where code = 'a' for update")
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        request = task_pb2.UpdateTaskStatusRequest(task_code="a", status=2)  # type: ignore[arg-type]  # IN_PROGRESS
        call = tasks.UpdateTaskStatus.future(request, timeout=SECONDS)
        with psycopg.connect(ledger_url, autocommit=True) as watch:
            while watch.execute(
                "select 1 from pg_stat_activity where datname = current_database()"
                " and wait_event_type = 'Lock'"
            ).fetchone() is None:  # fmt: skip
                assert not call.done()
        served.process.terminate()
        # It has begun to stop when it reports that on this connection.
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        health.cancel()
        conn.rollback()

        assert call.result().task.revision == 2
        assert served.process.wait(timeout=SECONDS) == 0
