"""What an import says: progress while it runs, and at the end what was not taken."""

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

# How many rows are listed on the console; --report takes all of them.
_LISTED = 50


class ExitCode(IntEnum):
    """Exit codes. 2 is what every command gives for wrong usage."""

    LOADED = 0
    FAILED = 1
    ROWS_LISTED = 3
    CHANGED = 4


class ImportReport:
    """Collects what was not taken or not taken as it stands, and lists it at the end."""

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
        """Take one finding of a kind: refused, unresolved, conflict, changed or warning.

        No line is the whole file.
        """
        self.counts[kind] += 1
        # The name of a file, and what a file says, may hold bytes that are no text.
        file, reason = escaped(file), escaped(reason)
        if self._file:
            row = {"kind": kind, "file": file, "line": line, "reason": reason}
            self._file.write(orjson.dumps(row) + b"\n")
        if len(self._listed) < _LISTED:
            place = file if line is None else f"{file}:{line}"
            self._listed.append((kind, f"{place}: {reason}"))

    @property
    def exit(self) -> ExitCode:
        """The exit code: refused rows and links come before those that were changed."""
        if self.counts["refused"] or self.counts["unresolved"] or self.counts["conflict"]:
            return ExitCode.ROWS_LISTED
        return ExitCode.CHANGED if self.counts["changed"] else ExitCode.LOADED

    def print(self, console: Console) -> None:
        """Prints the counts and the first findings."""
        text = f"{self.counts['refused']:,} refused, {self.counts['unresolved']:,} unresolved"
        if self.counts["conflict"]:
            text += f", {self.counts['conflict']:,} conflicts"
        text += f", {self.counts['changed']:,} changed, {self.counts['warning']:,} warnings"
        print_line(console, "listed", text)
        for kind, finding in self._listed:
            # Text from a file: no markup, no control characters.
            clean = "".join(c if c.isprintable() else "�" for c in finding)
            console.print(f"  {kind} {clean}", markup=False, highlight=False, soft_wrap=True)
        left = sum(self.counts.values()) - len(self._listed)
        if left:
            console.print(f"  and {left:,} more; --report FILE writes all of them", markup=False)


class Listing(Protocol):
    """Takes the rows that were not loaded, and those that were loaded with another meaning."""

    def refused(self, line: int, reason: str) -> None: ...

    def unresolved(self, line: int, reason: str) -> None: ...

    def changed(self, line: int, reason: str) -> None: ...

    def warning(self, line: int, reason: str) -> None: ...


class ProgressBars:
    """Progress bars on a terminal; nothing where the output goes elsewhere."""

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
        """Shows one more bar."""
        return self._progress.add_task(what, total=total)

    def at(self, bar: TaskID, position: int) -> None:
        """Moves a bar to a place."""
        self._progress.update(bar, completed=position)

    def follow(self, what: str, total: int, steps: Iterator[int]) -> None:
        """Runs through steps that each tell how many of the total they did."""
        bar = self.start(what, total)
        for step in steps:
            self._progress.advance(bar, step)


def print_line(console: Console, what: str, text: str) -> None:
    """Prints one line of the summary."""
    console.print(f"{what:<9}{text}", markup=False, highlight=False, soft_wrap=True)
