"""The commands, run in the process of the test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from typer.completion import completion_init  # type: ignore[attr-defined]  # imported there
from typer.testing import CliRunner, Result

from orchestration_server.__main__ import cli

COMMANDS = [
    ("keys", "list"),
    ("migrate",),
    ("worker",),
    ("archive", "--dry-run"),
    ("serve", "--address", "127.0.0.1:0"),
    ("serve", "--address", "127.0.0.1:0", "--workers", "2"),
]
"""The commands that connect to the database of DATABASE_URL."""


def run(*command: str, **env: str) -> tuple[int, str]:
    """Run a command without a cache; return its exit code and its output. It must not raise."""
    result = CliRunner(env={"REDIS_URL": "", "COLUMNS": "200"} | env).invoke(cli, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@dataclass(frozen=True)
class LedgerCommand:
    """The verbs on a server, in a project of the test."""

    address: str
    project: str

    @property
    def words(self) -> str:
        """Return the options that the commands which a verb names have."""
        return f"--address {self.address} --project {self.project}"

    def bare(self, *words: str, **env: str) -> Result:
        """Run a command with no options but its own. An error of the command itself is raised."""
        names = ("ADDRESS", "PROJECT", "AGENT", "SERVER", "TOKEN", "CA_FILE")
        usual = {f"ORCHESTRATION_{name}": "" for name in names}
        runner = CliRunner(env=usual | {"COLUMNS": "80", "XDG_CONFIG_HOME": "/nowhere"} | env)
        completion_init()
        return runner.invoke(cli, words, catch_exceptions=False, prog_name="orchestration")

    def raw(self, *words: str, **env: str) -> Result:
        """Run a command on the server, with its options after the verb, as people write them."""
        return self.bare(*words, *self.words.split(), **env)

    def __call__(self, *words: str, code: int = 0, **env: str) -> str:
        """Run a command, check its exit code, and return what it printed."""
        result = self.raw(*words, **env)
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *words: str, code: int = 0, **env: str) -> Any:
        """Run a command with --json and return the document that it printed."""
        return json.loads(self(*words, "--json", code=code, **env))
