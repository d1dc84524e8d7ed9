"""sync_to_file and SyncSprint queue the files that a call asks for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from tests.support import factories
from tests.support.statements import counted
from tests.support.synced_files import TASK, logged, message, queued, retitle, tree
from tests.support.synced_files import database as database
from tests.support.synced_files import root as root
from tests.support.synced_files import sprint as sprint
from tests.support.synced_files import sync as sync
from tests.support.synced_files import task as task


def test_nothing_is_queued_without_a_request(
    tasks: TaskServiceStub, sprint: str, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as seen:
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("T-1", sprint_code=sprint)))
    assert len(seen) == 2
    assert not any("file_outbox" in statement for statement in seen)
    assert queued(database) == []


def test_each_call_queues_its_entities_in_its_own_statement(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = {"task_code": "b", "status": 2}
    calls: list[tuple[Callable[[], object], list[tuple[str, str]]]] = [
        (lambda: sprints.CreateSprint(sprint_pb2.CreateSprintRequest(
            sprint=factories.sprint("s"), sync_to_file=True)), [("sprint", "s")]),
        (lambda: sprints.UpdateSprint(message(sprint_pb2.UpdateSprintRequest,
            sprint={"code": "s", "owner": "o"}, update_mask={"paths": ["owner"]}, sync_to_file=True)),
            [("sprint", "s")]),
        (lambda: tasks.CreateTask(task_pb2.CreateTaskRequest(
            task=factories.task("b"), sync_to_file=True)), [("task", "b")]),
        (lambda: tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest,
            tasks=[{"task": factories.task(c)} for c in ("z", "a")], sync_to_file=True)),
            [("task", "a"), ("task", "z")]),
        (lambda: tasks.UpdateTask(message(
        task_pb2.UpdateTaskRequest,
            task={"code": "b", "phase": "p"}, update_mask={"paths": ["phase"]}, sync_to_file=True)),
            [("task", "b")]),
        (lambda: tasks.UpdateTaskStatus(message(
            task_pb2.UpdateTaskStatusRequest, **status, sync_to_file=True)), [("task", "b")]),
        # The call changes nothing, and requests the files all the same.
        (lambda: tasks.UpdateTaskStatus(message(
            task_pb2.UpdateTaskStatusRequest, **status, sync_to_file=True)), [("task", "b")]),
        (lambda: tasks.BatchUpdateTaskStatus(message(task_pb2.BatchUpdateTaskStatusRequest,
            changes=[{"task_code": c, "status": 4} for c in ("z", "a")], sync_to_file=True)),
            [("task", "a"), ("task", "z")]),
    ]  # fmt: skip
    for call, expected in calls:
        with counted(monkeypatch) as seen:
            call()
        assert len(seen) == 2
        assert [row[:2] for row in queued(database)] == expected
        database.execute("delete from file_outbox")


def test_a_refused_call_queues_nothing(
    tasks: TaskServiceStub, task: str, database: psycopg.Connection[Any]
) -> None:
    database.execute("delete from file_outbox")
    with pytest.raises(grpc.RpcError):
        retitle(tasks, "new", expected_revision=7)
    assert queued(database) == []


@pytest.mark.connections(12)
def test_a_hundred_updates_of_a_task_are_one_row_and_one_write(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: retitle(tasks, f"Title {number}"), range(100)))
    assert [row[:2] for row in queued(database)] == [("task", "T-1")]
    assert sync.run_once() == 1
    assert sync.run_once() == 0
    (event,) = logged(events)
    assert plain(event.payload)["revision"] == 101
    assert b"revision: 101" in tree(root)[f"{TASK}/TASK.md"]


def test_sync_sprint_queues_the_sprint_and_its_tasks_in_one_statement(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    task: str,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for code in ("T-2", "T-3"):
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, sprint_code="S-1")))
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("elsewhere")))
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="T-3"))
    request = sprint_pb2.SyncSprintRequest(sprint_code="S-1", request_id="once")
    with counted(monkeypatch) as seen:
        assert sprints.SyncSprint(request).queued == 3
    assert len(seen) == 2
    assert [row[:2] for row in queued(database)] == [("sprint", "S-1"), ("task", "T-1"), ("task", "T-2")]
    database.execute("delete from file_outbox")
    assert sprints.SyncSprint(request).queued == 3
    assert queued(database) == []
    with pytest.raises(grpc.RpcError) as refused:
        sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code="none"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
