"""Failures while files are written lose no work and leave no file half written."""

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.v1 import task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.workspace.tree import TEMPORARY
from tests.conftest import Server
from tests.support import factories
from tests.support.synced_files import (
    TASK,
    due,
    fail_renames,
    logged,
    message,
    queued,
    retitle,
    service,
    tree,
    value,
)
from tests.support.synced_files import database as database
from tests.support.synced_files import root as root
from tests.support.synced_files import sprint as sprint
from tests.support.synced_files import sync as sync
from tests.support.synced_files import task as task


def test_a_workspace_that_cannot_be_written_fails_the_job_and_loses_nothing(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    root: Path,
    server: Server,
    database: psycopg.Connection[Any],
) -> None:
    sync = service(server, root / "not" / "mounted")
    failures = value("orchestration_file_sync_failures_total")
    for attempt in (1, 2, 3):
        assert sync.run_once() == 1
        assert sync.run_once() == 0
        assert queued(database) == [("task", "T-1", attempt, "ENOENT: No such file or directory")]
        waits = database.execute(
            "select extract(epoch from next_attempt_time - now()) from file_outbox"
        ).fetchone()
        assert waits is not None
        assert waits[0] < 2**attempt
        # A second request does not wait, and does not change when the row is due.
        retitle(tasks, f"Title {attempt}")
        assert sync.run_once() == 0
        due(database)
    (failed,) = logged(events)
    assert failed.type == "orchestration.file.sync_failed"
    assert plain(failed.payload) == {"error": "ENOENT: No such file or directory"}
    assert value("orchestration_file_sync_failures_total") == failures + 3
    (root / "not" / "mounted").mkdir(parents=True)
    assert sync.run_once() == 1
    assert queued(database) == []
    assert b"title: Title 3" in tree(root)[f"not/mounted/{TASK}/TASK.md"]
    assert [e.type.rpartition(".")[2] for e in logged(events)] == ["sync_failed", "synced"]


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_whole_files(
    tasks: TaskServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    failing: str,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    before = tree(root)
    retitle(tasks, "Another")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        assert sync.run_once() == 1
    assert tree(root) == before
    assert queued(database) == [("task", "T-1", 1, "ENOSPC: No space left on device")]
    due(database)
    sync.run_once()
    assert queued(database) == []
    assert b"title: Another" in tree(root)[f"{TASK}/TASK.md"]


def test_nothing_is_written_through_a_link_that_leaves_the_workspace(
    events: EventServiceStub, task: str, sync: FileSync, root: Path, database: psycopg.Connection[Any]
) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "delegation").mkdir()
    (root / "delegation" / "sprints").symlink_to(outside)
    sync.run_once()
    assert tree(outside) == {}
    assert queued(database) == [("task", "T-1", 1, "sprints is a link")]
    assert [e.type for e in logged(events)] == ["orchestration.file.sync_failed"]


def test_a_row_that_fails_delays_no_other(
    tasks: TaskServiceStub, task: str, sync: FileSync, root: Path, database: psycopg.Connection[Any]
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("other"), sync_to_file=True))
    database.execute("update tasks set body = '\\xff' where code = 'T-1'")
    assert sync.run_once() == 2
    assert queued(database) == [("task", "T-1", 1, "DecodeError")]
    assert "delegation/tasks/other/TASK.md" in tree(root)


@pytest.mark.parametrize("renames", range(4))
def test_a_worker_that_dies_in_the_middle_leaves_the_work_and_no_conflict(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    renames: int,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker dies after each rename that a change of both files takes: record, files, record."""
    sync.run_once()
    request = message(
        task_pb2.UpdateTaskRequest,
        task={"code": "T-1", "title": "Another", "agent_config": {"a": True}},
        update_mask={"paths": ["title", "agent_config"]},
        sync_to_file=True,
    )
    tasks.UpdateTask(request)

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        fail_renames(patch, renames, Killed())
        patch.setattr(os, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            sync.run_once()
    assert queued(database) == [("task", "T-1", 0, "")]
    assert sync.run_once() == 0
    assert len(list(root.rglob(f"{TEMPORARY}*"))) == 1
    # The claim expires, and another worker takes the row.
    due(database)
    assert sync.run_once() == 1
    assert queued(database) == []
    found = tree(root)
    assert b"title: Another" in found[f"{TASK}/TASK.md"]
    assert found[f"{TASK}/AGENT.yml"] == b"a: true\n"
    assert not list(root.rglob(f"{TEMPORARY}*"))
    assert "writing" not in json.loads(found[f"{TASK}/.hash"])
    assert [e.type.rpartition(".")[2] for e in logged(events)] == ["synced", "synced"]
