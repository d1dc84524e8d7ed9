"""`orchestration migrate`: bring the database to the schema of this release."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from orchestration_server.cli.options import refuse, with_settings
from orchestration_server.config.settings import Settings

NewEpoch = Annotated[
    bool,
    typer.Option(
        "--new-epoch",
        help="Use this once if the database lost its last commits, for example by a restore to a point in"
        " time, before the first server starts. The log goes on in a new epoch, and cursors of lost events"
        " are refused.",
    ),
]


@with_settings("database_url")
def migrate(settings: Settings, *, new_epoch: NewEpoch = False) -> None:
    """Bring the database of DATABASE_URL to the schema of this release."""
    from orchestration_server.app import migrate as run

    if not settings.database_url:
        refuse("DATABASE_URL is not set; `serve` migrates the built-in database itself")
    if new_epoch:
        _refuse_beside_servers(settings.database_url)
    done = run(settings.database_url, new_epoch=new_epoch)
    if new_epoch:
        done.append("the log goes on in a new epoch")
    Console(markup=False, emoji=False).print("\n".join(done) or "nothing to do")


def _refuse_beside_servers(database_url: str) -> None:
    """Refuse a new epoch while servers run.

    They write in the old epoch, and their events would be taken for some that the database has kept.
    """
    from orchestration_server.store import diagnosis

    with diagnosis.connect(database_url) as conn:
        found = diagnosis.connections(conn).of_servers
    if found:
        refuse(
            f"servers or workers are connected to this database, with {found} sessions: stop all of them, and"
            " run this before the first one starts again"
        )
