"""The Python of the pages runs: each page's blocks, in their order, in a project of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestration import Ledger
from tests.conftest import Server

pytestmark = pytest.mark.shared_server(by_address=True)

ROOT = Path(__file__).parents[2]
PLANNED = {"docs/claims.md": "T-1", "docs/context.md": "T-1"}
"""The task that a page supposes, in the sprint S-1."""
PRINTED = {
    "docs/clients.md": ["# parse Write the parser\n", "\nnow at revision 2\n", ", 'grammar']"],
    "README.md": ["# parse Write the parser\n"],
    "docs/claims.md": [],
    "docs/context.md": ["# T-1 Planned\n"],
    "clients/python/README.md": ["# parser Write the parser\n", "now at revision 1", "Write the lexer ["],
}
"""What the blocks of a page print, among the rest."""


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PRINTED)
def test_the_python_of_a_page_runs(
    server: Server, page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("ORCHESTRATION_ADDRESS", server.address)
    monkeypatch.setenv("ORCHESTRATION_PROJECT", server.project)
    monkeypatch.chdir(tmp_path)
    # A minute of waiting for work is no part of what a page shows.
    monkeypatch.setattr("orchestration._sync.work.seconds_of", lambda wait: 0.0)
    with Ledger(agent="planner") as ledger:
        if page in PLANNED:
            ledger.sprint("S-1", title="Planned").start()
            ledger.create_task(PLANNED[page], "Planned", sprint="S-1")
        found = blocks(page)
        assert found
        for block in found:
            names: dict[str, Any] = {"__name__": "__main__"}
            exec(compile(block, page, "exec"), names)
            if isinstance(names.get("ledger"), Ledger):
                names["ledger"].close()
        printed = capsys.readouterr().out
        for text in PRINTED[page]:
            assert text in printed, printed
        if page == "docs/claims.md":
            assert ledger.get_task("T-1").status == "completed"


def test_the_page_prints_what_it_says(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The text of an error in docs/clients.md is the one that its block prints."""
    page = (ROOT / "docs" / "clients.md").read_text()
    (told,) = re.findall(r"^It prints:\n\n```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks("docs/clients.md") if "StaleRevision as error" in block]
    with pytest.MonkeyPatch.context() as patch, Ledger(server.address, project=server.project) as ledger:
        patch.setenv("ORCHESTRATION_ADDRESS", server.address)
        patch.setenv("ORCHESTRATION_PROJECT", server.project)
        ledger.create_task("lexer", "Write the lexer")
        ledger.update_task("lexer", labels="core")
        exec(compile(block, "docs/clients.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines(keepends=True)
    # The server of the tests logs to the same place.
    assert "".join(line for line in printed if "[info" not in line) == told


def test_the_numbers_of_lines_are_those_of_the_examples() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    examples = ROOT / "clients" / "python" / "examples"
    lines = {path.name: len(path.read_text().splitlines()) for path in examples.glob("*.py")}
    assert f"is such an agent in {lines['agent.py']} lines" in page
    assert f"takes {lines['agent_with_stubs.py']}." in page


def test_every_method_of_the_table_is_there_and_the_reverse() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    table = page.partition("| about | methods")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"Ledger"}
    public = {name for name in dir(Ledger) if not name.startswith("_")} | {"raw"}
    assert named == public - {"close", "take"}
