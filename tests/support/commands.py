"""The commands, and how a test runs one in its own process."""

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
"""Those that reach the database of DATABASE_URL."""


def run(*command: str, **env: str) -> tuple[int, str]:
    """A command's exit code, and what it said; it has no cache, and ends by no exception."""
    result = CliRunner(env={"REDIS_URL": "", "COLUMNS": "200"} | env).invoke(cli, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output
