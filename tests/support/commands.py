"""The commands, run in the process of the test."""

from __future__ import annotations

from typer.testing import CliRunner

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
