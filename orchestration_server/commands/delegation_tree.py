"""Finds the sprints and tasks of a tree of files. No link is followed; what is not taken is listed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration_server.commands.fleet_format import BadRow

MOST_FILE_BYTES = 4 * 1024 * 1024
_SPRINT, _TASK = "sprint.md", "task.md"
_AGENTS = ("agent.yml", "agent.yaml")
_SPRINTS, _TASKS = "sprints", "tasks"
_TASK_FILE = re.compile(r"task[-_ ].+\.md", re.IGNORECASE)
_DOCUMENT = re.compile(r".+\.(md|yml|yaml)", re.IGNORECASE)
_ELSEWHERE = frozenset(("adr", "backlog"))

Warn = Callable[[str, str], None]
"""Takes a path below the root, and what is to be told of it."""


@dataclass(frozen=True, slots=True)
class SprintFile:
    """A sprint's directory; ``file`` is None where it has no SPRINT.md."""

    directory: Path
    file: Path | None


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task's file, its AGENT.yml, and the directory of the sprint that it lies in, where there are such."""

    file: Path
    agent: Path | None
    sprint: Path | None

    @property
    def name(self) -> str:
        """What its place says its code is."""
        return self.file.parent.name if self.file.name.lower() == _TASK else self.file.stem


@dataclass(frozen=True, slots=True)
class Tree:
    """What a tree holds."""

    sprints: list[SprintFile]
    tasks: list[TaskFile]


def find(root: Path, *, refuse: Warn, warn: Warn) -> Tree:
    """The sprints and tasks below a root, in the order of their paths."""
    base = root / "delegation" if (root / "delegation").is_dir() else root
    sprints: dict[Path, SprintFile] = {}
    tasks: list[TaskFile] = []
    for directory, files in _walk(base, root, refuse):
        by_name = {name.lower(): directory / name for name in reversed(files)}
        if _SPRINT in by_name or directory.parent.name.lower() == _SPRINTS:
            sprints[directory] = SprintFile(directory, by_name.get(_SPRINT))
        agent = next((by_name[name] for name in _AGENTS if name in by_name), None)
        taken = {by_name.get(_SPRINT), agent}
        sprint = next((up for up in (directory, *directory.parents) if up in sprints), None)
        for name in files:
            path = directory / name
            if name.lower() == _TASK and by_name[_TASK] == path:
                tasks.append(TaskFile(path, agent, sprint))
            elif _is_task_by_name(directory, name):
                tasks.append(TaskFile(path, None, sprint))
            elif path not in taken and _DOCUMENT.fullmatch(name):
                warn(str(path.relative_to(root)), _left(directory))
        if agent is not None and _TASK not in by_name:
            refuse(str(agent.relative_to(root)), "there is no TASK.md beside it")
    with_tasks = {task.sprint for task in tasks}
    kept = [s for s in sprints.values() if s.file is not None or s.directory in with_tasks]
    return Tree(kept, tasks)


def read(path: Path) -> bytes:
    """A file's content."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise BadRow(f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_FILE_BYTES:
        raise BadRow(f"larger than {MOST_FILE_BYTES:,} bytes")
    return content


def _walk(base: Path, root: Path, refuse: Warn) -> Iterator[tuple[Path, list[str]]]:
    """Each directory with the names of its files; hidden ones are left out."""

    def unreadable(error: OSError) -> None:
        refuse(str(Path(error.filename).relative_to(root)), f"cannot be read: {error.strerror}")

    for name, directories, files in os.walk(base, onerror=unreadable):
        directory = Path(name)
        for below in (directories, files):
            below[:] = sorted(n for n in below if not n.startswith("."))
            for link in [n for n in below if (directory / n).is_symlink()]:
                below.remove(link)
                refuse(_printable(directory / link, root), "is a link: not followed")
        yield directory, [n for n in files if (directory / n).is_file()]


def _printable(path: Path, root: Path) -> str:
    return os.fsencode(path.relative_to(root)).decode(errors="replace")


def _is_task_by_name(directory: Path, name: str) -> bool:
    """Whether an older tree keeps a task in this file: TASK-7.md, or any markdown in a directory of tasks."""
    if _TASK_FILE.fullmatch(name):
        return True
    stem, _, ending = name.lower().rpartition(".")
    return directory.name.lower() == _TASKS and ending == "md" and stem not in ("readme", "task", "sprint")


def _left(directory: Path) -> str:
    if directory.name.lower() in _ELSEWHERE:
        return "decisions and bug reports are not imported: record them with CreateAdr and CreateBugReport"
    return "neither a sprint nor a task: left out"
