"""Output of an import: progress bars while it runs, and a report of refused and changed rows at the end."""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from orchestration_server.cli.importing.values import escaped

# The number of rows listed on the console. --report writes all of them.
_LISTED = 50


class ExitCode(IntEnum):
    """Exit codes of an import. Every command exits with 2 for wrong usage."""

    LOADED = 0
    FAILED = 1
    ROWS_LISTED = 3
    CHANGED = 4


class ImportReport:
    """The findings of an import: rows that were refused or changed. It prints them at the end."""

    def __init__(self, path: Path | None) -> None:
        self.counts = {"refused": 0, "unresolved": 0, "conflict": 0, "changed": 0, "warning": 0}
        self._file = path.open("wb") if path else None
        self._listed: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, kind: str, file: str, line: int | None, reason: str) -> None:
        """Add a finding of a kind: refused, unresolved, conflict, changed or warning.

        Without a line, the finding is about the whole file.
        """
        self.counts[kind] += 1
        # A file's name and its content may contain bytes that are no text.
        file, reason = escaped(file), escaped(reason)
        if self._file:
            row = {"kind": kind, "file": file, "line": line, "reason": reason}
            self._file.write(orjson.dumps(row) + b"\n")
        if len(self._listed) < _LISTED:
            place = file if line is None else f"{file}:{line}"
            self._listed.append((kind, f"{place}: {reason}"))

    @property
    def exit(self) -> ExitCode:
        """The exit code. Refused rows and links take precedence over changed ones."""
        if self.counts["refused"] or self.counts["unresolved"] or self.counts["conflict"]:
            return ExitCode.ROWS_LISTED
        return ExitCode.CHANGED if self.counts["changed"] else ExitCode.LOADED

    def print(self, console: Console) -> None:
        """Print the counts and the first findings."""
        text = f"{self.counts['refused']:,} refused, {self.counts['unresolved']:,} unresolved"
        if self.counts["conflict"]:
            text += f", {self.counts['conflict']:,} conflicts"
        text += f", {self.counts['changed']:,} changed, {self.counts['warning']:,} warnings"
        print_line(console, "listed", text)
        for kind, finding in self._listed:
            # The text comes from a file, so markup and control characters must have no effect.
            clean = "".join(c if c.isprintable() else "�" for c in finding)
            console.print(f"  {kind} {clean}", markup=False, highlight=False, soft_wrap=True)
        left = sum(self.counts.values()) - len(self._listed)
        if left:
            console.print(f"  and {left:,} more; --report FILE writes all of them", markup=False)


class Listing(Protocol):
    """A list of rows that were not loaded, or were loaded with another meaning."""

    def refused(self, line: int, reason: str) -> None:
        """List a row that is not imported."""

    def unresolved(self, line: int, reason: str) -> None:
        """List a link whose other task is unknown."""

    def changed(self, line: int, reason: str) -> None:
        """List a row that is imported with a change."""

    def warning(self, line: int, reason: str) -> None:
        """List a row that is imported but needs a look."""


class ProgressBars:
    """Progress bars, shown only if the output is a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            MofNCompleteColumn(),
            Remaining(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, what: str, total: int) -> TaskID:
        """Add a bar."""
        return self._progress.add_task(what, total=total)

    def at(self, bar: TaskID, position: int) -> None:
        """Move a bar to a position."""
        self._progress.update(bar, completed=position)

    def follow(self, what: str, total: int, steps: Iterator[int]) -> None:
        """Run all steps. Each yields how many of the total it has done."""
        bar = self.start(what, total)
        for step in steps:
            self._progress.advance(bar, step)


def print_line(console: Console, what: str, text: str) -> None:
    """Print one line of the summary."""
    console.print(f"{what:<9}{text}", markup=False, highlight=False, soft_wrap=True)
