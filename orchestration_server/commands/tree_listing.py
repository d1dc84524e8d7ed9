"""The part of an import's report that belongs to a tree: a row's number stands for its file."""

from __future__ import annotations

from pathlib import Path

from orchestration_server.commands.reporting import Report
from orchestration_server.commands.row_notes import Notes


class TreeListing:
    """Lists the files of a tree that were not taken, or not as they are."""

    def __init__(self, report: Report, root: Path) -> None:
        self._report = report
        self._root = root
        self._files: list[str] = []

    def number(self, file: Path) -> int:
        """Return the number of a file."""
        self._files.append(self.name(file))
        return len(self._files) - 1

    def name(self, file: Path) -> str:
        """Return a file's path below the root."""
        return str(file.relative_to(self._root))

    def notes(self, line: int, what: str, notes: Notes) -> None:
        """List the notes that were taken while a file was read."""
        for text in notes.changes:
            self.changed(line, f"{what}: {text}")
        for text in notes.warnings:
            self.warning(line, f"{what}: {text}")

    def refused(self, line: int, reason: str) -> None:
        """List a file, or a link of one, that was not taken."""
        self._report.add("refused", self._files[line], None, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """List a link to a task that is not there."""
        self._report.add("unresolved", self._files[line], None, reason)

    def changed(self, line: int, reason: str) -> None:
        """List a value that the ledger has otherwise than the file, or only in part."""
        self._report.add("changed", self._files[line], None, reason)

    def warning(self, line: int, reason: str) -> None:
        """List a value that stands elsewhere than usual, or is left out and kept."""
        self._report.add("warning", self._files[line], None, reason)
