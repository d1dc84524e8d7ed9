"""What commands print of paths and addresses is what they were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.commands import serve
from orchestration_server.config import Settings


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


def test_what_serve_announces_is_not_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "told", lambda _: (True, []))
    serve._announce("127.0.0.1:1", "/data[red]/:x:", Settings(), None, "")
    assert "/data[red]/:x:" in capsys.readouterr().out
