"""The files of a workspace, in contexts and through ReadContextFile, and no file outside of it."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from orchestration.v1 import context_pb2, sprint_pb2, task_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.errors import FileChanged
from orchestration_server.model import Call
from orchestration_server.workspace.reader import CHUNK_BYTES, READ_BYTES, WorkspaceFiles
from tests.conftest import open_channel
from tests.support import factories
from tests.support.rpc_errors import refused

SPRINT = "delegation/sprints/s"
TASK = f"{SPRINT}/t"
CALL = Call("test")


@dataclass
class Ledger:
    """Return the ledger of a server with a workspace, and a sprint with a task and files."""

    root: Path
    channel: grpc.Channel

    def write(self, path: str, data: bytes = b"text") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def ask(self, since: str = "", **target: str) -> context_pb2.AssembleContextResponse:
        request = context_pb2.AssembleContextRequest(
            options=context_pb2.ContextOptions(since_cursor=since), **target
        )
        return ContextServiceStub(self.channel).AssembleContext(request)

    def names(self, **target: str) -> list[str]:
        return [file.path for file in self.ask(**target).context.files]

    def read(self, path: str, **target: str) -> list[context_pb2.ReadContextFileResponse]:
        request = context_pb2.ReadContextFileRequest(path=path, **(target or {"task_code": "t"}))
        return list(ContextServiceStub(self.channel).ReadContextFile(request))


@pytest.fixture
def ledger(database_url: str, engines: Engines, tmp_path: Path) -> Iterator[Ledger]:
    root = tmp_path / "workspace"
    root.mkdir()
    app = App(
        Settings(
            address="127.0.0.1:0", database_url=database_url, redis_url=engines.redis_url or "",
            grace_seconds=1, workspace=root, background=False,
        )
    )  # fmt: skip
    try:
        with open_channel(app.start()) as channel:
            sprint = sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s"))
            SprintServiceStub(channel).CreateSprint(sprint)
            for task in (factories.task("t", sprint_code="s"), factories.task("alone")):
                TaskServiceStub(channel).CreateTask(task_pb2.CreateTaskRequest(task=task))
            yield Ledger(root, channel)
    finally:
        app.stop()


def test_a_context_names_its_files(ledger: Ledger) -> None:
    assert not ledger.names(task_code="t")
    file = ledger.write(f"{TASK}/TASK.md", b"do it")
    ledger.write(f"{TASK}/.hash")
    ledger.write(f"{TASK}/notes/b.md")
    ledger.write(f"{TASK}/notes.md")
    ledger.write(f"{SPRINT}/SPRINT.md")
    ledger.write("delegation/tasks/alone/TASK.md")
    (ledger.root / TASK / "link.md").symlink_to(file)
    first = ledger.ask(task_code="t").context
    assert [f.path for f in first.files] == [
        f"{TASK}/TASK.md", f"{TASK}/notes.md", f"{TASK}/notes/b.md"
    ]  # fmt: skip
    shown = first.files[0]
    assert (shown.size, shown.sha256) == (5, hashlib.sha256(b"do it").hexdigest())
    assert shown.modify_time.ToNanoseconds() == file.stat().st_mtime_ns
    assert ledger.names(sprint_code="s") == [f"{SPRINT}/SPRINT.md", *[f.path for f in first.files]]
    assert ledger.names(task_code="alone") == ["delegation/tasks/alone/TASK.md"]

    again = ledger.ask(task_code="t")
    assert again.from_cache
    file.write_bytes(b"do it well")
    after = ledger.ask(task_code="t")
    assert not after.from_cache
    assert after.context.files[0].sha256 == hashlib.sha256(b"do it well").hexdigest()
    same = ledger.ask(after.context.as_of_cursor, task_code="t").context
    assert context_pb2.CONTEXT_SECTION_FILES in same.unchanged


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
def test_a_file_is_read_in_pieces(ledger: Ledger, size: int) -> None:
    content = os.urandom(size)
    ledger.write(f"{TASK}/a.bin", content)
    for target in ({"task_code": "t"}, {"sprint_code": "s"}):
        pieces = ledger.read(f"{TASK}/a.bin", **target)
        assert b"".join(piece.data for piece in pieces) == content
        assert len(pieces) == max(1, -(-size // CHUNK_BYTES))
        assert (pieces[0].size, pieces[0].sha256) == (size, hashlib.sha256(content).hexdigest())
        assert not any(piece.sha256 for piece in pieces[1:])


def test_nothing_outside_is_read(ledger: Ledger, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    ledger.write(f"{TASK}/TASK.md")
    (ledger.root / TASK / "out.md").symlink_to(secret)
    (ledger.root / TASK / "up").symlink_to(tmp_path)
    (ledger.root / "outside").symlink_to(tmp_path)
    (ledger.root / TASK / "inside.md").symlink_to(ledger.root / TASK / "TASK.md")
    for path in (
        f"{TASK}/out.md", f"{TASK}/up/secret.md", "outside/secret.md", f"{TASK}/inside.md",
        f"{TASK}/../../../../../secret.md", "../secret.md", str(secret), f"{TASK}/./TASK.md",
        f"{TASK}//TASK.md", "outside", f"{TASK}/TASK.md\0", "", ".", "..", f"{TASK}\\TASK.md", "x" * 600,
        "x" * 256, f"{TASK}/{'x' * 256}",
    ):  # fmt: skip
        with refused(StatusCode.INVALID_ARGUMENT):
            ledger.read(path)
    ledger.write(f"{SPRINT}/SPRINT.md")
    ledger.write("other.md")
    ledger.write(f"{TASK}/.hash")
    ledger.write("projects/p/delegation/sprints/s/t/TASK.md")
    os.mkfifo(ledger.root / TASK / "pipe")
    for path in (
        f"{SPRINT}/SPRINT.md", "other.md", f"{TASK}/.hash", f"{TASK}/none.md", f"{TASK}/pipe", TASK,
        f"{TASK}/TASK.md/x", "projects/p/delegation/sprints/s/t/TASK.md", f"{TASK}x/TASK.md",
    ):  # fmt: skip
        with refused(StatusCode.NOT_FOUND):
            ledger.read(path)
    with refused(StatusCode.NOT_FOUND):
        ledger.read(f"{TASK}/TASK.md", task_code="nobody")


def test_a_file_that_is_too_large_is_refused(ledger: Ledger) -> None:
    file = ledger.write(f"{TASK}/big.bin")
    os.truncate(file, READ_BYTES + 1)
    (found,) = ledger.ask(task_code="t").context.files
    assert (found.path, found.size, found.sha256) == (f"{TASK}/big.bin", READ_BYTES + 1, "")
    with refused(StatusCode.FAILED_PRECONDITION, "FILE_TOO_LARGE"):
        ledger.read(f"{TASK}/big.bin")
    os.truncate(file, READ_BYTES)
    assert sum(len(piece.data) for piece in ledger.read(f"{TASK}/big.bin")) == READ_BYTES


def test_without_a_workspace_there_are_no_files(database_url: str) -> None:
    app = App(Settings(address="127.0.0.1:0", database_url=database_url, grace_seconds=1))
    try:
        with open_channel(app.start()) as channel:
            task = task_pb2.CreateTaskRequest(task=factories.task("t"))
            TaskServiceStub(channel).CreateTask(task)
            ledger = Ledger(Path(), channel)
            assert not ledger.names(task_code="t")
            with refused(StatusCode.FAILED_PRECONDITION, "NO_WORKSPACE"):
                ledger.read("delegation/tasks/t/TASK.md")
    finally:
        app.stop()


@pytest.mark.parametrize("change", [b"", b"short", b"x" * 3 * CHUNK_BYTES, b"x" * 4 * CHUNK_BYTES])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: bytes) -> None:
    file = tmp_path / "d" / "a.md"
    file.parent.mkdir()
    file.write_bytes(b"y" * 3 * CHUNK_BYTES)
    pieces = WorkspaceFiles(tmp_path).read(CALL, "d/a.md", directory="d")
    next(pieces)
    file.write_bytes(change)
    with pytest.raises(FileChanged):
        list(pieces)


def test_a_file_that_is_replaced_while_it_is_read_stays_whole(tmp_path: Path) -> None:
    """The server writes files by renaming, so the opened file stays as it is."""
    file = tmp_path / "d" / "a.md"
    file.parent.mkdir()
    file.write_bytes(b"y" * 3 * CHUNK_BYTES)
    pieces = WorkspaceFiles(tmp_path).read(CALL, "d/a.md", directory="d")
    first = next(pieces)[0]
    other = tmp_path / "other"
    other.write_bytes(b"new")
    other.rename(file)
    assert first + b"".join(data for data, _, _ in pieces) == b"y" * 3 * CHUNK_BYTES


def test_a_listing_is_bounded_and_in_the_order_of_paths(tmp_path: Path) -> None:
    below = tmp_path / "d"
    below.mkdir()
    for number in range(520):
        (below / f"{number:03}.md").touch()
    (below / "000").mkdir()
    (below / "000" / "x.md").touch()
    paths = [file.path for file in WorkspaceFiles(tmp_path).list_files("default", "d")]
    assert len(paths) == 500
    assert paths == sorted(paths)
    assert paths[:3] == ["d/000.md", "d/000/x.md", "d/001.md"]
