"""The search for sprints and tasks in a tree of files. It follows no links and lists the files it skips."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration_server.cli.importing.jsonl_format import BadRow

MOST_FILE_BYTES = 4 * 1024 * 1024
_SPRINT, _TASK = "sprint.md", "task.md"
_AGENTS = ("agent.yml", "agent.yaml")
_SPRINTS, _TASKS = "sprints", "tasks"
_TASK_FILE = re.compile(r"task[-_ ].+\.md", re.IGNORECASE)
_NO_TASK = frozenset((
    "task", "tasks", "template", "templates", "example", "examples", "sample", "created", "creation",
    "summary", "list", "index", "overview", "guide", "guidelines", "format", "readme", "notes", "log",
    "report", "status", "complete", "completed", "completion", "done", "checklist", "breakdown", "plan",
    "planning", "progress", "update", "updates", "sprint",
))  # fmt: skip
"""Words in the names of files that are about tasks but hold none: TASK_TEMPLATE.md, TASK_CREATED.md."""
_NEVER = frozenset(["readme", "task", "tasks", "sprint", "template", "templates", "index"])
"""The same words for files in a directory of tasks, where `report.md` may be a task."""
_DOCUMENT = re.compile(r".+\.(md|yml|yaml)", re.IGNORECASE)
_ELSEWHERE = frozenset(("adr", "backlog", "decisions"))
_DRAFTS, _COMPLETED = "drafts", "completed"
_ARCHIVES = frozenset(("archive", "archived", "_archive"))

Warn = Callable[[str, str], None]
"""Takes a path below the root, and what to report of it."""


@dataclass(frozen=True, slots=True)
class SprintFile:
    """A sprint's directory. ``file`` is None if it has no SPRINT.md."""

    directory: Path
    file: Path | None


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task's file with its AGENT.yml, either of which may be missing, and the directory of its sprint."""

    file: Path
    agent: Path | None
    sprint: Path | None
    place: str = ""
    """`draft` or `archive` if the task is put aside, else empty."""

    @property
    def by_name(self) -> bool:
        """True if only the file's name shows that it is a task."""
        return self.file.name.lower() not in (_TASK, *_AGENTS)

    @property
    def name(self) -> str:
        """The name of the file or its directory, of which the code is made if the file gives none."""
        return self.file.stem if self.by_name else self.file.parent.name


@dataclass(frozen=True, slots=True)
class Tree:
    """The sprints and tasks of a tree."""

    sprints: list[SprintFile]
    tasks: list[TaskFile]


def find(root: Path, *, refuse: Warn, warn: Warn) -> Tree:
    """Return the sprints and tasks below a root, in the order of their paths.

    Files that are tasks by their name alone come last, so that none of them takes the code of a TASK.md.
    """
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
        place = _place(directory, base, sprint)
        for name in files:
            path = directory / name
            if name.lower() == _TASK and by_name[_TASK] == path:
                tasks.append(TaskFile(path, agent, sprint, place))
            elif _is_task_by_name(directory, name):
                tasks.append(TaskFile(path, None, sprint, place))
            elif path not in taken and _DOCUMENT.fullmatch(name):
                warn(str(path.relative_to(root)), _left(directory, name))
        if agent is not None and _TASK not in by_name:
            tasks.append(TaskFile(agent, agent, sprint, place))
    with_tasks = {task.sprint for task in tasks}
    kept = [s for s in sprints.values() if s.file is not None or s.directory in with_tasks]
    return Tree(kept, sorted(tasks, key=lambda task: task.by_name))


def read(path: Path) -> bytes:
    """Return a file's content. Raises BadRow if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise BadRow(f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_FILE_BYTES:
        raise BadRow(f"larger than {MOST_FILE_BYTES:,} bytes")
    return content


def _walk(base: Path, root: Path, refuse: Warn) -> Iterator[tuple[Path, list[str]]]:
    """Yield each directory with the names of its files, without hidden ones."""

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


def _place(directory: Path, base: Path, sprint: Path | None) -> str:
    """Return `draft` or `archive` if the tasks of a directory are put aside, else an empty string."""
    if directory.name.lower() == _DRAFTS and _beside_tasks(directory):
        return "draft"
    for up in (directory, *directory.parents):
        if up in (base, sprint):
            break
        if up.name.lower() in _ARCHIVES:
            return "archive"
    return ""


def _beside_tasks(directory: Path) -> bool:
    return any((directory.parent / name).is_dir() for name in (_TASKS, _TASKS.capitalize()))


def _is_task_by_name(directory: Path, name: str) -> bool:
    """Return True if the file is a task in an older tree: TASK-7.md, or any markdown in a directory of tasks.

    Beside a directory of tasks there may be one of completed tasks and one of drafts.
    """
    stem, _, ending = name.lower().rpartition(".")
    words = set(re.findall(r"[^\W_]+", stem))
    if ending != "md":
        return False
    if _TASK_FILE.fullmatch(name):
        return not words <= _NO_TASK
    if words and words <= _NEVER:
        return False
    among = directory.name.lower()
    return among == _TASKS or (among in (_DRAFTS, _COMPLETED) and _beside_tasks(directory))


def _left(directory: Path, name: str) -> str:
    if directory.name.lower() in _ELSEWHERE and name.lower().endswith(".md"):
        return "decisions and bug reports are not imported: record them with CreateAdr and CreateBugReport"
    if _TASK_FILE.fullmatch(name):
        return "its name says that it is about tasks and is no task itself: left out"
    return "neither a sprint nor a task: left out"
