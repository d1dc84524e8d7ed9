"""Ctrl-C before a command begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# SIGINT arrives while the named module is being imported.
RUN = """
import os, runpy, signal, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "{name}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
sys.argv[0] = "orchestration"
runpy.run_module("orchestration_server", run_name="__main__")
"""


@pytest.mark.parametrize(
    "name", ["typer", "structlog", "orchestration_server.cli.serve", "orchestration_server.embedded.engines"]
)
def test_the_command_ends_quietly(name: str, tmp_path: Path) -> None:
    command = ["serve", "--address", "127.0.0.1:0", "--data-dir", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-c", RUN.format(name=name), *command],
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
