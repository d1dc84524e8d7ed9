"""Paths, links and races in the workspace; files are whole in any case."""

import fcntl
import os
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration_server.workspace import tree
from orchestration_server.workspace.tree import (
    TEMPORARY,
    UnsafePath,
    Workspace,
    code_of,
    name_of,
    parts_of,
    sprint_directory,
    task_directory,
)

TEXTS = st.text(st.characters(), max_size=40)
ODD = st.text(st.sampled_from("./\\~%\0\n:aA-é\u202e"), max_size=12)
SWAPS = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    inside = tmp_path / "root"
    inside.mkdir()
    return inside


def everything(where: Path) -> dict[str, bytes | None]:
    """Return each file with its content, and each directory and link without one."""
    return {
        str(path.relative_to(where)): path.read_bytes() if path.is_file() else None
        for path in where.rglob("*")
    }


# Names


@given(TEXTS | ODD)
@example("SPRINT.md")
@example("sprint.MD")
@example("..")
@example("%2E.")
def test_a_code_has_a_unique_name_that_stays_in_its_directory(code: str) -> None:
    try:
        name = name_of(code)
    except UnsafePath:
        assert not code or len(code.encode()) * 3 > tree.NAME_BYTES
        return
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert name.isascii()
    assert name.casefold() not in {"sprint.md", "task.md", "agent.yml"}
    assert code_of(name) == code


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_a_valid_code_is_its_own_name(code: str) -> None:
    assert name_of(code) == code or code.casefold() in {"sprint.md", "task.md", "agent.yml"}


def test_directories_of_entities() -> None:
    assert sprint_directory("S-1") == "delegation/sprints/S-1"
    assert task_directory("T-1", "S-1") == "delegation/sprints/S-1/T-1"
    assert task_directory("T-1", "") == "delegation/tasks/T-1"
    assert task_directory("SPRINT.md", "S-1") == "delegation/sprints/S-1/%53PRINT.md"


# Paths


@given(st.lists(TEXTS | ODD | st.sampled_from(("..", ".", "", "a" * 300)), max_size=5).map("/".join))
@example("/etc/passwd")
@example("a/../b")
@example("a\0b")
@example("\ud800")
@example("/".join("a" * 40))
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    base = tmp_path_factory.mktemp("paths")
    root = base / "root"
    root.mkdir()
    (base / "beside").write_bytes(b"theirs")
    space = Workspace(root)
    parts: tuple[str, ...] = ()
    with suppress(UnsafePath):
        parts = parts_of(path)
    if not parts:
        with pytest.raises(UnsafePath), space.directory(path, make=True):
            raise AssertionError("it was opened")
        assert everything(root) == {}
    else:
        with space.directory(path, make=True) as directory:
            directory.write("file", b"ours")
        assert root.joinpath(*parts, "file").read_bytes() == b"ours"
    assert everything(base).keys() - {"root", "beside"} == {"root/" + name for name in everything(root)}
    assert (base / "beside").read_bytes() == b"theirs"


def test_projects_are_separate(root: Path) -> None:
    for project in ("default", "one", "delegation"):
        with Workspace(root, project).directory("delegation", make=True) as directory:
            directory.write("of", project.encode())
    assert {name: content for name, content in everything(root).items() if content} == {
        "delegation/of": b"default",
        "projects/one/delegation/of": b"one",
        "projects/delegation/delegation/of": b"delegation",
    }


def test_a_missing_root_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Workspace(tmp_path / "none").directory("a", make=True):
        raise AssertionError("it was opened")
    assert not (tmp_path / "none").exists()


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    with Workspace(link).directory("a", make=True) as directory:
        directory.write("file", b"x")
    assert (root / "a" / "file").read_bytes() == b"x"


# Links


@pytest.mark.parametrize("target", ["../outside", "../../outside", "inside", "nowhere", "loop"])
def test_no_link_on_the_way_is_followed(root: Path, target: str) -> None:
    (root / "inside").mkdir()
    (root / "loop").symlink_to("loop")
    (root / "a").mkdir()
    (root / "a" / "link").symlink_to(target)
    with pytest.raises(UnsafePath, match="link"), Workspace(root).directory("a/link/b", make=True):
        raise AssertionError("it was opened")
    assert everything(root.parent / "outside") == {}
    assert everything(root / "inside") == {}


def test_a_link_in_place_of_a_file_is_neither_read_nor_overwritten(root: Path) -> None:
    theirs = root.parent / "outside" / "secret"
    theirs.write_bytes(b"secret")
    (root / "TASK.md").symlink_to(theirs)
    with Workspace(root).directory("sub", make=True) as directory:
        (root / "sub" / "TASK.md").symlink_to(theirs)
        for use in (
            lambda: directory.read("TASK.md", 100),
            lambda: directory.digest("TASK.md"),
            lambda: directory.replace("TASK.md", b"ours", ()),
        ):
            with pytest.raises(UnsafePath, match="link"):
                use()
        directory.write("TASK.md", b"ours")
    assert theirs.read_bytes() == b"secret"
    assert (root / "sub" / "TASK.md").read_bytes() == b"ours"
    assert list(everything(root / "sub")) == ["TASK.md"]


def test_a_named_pipe_does_not_block(root: Path) -> None:
    with Workspace(root).directory("a", make=True) as directory:
        os.mkfifo(root / "a" / "pipe")
        with pytest.raises(UnsafePath, match="not a file"):
            directory.read("pipe", 100)


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(root: Path) -> None:
    """If a process swaps the directory meanwhile, a write ends in the directory itself or is refused."""
    outside = root.parent / "outside"
    space = Workspace(root)
    done = threading.Event()

    def swap() -> None:
        aside = root / "aside"
        while not done.is_set():
            (root / "a").rename(aside)
            (root / "a").symlink_to(outside)
            (root / "a").unlink()
            aside.rename(root / "a")

    (root / "a" / "b").mkdir(parents=True)
    thread = threading.Thread(target=swap)
    thread.start()
    written = refused = 0
    try:
        for number in range(SWAPS):
            try:
                with space.directory("a/b") as directory:
                    directory.write("file", str(number).encode())
                written += 1
            except (UnsafePath, FileNotFoundError):
                refused += 1
    finally:
        done.set()
        thread.join()
    assert written + refused == SWAPS
    assert everything(outside) == {}
    assert everything(root).keys() <= {"a", "a/b", "a/b/file"}


# Files


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(root: Path) -> None:
    with Workspace(root).directory("a", make=True) as directory:
        directory.write("file", b"long" * 100_000)
        before = (root / "a" / "file").stat().st_ino
        directory.write("file", b"short")
    assert (root / "a" / "file").read_bytes() == b"short"
    assert (root / "a" / "file").stat().st_ino != before
    assert list(everything(root / "a")) == ["file"]


def test_a_reader_sees_the_old_file_or_the_new_one(root: Path) -> None:
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    with Workspace(root).directory("a", make=True) as directory:
        directory.write("file", min(contents))
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                for content in contents:
                    directory.write("file", content)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert {directory.read("file", 1_000_000) for _ in range(200)} <= contents
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    root: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace(root).directory("a", make=True) as directory:
        directory.write("file", b"old")

        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, fail)
            with pytest.raises(OSError, match="No space"):
                directory.write("file", b"new")
    assert everything(root / "a") == {"file": b"old"}


def test_files_of_killed_writers_are_removed(root: Path) -> None:
    with Workspace(root).locked("a") as directory:
        (root / "a" / f"{TEMPORARY}0123").write_bytes(b"half")
        directory.write("file", b"whole")
        directory.sweep()
    assert list(everything(root / "a")) == ["file"]


def test_only_a_known_file_is_replaced(root: Path) -> None:
    known = sha256(b"ours").hexdigest()
    with Workspace(root).directory("a", make=True) as directory:
        assert directory.replace("file", b"ours", {known}) is None
        assert directory.replace("file", b"newer", {known}) is None
        (root / "a" / "file").write_bytes(b"theirs")
        assert directory.replace("file", b"newest", {known}) == sha256(b"theirs").hexdigest()
    assert everything(root / "a") == {"file": b"theirs"}


def test_a_file_over_the_limit_is_not_read(root: Path) -> None:
    with Workspace(root).directory("a", make=True) as directory:
        directory.write("file", b"12345")
        assert directory.read("file", 5) == b"12345"
        with pytest.raises(OSError, match="longer than 4"):
            directory.read("file", 4)
        assert directory.read("none", 4) is None


def test_a_lock_is_waited_for_and_released(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "a").mkdir()
    other = os.open(root / "a", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with monkeypatch.context() as patch:
        patch.setattr(tree, "LOCK_SECONDS", 0.02)
        with pytest.raises(TimeoutError), Workspace(root).locked("a"):
            raise AssertionError("it was locked")
    os.close(other)
    again = os.open(root / "a", os.O_RDONLY)
    with Workspace(root).locked("a"), pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)
