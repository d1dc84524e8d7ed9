"""The options that every verb takes, before or after its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

FORMATS = ("table", "json", "yaml", "name")
COLORS = ("auto", "always", "never")


@dataclass(frozen=True)
class Common:
    """The options of one place; None for one that was not given."""

    address: str | None = None
    project: str | None = None
    agent: str | None = None
    server: str | None = None
    token_env: str | None = None
    output: str | None = None
    json: bool | None = None
    color: str | None = None

    def or_else(self, others: Common) -> Common:
        """Return these options, and those of ``others`` that are not given here."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        theirs = {one.name: getattr(others, one.name) for one in fields(self)}
        if mine["json"] or mine["output"]:
            theirs["json"] = theirs["output"] = None
        return Common(**{name: theirs[name] if value is None else value for name, value in mine.items()})

    def check(self) -> None:
        """Raise BadParameter if two options of one place contradict each other."""
        if self.json and self.output not in (None, "json"):
            raise typer.BadParameter(f"--json and -o {self.output} are two formats; give one")

    def given(self) -> list[str]:
        """Return the flags that were given."""
        names = [one.name for one in fields(self) if getattr(self, one.name) is not None]
        return [f"--{name.replace('_', '-')}" for name in names]

    def words(self) -> list[str]:
        """Return what names the same server, project and agent on the command line of another command."""
        found: list[str] = []
        for name in ("server", "address", "project", "agent", "token_env"):
            if value := getattr(self, name):
                found += [f"--{name.replace('_', '-')}", value]
        return found


def _choice(*allowed: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and value not in allowed:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(allowed)}")
        return value

    return check


def _starting(*allowed: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in allowed if word.startswith(incomplete)]


_ANNOTATIONS: dict[str, Any] = {
    "address": Annotated[
        str | None, typer.Option(help="The server, as HOST:PORT. [ORCHESTRATION_ADDRESS]", show_default=False)
    ],
    "project": Annotated[
        str | None,
        typer.Option(help="The project, if not the key's. [ORCHESTRATION_PROJECT]", show_default=False),
    ],
    "agent": Annotated[
        str | None, typer.Option(help="The name of the caller. [ORCHESTRATION_AGENT]", show_default=False)
    ],
    "server": Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A server that `use` has stored. [ORCHESTRATION_SERVER]"),
    ],
    "token_env": Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="The variable with the key, in place of ORCHESTRATION_TOKEN."),
    ],
    "output": Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FORMAT", help="table, json, yaml or name: only codes.",
            callback=_choice(*FORMATS), autocompletion=_starting(*FORMATS),
        ),
    ],
    "json": Annotated[bool | None, typer.Option("--json", help="The same as -o json.", show_default=False)],
    "color": Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="auto, always or never; auto obeys NO_COLOR.",
            callback=_choice(*COLORS), autocompletion=_starting(*COLORS),
        ),
    ],
}  # fmt: skip
NAMES = tuple(_ANNOTATIONS)


def parameters(taken: frozenset[str] = frozenset()) -> list[inspect.Parameter]:
    """Return the parameters of the options whose names are not taken."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _ANNOTATIONS.items()
        if name not in taken
    ]


def add_to(function: Callable[..., None]) -> None:
    """Give the options to a function whose one parameter besides is the context."""
    first, *_ = inspect.signature(function).parameters.values()
    whole = [first.replace(annotation=typer.Context), *parameters()]
    function.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]  # typer reads it
    function.__annotations__ = {one.name: one.annotation for one in whole}
