"""`orchestration archive`: move old events of a database to its archive."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from orchestration_server.cli.importing.progress import ExitCode, print_line
from orchestration_server.cli.options import refuse, with_settings
from orchestration_server.config.settings import Settings

if TYPE_CHECKING:
    from orchestration_server.maintenance.archiver import ArchivedRange, Archiver, Outcome

_AGE = re.compile(r"([1-9]\d{0,4})([dw])")
NEEDED_MIGRATION = "0010_archive.sql"

OlderThan = Annotated[str, typer.Option(help="Move events older than this: days as 90d, weeks as 13w.")]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Also move the old events of a month that is not old as a whole, in chunks of 500.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would move, and change nothing.")]


@with_settings("database_url")
def archive(
    settings: Settings, *, older_than: OlderThan = "90d", exact: Exact = False, dry_run: DryRun = False
) -> None:
    """Move old events of priority P2 and below to the archive of DATABASE_URL, while servers run.

    You can stop it at any time and run it again: each event is in exactly one
    place. Exits with 1 if some events could not be moved.
    """
    # Archiving can wait; callers of the servers come first.
    os.nice(19)
    from orchestration_server.db import connect
    from orchestration_server.db.database import Database
    from orchestration_server.maintenance.archiver import Archiver
    from orchestration_server.store import migrations

    if not settings.database_url:
        refuse("DATABASE_URL is not set; `serve` or AdminService archives the built-in database")
    age = _parse_age(older_than)
    console = Console(markup=False, emoji=False)
    with connect.open_connection(settings.database_url, application="orchestration archive") as conn:
        _check_schema(migrations.schema(conn))
    db = Database(settings.database_url, size=1, statement_seconds=settings.statement_seconds).start()
    try:
        archiver = Archiver(db)
        cutoff = archiver.cutoff(age)
        print_line(console, "before", f"{cutoff:%Y-%m-%d} in UTC")
        if dry_run:
            outcome = archiver.plan(cutoff, exact=exact)
        else:
            outcome = _archive_all(archiver, cutoff, exact, console)
    finally:
        db.close()
    for part in outcome.moved:
        print_line(console, "would go" if dry_run else "archived", _describe_part(part))
    events, size = sum(p.events for p in outcome.moved), sum(p.bytes for p in outcome.moved)
    print_line(console, "in all", f"{events:,} events, {decimal(size)} moved as whole months")
    for reason in outcome.blocked:
        print_line(console, "blocked", reason)
    raise typer.Exit(ExitCode.FAILED if outcome.blocked else ExitCode.LOADED)


def _check_schema(schema: str) -> None:
    if not schema:
        refuse("this database has no ledger in a schema of the search_path: run `orchestration migrate`")
    if schema < NEEDED_MIGRATION:
        refuse("the database has the schema of an earlier release: run `orchestration migrate` first")


def _archive_all(archiver: Archiver, cutoff: datetime, exact: bool, console: Console) -> Outcome:
    """Archive range by range until nothing is left to move, or the next range is blocked."""
    from orchestration_server.maintenance.archiver import CannotMoveYet, Outcome

    outcome = Outcome(cutoff)
    with console.status("") as status:
        try:
            while (moved := archiver.step(cutoff, exact=exact)) is not None:
                outcome.add(moved)
                status.update(_describe_part(outcome.moved[-1]))
        except CannotMoveYet as blocked:
            outcome.blocked = blocked.reasons
    return outcome


def _describe_part(part: ArchivedRange) -> str:
    how = decimal(part.bytes) if part.whole else "in chunks"
    return f"{part.start:%Y-%m-%d} to {part.end:%Y-%m-%d}: {part.events:,} events, {how}"


def _parse_age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        refuse(f"--older-than {text}: must be a number of days or weeks, such as 90d or 13w")
    return timedelta(days=int(match[1]) * (7 if match[2] == "w" else 1))
