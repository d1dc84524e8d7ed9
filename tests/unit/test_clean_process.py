"""Settings inherited from a parent process change neither commands nor tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("orchestration"))
SECONDS = 240


@pytest.mark.timeout(2 * SECONDS)
def test_a_server_with_built_in_engines_stops_when_told(tmp_path: Path) -> None:
    """The parent ignores and blocks SIGTERM, and ignores SIGCHLD, which loses exit codes."""
    ready = tmp_path / "ready"
    flags = ["--address", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"), "--ready-file", str(ready)]
    server = subprocess.Popen(
        [sys.executable, "-c", SIGNALS_ALONE, COMMAND, "serve", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        deadline = monotonic() + SECONDS
        while not (ready.exists() and ready.read_text()):
            assert monotonic() < deadline
            try:
                server.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(server.communicate()[0])
        assert json.loads(ready.read_text())["address"]
        server.terminate()
        told, _ = server.communicate(timeout=SECONDS)
        assert server.returncode == 0, told
    finally:
        server.kill()
        server.wait()


SIGNALS_ALONE = """
import os, sys
from tests.support import hostile_parent
hostile_parent.ENVIRONMENT.clear()
hostile_parent.main()
"""


@pytest.mark.timeout(2 * SECONDS)
def test_sigterm_ends_a_command_whose_parent_ignored_it() -> None:
    """The command waits for input that never comes, so only a signal ends it."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", WAIT]
    with subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, text=True, cwd=ROOT) as waiting:
        try:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "waits\n"
            waiting.terminate()
            assert waiting.wait(SECONDS) == -signal.SIGTERM
        finally:
            waiting.kill()
            os.close(reading)
            os.close(writing)


WAIT = """
import signal, sys
from tests.support import hostile_parent
for number in hostile_parent.IGNORED:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, hostile_parent.BLOCKED)
from orchestration_server.cli import process
process.reset_signals()
assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
print("waits", flush=True)
sys.stdin.readline()
"""
