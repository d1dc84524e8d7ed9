"""The words of trackers and their meaning in the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.cli.importing import words
from orchestration_server.cli.importing.row_notes import NOT_READY, RowNotes
from orchestration_server.cli.importing.words import DEFAULT, MapError, fold
from orchestration_server.model import SprintStatus, TaskStatus

PAGE = Path(__file__).parents[2] / "docs" / "import.md"

TRACKERS = {
    "beads": {
        "open": "PENDING", "in_progress": "IN_PROGRESS", "blocked": "BLOCKED", "closed": "COMPLETED",
        "tombstone": "CANCELLED", "hooked": "IN_PROGRESS", "deferred": "BLOCKED", "pinned": "BLOCKED",
    },
    "Backlog.md": {"To Do": "PENDING", "In Progress": "IN_PROGRESS", "Done": "COMPLETED", "Draft": "BLOCKED"},
    "task-master": {
        "pending": "PENDING", "in-progress": "IN_PROGRESS", "done": "COMPLETED", "review": "IN_PROGRESS",
        "deferred": "BLOCKED", "cancelled": "CANCELLED",
    },
    "Taskwarrior": {
        "pending": "PENDING", "waiting": "BLOCKED", "completed": "COMPLETED", "deleted": "CANCELLED",
        "recurring": "BLOCKED",
    },
    "GitHub": {"OPEN": "PENDING", "CLOSED": "COMPLETED", "MERGED": "COMPLETED", "NOT_PLANNED": "CANCELLED"},
    "GitLab": {"opened": "PENDING", "closed": "COMPLETED"},
    "Jira": {
        "To Do": "PENDING", "In Progress": "IN_PROGRESS", "In Review": "IN_PROGRESS", "Done": "COMPLETED",
        "Reopened": "PENDING", "Resolved": "COMPLETED", "Selected for Development": "PENDING",
        "Won't Do": "CANCELLED", "Cannot Reproduce": "CANCELLED",
    },
    "Linear": {
        "Triage": "BLOCKED", "Backlog": "PENDING", "Todo": "PENDING", "In Progress": "IN_PROGRESS",
        "Done": "COMPLETED", "Canceled": "CANCELLED", "Duplicate": "CANCELLED",
    },
    "Trello": {"To Do": "PENDING", "Doing": "IN_PROGRESS", "Done": "COMPLETED"},
    "Microsoft": {
        "NotStarted": "PENDING", "InProgress": "IN_PROGRESS", "WaitingOnOthers": "BLOCKED",
        "Deferred": "BLOCKED", "Completed": "COMPLETED",
    },
    "iCalendar": {"NEEDS-ACTION": "PENDING", "IN-PROCESS": "IN_PROGRESS", "COMPLETED": "COMPLETED"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("tracker", "word", "status"), [(t, w, s) for t, of in TRACKERS.items() for w, s in of.items()]
)
def test_the_documented_statuses_of_trackers_are_known(tracker: str, word: str, status: str) -> None:
    notes = RowNotes()
    assert notes.task_status(DEFAULT, word) == (TaskStatus[status], word == "tombstone")
    assert not notes.changes


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("✅ Completed", TaskStatus.COMPLETED),
        ("✅ Completed (2025-01-03, all tests pass)", TaskStatus.COMPLETED),
        ("In Progress - 60%", TaskStatus.IN_PROGRESS),
        ("**Done**", TaskStatus.COMPLETED),
        ("🔲 open", TaskStatus.PENDING),
        ("Open 2025-01-03", TaskStatus.PENDING),
        ("won’t fix", TaskStatus.CANCELLED),
    ],
)
def test_case_punctuation_emoji_and_remarks_do_not_count(written: str, status: TaskStatus) -> None:
    notes = RowNotes()
    assert notes.task_status(DEFAULT, written) == (status, False)
    assert not notes.changes


@pytest.mark.parametrize(
    "written",
    [
        "not done", "Planning | Active", "open/closed", "done?", "pending (needs the design)", "✅", "?",
        "open" + "-" * 1_000 + "not",
        "ready for the surgeon", "todo: decide", "open, waiting", 1, 1.5, True, ["done"], {"name": "done"},
    ],
)  # fmt: skip
def test_a_word_that_is_not_known_is_not_ready(written: object) -> None:
    notes = RowNotes()
    status, deleted = notes.task_status(DEFAULT, written)
    assert (notes.final_status(status), deleted) == (TaskStatus.BLOCKED, False)
    assert notes.metadata["original_status"] == written
    assert "is not known" in notes.metadata[NOT_READY]
    assert len(notes.changes) == 1


@given(st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.lists(st.text(), max_size=2))
def test_no_word_outside_the_table_makes_a_task_ready(written: Any) -> None:
    """A task is pending only if its word, without decoration, is one for pending."""
    pending = {
        fold(w) for v, _, of in words.TASK_ROWS if v.status is TaskStatus.PENDING for w in of.split(",")
    }
    notes = RowNotes()
    status, _ = notes.task_status(DEFAULT, written)
    if notes.final_status(status) is TaskStatus.PENDING and str(written).strip():
        letters = "".join(c for c in fold(str(written)) if c.isalpha())
        assert letters in pending


def test_a_long_text_of_combining_marks_is_no_word() -> None:
    """Normalizing it would take minutes, which exceeds the test's timeout."""
    assert DEFAULT.task_status("a" + "\u0301\u0323" * 1_000_000) is None


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (0, 1), (1, 2), (4, 5), ("0", 1), ("1", 2), ("p0", 1), ("P1 ", 2), ("high", 2), ("H", 2), ("M", 3),
        ("L", 4), ("critical", 1), ("Urgent", 1), ("Lowest", 5), ("P5", 5), ("No priority", 3), (2.0, 3),
        (None, 3), ("", 3),
    ],
)  # fmt: skip
def test_priorities(written: object, number: int) -> None:
    notes = RowNotes()
    assert notes.priority(DEFAULT, written) == number
    assert not notes.changes


@pytest.mark.parametrize("written", [5, -1, "-1", 0.5, True, "soon", "P1/P2", []])
def test_a_priority_that_is_not_known_is_p2_and_changes_the_meaning(written: object) -> None:
    notes = RowNotes()
    assert notes.priority(DEFAULT, written) == 3
    assert notes.metadata == {"original_priority": written}
    assert notes.changes
    assert not notes.not_ready


@pytest.mark.parametrize(
    ("word", "kind", "reverse"),
    [
        ("blocks", "blocks", False), ("blocked-by", "blocks", False), ("waits-for", "blocks", False),
        ("depends-on", "blocks", False), ("depends_on", "blocks", False), ("required by", "blocks", True),
        ("relates-to", "related", False), ("duplicates", "related", False), ("parent", "parent-child", False),
        ("has-child", "parent-child", True), ("discovered_from", "discovered-from", False),
    ],
)  # fmt: skip
def test_kinds_and_their_direction(word: str, kind: str, reverse: bool) -> None:
    found = DEFAULT.kind(word)
    assert found is not None
    assert (found.value.kind, found.value.reverse) == (kind, reverse)


@pytest.mark.parametrize("word", ["conditional-blocks", "likes", "", None, 3])
def test_kinds_that_are_not_known(word: object) -> None:
    assert DEFAULT.kind(word) is None


def test_the_status_of_a_sprint_that_is_not_known_is_planning() -> None:
    notes = RowNotes()
    assert notes.sprint_status(DEFAULT, "Active") is SprintStatus.ACTIVE
    assert notes.sprint_status(DEFAULT, "humming") is SprintStatus.PLANNING
    assert notes.metadata == {"original_status": "humming"}
    assert notes.changes


def test_an_original_does_not_replace_a_field_of_the_row() -> None:
    notes = RowNotes(metadata={"original_status": "mine"})
    notes.task_status(DEFAULT, "tombstone")
    assert notes.metadata == {"original_status": "tombstone", "original_status_": "mine"}


def test_a_map_adds_words_and_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(
        "statuses:\n  Needs Love: pending\n  ✅: completed\n  archived: deleted\n"
        "priorities: {sev1: P0}\nkinds: {gates: reverse blocks, '1': related}\n"
        "sprint_statuses: {humming: active}\n"
    )
    table = words.read_map(path)
    notes = RowNotes()
    assert notes.task_status(table, "needs-love")[0] is TaskStatus.PENDING
    assert notes.task_status(table, "✅")[0] is TaskStatus.COMPLETED
    assert notes.task_status(table, "Archived") == (TaskStatus.CANCELLED, True)
    assert notes.metadata["original_status"] == "tombstone"
    assert "Archived" in notes.metadata.values()
    assert notes.task_status(table, "done")[0] is TaskStatus.COMPLETED
    assert notes.priority(table, "SEV1") == 1
    assert notes.sprint_status(table, "humming") is SprintStatus.ACTIVE
    kind = table.kind("gates")
    assert kind is not None
    assert kind.value.reverse
    assert not notes.changes
    assert DEFAULT.kind("gates") is None


def test_a_map_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"statuses": {"triaged": "pending"}}))
    assert words.read_map(path).task_status("Triaged") is not None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("statuses:\n  odd: maybe\n", ":2: statuses.odd must be one of pending"),
        ("statuses:\n  a-b: pending\n  A B: blocked\n", ":3: statuses.A B is a duplicate"),
        ("status: {}\n", ":1: status is not known"),
        ("statuses: [done]\n", ":1: statuses must be a mapping"),
        ("statuses:\n  '': pending\n", ":2: statuses. is an empty word"),
        ("statuses: {a: &x pending}\nkinds: {b: *x}\n", ":2: aliases are not allowed"),
        ("kinds: {", "expected"),
        ("", "the document is empty"),
    ],
)
def test_a_bad_map_says_where(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(MapError) as raised:
        words.read_map(path)
    assert str(path) in str(raised.value)
    assert where in str(raised.value)


def test_the_page_has_the_table() -> None:
    assert words.page(PAGE.read_text()) == PAGE.read_text()
