"""Writes of files beside calls and other workers never restore an older state."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.v1 import task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.store import outbox
from orchestration_server.workspace import writer
from orchestration_server.workspace.rendering import Document, document
from orchestration_server.workspace.tree import Workspace
from tests.conftest import Server
from tests.support import factories
from tests.support.synced_files import TASK, due, logged, message, queued, retitle, service, shown, tree
from tests.support.synced_files import database as database
from tests.support.synced_files import root as root
from tests.support.synced_files import sprint as sprint
from tests.support.synced_files import sync as sync
from tests.support.synced_files import task as task


def test_a_task_that_moves_while_it_is_written_is_skipped(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    entities = outbox.entities

    def late(conn: Any, rows: Any) -> Any:
        """Read the rows, let another worker take them over, and move the task."""
        found = entities(conn, rows)
        monkeypatch.setattr(outbox, "entities", entities)
        retitle(tasks, "Later")
        due(database)
        assert sync.run_once() == 1
        moved = message(
            task_pb2.UpdateTaskRequest,
            task=task_pb2.Task(code="T-1", sprint_code=""),
            update_mask={"paths": ["sprint_code"]},
        )
        tasks.UpdateTask(moved)
        return found

    retitle(tasks, "Early")
    monkeypatch.setattr(outbox, "entities", late)
    sync.run_once()
    reasons = [plain(event.payload) for event in logged(events, "skipped")]
    assert reasons == [{"reason": "moved"}]


def test_a_request_during_a_write_is_written_again(
    tasks: TaskServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = writer.write

    def update_and_write(*args: Any, **named: Any) -> writer.Written:
        retitle(tasks, "Meanwhile")
        return write(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write", update_and_write)
        assert sync.run_once() == 1
    assert b"title: Task T-1" in tree(root)[f"{TASK}/TASK.md"]
    assert [row[:2] for row in queued(database)] == [("task", "T-1")]
    assert sync.run_once() == 1
    assert b"title: Meanwhile" in tree(root)[f"{TASK}/TASK.md"]
    assert queued(database) == []


def test_a_slow_worker_does_not_restore_an_older_state(root: Path) -> None:
    def state(revision: int, uid: str = "u") -> bytes:
        made = message(
            task_pb2.Task,
            code="T",
            title=f"At {revision}",
            uid=uid,
            status=1,
            priority=3,
            revision=revision,
        )
        body: bytes = made.SerializeToString()
        return body

    def nobody() -> None:
        raise AssertionError("it was read again")

    space = Workspace(root)
    writer.write(space, document("task", state(5)), again=nobody)
    # The worker has an older state than another one wrote, so it reads again and writes the current state.
    writer.write(space, document("task", state(4)), again=lambda: document("task", state(6)))
    assert b"title: At 6" in tree(root)["delegation/tasks/T/TASK.md"]
    # A restored ledger is older as well, and its files follow it.
    writer.write(space, document("task", state(3)), again=lambda: document("task", state(3)))
    assert b"title: At 3" in tree(root)["delegation/tasks/T/TASK.md"]
    writer.write(space, document("task", state(1, uid="another")), again=nobody)
    assert b"title: At 1" in tree(root)["delegation/tasks/T/TASK.md"]
    # The task was deleted meanwhile.
    assert writer.write(space, document("task", state(0, uid="another")), again=lambda: None).files == {}


def test_a_slow_worker_does_not_restore_older_links(root: Path) -> None:
    """A task's links change without a new revision."""

    def state(*links: str) -> Document:
        made = message(task_pb2.Task, code="T", title="T", uid="u", status=1, priority=3, revision=1)
        return document("task", made.SerializeToString(), [(code, 1) for code in links])

    def nobody() -> None:
        raise AssertionError("it was read again")

    space = Workspace(root)
    path = root / "delegation/tasks/T/TASK.md"
    writer.write(space, state("A"), again=nobody)
    writer.write(space, state("A"), again=nobody)
    writer.write(space, state("A", "B"), again=lambda: state("A", "B"))
    # The worker has read older links than another one wrote.
    writer.write(space, state("A"), again=lambda: state("A", "B"))
    assert b"depends_on:\n  - A\n  - B\n" in path.read_bytes()


def test_workers_share_the_rows(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server, sync: FileSync, root: Path
) -> None:
    new = [task_pb2.NewTask(task=factories.task(f"t{number}")) for number in range(150)]
    tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest, tasks=new, sync_to_file=True))
    together = threading.Barrier(3)

    def work() -> int:
        one = service(server, root)
        together.wait()
        done = 0
        while count := one.run_once():
            done += count
        return done

    with ThreadPoolExecutor(3) as pool:
        assert sum(f.result() for f in [pool.submit(work) for _ in range(3)]) == 150
    assert sorted(e.entity_code for e in logged(events, "synced")) == sorted(f"t{n}" for n in range(150))
    assert len(shown(root)) == 300


def test_callers_and_workers_lock_rows_in_one_order(
    tasks: TaskServiceStub, server: Server, root: Path, database: psycopg.Connection[Any]
) -> None:
    """Batches in any order run against workers that finish rows: there is no deadlock."""
    codes = [f"t{number}" for number in range(40)]
    new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
    tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest, tasks=new, sync_to_file=True))
    done = threading.Event()

    def work() -> None:
        one = service(server, root)
        while not done.is_set():
            one.run_once()

    def call(order: int) -> None:
        for _ in range(10):
            changes = [{"task_code": code, "status": 1} for code in codes[::order]]
            request = message(task_pb2.BatchUpdateTaskStatusRequest, changes=changes, sync_to_file=True)
            tasks.BatchUpdateTaskStatus(request)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(2)]
        for caller in [pool.submit(call, order) for order in (1, -1)]:
            caller.result()
        done.set()
        for worker in workers:
            worker.result()
    one = service(server, root)
    while one.run_once():
        pass
    assert queued(database) == []
