"""Commands print paths and addresses exactly as they were given."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.cli import serve
from orchestration_server.config.settings import DEFAULT_ADDRESS, Settings
from tests.support.commands import LedgerCommand


def said(*command: str) -> str:
    result = CliRunner(env={"DATABASE_URL": "", "COLUMNS": "40"}).invoke(cli, command)
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.mark.parametrize("name", ["x[red]y", "x[/a]y", "x:x:y"])
def test_a_path_is_not_taken_for_markup(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert name in said("serve", "--address", "127.0.0.1:0", "--data-dir", str(tmp_path / "file" / name))


def test_an_address_is_not_taken_for_an_emoji() -> None:
    assert "127.0.0.1:x:1" in said("serve", "--address", "127.0.0.1:x:1")
    taken = "x[/a]y:1"
    assert taken in said("serve", "--address", "127.0.0.1:0", "--metrics-address", taken)


def test_the_commands_to_try_are_there_and_name_what_the_server_asks_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    python = tmp_path / "own env" / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mutual = Settings(tls_cert=Path("c"), tls_key=Path("k"), tls_client_ca=Path("a"))
    command = python.with_name("orchestration")
    for directory, address, settings, said in (
        (tmp_path, "127.0.0.1:1", Settings(), "    export ORCHESTRATION_ADDRESS=127.0.0.1:1\n"),
        (
            tmp_path,
            DEFAULT_ADDRESS,
            Settings(),
            "terminal:\n    'own env/bin/orchestration' sprint create s1",
        ),
        (elsewhere, "127.0.0.1:1", mutual, "CLIENT_CERT=CERT ORCHESTRATION_CLIENT_KEY=KEY\n"),
        (elsewhere, "127.0.0.1:1", mutual, f"    '{command}' sprint create s1"),
    ):
        monkeypatch.chdir(directory)
        serve._print_ready(address, "", settings, None, "", (True, []))
        output = capsys.readouterr().out
        assert said in output
    shown = re.findall(r"bin/orchestration' (.+)", output)
    assert len(shown) == 5
    for words in shown:
        # Whatever is wrong with the words is said before a server is asked.
        told = LedgerCommand("127.0.0.1:1", "default")(*shlex.split(words), code=5)
        assert "no server answers" in told


def test_the_banner_of_serve_is_not_taken_for_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._print_ready("127.0.0.1:1", "/data[red]/:x:", Settings(), None, "", (True, []))
    assert "/data[red]/:x:" in capsys.readouterr().out
