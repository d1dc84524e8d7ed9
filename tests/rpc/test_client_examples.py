"""The example agents of the Python client do the same work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration import Ledger, NewTask
from tests.conftest import Server

pytestmark = [pytest.mark.shared_server(by_address=True), pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "clients" / "python" / "examples"
BOTH = pytest.mark.parametrize("agent", ["agent.py", "agent_with_stubs.py"])


@pytest.fixture
def ledger(server: Server) -> Iterator[Ledger]:
    with Ledger(server.address, project=server.project, agent="planner") as opened:
        yield opened


def run(agent: str, server: Server, sprint: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ORCHESTRATION_ADDRESS": server.address, "ORCHESTRATION_PROJECT": server.project
    }  # fmt: skip
    command = [sys.executable, str(EXAMPLES / agent), sprint]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@BOTH
def test_an_agent_takes_ready_work_until_there_is_none(agent: str, server: Server, ledger: Ledger) -> None:
    ledger.sprint("S1", title="First sprint").start()
    ledger.create_tasks(
        [
            NewTask("lexer", "Write the lexer", "S1", priority="P1"),
            NewTask("parser", "Write the parser", "S1", after="lexer"),
            NewTask("docs", "Write the docs", "S1", after="parser"),
            NewTask("tired", "Say that it is enough for today", "S1", priority="P0"),
            NewTask("blocked", "Wait", "S1", status="blocked"),
        ]
    )
    told = run(agent, server, "S1")
    assert told.returncode == 0, told.stderr
    assert "# " in told.stdout
    done = {task.code: task.status for task in ledger.tasks(sprint="S1")}
    assert done == {
        "lexer": "completed", "parser": "completed", "docs": "completed", "tired": "completed",
        "blocked": "blocked",
    }  # fmt: skip
    attempts = [list(ledger.attempts(code)) for code in ("tired", "lexer", "parser", "docs")]
    assert [len(each) for each in attempts] == [1, 1, 1, 1]
    assert all(each[0].usage.tool_calls == 1 for each in attempts)
    claimed = [event.entity for event in ledger.events(types="orchestration.task.claimed")]
    assert claimed == ["docs", "parser", "lexer", "tired"]
    assert len(list(ledger.events(types="agent.work.logged"))) == 4


@BOTH
def test_an_agent_without_a_sprint_names_the_fault(agent: str, server: Server, ledger: Ledger) -> None:
    told = run(agent, server, "none")
    assert told.returncode == 1
    assert "there is no sprint 'none'" in told.stderr


def test_the_example_agent_has_30_lines() -> None:
    assert len((EXAMPLES / "agent.py").read_text().splitlines()) == 30
