"""`orchestration import --delegation`: loads a tree of files through the public rpcs (docs/files.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration_server.commands import delegation_tree, task_fields
from orchestration_server.commands.delegation_format import (
    Parsed,
    parse_agent,
    parse_sprint,
    parse_task,
    stamp_of,
)
from orchestration_server.commands.delegation_tree import SprintFile, TaskFile
from orchestration_server.commands.fleet_format import BadRow, TaskRow, links_of
from orchestration_server.commands.ledger import Fault, Ledger, new_request_id
from orchestration_server.commands.loading import TaskLoader, batches
from orchestration_server.commands.reporting import Bars, Report, say
from orchestration_server.commands.row_notes import Notes
from orchestration_server.commands.words import Words
from orchestration_server.workspace import code_of

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(slots=True)
class SprintCounts:
    """What became of the sprints."""

    read: int = 0
    created: int = 0
    already_there: int = 0


class TreeListing:
    """The part of the report that belongs to a tree: a row's number stands for its file."""

    def __init__(self, report: Report, root: Path) -> None:
        self._report = report
        self._root = root
        self._files: list[str] = []

    def number(self, file: Path) -> int:
        """The number of a file."""
        self._files.append(self.name(file))
        return len(self._files) - 1

    def name(self, file: Path) -> str:
        """A file below the root; bytes of its name that are no text are replaced."""
        return str(file.relative_to(self._root)).encode(errors="replace").decode()

    def refused(self, line: int, reason: str) -> None:
        """A file, or a link of one, that was not taken."""
        self._report.add("refused", self._files[line], None, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """A link to a task that is not there."""
        self._report.add("unresolved", self._files[line], None, reason)

    def changed(self, line: int, reason: str) -> None:
        """A file that the ledger has with another meaning, or in part."""
        self._report.add("changed", self._files[line], None, reason)

    def warning(self, line: int, reason: str) -> None:
        """A file that was taken otherwise than it stands."""
        self._report.add("warning", self._files[line], None, reason)


class Loader:
    """Creates the sprints of a tree, then its tasks, then their links."""

    def __init__(self, root: Path, ledger: Ledger, report: Report, words: Words) -> None:
        self.sprints = SprintCounts()
        self._words = words
        self._ledger = ledger
        self._listing = TreeListing(report, root)
        self.tasks = TaskLoader(ledger, self._listing)
        self._codes: dict[tuple[str, str], str] = {}
        self._sprint_of: dict[Path, str | None] = {}
        """The code of each sprint's directory; None where it was not taken."""
        self._later: dict[Path, Path] = {}
        """The file with the last revision of a task, by each other one that a ledger wrote of it."""

    def find_moved(self, files: Iterable[TaskFile]) -> None:
        """Finds the tasks that a ledger wrote at several places: it leaves the file of one that moves."""
        written: dict[str, list[tuple[int, Path]]] = {}
        for found in files:
            try:
                stamp = stamp_of(delegation_tree.read(found.file))
            except BadRow:
                # It is listed when it is its turn.
                continue
            if stamp is not None:
                code, revision = stamp
                written.setdefault(code, []).append((revision, found.file))
        for places in written.values():
            last, file = max(places, key=lambda place: place[0])
            self._later |= {earlier: file for revision, earlier in places if revision < last}

    def load_sprint(self, found: SprintFile) -> None:
        """Creates a sprint, or finds it there."""
        self.sprints.read += 1
        line = self._listing.number(found.file or found.directory)
        self._sprint_of[found.directory] = None
        try:
            parsed = parse_sprint(delegation_tree.read(found.file)) if found.file else Parsed()
            if found.file is None:
                parsed.warnings.append("there is no SPRINT.md: made of the directory's name")
            code = self._code("sprint", parsed, found.directory.name, found.file or found.directory)
            notes = Notes(parsed.metadata, parsed.warnings)
            request = _sprint(code, parsed, notes, self._words)
            self._ledger.call(self._ledger.sprints.CreateSprint, request)
            self.sprints.created += 1
        except BadRow as error:
            self._listing.refused(line, str(error))
            return
        except Fault as fault:
            if not fault.about_rows or fault.retryable:
                raise
            if fault.code is not grpc.StatusCode.ALREADY_EXISTS:
                self._listing.refused(line, f"sprint {code}: {fault}")
                return
            self.sprints.already_there += 1
        self._sprint_of[found.directory] = code
        for text in notes.changes:
            self._listing.changed(line, f"sprint {code}: {text}")
        for text in parsed.warnings:
            self._listing.warning(line, f"sprint {code}: {text}")

    def task(self, found: TaskFile) -> TaskRow | None:
        """A task's row; None, and listed, where it cannot be taken."""
        line = self._listing.number(found.file)
        later = self._later.get(found.file)
        if later is not None:
            self._listing.warning(line, f"{self._listing.name(later)} has a later revision: left out")
            return None
        try:
            parsed = parse_task(delegation_tree.read(found.file))
            sprint = self._sprint(parsed, found)
            code = self._code("task", parsed, found.name, found.file)
            notes = Notes(parsed.metadata, parsed.warnings)
            row = _task(line, code, sprint, parsed, self._agent_config(found), notes, self._words)
        except BadRow as error:
            self._listing.refused(line, str(error))
            return None
        if not self.tasks.admit(row):
            return None
        for text in row.changes:
            self._listing.changed(line, f"task {code}: {text}")
        for text in row.warnings:
            self._listing.warning(line, f"task {code}: {text}")
        return row

    def _sprint(self, parsed: Parsed, found: TaskFile) -> str:
        """The sprint that the file names, else the one that it lies in."""
        lies_in = self._sprint_of[found.sprint] if found.sprint is not None else ""
        named = parsed.text("sprint_code")
        if named and not _CODE.fullmatch(named):
            if not lies_in:
                raise BadRow(f"sprint {named[:60]!r} is no code of a sprint")
            parsed.metadata["original_sprint"] = named
            parsed.warnings.append(f"sprint {named[:60]!r} is no code: taken as {lies_in}, where it lies")
            named = ""
        if named or "sprint_code" in parsed.fields:
            return named or lies_in or ""
        if lies_in is None:
            raise BadRow("the sprint that it lies in was not taken")
        return lies_in

    def _agent_config(self, found: TaskFile) -> dict[str, Any]:
        if found.agent is None:
            return {}
        try:
            config = parse_agent(delegation_tree.read(found.agent))
        except BadRow as error:
            self._listing.refused(self._listing.number(found.agent), f"{error}; the task is taken without it")
            return {}
        return config

    def _code(self, kind: str, parsed: Parsed, name: str, file: Path) -> str:
        """The code that the file gives, else that of its name; made one where it is none."""
        written = parsed.text("code") or code_of(name)
        code = written
        if not _CODE.fullmatch(code):
            code = re.sub(r"[^A-Za-z0-9._-]+", "-", code).strip("-._")[:128]
            if not code:
                raise BadRow(f"no code can be made of {written[:60]!r}")
            parsed.metadata["original_code"] = written.encode(errors="replace").decode()
            parsed.warnings.append(f"{written[:60]!r} is no code: taken as {code}")
        first = self._codes.setdefault((kind, code), self._listing.name(file))
        if first != self._listing.name(file):
            raise BadRow(f"{kind} {code} is in {first} already")
        return code


def load_delegation(
    root: Path, ledger: Ledger, report: Report, bars: Bars, console: Console, words: Words
) -> None:
    """Creates the sprints and tasks of a tree; what is there already stays as it is."""

    def listed(kind: str) -> Callable[[str, str], None]:
        return lambda file, reason: report.add(kind, file, None, reason)

    tree = delegation_tree.find(root, refuse=listed("refused"), warn=listed("warning"))
    loader = Loader(root, ledger, report, words)
    tasks = loader.tasks

    def sprints() -> Iterator[int]:
        for found in tree.sprints:
            loader.load_sprint(found)
            yield 1

    def rows() -> Iterator[TaskRow]:
        for found in tree.tasks:
            row = loader.task(found)
            if row is not None:
                yield row

    def created() -> Iterator[int]:
        for batch in batches(rows()):
            tasks.create(batch)
            yield len(batch)

    loader.find_moved(tree.tasks)
    try:
        bars.follow("sprints", len(tree.sprints), sprints())
        bars.follow("tasks", len(tree.tasks), created())
        bars.follow("links", tasks.links.read, tasks.link())
    finally:
        made, found, links = loader.sprints, tasks.tasks, tasks.links
        say(
            console,
            "sprints",
            f"{made.read:,} read, {made.created:,} created, {made.already_there:,} already there",
        )
        say(
            console,
            "tasks",
            f"{len(tree.tasks):,} read, {found.created:,} created, {found.already_there:,} already there",
        )
        say(console, "links", f"{links.read:,} read, {links.in_place:,} in place")


def _sprint(code: str, parsed: Parsed, notes: Notes, words: Words) -> sprint_pb2.CreateSprintRequest:
    status = notes.sprint_status(words, parsed.text("status"))
    start, end = _day(parsed, "start_date"), _day(parsed, "end_date")
    time = parsed.time("create_time")
    return sprint_pb2.CreateSprintRequest(
        sprint=sprint_pb2.Sprint(
            code=code,
            title=parsed.text("title") or code,
            status=status,  # type: ignore[arg-type]  # the numbers are the same
            owner=parsed.text("owner"),
            goal=parsed.text("goal"),
            start_date=start,
            end_date=end,
            metadata=task_fields.metadata(notes),
        ),
        occur_time=time,
        request_id=new_request_id(),
    )


def _task(
    line: int,
    code: str,
    sprint: str,
    parsed: Parsed,
    agent_config: dict[str, Any],
    notes: Notes,
    words: Words,
) -> TaskRow:
    status, _ = notes.task_status(words, parsed.text("status"))
    time = parsed.time("create_time")
    links, bad_links = links_of(parsed.fields.get("depends_on"), words, notes)
    task = task_pb2.Task(
        code=code,
        title=parsed.text("title") or code,
        description=parsed.text("description"),
        sprint_code=sprint,
        priority=notes.priority(words, parsed.text("priority")),  # type: ignore[arg-type]  # the same numbers
        phase=parsed.text("phase"),
        assignee=parsed.text("assignee"),
        labels=list(dict.fromkeys(parsed.texts("labels"))),
        objectives=_lines(parsed, "objectives"),
        deliverables=_lines(parsed, "deliverables"),
        acceptance_criteria=_lines(parsed, "acceptance_criteria"),
        agent_config=task_fields.settings(agent_config, "agent_config", notes),
    )
    task.status = notes.settle(status)  # type: ignore[assignment]  # the numbers are the same
    task.metadata.CopyFrom(task_fields.metadata(notes))
    new = task_pb2.NewTask(task=task, occur_time=time)
    return TaskRow(line, new, links, bad_links, warnings=tuple(notes.warnings), changes=tuple(notes.changes))


def _lines(parsed: Parsed, name: str) -> list[str]:
    """A list of lines; one text is one line, commas and all."""
    value = parsed.fields.get(name)
    return [value] if isinstance(value, str) and value else parsed.texts(name)


def _day(parsed: Parsed, name: str) -> str:
    written = parsed.text(name)
    if not written or _DAY.fullmatch(written):
        return written
    parsed.metadata[f"original_{name}"] = written
    parsed.warnings.append(f"{name} {written[:60]!r} is not a day as YYYY-MM-DD: left out")
    return ""
