"""A group of commands that imports a command when it is named."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import typer
from typer.core import TyperGroup

from orchestration.cli import exit_codes, table
from orchestration.cli.main import PIPE_CLOSED

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """End quietly if the reader of the output went away."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None


class LazyGroup(TyperGroup):
    """The commands of the table, of entry points, and of ``own``, which a package gives by itself.

    A package that is run without being installed has no entry points.
    """

    own: Mapping[str, str] = {}
    """Commands by name, as ``module:name``."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the table."""
        return [name for _, names in self.sections() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command. Ends with what to install if its package is missing; None for an unknown name."""
        if cmd_name not in self.commands and (place := self._place(cmd_name)):
            self.commands[cmd_name] = load(cmd_name, place)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the named command; end with what to install if it is one of a package that is missing."""
        name = args[0] if args else ""
        if name in table.SERVER_COMMANDS and not self._place(name):
            typer.echo(
                f"error: `{name}` comes with the server, which is not installed here\n"
                "fix: install it from a clone of the repository: pip install . ./clients/python",
                err=True,
            )
            raise typer.Exit(exit_codes.USAGE)
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            like = difflib.get_close_matches(name, self.list_commands(ctx), n=2, cutoff=0.6)
            hint = f"; did you mean {' or '.join(like)}?" if like else f"; see {ctx.command_path} -h"
            ctx.fail(f"there is no command {name!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands by section, whole, without importing those of the server."""
        for title, names in self.sections():
            rows = [(name, self._help_of(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the names of commands that begin so, without importing them."""
        try:
            from typer._click.shell_completion import CompletionItem
        except ImportError:  # another release of typer
            return super().shell_complete(ctx, incomplete)
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [CompletionItem(name) for name in names] or super().shell_complete(ctx, incomplete)

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Read the words of the command line; --help ends here."""
        with _quiet_pipe():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _quiet_pipe():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return the names of all commands by the title under which the help lists them."""
        sections = [(one.title, list(one.commands)) for one in table.SECTIONS]
        sections.append(("Server", list(table.SERVER_COMMANDS)))
        known = {name for _, names in sections for name in names}
        others = sorted({*entry_points(), *self.own} - known)
        return [*sections, ("Others", others)] if others else sections

    def _place(self, name: str) -> str:
        """Return where a command is, as ``module:name``; empty if it is unknown."""
        for section in table.SECTIONS:
            if name in section.commands:
                return section.commands[name]
        return self.own.get(name) or entry_points().get(name, "")

    def _help_of(self, ctx: Any, name: str) -> str:
        if name in table.SERVER_COMMANDS:
            return table.SERVER_COMMANDS[name]
        command = self.get_command(ctx, name)
        return first_sentence(command.help or "")


class Group(TyperGroup):
    """A group of verbs whose list shows whole sentences."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without cutting their help."""
        rows = [(name, first_sentence(self.commands[name].help or "")) for name in self.commands]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order in which they were added."""
        return list(self.commands)


def new_group(help_text: str) -> typer.Typer:
    """Return a group of verbs."""
    group = typer.Typer(
        cls=Group, help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False,
        context_settings=CONTEXT,
    )  # fmt: skip
    # A group of one verb is a group, too: its name is part of the command.
    group.callback()(lambda: None)
    return group


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text on one line."""
    first = " ".join(text.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".") + "." if first else ""


def entry_points() -> dict[str, str]:
    """Return the commands that installed packages add, as ``module:name`` by name."""
    return {point.name: point.value for point in metadata.entry_points(group=table.ENTRY_POINTS)}


def load(name: str, place: str) -> Any:
    """Import the function or Typer app at ``module:name`` and return it as a command."""
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(
            rich_markup_mode=None,
            add_completion=False,
            context_settings=CONTEXT,
            pretty_exceptions_enable=False,
        )
        app.command(name, cls=getattr(found, "command_class", None))(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command
