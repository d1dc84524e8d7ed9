"""The tasks of a tree. All files are read before any row is made, so that links may use any task's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from orchestration_server import names
from orchestration_server.cli.importing import delegation_tree
from orchestration_server.cli.importing.delegation_format import (
    ParsedFile,
    agent_task,
    parse_agent,
    parse_task,
    stamp_of,
)
from orchestration_server.cli.importing.delegation_rows import WantedLink, task_row, wanted_links
from orchestration_server.cli.importing.delegation_tree import TaskFile
from orchestration_server.cli.importing.jsonl_format import BadRow, ImportTaskRow, TaskLink
from orchestration_server.cli.importing.row_notes import brief
from orchestration_server.cli.importing.tree_codes import NameIndex, TreeCodes, code_and_title
from orchestration_server.cli.importing.tree_report import TreeListing
from orchestration_server.cli.importing.words import Words
from orchestration_server.model import TaskStatus

SprintNamed = Callable[[str], str | None]
"""Returns the code of the sprint that a name means, in the tree or the ledger, or None."""


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A task's file after it was read."""

    line: int
    found: TaskFile
    code: str
    name: str
    sprint: str
    parsed: ParsedFile


class TreeTasks:
    """A reader of the files of tasks, which makes their rows at the end."""

    def __init__(
        self, listing: TreeListing, codes: TreeCodes, words: Words, sprint_named: SprintNamed
    ) -> None:
        self._listing = listing
        self._codes = codes
        self._words = words
        self._sprint_named = sprint_named
        self._names = NameIndex()
        self._later: dict[Path, Path] = {}
        """For each outdated file of a task, the file with its last revision."""

    def find_moved(self, files: Iterable[TaskFile]) -> None:
        """Find tasks with several files: if a task moves, the ledger leaves its old file behind."""
        written: dict[str, list[tuple[int, Path]]] = {}
        for found in files:
            try:
                stamp = stamp_of(delegation_tree.read(found.file))
            except BadRow:
                # `read` lists it.
                continue
            if stamp is not None:
                code, revision = stamp
                written.setdefault(code, []).append((revision, found.file))
        for places in written.values():
            last, file = max(places, key=lambda place: place[0])
            self._later |= {earlier: file for revision, earlier in places if revision < last}

    def read(self, found: TaskFile, lies_in: str | None) -> ReadTask | None:
        """Read a task's file. If it has no task, list it and return None.

        ``lies_in`` is the code of the sprint around the file: empty if it is in none, None if it was refused.
        """
        line = self._listing.number(found.file)
        later = self._later.get(found.file)
        if later is not None:
            self._listing.warning(line, f"{self._listing.name(later)} has a later revision: left out")
            return None
        try:
            parsed = self._parsed(found)
            named, title = code_and_title(found.name) if found.by_name else (found.name, "")
            first = self._codes.file_of("task", parsed.text("code") or named)
            if found.by_name and first is not None and Path(first).name.lower() == "task.md":
                self._listing.warning(line, f"its task is in {first}: left out")
                return None
            code = self._codes.take("task", parsed, named, found.file)
            if lies_in is None:
                raise BadRow("its sprint was refused")
        except BadRow as error:
            self._listing.refused(line, str(error))
            return None
        parsed.fields["place"] = found.place
        sprint = self._sprint(parsed, lies_in)
        name = title or named
        self._names.add(code, (named, name, parsed.text("title"), parsed.text("code")))
        return ReadTask(line, found, code, name, sprint, parsed)

    def rows(self, tasks: Iterable[ReadTask]) -> Iterator[ImportTaskRow]:
        """Yield the rows of the tasks that were read."""
        for task in tasks:
            links: list[TaskLink] = []
            for want in wanted_links(task.parsed):
                link = self._link(want, task)
                if link is not None and link.code != task.code:
                    links.append(link)
            yield task_row(
                task.line,
                task.code,
                task.name,
                task.sprint,
                task.parsed,
                list(dict.fromkeys(links)),
                self._words,
            )

    def _parsed(self, found: TaskFile) -> ParsedFile:
        """Return the fields of a task's file, completed with those of its AGENT.yml."""
        if found.agent is None:
            return self._read(found.file)
        alone = found.agent == found.file
        config, digest = self._agent(found.agent, alone=alone)
        inner = agent_task(config)
        if alone:
            if inner is None:
                raise BadRow("there is no TASK.md beside it, and it has no task")
            parsed = inner
            config = {key: value for key, value in config.items() if key not in ("task", "task_id")}
        else:
            parsed = self._read(found.file)
            if inner is not None and not parsed.stamps:
                self._compare(parsed, inner)
                inner.fields.pop("code", None)
                parsed.fields = inner.fields | parsed.fields
        parsed.fields["agent_config"] = config
        parsed.digests[found.agent.name] = digest
        return parsed

    def _compare(self, parsed: ParsedFile, agent: ParsedFile) -> None:
        """Block a task that is due in TASK.md but done or put aside in AGENT.yml."""
        statuses = [one.fields.get("status") for one in (parsed, agent)]
        if None in statuses:
            return
        found = [self._words.task_status(status) for status in statuses]
        meanings = [None if one is None else one.value.status for one in found]
        if meanings[0] is TaskStatus.PENDING and meanings[1] is not TaskStatus.PENDING:
            said = f"status {brief(statuses[0])} in TASK.md, and {brief(statuses[1])} in AGENT.yml"
            parsed.notes.block(said)

    def _read(self, file: Path) -> ParsedFile:
        content = delegation_tree.read(file)
        parsed = parse_task(content)
        parsed.digests[file.name] = sha256(content).hexdigest()
        return parsed

    def _agent(self, file: Path, *, alone: bool) -> tuple[dict[str, Any], str]:
        try:
            content = delegation_tree.read(file)
            return parse_agent(content), sha256(content).hexdigest()
        except BadRow as error:
            if alone:
                raise
            self._listing.refused(self._listing.number(file), f"{error}; the task is loaded without it")
            return {}, ""

    def _sprint(self, parsed: ParsedFile, lies_in: str) -> str:
        """Return the code of the sprint that the file names, else of the one in whose directory it is."""
        written = parsed.short("sprint_code")
        named = str(written[0]) if isinstance(written, list) and len(written) == 1 else written
        if not isinstance(named, str | int | float) or not str(named).strip():
            if written:
                parsed.notes.keep("sprint", written)
                parsed.notes.changes.append(f"sprint {brief(written)} is no name: left out")
            return lies_in
        named = str(named).strip()
        found = self._sprint_named(named)
        if found is not None:
            if found != named:
                parsed.notes.warnings.append(f"sprint {brief(named)} is read as {found}")
            return found
        if not lies_in and names.CODE.fullmatch(named):
            # The loader creates it.
            return named
        parsed.notes.keep("sprint", named)
        used = f"{lies_in} is used, in whose directory the file is" if lies_in else "left out"
        parsed.notes.changes.append(f"sprint {brief(named)} is not in the tree or the ledger: {used}")
        return lies_in

    def _link(self, want: WantedLink, task: ReadTask) -> TaskLink | None:
        """Return the link that a file asks for. If it names no task, note that and return None."""
        code = self._code_of(want, own=bool(task.parsed.stamps))
        if code is None:
            if want.sure:
                bad = f"depends_on: {brief(want.task)} names no task"
                task.parsed.fields.setdefault("bad_links", []).append(bad)
            elif want.task.lower() not in ("none", "n/a", "-"):
                where = "names no task of the tree: left in the text"
                task.parsed.notes.warnings.append(f"dependency {brief(want.task)} {where}")
            return None
        meaning = self._words.kind(want.kind)
        if meaning is None:
            bad = f"depends_on {code}: kind {brief(want.kind)} is not known"
            task.parsed.fields.setdefault("bad_links", []).append(bad)
            return None
        return TaskLink(code, meaning.value.kind, reverse=meaning.value.reverse != want.reverse)

    def _code_of(self, want: WantedLink, *, own: bool) -> str | None:
        """Return the code of the task that a link means, which may be in the ledger and not in the tree."""
        code = want.task if names.CODE.fullmatch(want.task) else None
        if own and code is not None:
            # The ledger writes codes, also those of tasks in other trees.
            return code
        found = self._names.find(want.task) if want.sure else None
        return found or self._names.find_first(want.task) or (code if want.sure else None)
