"""Files that somebody edited are left alone and reported, and unchanged ones are not written."""

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.workspace.tree import TEMPORARY
from tests.support.synced_files import TASK, due, fail_renames, logged, message, queued, retitle, tree
from tests.support.synced_files import database as database
from tests.support.synced_files import root as root
from tests.support.synced_files import sprint as sprint
from tests.support.synced_files import sync as sync
from tests.support.synced_files import task as task


def test_unchanged_files_are_not_touched(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    sync.run_once()
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    retitle(tasks, "Task T-1")
    assert sync.run_once() == 1
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in before} == before
    assert [[f["written"] for f in plain(e.payload)["files"]] for e in logged(events)] == [
        [True, True],
        [False, False],
    ]
    # One of the two files changes.
    retitle(tasks, "Another")
    sync.run_once()
    assert (root / TASK / "AGENT.yml").stat().st_mtime_ns == before[root / TASK / "AGENT.yml"][1]
    assert b"title: Another" in (root / TASK / "TASK.md").read_bytes()


def test_an_edited_file_is_left_alone_and_reported(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    sync.run_once()
    path = root / TASK / "TASK.md"
    written = sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"mine now")
    for title in ("Another", "A third"):
        retitle(tasks, title)
        assert sync.run_once() == 1
        assert path.read_bytes() == b"mine now"
        assert queued(database) == []
        assert plain(logged(events, "conflict_found")[-1].payload) == {
            "path": f"{TASK}/TASK.md",
            "written_sha256": written,
            "found_sha256": sha256(b"mine now").hexdigest(),
            "revision": 2 if title == "Another" else 3,
        }
        # The other file is as the ledger has it.
        assert [f["path"] for f in plain(logged(events, "synced")[-1].payload)["files"]] == [
            f"{TASK}/AGENT.yml"
        ]
    path.unlink()
    retitle(tasks, "A fourth")
    sync.run_once()
    assert b"title: A fourth" in path.read_bytes()
    assert len(logged(events, "conflict_found")) == 2


def test_a_sync_that_finds_only_edited_files_ends_in_an_event(
    sprints: SprintServiceStub, events: EventServiceStub, sprint: str, sync: FileSync, root: Path
) -> None:
    sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint))
    sync.run_once()
    (root / "delegation/sprints/S-1/SPRINT.md").write_bytes(b"mine now")
    sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint))
    sync.run_once()
    types = [event.type.removeprefix("orchestration.file.") for event in logged(events)]
    assert types == ["synced", "conflict_found", "synced"]
    assert plain(logged(events, "synced")[-1].payload) == {"revision": 1, "files": []}


def test_an_existing_file_is_left_alone_unless_it_is_equal(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    (root / TASK).mkdir(parents=True)
    (root / TASK / "TASK.md").write_bytes(b"by hand")
    (root / TASK / "AGENT.yml").write_bytes(b"{}\n")
    sync.run_once()
    (conflict,) = logged(events, "conflict_found")
    assert plain(conflict.payload)["written_sha256"] == ""
    (synced,) = logged(events, "synced")
    assert [(f["path"], f["written"]) for f in plain(synced.payload)["files"]] == [
        (f"{TASK}/AGENT.yml", False)
    ]
    assert (root / TASK / "TASK.md").read_bytes() == b"by hand"


def test_an_edit_while_the_file_is_being_written_is_seen(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    retitle(tasks, "Another")
    path, flush = root / TASK / "TASK.md", os.fsync

    def edit_and_flush(fd: int) -> None:
        path.write_bytes(b"mine now")
        flush(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", edit_and_flush)
        sync.run_once()
    assert path.read_bytes() == b"mine now"
    assert [plain(e.payload)["path"] for e in logged(events, "conflict_found")] == [f"{TASK}/TASK.md"]
    assert not list(root.rglob(f"{TEMPORARY}*"))


def test_a_change_after_an_interrupted_write_is_no_conflict(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first file is on disk and the last record is not; the next state differs."""
    sync.run_once()
    request = message(
        task_pb2.UpdateTaskRequest,
        task={"code": "T-1", "title": "Another", "agent_config": {"a": True}},
        update_mask={"paths": ["title", "agent_config"]},
        sync_to_file=True,
    )
    tasks.UpdateTask(request)
    with monkeypatch.context() as patch:
        fail_renames(patch, 2, OSError(errno.ENOSPC, "no space"))
        sync.run_once()
    retitle(tasks, "And another")
    for _ in range(2):
        due(database)
        sync.run_once()
    found = tree(root)
    assert b"title: And another" in found[f"{TASK}/TASK.md"]
    assert found[f"{TASK}/AGENT.yml"] == b"a: true\n"
    assert not logged(events, "conflict_found")


def test_a_record_that_cannot_be_read_overwrites_nothing(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    for broken in (b"", b"[]", b"{", b'{"files": 1}', b'{"revision": null}', b'{"files": ["ab"]}'):
        sync.run_once()
        before = (root / TASK / "TASK.md").read_bytes() if (root / TASK / "TASK.md").exists() else b""
        (root / TASK / ".hash").write_bytes(broken)
        retitle(tasks, f"Not {broken!r}")
        sync.run_once()
        assert (root / TASK / "TASK.md").read_bytes() == before
    assert logged(events, "conflict_found")
