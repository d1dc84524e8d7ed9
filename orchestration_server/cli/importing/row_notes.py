"""Notes that an importer takes while it reads one row: warnings, and the metadata that keeps originals.

Both importers read statuses and priorities through `Notes`, so that a word that is not known is treated
alike: the task is not ready, the word is kept, and the import says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from orchestration_server.cli.importing.words import TOMBSTONE, Words, fold
from orchestration_server.model import PRIORITY_DEFAULT, SprintStatus, TaskStatus

ORIGINAL = "original_"
ORIGINAL_STATUS = ORIGINAL + "status"
NOT_READY = "import_not_ready"
"""In a task's metadata: why the import blocked it."""
_REASON_CHARACTERS = 1_000


@dataclass
class RowNotes:
    """The findings about one row."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """The fields that the ledger has none for, and originals under `original_<field>`."""
    warnings: list[str] = field(default_factory=list)
    """Values that stand elsewhere or are written otherwise, and mean the same."""
    changes: list[str] = field(default_factory=list)
    """Values that the ledger has otherwise than the row, or only in part. They decide the exit code."""
    not_ready: list[str] = field(default_factory=list)
    """Reasons for which the task must not be ready."""

    def keep(self, name: str, value: Any) -> None:
        """Keep the original of a field in the metadata, beside what the row itself has under that name."""
        key = ORIGINAL + name
        while key in self.metadata:
            key += "_"
        self.metadata[key] = value

    def task_status(self, words: Words, written: object) -> tuple[TaskStatus, bool]:
        """Return the status of a task, and True if the task is to be deleted at the end."""
        if _absent(written):
            return TaskStatus.PENDING, False
        found = words.task_status(written)
        if found is None:
            self.keep("status", written)
            self.block(f"status {brief(written)} is not known")
            return TaskStatus.BLOCKED, False
        if found.value.deleted:
            # The loader recognises its own tombstones by this mark.
            if ORIGINAL_STATUS in self.metadata:
                self.keep("status", self.metadata[ORIGINAL_STATUS])
            self.metadata[ORIGINAL_STATUS] = TOMBSTONE
            if fold(str(written)) != TOMBSTONE:
                self.keep("status", written)
        elif not found.exact:
            self.keep("status", written)
        return found.value.status, found.value.deleted

    def sprint_status(self, words: Words, written: object) -> SprintStatus:
        """Return the status of a sprint: planning if the word is not known."""
        if _absent(written):
            return SprintStatus.PLANNING
        found = words.sprint_status(written)
        if found is None:
            self.keep("status", written)
            self.changes.append(f"status {brief(written)} is not known: taken as planning")
            return SprintStatus.PLANNING
        if not found.exact:
            self.keep("status", written)
        return found.value

    def priority(self, words: Words, written: object) -> int:
        """Return the number of a priority, 1 for P0: that of P2 if the word is not known."""
        if _absent(written):
            return PRIORITY_DEFAULT
        found = words.priority(written)
        if found is None:
            self.keep("priority", written)
            self.changes.append(f"priority {brief(written)} is not known: taken as P2")
            return PRIORITY_DEFAULT
        if not found.exact:
            self.keep("priority", written)
        return int(found.value[1:]) + 1

    def block(self, reason: str) -> None:
        """Note that the task must not be ready; the reason goes into the metadata and the report."""
        self.not_ready.append(reason)
        self.changes.append(f"{reason}: not ready")

    def final_status(self, status: TaskStatus) -> TaskStatus:
        """Return the status that the task is created with: blocked in place of pending if a reason is noted.

        Call it last: it writes the reasons into the metadata.
        """
        if not self.not_ready:
            return status
        if status is TaskStatus.PENDING or status is TaskStatus.BLOCKED:
            if NOT_READY in self.metadata:
                self.keep(NOT_READY, self.metadata[NOT_READY])
            self.metadata[NOT_READY] = join_reasons(self.not_ready)
            return TaskStatus.BLOCKED
        return status


def join_reasons(reasons: Sequence[str]) -> str:
    """Return reasons as one text of at most 1,000 characters, which says how many it leaves out."""
    text = "; ".join(reasons[:20])
    if len(reasons) <= 20 and len(text) <= _REASON_CHARACTERS:
        return text
    return f"{text[: _REASON_CHARACTERS - 40]}… ({len(reasons):,} reasons in all)"


def _absent(written: object) -> bool:
    return written is None or (isinstance(written, str) and not written.strip())


def brief(value: object) -> str:
    """Return a value as JSON of at most 60 characters, for a message."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
