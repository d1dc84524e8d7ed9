"""A large or odd thing in place of a synced file delays no other file."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.model import Call
from orchestration_server.workspace import reader, tree
from orchestration_server.workspace.reader import WorkspaceFiles
from orchestration_server.workspace.tree import HASHED_BYTES, READ_BYTES
from tests.conftest import Server
from tests.support import factories

TASKS = "delegation/sprints/S-1"
SPARSE = 8 * 2**40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "workspace"
    found.mkdir()
    return found


@pytest.fixture
def sync(server: Server, root: Path, sprints: SprintServiceStub, tasks: TaskServiceStub) -> FileSync:
    """Return the service after it has written two tasks."""
    assert server.app is not None
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S-1")))
    for code in ("T-1", "T-2"):
        new = factories.task(code, sprint_code="S-1")
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=new, sync_to_file=True))
    service = FileSync(server.app.db, root, server.app.hub.wake)
    assert service.run_once() == 2
    return service


def logged(events: EventServiceStub, kind: str) -> list[event_pb2.Event]:
    asked = event_pb2.EventFilter(types=[f"orchestration.file.{kind}"])
    return list(events.ListEvents(event_pb2.ListEventsRequest(filter=asked, page_size=500)).events)


def retitle(tasks: TaskServiceStub, code: str) -> None:
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code=code, title="Another"),
        update_mask=FieldMask(paths=["title"]),
        sync_to_file=True,
    )
    tasks.UpdateTask(request)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, SPARSE)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


OBSTACLES: dict[str, Callable[[Path], None]] = {
    "sparse": sparse,
    "pipe": os.mkfifo,
    "loop": loop,
    "directory": os.mkdir,
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_an_obstacle_delays_no_other_file(
    sync: FileSync,
    tasks: TaskServiceStub,
    events: EventServiceStub,
    root: Path,
    obstacle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0
    read_on = os.read

    def counted(fd: int, size: int) -> bytes:
        nonlocal read
        content = read_on(fd, size)
        read += len(content)
        assert read < HASHED_BYTES, "it reads on and on"
        return content

    monkeypatch.setattr("orchestration_server.workspace.tree.os.read", counted)
    path = root / TASKS / "T-1" / "TASK.md"
    written = sha256(path.read_bytes()).hexdigest()
    path.unlink()
    OBSTACLES[obstacle](path)
    for code in ("T-1", "T-2"):
        retitle(tasks, code)
    assert sync.run_once() == 2
    assert b"title: Another" in (root / TASKS / "T-2" / "TASK.md").read_bytes()
    if obstacle != "sparse":
        assert [event.entity_code for event in logged(events, "sync_failed")] == ["T-1"]
        return
    [conflict] = logged(events, "conflict_found")
    assert plain(conflict.payload) == {
        "path": f"{TASKS}/T-1/TASK.md", "written_sha256": written, "found_sha256": "", "revision": 2,
    }  # fmt: skip
    assert path.stat().st_size == SPARSE
    assert not logged(events, "sync_failed")


def test_a_record_without_hashes_lets_no_large_file_be_overwritten(
    sync: FileSync, tasks: TaskServiceStub, root: Path
) -> None:
    """The record is in the workspace, where other processes may write it."""
    path = root / TASKS / "T-1" / "TASK.md"
    sparse(path)
    record = next(file for file in path.parent.iterdir() if file.name.endswith(".hash"))
    known = sha256(path.with_name("AGENT.yml").read_bytes()).hexdigest()
    record.write_text(f'{{"files": {{"TASK.md": "", "AGENT.yml": "{known}"}}}}')
    retitle(tasks, "T-1")
    assert sync.run_once() == 1
    assert path.stat().st_size == SPARSE


def _growing(monkeypatch: pytest.MonkeyPatch, module: object, name: str, path: Path) -> None:
    """Make the file longer with each read."""
    read = getattr(os, name)

    def grown(fd: int, size: int, *place: int) -> bytes:
        os.truncate(path, path.stat().st_size + READ_BYTES)
        content: bytes = read(fd, size, *place)
        return content

    monkeypatch.setattr(f"{module.__name__}.os.{name}", grown)  # type: ignore[attr-defined]


def test_hashing_a_growing_file_stops(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "delegation" / "grows"
    path.parent.mkdir()
    path.write_bytes(b"x" * READ_BYTES)
    with tree.Workspace(root).directory("delegation") as directory:
        _growing(monkeypatch, tree, "read", path)
        assert directory.digest("grows") == tree.TOO_LARGE
    assert path.stat().st_size < 3 * HASHED_BYTES


def test_a_listed_file_that_grows_while_hashed_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "delegation" / "tasks" / "grows"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * READ_BYTES)
    files = WorkspaceFiles(root)
    listed = files.list_files("default", "delegation/tasks")
    _growing(monkeypatch, reader, "pread", path)
    assert files.hashes(Call(""), listed) == {}
    assert path.stat().st_size < 100 * READ_BYTES


def test_only_the_first_of_many_large_files_are_hashed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "HASHED_BYTES", 250)
    for number in range(4):
        file = root / "delegation" / "tasks" / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(100))
    files = WorkspaceFiles(root)
    found = files.hashes(Call(""), files.list_files("default", "delegation/tasks"))
    assert [bool(digest) for digest in found.values()] == [True, True, False, False]


def test_a_listing_looks_at_a_limited_number_of_entries(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested directories could take days to search."""
    monkeypatch.setattr(reader, "ENTRIES", 50)
    for outer in range(8):
        for inner in range(8):
            (root / "delegation" / "tasks" / str(outer) / str(inner)).mkdir(parents=True)
    looked = 0
    scan = os.scandir

    def counted(fd: int) -> object:
        nonlocal looked
        looked += 1
        return scan(fd)

    monkeypatch.setattr("orchestration_server.workspace.reader.os.scandir", counted)
    assert WorkspaceFiles(root).list_files("default", "delegation/tasks") == []
    assert looked <= 51
