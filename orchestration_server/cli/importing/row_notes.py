"""Notes about one row: warnings, and the metadata that keeps original values.

Both importers read statuses and priorities through `RowNotes`, so that they treat an unknown word alike: the
task is not ready, the word is kept, and the import reports it.
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
"""The field of a task's metadata that says why the import blocked it."""
_REASON_CHARACTERS = 1_000


@dataclass
class RowNotes:
    """Findings about one row."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """Fields that the ledger does not have, and original values under `original_<field>`."""
    warnings: list[str] = field(default_factory=list)
    """Values that are moved or written differently, and mean the same."""
    changes: list[str] = field(default_factory=list)
    """Values that differ in the ledger or are there only in part. They decide the exit code."""
    not_ready: list[str] = field(default_factory=list)
    """Reasons why the task must not be ready."""

    def keep(self, name: str, value: Any) -> None:
        """Keep the original value of a field in the metadata, beside a value of the row under that name."""
        key = ORIGINAL + name
        while key in self.metadata:
            key += "_"
        self.metadata[key] = value

    def task_status(self, words: Words, written: object) -> tuple[TaskStatus, bool]:
        """Return the status of a task, with True if the task must be deleted at the end."""
        if _absent(written):
            return TaskStatus.PENDING, False
        found = words.task_status(written)
        if found is None:
            self.keep("status", written)
            self.block(f"status {brief(written)} is not known")
            return TaskStatus.BLOCKED, False
        if found.value.deleted:
            # The loader recognizes its own tombstones by this mark.
            if ORIGINAL_STATUS in self.metadata:
                self.keep("status", self.metadata[ORIGINAL_STATUS])
            self.metadata[ORIGINAL_STATUS] = TOMBSTONE
            if fold(str(written)) != TOMBSTONE:
                self.keep("status", written)
        elif not found.exact:
            self.keep("status", written)
        return found.value.status, found.value.deleted

    def sprint_status(self, words: Words, written: object) -> SprintStatus:
        """Return the status of a sprint; planning if the word is unknown."""
        if _absent(written):
            return SprintStatus.PLANNING
        found = words.sprint_status(written)
        if found is None:
            self.keep("status", written)
            self.changes.append(f"status {brief(written)} is not known: read as planning")
            return SprintStatus.PLANNING
        if not found.exact:
            self.keep("status", written)
        return found.value

    def priority(self, words: Words, written: object) -> int:
        """Return the number of a priority, 1 for P0; that of P2 if the word is unknown."""
        if _absent(written):
            return PRIORITY_DEFAULT
        found = words.priority(written)
        if found is None:
            self.keep("priority", written)
            self.changes.append(f"priority {brief(written)} is not known: read as P2")
            return PRIORITY_DEFAULT
        if not found.exact:
            self.keep("priority", written)
        return int(found.value[1:]) + 1

    def block(self, reason: str) -> None:
        """Note that the task must not be ready. The reason goes into the metadata and the report."""
        self.not_ready.append(reason)
        self.changes.append(f"{reason}: not ready")

    def final_status(self, status: TaskStatus) -> TaskStatus:
        """Return the status to create the task with: blocked instead of pending if a reason is noted.

        Call this last, because it writes the reasons into the metadata.
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
    """Return reasons as one text of at most 1,000 characters, with their number if some are left out."""
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
