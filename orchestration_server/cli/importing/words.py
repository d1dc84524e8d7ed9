"""Words that trackers use for statuses, priorities and kinds of links, with their meaning in the ledger.

Both importers look words up in this table. A word that is not in it must never make a task ready:
``row_notes`` blocks such a task. docs/import.md shows the table, and a test compares the two.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from orchestration_server.config import yaml_reader
from orchestration_server.model import SprintStatus, TaskStatus

T = TypeVar("T")

TOMBSTONE = "tombstone"
PRIORITIES = ("P0", "P1", "P2", "P3", "P4")
KINDS = ("blocks", "parent-child", "discovered-from", "related")


@dataclass(frozen=True, slots=True)
class Meaning(Generic[T]):
    """The ledger's value for a word."""

    value: T
    exact: bool = True
    """False if the word says more than the value, so that the importer keeps the word."""


@dataclass(frozen=True, slots=True)
class TaskWord:
    """The meaning of a task's status."""

    status: TaskStatus
    deleted: bool = False
    """True if the tracker has deleted the task: it is created as cancelled, linked, and deleted."""


@dataclass(frozen=True, slots=True)
class KindWord:
    """The meaning of a link's kind in an entry of a task's depends_on."""

    kind: str
    reverse: bool = False
    """True if the other task depends on this one."""


Rows = Sequence[tuple[T, bool, str]]
"""Rows of a value, True if its words are exact, and the words, separated by commas."""

TASK_ROWS: Rows[TaskWord] = (
    (
        TaskWord(TaskStatus.PENDING),
        True,
        "pending, open, opened, to do, planned, planning, not started, unstarted, new, created, queued, "
        "ready, needs action, reopened",
    ),
    (
        TaskWord(TaskStatus.PENDING),
        False,
        "backlog, accepted, confirmed, scheduled, selected for development, ready for development, "
        "ready for dev, ready for work, ready to start, up next, next",
    ),
    (TaskWord(TaskStatus.IN_PROGRESS), True, "in progress, active, started, doing, wip, ongoing, underway"),
    (
        TaskWord(TaskStatus.IN_PROGRESS),
        False,
        "in review, review, under review, code review, peer review, needs review, ready for review, "
        "waiting for review, reviewing, in process, working, in development, in dev, implementing, "
        "testing, in testing, in test, in qa, qa, ready for qa, ready for testing, ready for test, "
        "verify, verifying, validating, ready to merge, ready for merge, ready for release, "
        "ready to release, assigned, claimed, hooked",
    ),
    (TaskWord(TaskStatus.BLOCKED), True, "blocked"),
    (
        TaskWord(TaskStatus.BLOCKED),
        False,
        "on hold, hold, waiting, waiting for, waiting on, waiting on others, paused, stopped, stuck, "
        "deferred, postponed, snoozed, later, icebox, some day, maybe, draft, idea, proposed, proposal, "
        "triage, in triage, needs triage, untriaged, unconfirmed, needs info, needs information, "
        "waiting for customer, waiting for support, escalated, failed, pinned, recurring",
    ),
    (
        TaskWord(TaskStatus.COMPLETED),
        True,
        "completed, complete, done, closed, finished, resolved, fixed, merged",
    ),
    (
        TaskWord(TaskStatus.COMPLETED),
        False,
        "verified, released, shipped, delivered, deployed, succeeded, passed",
    ),
    (TaskWord(TaskStatus.CANCELLED), True, "cancelled, canceled"),
    (
        TaskWord(TaskStatus.CANCELLED),
        False,
        "abandoned, dropped, wont fix, wont do, will not do, not planned, not doing, duplicate, invalid, "
        "rejected, declined, obsolete, superseded, skipped, expired, withdrawn, works for me, "
        "cannot reproduce, could not reproduce, archived, deleted, removed",
    ),
    (TaskWord(TaskStatus.CANCELLED, deleted=True), False, TOMBSTONE),
)
SPRINT_ROWS: Rows[SprintStatus] = (
    (SprintStatus.PLANNING, True, "planning, planned, pending, not started, new, upcoming, future, to do"),
    (SprintStatus.PLANNING, False, "draft, backlog, proposed, ready, on hold, paused, deferred, blocked"),
    (SprintStatus.ACTIVE, True, "active, in progress, current, started, running, open, ongoing"),
    (SprintStatus.ACTIVE, False, "in review, review"),
    (SprintStatus.COMPLETED, True, "completed, complete, done, closed, finished"),
    (SprintStatus.COMPLETED, False, "released, shipped"),
    (SprintStatus.CANCELLED, True, "cancelled, canceled"),
    (SprintStatus.CANCELLED, False, "abandoned, dropped, archived, deleted"),
)
PRIORITY_ROWS: Rows[str] = (
    ("P0", True, "p0, 0, critical, blocker, highest, urgent, immediate, emergency"),
    ("P1", True, "p1, 1, high, h, major, important"),
    ("P2", True, "p2, 2, medium, m, med, normal, default, moderate, none, no priority, unset"),
    ("P3", True, "p3, 3, low, l, minor"),
    ("P4", True, "p4, 4, lowest, trivial, some day, backlog"),
    ("P4", False, "p5, p6, p7, p8, p9"),
)
KIND_ROWS: Rows[KindWord] = (
    (
        KindWord("blocks"),
        True,
        "blocks, blocked by, is blocked by, waits for, waiting for, waiting on, depends on, depends, "
        "dependency, requires, needs, after, follows, has to be done after, prerequisite, "
        "finish to start",
    ),
    (
        KindWord("blocks", reverse=True),
        True,
        "is blocking, required by, is required by, needed by, before, precedes, unblocks, dependency of, "
        "is dependency of, is depended on by, has to be done before, prerequisite of, prerequisite for",
    ),
    (
        KindWord("parent-child"),
        True,
        "parent-child, parent, child of, is child of, sub task of, part of, is part of, belongs to, epic",
    ),
    (
        KindWord("parent-child", reverse=True),
        True,
        "parent of, is parent of, child, children, has child, sub task, has sub task, contains, includes",
    ),
    (
        KindWord("discovered-from"),
        True,
        "discovered-from, discovered in, discovered while, found in, found while, spawned from, derived from",
    ),
    (KindWord("discovered-from", reverse=True), True, "discovered, spawned, led to"),
    (
        KindWord("related"),
        True,
        "related, relates to, related to, relates, see, see also, link, links, linked, reference, references",
    ),
    (
        KindWord("related"),
        False,
        "duplicates, duplicate, duplicate of, duplicated by, is duplicated by, clones, cloned by, "
        "is cloned by, supersedes, superseded by, replies to, caused by, is caused by, causes, tracks, "
        "until, validates, attests, approved by, assigned to, authored by, delegated from, mentions",
    ),
)


LONGEST_WORD = 200
"""The maximum length of a word. Normalizing combining marks takes quadratic time."""


class MapError(Exception):
    """Raised for an error in the file of --map. The message begins with file and line."""


def fold(text: str) -> str:
    """Return the form in which words are compared: only letters and digits, without case.

    A text that has neither, such as an emoji, is compared as it is. A sign before a number is kept. A text
    with a question mark is compared as it is, because the author was in doubt.
    """
    if len(text) > LONGEST_WORD:
        return text
    plain = unicodedata.normalize("NFKC", text).casefold().strip()
    letters = "".join(c for c in plain if c.isalnum())
    if re.match(r"[-−]\s*[0-9.]", plain):
        return "-" + letters
    return plain if "?" in plain else letters or plain


def _table(rows: Rows[T]) -> dict[str, Meaning[T]]:
    table: dict[str, Meaning[T]] = {}
    for value, exact, words in rows:
        for word in words.split(","):
            before = table.setdefault(fold(word), Meaning(value, exact))
            assert before.value == value, f"{word} has two meanings"
    return table


@dataclass(frozen=True)
class Words:
    """The table of words, with those that the operator added."""

    tasks: dict[str, Meaning[TaskWord]] = field(default_factory=lambda: _table(TASK_ROWS))
    sprints: dict[str, Meaning[SprintStatus]] = field(default_factory=lambda: _table(SPRINT_ROWS))
    priorities: dict[str, Meaning[str]] = field(default_factory=lambda: _table(PRIORITY_ROWS))
    kinds: dict[str, Meaning[KindWord]] = field(default_factory=lambda: _table(KIND_ROWS))

    def task_status(self, written: object) -> Meaning[TaskWord] | None:
        """Return the meaning of a task's status; None if the word is unknown.

        A remark after the word is ignored: `✅ Completed (see notes)`. A remark after a word for pending
        makes the status unknown, because it may say why the task cannot start.
        """
        text = _text(written)
        found = self.tasks.get(fold(text))
        if found is not None:
            return found
        word, remark = _without_remark(text)
        found = self.tasks.get(fold(word)) if word else None
        if found is None or (found.value.status is TaskStatus.PENDING and re.search(r"[^\W\d_]", remark)):
            return None
        return Meaning(found.value, exact=False)

    def sprint_status(self, written: object) -> Meaning[SprintStatus] | None:
        """Return the meaning of a sprint's status; None if the word is unknown. Remarks are ignored."""
        text = _text(written)
        found = self.sprints.get(fold(text))
        if found is not None:
            return found
        word, _ = _without_remark(text)
        found = self.sprints.get(fold(word)) if word else None
        return Meaning(found.value, exact=False) if found else None

    def priority(self, written: object) -> Meaning[str] | None:
        """Return P0 to P4; None if the word is unknown."""
        return self.priorities.get(fold(_text(written)))

    def kind(self, written: object) -> Meaning[KindWord] | None:
        """Return the meaning of a link's kind; None if the word is unknown."""
        return self.kinds.get(fold(_text(written)))


def _text(written: object) -> str:
    """Return a word as text; empty, which is in no table, if the value is no word."""
    if isinstance(written, float) and written.is_integer():
        written = int(written)
    if isinstance(written, bool) or not isinstance(written, str | int):
        return ""
    return str(written)


def _without_remark(text: str) -> tuple[str, str]:
    """Split a status from a remark, which begins with a spaced dash, bracket, colon, number or emoji."""
    text = text.strip()
    start = re.search(r"[^\W_]", text)
    if start is None:
        return "", ""
    end = re.search(r"\s[-–—]+\s|[^\w\s'’-]|\d|\n", text[start.start() :])
    if end is None:
        return text[start.start() :], ""
    place = start.start() + end.start()
    # These separate alternatives, or express doubt.
    if text[place] in "|/&?":
        return "", ""
    return text[start.start() : place], text[place:]


DEFAULT = Words()


def read_map(path: Path) -> Words:
    """Return the table with the words of a YAML or JSON file added. Raises MapError."""
    try:
        return _extended(yaml_reader.read_file(path))
    except yaml_reader.FileError as error:
        raise MapError(str(error)) from error


def _extended(document: yaml_reader.YamlNode) -> Words:
    document.keys("statuses", "sprint_statuses", "priorities", "kinds")
    tasks = {status.name.lower(): TaskWord(status) for status in TaskStatus}
    tasks["deleted"] = TaskWord(TaskStatus.CANCELLED, deleted=True)
    sprints = {status.name.lower(): status for status in SprintStatus}
    kinds = {kind: KindWord(kind) for kind in KINDS}
    kinds |= {f"reverse {kind}": KindWord(kind, reverse=True) for kind in KINDS}
    priorities = {priority: priority for priority in PRIORITIES}
    return Words(
        tasks=DEFAULT.tasks | _added(document, "statuses", tasks),
        sprints=DEFAULT.sprints | _added(document, "sprint_statuses", sprints),
        priorities=DEFAULT.priorities | _added(document, "priorities", priorities),
        kinds=DEFAULT.kinds | _added(document, "kinds", kinds),
    )


def _added(document: yaml_reader.YamlNode, name: str, values: Mapping[str, T]) -> dict[str, Meaning[T]]:
    added: dict[str, Meaning[T]] = {}
    for word, value in document[name].fields() if name in document else ():
        folded = fold(word)
        if not folded:
            raise value.error("is an empty word")
        if folded in added:
            raise value.error("is a duplicate: case, spaces and punctuation do not count")
        added[folded] = Meaning(values[value.choice(tuple(values))], exact=False)
    return added


BEGIN = "<!-- The table of words: `make docs` writes it. -->"
END = "<!-- The end of the table of words. -->"


def page(text: str) -> str:
    """Return docs/import.md with the table written between its marks."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{''.join(_lines())}{END}{tail}"


def _lines() -> Iterator[str]:
    def section(title: str, rows: Sequence[tuple[str, bool, str]]) -> Iterator[str]:
        yield f"\n| {title} | words | the word is kept in the metadata |\n|---|---|---|\n"
        for value, exact, words in rows:
            yield f"| {value} | {words} | {'no' if exact else 'yes'} |\n"

    yield from section(
        "status of a task",
        [
            ("deleted, after its links were made" if v.deleted else v.status.name.lower(), exact, words)
            for v, exact, words in TASK_ROWS
        ],
    )
    yield from section(
        "status of a sprint", [(v.name.lower(), exact, words) for v, exact, words in SPRINT_ROWS]
    )
    yield from section("priority", PRIORITY_ROWS)
    yield from section(
        "kind of a link",
        [
            (v.kind + (", from the other task to this one" if v.reverse else ""), e, w)
            for v, e, w in KIND_ROWS
        ],
    )
    yield "\n"


def main() -> None:
    """Write the table into the page named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text()))


if __name__ == "__main__":
    main()
