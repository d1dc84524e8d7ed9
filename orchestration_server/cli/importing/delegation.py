"""`orchestration import --delegation`: load a tree of files through the public rpcs (docs/files.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import grpc
from rich.console import Console

from orchestration.v1 import sprint_pb2
from orchestration_server.cli.importing import delegation_tree
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.delegation_format import ParsedFile, parse_sprint
from orchestration_server.cli.importing.delegation_rows import sprint_request
from orchestration_server.cli.importing.delegation_tree import SprintFile, TaskFile
from orchestration_server.cli.importing.jsonl_format import BadRow, ImportTaskRow
from orchestration_server.cli.importing.loader import TaskLoader, batches
from orchestration_server.cli.importing.progress import ImportReport, ProgressBars, print_line
from orchestration_server.cli.importing.tree_codes import NameIndex, TreeCodes
from orchestration_server.cli.importing.tree_report import TreeListing
from orchestration_server.cli.importing.tree_tasks import ReadTask, TreeTasks
from orchestration_server.cli.importing.tree_updates import TreeUpdates
from orchestration_server.cli.importing.words import Words


@dataclass(slots=True)
class SprintCounts:
    """Counts of the sprints of a tree by their outcome."""

    read: int = 0
    created: int = 0
    already_there: int = 0


class TreeLoader:
    """A loader that creates the sprints of a tree, then its tasks, then their links."""

    def __init__(
        self, root: Path, client: ImportClient, report: ImportReport, words: Words, *, update: bool
    ) -> None:
        self.sprints = SprintCounts()
        self._client = client
        self._listing = TreeListing(report, root)
        self._words = words
        self._codes = TreeCodes(self._listing.name)
        self._sprint_of: dict[Path, str | None] = {}
        """The code of the sprint in each directory; None if the sprint was refused."""
        self._sprint_names = NameIndex()
        self._existing_sprints: set[str] | None = None
        self.files = TreeTasks(self._listing, self._codes, words, self._sprint_named)
        self.tasks = TaskLoader(client, self._listing)
        self.updates = TreeUpdates(client, self._listing) if update else None

    def load_sprint(self, found: SprintFile) -> None:
        """Create a sprint, or find that the ledger has it."""
        self.sprints.read += 1
        name = found.directory.name
        line = self._listing.number(found.file or found.directory)
        self._sprint_of[found.directory] = None
        parsed = self._parsed_sprint(found, line)
        try:
            code = self._codes.take("sprint", parsed, name, found.file or found.directory)
        except BadRow as error:
            self._listing.refused(line, str(error))
            return
        request = sprint_request(code, name, parsed, self._words)
        self._listing.notes(line, f"sprint {code}", parsed.notes)
        there = self.sprints.already_there
        if self._create_sprint(line, request):
            if self.updates is not None and self.sprints.already_there > there:
                self.updates.sprint(line, found.directory, request.sprint, parsed)
            self._sprint_of[found.directory] = code
            self._sprint_names.add(code, (name, request.sprint.title, parsed.text("code")))

    def read_task(self, found: TaskFile) -> ReadTask | None:
        """Read a task's file. If it has no task, list it and return None."""
        return self.files.read(found, self._sprint_of[found.sprint] if found.sprint is not None else "")

    def admitted(self, tasks: list[ReadTask]) -> Iterator[ImportTaskRow]:
        """Yield the rows of the tasks that were read, and list the notes about them."""
        for task, row in zip(tasks, self.files.rows(tasks), strict=True):
            edited = None
            if self.updates is not None and task.parsed.stamps:
                edited = self.updates.task(task, row)
            if self.tasks.admit(edited or row):
                self._listing.notes(row.line, f"task {row.code}", task.parsed.notes)
                if edited is None:
                    yield row
                else:
                    self.tasks.tasks.already_there += 1

    def _parsed_sprint(self, found: SprintFile, line: int) -> ParsedFile:
        parsed = ParsedFile()
        if found.file is None:
            parsed.notes.warnings.append("there is no SPRINT.md: the directory's name is used")
            return parsed
        try:
            content = delegation_tree.read(found.file)
            parsed = parse_sprint(content)
            parsed.digests[found.file.name] = sha256(content).hexdigest()
            return parsed
        except BadRow as error:
            self._listing.refused(line, f"{error}; the directory's name is used for the sprint")
            return ParsedFile()

    def _create_sprint(self, line: int, request: sprint_pb2.CreateSprintRequest) -> bool:
        """Create a sprint. If there can be none with this code, list that and return False."""
        code = request.sprint.code
        try:
            self._client.call(self._client.sprints.CreateSprint, request)
            self.sprints.created += 1
            return True
        except CallFailed as failure:
            if not failure.about_rows:
                raise
            if failure.code is not grpc.StatusCode.ALREADY_EXISTS:
                self._listing.refused(line, f"sprint {code}: {failure}")
                return False
        if code not in self._all_sprints():
            self._listing.refused(line, f"sprint {code} was deleted in the ledger")
            return False
        self.sprints.already_there += 1
        return True

    def _sprint_named(self, name: str) -> str | None:
        """Return the code of the one sprint that a name means, in the tree or else in the ledger."""
        found = self._sprint_names.find(name)
        return found if found is not None else name if name in self._all_sprints() else None

    def _all_sprints(self) -> set[str]:
        """Return the codes of the ledger's sprints, read at the first call."""
        if self._existing_sprints is None:
            self._existing_sprints = {sprint.code for sprint in self._client.list_sprints()}
        return self._existing_sprints


def load_delegation(
    root: Path,
    client: ImportClient,
    report: ImportReport,
    bars: ProgressBars,
    console: Console,
    words: Words,
    *,
    update: bool = False,
) -> None:
    """Create the sprints and tasks of a tree. What exists already is changed only if ``update`` is set."""

    def listed(kind: str) -> Callable[[str, str], None]:
        return lambda file, reason: report.add(kind, file, None, reason)

    tree = delegation_tree.find(root, refuse=listed("refused"), warn=listed("warning"))
    if not tree.sprints and not tree.tasks:
        report.add("warning", str(root), None, "it has no file of a sprint or a task: see docs/files.md")
    loader = TreeLoader(root, client, report, words, update=update)
    tasks = loader.tasks
    read: list[ReadTask] = []

    def sprints() -> Iterator[int]:
        for found in tree.sprints:
            loader.load_sprint(found)
            yield 1

    def files() -> Iterator[int]:
        for found in tree.tasks:
            task = loader.read_task(found)
            if task is not None:
                read.append(task)
            yield 1

    def created() -> Iterator[int]:
        for batch in batches(loader.admitted(read)):
            tasks.create(batch)
            yield len(batch)

    loader.files.find_moved(tree.tasks)
    try:
        bars.follow("sprints", len(tree.sprints), sprints())
        bars.follow("files", len(tree.tasks), files())
        bars.follow("tasks", len(read), created())
        bars.follow("links", tasks.links.read, tasks.link())
        if loader.updates is not None:
            loader.updates.list_deleted(read, tasks.deleted_codes)
            bars.follow("updates", len(tree.sprints) + len(read), loader.updates.finish())
    finally:
        _print_counts(console, loader, len(tree.tasks))


def _print_counts(console: Console, loader: TreeLoader, files: int) -> None:
    sprints, tasks, links = loader.sprints, loader.tasks.tasks, loader.tasks.links
    print_line(
        console,
        "sprints",
        f"{sprints.read:,} read, {sprints.created:,} created, {sprints.already_there:,} already there",
    )
    print_line(
        console,
        "tasks",
        f"{files:,} read, {tasks.created:,} created, {tasks.already_there:,} already there",
    )
    print_line(console, "links", f"{links.read:,} read, {links.in_place:,} in place")
    if loader.updates is not None:
        edits = loader.updates.counts
        print_line(
            console,
            "updates",
            f"{edits.sprints:,} sprints, {edits.tasks:,} tasks, {edits.links:,} links changed",
        )
