"""`orchestration import`: loads JSONL files of tasks and events into a running ledger.

It uses the public rpcs alone. docs/import.md has the fields of the files and what becomes of them.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from orchestration_server.commands.fleet_format import (
    BadRow,
    EventReader,
    EventRow,
    Line,
    TaskRow,
    parse_task,
    read_lines,
)
from orchestration_server.commands.ledger import Fault, Ledger
from orchestration_server.commands.loading import EventLoader, TaskLoader, batches

_Row = TypeVar("_Row", TaskRow, EventRow)

# How many rows are listed on the console; --report takes all of them.
_LISTED = 50


class Exit(IntEnum):
    """Exit codes. 2 is what every command gives for wrong usage."""

    LOADED = 0
    FAILED = 1
    ROWS_LISTED = 3


class Report:
    """Collects what was not taken or not taken as it stands, and lists it at the end."""

    def __init__(self, path: Path | None) -> None:
        self.counts = {"refused": 0, "unresolved": 0, "warning": 0}
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

    def add(self, kind: str, file: Path, line: int, reason: str) -> None:
        """Takes one finding: kind is refused, unresolved or warning."""
        self.counts[kind] += 1
        if self._file:
            row = {"kind": kind, "file": file.name, "line": line, "reason": reason}
            self._file.write(orjson.dumps(row) + b"\n")
        if len(self._listed) < _LISTED:
            self._listed.append((kind, f"{file.name}:{line}: {reason}"))

    @property
    def complete(self) -> bool:
        """True where every row and link was taken."""
        return not (self.counts["refused"] or self.counts["unresolved"])

    def print(self, console: Console) -> None:
        """Prints the counts and the first findings."""
        text = f"{self.counts['refused']:,} refused, {self.counts['unresolved']:,} unresolved"
        say(console, "listed", f"{text}, {self.counts['warning']:,} warnings")
        for kind, finding in self._listed:
            # Text from a file: no markup, no control characters.
            clean = "".join(c if c.isprintable() else "�" for c in finding)
            console.print(f"  {kind} {clean}", markup=False, highlight=False, soft_wrap=True)
        left = sum(self.counts.values()) - len(self._listed)
        if left:
            console.print(f"  and {left:,} more; --report FILE writes all of them", markup=False)


class Listing:
    """The part of the report that belongs to one file."""

    def __init__(self, report: Report, file: Path) -> None:
        self._report = report
        self._file = file

    def refused(self, line: int, reason: str) -> None:
        """A row, or a link of one, that was not taken."""
        self._report.add("refused", self._file, line, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """A link to a task that is not there."""
        self._report.add("unresolved", self._file, line, reason)

    def warning(self, line: int, reason: str) -> None:
        """A row that was taken otherwise than it stands."""
        self._report.add("warning", self._file, line, reason)


class Bars:
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


def say(console: Console, what: str, text: str) -> None:
    """Prints one line of the summary."""
    console.print(f"{what:<9}{text}", markup=False, highlight=False, soft_wrap=True)


def rows_of(
    path: Path, parse: Callable[[Line], _Row], listing: Listing, bars: Bars, what: str
) -> Iterator[_Row]:
    """Yields the rows of a file that can be parsed and lists the others."""
    bar = bars.start(f"{what} kB", path.stat().st_size // 1000)
    last = 0
    try:
        for line in read_lines(path):
            last = line.number
            bars.at(bar, line.position // 1000)
            try:
                yield parse(line)
            except BadRow as error:
                listing.refused(line.number, str(error))
    except BadRow as error:
        listing.refused(last, str(error))


def load_tasks(path: Path, ledger: Ledger, report: Report, bars: Bars, console: Console) -> None:
    """Creates the tasks of a file, links them and deletes the tombstones."""
    listing = Listing(report, path)
    loader = TaskLoader(ledger, listing)

    def admitted() -> Iterator[TaskRow]:
        for row in rows_of(path, parse_task, listing, bars, "tasks"):
            if loader.admit(row):
                for text in row.warnings:
                    listing.warning(row.line, f"task {row.code}: {text}")
                yield row

    try:
        for batch in batches(admitted()):
            loader.create(batch)
        bars.follow("links", loader.links.read, loader.link())
        bars.follow("deletions", loader.deletion_count, loader.delete_tombstones())
    finally:
        tasks, links = loader.tasks, loader.links
        say(
            console,
            "tasks",
            f"{tasks.read:,} read, {tasks.created:,} created, "
            f"{tasks.already_there:,} already there, {tasks.deleted:,} deleted as tombstones",
        )
        say(
            console,
            "links",
            f"{links.read:,} read, {links.in_place:,} in place, {links.of_deleted:,} of deleted tasks",
        )


def load_events(path: Path, ledger: Ledger, report: Report, bars: Bars, console: Console) -> None:
    """Stores the events of a file."""
    listing = Listing(report, path)
    loader = EventLoader(ledger, listing)
    reader = EventReader()

    def counted() -> Iterator[EventRow]:
        for row in rows_of(path, reader.parse, listing, bars, "events"):
            loader.events.read += 1
            yield row

    try:
        loader.load(batches(counted()))
    finally:
        events = loader.events
        say(
            console,
            "events",
            f"{events.read:,} read, {events.stored:,} stored, {events.duplicates:,} already there",
        )


FileOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, readable=True, help="JSONL, plain or gzip."),
]


def import_files(
    address: Annotated[str, typer.Option(help="The server, as HOST:PORT.")],
    tasks: FileOption = None,
    events: FileOption = None,
    project: Annotated[str, typer.Option(help="The project to load into.")] = "default",
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write every listed row to this file, as JSONL."),
    ] = None,
) -> None:
    """Load tasks and events from JSONL files. A second run changes nothing.

    Exits with 0 when everything was taken, 3 when it was loaded except for the rows listed, 1 when
    the import could not be completed (run it again: it goes on where it stopped).
    """
    if tasks is None and events is None:
        raise typer.BadParameter("name a file with --tasks, with --events or with both")
    console = Console()
    try:
        ledger = Ledger(address, project)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with Report(report) as findings:
        try:
            with ledger, Bars(console) as bars:
                say(console, "run", f"correlation id {ledger.correlation_id}")
                if tasks is not None:
                    load_tasks(tasks, ledger, findings, bars, console)
                if events is not None:
                    load_events(events, ledger, findings, bars, console)
        except Fault as fault:
            findings.print(console)
            typer.echo(f"the import stopped: {fault}", err=True)
            raise typer.Exit(Exit.FAILED) from None
        findings.print(console)
        if not findings.complete:
            raise typer.Exit(Exit.ROWS_LISTED)
