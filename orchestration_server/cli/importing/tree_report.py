"""The part of an import's report about a tree. Row numbers stand for files."""

from __future__ import annotations

from pathlib import Path

from orchestration_server.cli.importing.progress import ImportReport
from orchestration_server.cli.importing.row_notes import RowNotes


class TreeListing:
    """A list of the files of a tree that were refused or changed."""

    def __init__(self, report: ImportReport, root: Path) -> None:
        self._report = report
        self._root = root
        self._files: list[str] = []
        self._incomplete: set[int] = set()

    def number(self, file: Path) -> int:
        """Return a new number for a file."""
        self._files.append(self.name(file))
        return len(self._files) - 1

    def name(self, file: Path) -> str:
        """Return a file's path below the root."""
        return str(file.relative_to(self._root))

    def notes(self, line: int, what: str, notes: RowNotes) -> None:
        """List the notes about a file."""
        for text in notes.changes:
            self.changed(line, f"{what}: {text}")
        for text in notes.warnings:
            self.warning(line, f"{what}: {text}")

    def complete(self, line: int) -> bool:
        """Return True if nothing was listed that the ledger does not have of the file."""
        return line not in self._incomplete

    def _add(self, kind: str, line: int, reason: str) -> None:
        self._incomplete.add(line)
        self._report.add(kind, self._files[line], None, reason)

    def conflict(self, line: int, reason: str) -> None:
        """List a file that was edited while the ledger changed as well."""
        self._add("conflict", line, reason)

    def refused(self, line: int, reason: str) -> None:
        """List a file, or a link of one, that was refused."""
        self._add("refused", line, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """List a link to a task that does not exist."""
        self._add("unresolved", line, reason)

    def changed(self, line: int, reason: str) -> None:
        """List a value that differs in the ledger or is there only in part."""
        self._add("changed", line, reason)

    def warning(self, line: int, reason: str) -> None:
        """List a value at an unusual place, or one that is left out and kept in the metadata."""
        self._report.add("warning", self._files[line], None, reason)
