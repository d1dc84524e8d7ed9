"""The part of an import's report that belongs to a tree: a row's number stands for its file."""

from __future__ import annotations

from pathlib import Path

from orchestration_server.cli.importing.progress import ImportReport
from orchestration_server.cli.importing.row_notes import RowNotes


class TreeListing:
    """Lists the files of a tree that were not taken, or not as they are."""

    def __init__(self, report: ImportReport, root: Path) -> None:
        self._report = report
        self._root = root
        self._files: list[str] = []
        self._incomplete: set[int] = set()

    def number(self, file: Path) -> int:
        """Return the number of a file."""
        self._files.append(self.name(file))
        return len(self._files) - 1

    def name(self, file: Path) -> str:
        """Return a file's path below the root."""
        return str(file.relative_to(self._root))

    def notes(self, line: int, what: str, notes: RowNotes) -> None:
        """List the notes that were taken while a file was read."""
        for text in notes.changes:
            self.changed(line, f"{what}: {text}")
        for text in notes.warnings:
            self.warning(line, f"{what}: {text}")

    def complete(self, line: int) -> bool:
        """Return True if the ledger has all that the file says, as far as it was listed."""
        return line not in self._incomplete

    def _add(self, kind: str, line: int, reason: str) -> None:
        self._incomplete.add(line)
        self._report.add(kind, self._files[line], None, reason)

    def conflict(self, line: int, reason: str) -> None:
        """List a file that was edited while the ledger changed, too."""
        self._add("conflict", line, reason)

    def refused(self, line: int, reason: str) -> None:
        """List a file, or a link of one, that was not taken."""
        self._add("refused", line, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """List a link to a task that is not there."""
        self._add("unresolved", line, reason)

    def changed(self, line: int, reason: str) -> None:
        """List a value that the ledger has otherwise than the file, or only in part."""
        self._add("changed", line, reason)

    def warning(self, line: int, reason: str) -> None:
        """List a value that stands elsewhere than usual, or is left out and kept."""
        self._report.add("warning", self._files[line], None, reason)
