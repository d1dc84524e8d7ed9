"""`orchestration doctor`: find what is wrong with an installation, and print the fixes."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from orchestration_server import __version__
from orchestration_server.cli.options import UncheckedSettings, with_unchecked_settings
from orchestration_server.config.settings import Settings

if TYPE_CHECKING:
    from orchestration_server.doctor import Finding

COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}
NAME_WIDTH = 18


@with_unchecked_settings(*Settings.model_fields)
def doctor(
    unchecked: UncheckedSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Check the machine, database and cache of servers with these settings. Print a fix for each fault.

    Changes nothing. Exits with 1 if a check failed, else with 0, even if there are warnings.
    """
    from orchestration_server.doctor import examine

    found = []
    out = Console(soft_wrap=True)
    for name, finding in examine(unchecked.load, file=unchecked.file):
        found.append((name, finding))
        if not as_json:
            _show(out, name, finding)
    count = Counter(finding.level.value for _, finding in found)
    if as_json:
        checks = [
            {"check": name, "level": finding.level, "text": finding.text, "fix": finding.fix}
            for name, finding in found
        ]
        summary = {"version": __version__, "ok": not count["failed"], "checks": checks}
        typer.echo(json.dumps(summary, indent=2))
    else:
        out.print(", ".join(f"{count[level]} {level}" for level in reversed(COLOURS)), highlight=False)
    if count["failed"]:
        raise typer.Exit(1)


def _show(out: Console, name: str, finding: Finding) -> None:
    out.print(
        Text.assemble(
            (f"{finding.level:<8} ", COLOURS[finding.level]), (f"{name:<{NAME_WIDTH}} ", "bold"), finding.text
        )
    )
    if finding.fix:
        out.print(Text(f"{'':9}{'':{NAME_WIDTH}} -> {finding.fix}", "cyan"))
