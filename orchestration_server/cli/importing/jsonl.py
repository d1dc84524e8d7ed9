"""`orchestration import`: load files of sprints, tasks and events into a running ledger.

It uses only public rpcs. docs/import.md and docs/files.md list the fields and what they become.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from orchestration import DEFAULT_ADDRESS, ErrorDetails
from orchestration.settings import ADDRESS_VARIABLE
from orchestration_server.cli.importing import words as words_table
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.delegation import load_delegation
from orchestration_server.cli.importing.jsonl_format import (
    BadRow,
    EventReader,
    ImportEventRow,
    ImportTaskRow,
    Line,
    parse_task,
    read_lines,
)
from orchestration_server.cli.importing.loader import EventLoader, TaskLoader, batches
from orchestration_server.cli.importing.progress import ExitCode, ImportReport, ProgressBars, print_line
from orchestration_server.cli.importing.words import MapError, Words

_Row = TypeVar("_Row", ImportTaskRow, ImportEventRow)


class FileListing:
    """The part of the report about one file."""

    def __init__(self, report: ImportReport, file: Path) -> None:
        self._report = report
        self._file = file

    def refused(self, line: int | None, reason: str) -> None:
        """List a row, or a link of one, that was refused. Without a line it is the whole file."""
        self._report.add("refused", self._file.name, line, reason)

    def unresolved(self, line: int, reason: str) -> None:
        """List a link to a task that does not exist."""
        self._report.add("unresolved", self._file.name, line, reason)

    def changed(self, line: int, reason: str) -> None:
        """List a row that the ledger has with another meaning or only in part."""
        self._report.add("changed", self._file.name, line, reason)

    def warning(self, line: int, reason: str) -> None:
        """List a row that is written differently in the ledger and means the same."""
        self._report.add("warning", self._file.name, line, reason)

    def notes_of(self, row: ImportTaskRow | ImportEventRow, what: str) -> None:
        """List the notes about a row that was accepted."""
        for text in row.changes:
            self.changed(row.line, f"{what}: {text}")
        for text in row.warnings:
            self.warning(row.line, f"{what}: {text}")


def parse_rows(
    path: Path, parse: Callable[[Line], _Row], listing: FileListing, bars: ProgressBars, what: str
) -> Iterator[_Row]:
    """Yield the rows of a file that can be parsed, and list the others."""
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
        listing.refused(last or None, str(error))


def load_tasks(
    path: Path, client: ImportClient, report: ImportReport, bars: ProgressBars, console: Console, words: Words
) -> None:
    """Create the tasks of a file, link them and delete the tombstones."""
    listing = FileListing(report, path)
    loader = TaskLoader(client, listing)

    def parse(line: Line) -> ImportTaskRow:
        loader.tasks.read += 1
        return parse_task(line, words)

    def admitted() -> Iterator[ImportTaskRow]:
        for row in parse_rows(path, parse, listing, bars, "tasks"):
            if loader.admit(row):
                listing.notes_of(row, f"task {row.code}")
                yield row

    try:
        for batch in batches(admitted()):
            loader.create(batch)
        bars.follow("links", loader.links.read, loader.link())
        bars.follow("deletions", loader.deletion_count, loader.delete_tombstones())
    finally:
        tasks, links = loader.tasks, loader.links
        print_line(
            console,
            "tasks",
            f"{tasks.read:,} read, {tasks.created:,} created, "
            f"{tasks.already_there:,} already there, {tasks.deleted:,} deleted as tombstones",
        )
        print_line(
            console,
            "links",
            f"{links.read:,} read, {links.in_place:,} in place, {links.of_deleted:,} of deleted tasks",
        )


def load_events(
    path: Path, client: ImportClient, report: ImportReport, bars: ProgressBars, console: Console
) -> None:
    """Store the events of a file."""
    listing = FileListing(report, path)
    loader = EventLoader(client, listing)
    reader = EventReader()

    def parse(line: Line) -> ImportEventRow:
        loader.events.read += 1
        return reader.parse(line)

    def noted() -> Iterator[ImportEventRow]:
        for row in parse_rows(path, parse, listing, bars, "events"):
            listing.notes_of(row, f"event about {row.event.entity_code}")
            yield row

    try:
        loader.load(batches(noted()))
    finally:
        events = loader.events
        print_line(
            console,
            "events",
            f"{events.read:,} read, {events.stored:,} stored, {events.duplicates:,} already there",
        )


def _print_waiting(console: Console, error: ErrorDetails) -> None:
    text = f"{error.code.name}: {error.message}"
    print_line(console, "waiting", f"and trying again, later waits are not listed: {text}")


FileOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, readable=True, help="JSONL, plain or gzip."),
]


def import_files(
    address: Annotated[
        str, typer.Option(envvar=ADDRESS_VARIABLE, help="The server, as HOST:PORT.")
    ] = DEFAULT_ADDRESS,
    tasks: FileOption = None,
    events: FileOption = None,
    delegation: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, readable=True, help="A tree of SPRINT.md, TASK.md and AGENT.yml."
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Send edits of files that the ledger wrote, if the ledger has not changed since."
        ),
    ] = False,
    project: Annotated[str, typer.Option(help="The project to load into.")] = "default",
    words: Annotated[
        Path | None,
        typer.Option(
            "--map",
            exists=True,
            dir_okay=False,
            readable=True,
            help="A YAML or JSON file of more words for statuses, priorities and kinds of links.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write all listed rows to this file, as JSONL."),
    ] = None,
) -> None:
    """Load tasks and events from JSONL files, or a tree of files. A second run changes nothing.

    If the ledger needs a key, set ORCHESTRATION_TOKEN to it.

    Exits with 0 if everything was loaded unchanged, 1 if the import stopped
    (run it again to go on), 2 for wrong usage, 3 if rows or links were
    refused, and 4 if something has another meaning in the ledger.
    """
    if tasks is None and events is None and delegation is None:
        raise typer.BadParameter("name what to load: --tasks, --events, --delegation, or several of them")
    if update and delegation is None:
        raise typer.BadParameter("--update needs --delegation")
    console = Console(markup=False, emoji=False)
    try:
        table = words_table.DEFAULT if words is None else words_table.read_map(words)
        client = ImportClient(address, project, partial(_print_waiting, console))
    except (MapError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    with ImportReport(report) as findings:
        try:
            with client, ProgressBars(console) as bars:
                print_line(console, "run", f"correlation id {client.correlation_id}")
                if delegation is not None:
                    load_delegation(delegation, client, findings, bars, console, table, update=update)
                if tasks is not None:
                    load_tasks(tasks, client, findings, bars, console, table)
                if events is not None:
                    load_events(events, client, findings, bars, console)
        except CallFailed as failure:
            findings.print(console)
            typer.echo(f"the import stopped: {failure}", err=True)
            if failure.unreachable:
                hint = "start one with `orchestration serve`, or name another with --address"
                typer.echo(f"no server answers at {address}: {hint}", err=True)
            raise typer.Exit(ExitCode.FAILED) from None
        findings.print(console)
        if findings.exit:
            raise typer.Exit(findings.exit)
