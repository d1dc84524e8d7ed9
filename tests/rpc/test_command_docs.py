"""The sessions of docs/command.md: each command is run, and prints what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.support.commands import LedgerCommand

pytestmark = pytest.mark.shared_server(by_address=True)
HOLDERS = ("heartbeat", "done", "release")
DOCS = Path(__file__).parents[2] / "docs"


def session(page: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a page's console blocks, each with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """Return what the lines stand for: an ellipsis is any text, and alone on a line any lines."""
    parts = [".*?" if line == "…" else re.escape(line).replace("…", "[^\n]*") for line in lines]
    return "\n".join(parts)


def test_the_page_shows_what_the_commands_print(server: Server, tmp_path: Path) -> None:
    run = LedgerCommand(server.address, server.project)
    # In place of the default address and project.
    env = {
        "ORCHESTRATION_ADDRESS": server.address,
        "ORCHESTRATION_PROJECT": server.project,
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    shown = session("command.md")
    assert len(shown) > 5
    # The pages show the first fence of a ledger; the server of the tests has given out others.
    fence = "1"
    for command, printed in shown:
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            env[name] = value
            continue
        program, *words = shlex.split(command)
        assert program == "orchestration"
        result = run.bare(*(fence if word == "1" and words[0] in HOLDERS else word for word in words), **env)
        if claimed := re.search(r"\(fence (\d+)", result.output):
            fence = claimed[1]
        # The server of the tests logs to the same stream.
        output = "\n".join(
            line
            for line in result.output.splitlines()
            if not re.match(r"(\x1b\[2m)?\d{4}-\d\d-\d\d \d", line)
        )
        output = re.sub(rf"fence {fence}\b", "fence 1", output)
        assert re.fullmatch(pattern(printed), output, re.DOTALL), f"$ {command}\n{output}"
        assert (result.exit_code == 0) == ("error: " not in output) or words[0] == "why"


def test_a_page_that_shows_something_else_fails() -> None:
    """The control: a line that is not printed does not match."""
    assert re.fullmatch(pattern(["w1 is … now"]), "w1 is ready now")
    assert not re.fullmatch(pattern(["w1 is ready"]), "w1 is ready now")
    assert not re.fullmatch(pattern(["a…", "c"]), "a\nb\nc", re.DOTALL)
