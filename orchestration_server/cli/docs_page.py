"""The generator of docs/commands.md (`make docs`): the commands as they describe themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from orchestration.cli import group, options, table
from orchestration.cli.app import HELP, new_app
from orchestration_server.cli.entry import COMMANDS

_SETTING = re.compile(r"\[(?:ORCHESTRATION_[A-Z_]+|DATABASE_URL|REDIS_URL)\b")
_HEAD = """# Commands

<!-- Written by `make docs` from the commands themselves: change their help, not this page. -->

Every command of `orchestration`, with its arguments and options. [The command](command.md)
shows how to use them.

"""


def page() -> str:
    """Return the page."""
    app: Any = typer.main.get_command(new_app(_Whole))
    lines = [_HEAD.rstrip("\n"), "", *_introduction(app)]
    for title, names in app.sections():
        lines += [f"## {title}", ""]
        for name in names:
            lines += _command(app.get_command(None, name), name)
    return "\n".join(lines).rstrip() + "\n"


class _Whole(group.LazyGroup):
    """The commands of both packages, also without installed entry points."""

    own = COMMANDS


def _introduction(app: Any) -> Iterator[str]:
    *_, codes = HELP.split("\n\n")
    yield "These options go before or after a command of the ledger, which are all but those of the server:"
    yield ""
    yield from _table(one for one in app.params if one.name in options.NAMES)
    yield codes.replace("\n", " ") + " Commands of the server have codes of their own."
    yield ""


def _command(command: Any, words: str) -> Iterator[str]:
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _command(command.get_command(None, name), f"{words} {name}")
        return
    own = [one for one in command.params if one.name not in ("help", "ctx")]
    if words.split()[0] not in table.SERVER_COMMANDS:
        # The agent of `why` is the one of whom it tells, and is a common option all the same.
        own = [one for one in own if one.name not in options.NAMES]
    settings = [one for one in own if _SETTING.search(getattr(one, "help", None) or "")]
    own = [one for one in own if one not in settings]
    arguments = [_metavar(one) for one in own if one.param_type_name == "argument"]
    yield f"### {words}"
    yield ""
    yield "    " + " ".join(["orchestration", words, *arguments, "[OPTIONS]"])
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield _escaped(" ".join(paragraph.split()))
        yield ""
    if own:
        yield from _table(own)
    if settings:
        flags = ", ".join(f"`{one.opts[0]}`" for one in settings)
        some = f"{len(settings)} settings" if len(settings) > 12 else flags
        yield f"It also takes {some} as options: [configuration](configuration.md)."
        yield ""


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _table(params: Any) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for one in params:
        if one.param_type_name == "argument":
            name = f"`{one.metavar or one.name.upper()}`"
        else:
            name = ", ".join(f"`{flag}`" for flag in (*one.opts, *one.secondary_opts))
        default = one.default
        shown = f" Default: `{default}`." if _is_worth_showing(one, default) else ""
        yield f"| {name} | {_escaped(one.help or '')}{shown} |"
    yield ""


def _is_worth_showing(param: Any, default: Any) -> bool:
    return bool(param.show_default) and isinstance(default, str | int | float) and bool(default)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the page named on the command line."""
    Path(sys.argv[1]).write_text(page())


if __name__ == "__main__":
    main()
