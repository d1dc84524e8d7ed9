"""`orchestration migrate`: the database's schema, brought to this release's."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from orchestration_server.commands.options import refuse, with_settings
from orchestration_server.config import Settings

NewEpoch = Annotated[
    bool,
    typer.Option(
        "--new-epoch",
        help="The database lost its last commits, as by a restore to a point in time: the log goes on in a"
        " new epoch, and cursors of lost events are refused. Once, before the first server starts.",
    ),
]


@with_settings("database_url")
def migrate(settings: Settings, *, new_epoch: NewEpoch = False) -> None:
    """Bring the database of DATABASE_URL to this release's schema."""
    from orchestration_server.app import migrate as run

    if not settings.database_url:
        refuse("DATABASE_URL is not set; `serve` migrates the built-in database itself")
    done = run(settings.database_url, new_epoch=new_epoch)
    if new_epoch:
        done.append("the log goes on in a new epoch")
    Console(markup=False, emoji=False).print("\n".join(done) or "nothing to do")
