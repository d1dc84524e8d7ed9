"""The command as a process: Ctrl-C, readers that go away, terminals; and the fleet of `demo`."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestration_server.app import App
from tests.conftest import Server
from tests.support.commands import LedgerCommand

pytestmark = [pytest.mark.shared_server(by_address=True), pytest.mark.slow]

CLIENT = Path(__file__).parents[2] / "clients" / "python"
SECONDS = 30
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(server: Server) -> LedgerCommand:
    return LedgerCommand(server.address, server.project)


@pytest.fixture
def start(run: LedgerCommand) -> Iterator[Start]:
    """Start commands as processes; they end with the test."""
    with ExitStack() as stack:

        def begin(*words: str, **streams: int) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                # Options after the verb count more than those before it.
                [sys.executable, "-m", "orchestration.cli", *run.words.split(), *words],
                stdout=streams.get("stdout", subprocess.PIPE),
                stderr=streams.get("stderr", subprocess.PIPE),
                stdin=subprocess.DEVNULL,
                text=True,
                env={"PYTHONPATH": str(CLIENT), "TERM": "xterm", "XDG_CONFIG_HOME": "/nowhere"},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit code and what it wrote to standard error."""
    code = process.wait(SECONDS)
    return code, process.stderr.read() if process.stderr else ""


def test_ctrl_c_ends_watch_quietly(run: LedgerCommand, start: Start) -> None:
    run("task", "add", "w1", "Parser")
    process = start("watch")
    assert process.stdout
    assert "created w1" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "")


def test_watch_is_live_and_ends_quietly_with_its_reader(run: LedgerCommand, start: Start) -> None:
    run("task", "add", "w1", "Parser")
    process = start("watch", "--json")
    assert process.stdout
    assert json.loads(process.stdout.readline())["entity_code"] == "w1"
    run("task", "add", "w2", "Pages")
    assert json.loads(process.stdout.readline())["entity_code"] == "w2"
    process.stdout.close()
    run("task", "add", "w3", "Deploy")
    assert ended(process) == (141, "")


def test_a_verb_as_a_process(run: LedgerCommand, start: Start) -> None:
    added = start("task", "add", "w1", "Ünïcode")
    assert ended(added) == (0, "")
    shown = start("ready", "--json")
    assert shown.stdout
    assert json.loads(shown.stdout.read())["tasks"][0]["title"] == "Ünïcode"
    refused = start("show", "ghost")
    code, text = ended(refused)
    assert code == 3
    assert text.startswith("error: ")
    assert "Traceback" not in text


def in_terminal(start: Start, *words: str) -> tuple[subprocess.Popen[str], int]:
    """Start a command in a terminal of 80 columns; return it and the terminal's other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start(*words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    return process, ours


def read_until(terminal: int, text: str) -> str:
    found = ""
    while text not in found:
        found += os.read(terminal, 65_536).decode(errors="replace")
    return found


def test_top_draws_in_a_terminal_and_gives_it_back(run: LedgerCommand, start: Start) -> None:
    run("sprint", "create", "s1", "First", "--start")
    run("task", "add", "w1", "A long title " * 20, "-s", "s1")
    fence = run.json("claim", "w1", "--agent", "bob")["claim"]["lease"]["fence"]
    process, terminal = in_terminal(start, "top", "s1", "--every", "0.2")
    picture = read_until(terminal, "bob")
    assert "\x1b[?1049h" in picture
    run("done", "w1", "--fence", str(fence), "--agent", "bob")
    read_until(terminal, "nobody works")
    process.send_signal(signal.SIGINT)
    rest = ""
    try:
        while part := os.read(terminal, 65_536):
            rest += part.decode()
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert process.wait(SECONDS) == 130
    assert "\x1b[?1049l" in rest
    assert "Traceback" not in rest


def test_a_table_ends_at_the_edge_of_a_terminal_and_is_whole_in_a_pipe(
    run: LedgerCommand, start: Start
) -> None:
    title = "words " * 40
    run("task", "add", "w1", title)
    process, terminal = in_terminal(start, "ready", "--color", "never")
    line = read_until(terminal, "…").splitlines()[1]
    assert len(line) == 80
    assert process.wait(SECONDS) == 0
    os.close(terminal)
    assert title.strip() in run("ready")


def test_top_as_one_picture(run: LedgerCommand) -> None:
    run("sprint", "create", "s1", "First", "--start")
    run("task", "add", "w1", "Parser", "-s", "s1")
    run("task", "add", "w2", "Pages " * 30, "-s", "s1", "--after", "w1")
    run("claim", "w1", "--agent", "bob", "--lease", "1h")
    output = run("top", "s1")
    assert max(map(len, output.splitlines())) <= 80
    assert "bob" in output
    assert "59m" in output
    assert "w2 waits for w1" in output
    found = run.json("top", "s1")
    assert found["working"][0]["lease"]["agent"] == "bob"
    run("top", "ghost", code=3)


def test_a_fleet_works_off_its_sprint(run: LedgerCommand) -> None:
    output = run("demo", "--pace", "0", "--failures", "0", "--agents", "2")
    sprint = run("sprint", "list", "-o", "name").strip()
    assert run.json("report", sprint)["task_counts"]["completed"] == 7
    assert f"claimed {sprint}-release" in output
    assert "completed" in output
    assert run("lease", "list") == "nobody holds a task\n"


def test_a_fleet_that_is_stopped_gives_its_claims_back(run: LedgerCommand, start: Start) -> None:
    process = start("demo", "--pace", "60", "--agents", "2")
    assert process.stdout
    while " claimed " not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert process.stderr
    assert "Traceback" not in process.stderr.read()
    assert run("lease", "list") == "nobody holds a task\n"


def test_watch_goes_on_when_a_server_is_replaced(
    start_app: Callable[..., App], start: Start, run: LedgerCommand
) -> None:
    """Each event comes once, and the broken connection is told once."""
    first = start_app()
    ledger = LedgerCommand(first.address, "default")
    ledger("task", "add", "w1", "Parser")
    process = start("watch", "-o", "json", "--project", "default", "--address", first.address)
    assert process.stdout
    assert process.stderr
    assert json.loads(process.stdout.readline())["entity_code"] == "w1"
    first.stop()
    assert process.stderr.readline() == "the connection is broken; trying again until it is back\n"
    start_app(address=first.address)
    ledger("task", "add", "w2", "Pages")
    assert json.loads(process.stdout.readline())["entity_code"] == "w2"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "")
