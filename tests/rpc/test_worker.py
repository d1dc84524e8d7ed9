"""`orchestration worker` and the services of `serve`: processes share the work, stop, and are killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration import Client
from orchestration.v1 import event_pb2, task_pb2
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import Engines
from orchestration_server.errors import ResourceExhausted, Unavailable
from orchestration_server.jobs.runner import LONGEST_PAUSE, Alone, Runner, pause
from orchestration_server.telemetry import metrics
from tests.conftest import Server
from tests.support import factories
from tests.support.waits import read_ready, turns

SECONDS = 30

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "workspace"
    found.mkdir()
    return found


@pytest.fixture
def start(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Yield a function that runs the command on the test's database. The processes end with the test."""
    with ExitStack() as stack:

        def run(*arguments: str | Path, url: str = database_url) -> subprocess.Popen[bytes]:
            log = stack.enter_context((tmp_path / "process.log").open("ab"))
            process = subprocess.Popen(
                [Path(sys.executable).with_name("orchestration"), *arguments],
                env={"DATABASE_URL": url, "REDIS_URL": engines.redis_url or ""},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield run


def create(server: Server, *codes: str) -> None:
    new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
    with Client(server.address) as client:
        client.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new, sync_to_file=True))


def synced(server: Server, count: int) -> list[event_pb2.Event]:
    """Wait for the next `count` events about files, and return them."""
    found: list[event_pb2.Event] = []
    with Client(server.address, timeout=SECONDS) as client:
        for event in client.follow(event_pb2.EventFilter(types=["orchestration.file.synced"])):
            found.append(event)
            if len(found) == count:
                break
    return found


def until(database_url: str, query: str) -> tuple[Any, ...]:
    """Wait until a query has a row, and return it."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        for _ in turns(SECONDS):
            if (row := conn.execute(query.encode()).fetchone()) is not None:
                break
    assert row is not None
    return row


def rows(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as conn:
        row = conn.execute("select count(*) from file_outbox").fetchone()
    assert row is not None
    return int(row[0])


def test_workers_share_the_work_and_wake_the_servers(
    server: Server, database_url: str, start: Start, root: Path, tmp_path: Path
) -> None:
    workers = [start("worker", "--workspace", root) for _ in range(2)]
    codes = [f"t{number}" for number in range(120)]
    create(server, *codes)
    assert sorted(event.entity_code for event in synced(server, 120)) == sorted(codes)
    assert rows(database_url) == 0
    assert {path.parent.name for path in root.rglob("TASK.md")} == set(codes)
    for worker in workers:
        worker.terminate()
    assert [worker.wait(timeout=SECONDS) for worker in workers] == [0, 0]
    said = [json.loads(line) for line in (tmp_path / "process.log").read_text().splitlines()]
    begun = [line for line in said if line["event"] == "worker runs"]
    assert [line["workspace"] for line in begun] == [str(root)] * 2
    assert "rollups" in begun[0]["services"]


def test_a_worker_that_is_killed_in_a_batch_leaves_whole_files_and_the_rest_of_the_work(
    server: Server, database_url: str, start: Start, root: Path
) -> None:
    directory = root / "delegation" / "tasks" / "b"
    directory.mkdir(parents=True)
    held = os.open(directory, os.O_RDONLY)
    # One of the tasks is locked, so the worker waits in the middle of its batch.
    fcntl.flock(held, fcntl.LOCK_EX)
    create(server, "a", "b", "c")
    worker = start("worker", "--workspace", root)
    until(database_url, "select 1 from file_outbox where claim is not null")
    worker.send_signal(signal.SIGKILL)
    worker.wait(timeout=SECONDS)
    os.close(held)
    assert rows(database_url) == 3
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    # Its claim ends, and the next worker goes on.
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("update file_outbox set next_attempt_time = now()")
    start("worker", "--workspace", root)
    assert sorted(event.entity_code for event in synced(server, 3)) == ["a", "b", "c"]
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {path.parent.name for path in after} == {"a", "b", "c"}
    assert {path.name for path in after} == {"TASK.md", "AGENT.yml", ".hash"}
    assert all(before[path] == after[path] for path in before if path.name in ("TASK.md", "AGENT.yml"))


def test_a_server_runs_the_services_unless_no_background_is_set(
    database_url: str, start: Start, root: Path, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    arguments = ("serve", "--address", "127.0.0.1:0", "--workspace", root, "--ready-file", ready)
    without = start(*arguments, "--no-background")
    server = Server(_address(ready, without), database_url)
    create(server, "a")
    without.terminate()
    assert without.wait(timeout=SECONDS) == 0
    assert rows(database_url) == 1
    ready.unlink()
    server = Server(_address(ready, start(*arguments, "--workers", "2")), database_url)
    assert [event.entity_code for event in synced(server, 1)] == ["a"]
    assert (root / "delegation/tasks/a/TASK.md").exists()


def test_a_worker_needs_a_database(start: Start) -> None:
    assert start("worker", url="").wait(timeout=SECONDS) == 2


# The runner


class Steps:
    """A service with a given result for each run, which reports when all runs are done."""

    name = "steps"
    interval = 0.0

    def __init__(self, *steps: int | Exception) -> None:
        self.steps = list(steps)
        self.done = threading.Event()

    def run_once(self) -> int:
        if not self.steps:
            self.done.set()
            return 0
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, {"name": "steps", **labels}) or 0.0


def test_a_service_goes_on_while_it_has_work_and_after_a_failure() -> None:
    names = {"done": value("orchestration_job_batches_total", result="done"),
             "failed": value("orchestration_job_batches_total", result="failed"),
             "rows": value("orchestration_job_rows_total")}  # fmt: skip
    service = Steps(3, 2, 0, OSError("away"), ValueError("away"), 1)
    runner = Runner([service])
    runner.start()
    assert service.done.wait(SECONDS)
    runner.close()
    assert value("orchestration_job_batches_total", result="done") >= names["done"] + 5
    assert value("orchestration_job_batches_total", result="failed") == names["failed"] + 2
    assert value("orchestration_job_rows_total") == names["rows"] + 6
    assert value("orchestration_job_failing") == 0


def test_a_service_runs_soon_after_its_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []

    def at_once(_: float, failures: int) -> float:
        pauses.append(failures)
        return 0.0

    monkeypatch.setattr("orchestration_server.jobs.runner.pause", at_once)
    service = Steps(
        *[Unavailable() for _ in range(9)], ResourceExhausted("no connection", reason="POOL_EXHAUSTED"), 1
    )
    runner = Runner([service])
    runner.start()
    assert service.done.wait(SECONDS)
    runner.close()
    assert max(pauses) == 1


def test_pauses_grow_to_a_limit_and_are_random() -> None:
    assert len({pause(1.0, 0) for _ in range(20)}) > 1
    for failures in range(100):
        assert pause(1.0, failures) <= min(2.0**failures, LONGEST_PAUSE)
        assert pause(1.0, failures) >= min(2.0**failures, LONGEST_PAUSE) / 2
    assert pause(86_400.0, 50) <= 86_400.0


def test_an_exclusive_service_runs_in_one_process_at_a_time(database_url: str) -> None:
    databases = [Database(database_url, size=1).start() for _ in range(2)]
    inside, leave = threading.Event(), threading.Event()

    def hold(_: object) -> int:
        inside.set()
        assert leave.wait(SECONDS)
        return 1

    first = Alone(databases[0], "alone", 1.0, hold)
    second = Alone(databases[1], "alone", 1.0, lambda _: 7)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(first.run_once()))
    thread.start()
    assert inside.wait(SECONDS)
    assert second.run_once() == 0
    assert Alone(databases[1], "another", 1.0, lambda _: 7).run_once() == 7
    leave.set()
    thread.join()
    assert second.run_once() == 7
    assert found == [1]
    for database in databases:
        database.close()


def _address(ready: Path, process: subprocess.Popen[bytes]) -> str:
    return read_ready(process, ready, SECONDS)["address"]
