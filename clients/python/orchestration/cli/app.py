"""The `orchestration` command with its global options."""

from __future__ import annotations

from typing import Any

import typer

from orchestration.cli import options
from orchestration.cli.group import CONTEXT, LazyGroup

HELP = """The coordination ledger for fleets of agents.

Options of the ledger's commands, such as --project or --json, may stand before or
after the command. Each command has its own help: orchestration ready -h.

Exit codes: 0 ok, 1 refused or no, 2 wrong usage, 3 not found, 4 conflict, 5 the server cannot be reached."""


def new_app(group: type[LazyGroup] = LazyGroup) -> typer.Typer:
    """Return the command with the commands of the table and those that the group adds."""
    app = typer.Typer(
        cls=group,
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )
    app.callback()(_remember)
    return app


def _remember(ctx: typer.Context, **given: Any) -> None:
    """Keep the options that stand before the command."""
    chosen = options.Common(**given)
    chosen.check()
    from orchestration.cli.table import SECTIONS

    own = {name for section in SECTIONS for name in section.commands}
    if chosen.given() and ctx.invoked_subcommand not in own:
        raise typer.BadParameter(
            f"write {', '.join(chosen.given())} after `{ctx.invoked_subcommand}`, if it takes that"
        )
    ctx.obj = chosen


options.add_to(_remember)
cli = new_app()
