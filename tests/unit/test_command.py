"""The `orchestration` command without a server: its commands, its help, its imports and its two packages."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from orchestration.cli import app, group, table
from orchestration.cli.main import quiet_channels
from orchestration_server.__main__ import cli
from orchestration_server.cli.entry import COMMANDS

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
RUNNER = CliRunner(env={"COLUMNS": "80", "ORCHESTRATION_ADDRESS": ""})


def leaves(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the commands below a group, by their words."""
    if not hasattr(command, "list_commands"):
        return {path: command}
    found: dict[tuple[str, ...], Any] = {}
    for name in command.list_commands(None):
        found |= leaves(command.get_command(None, name), (*path, name))
    return found


WHOLE: Any = typer.main.get_command(cli)
LEAVES = leaves(WHOLE)
OWN = [path for path in LEAVES if path[0] not in table.SERVER_COMMANDS]


def test_each_command_of_the_table_is_there() -> None:
    for section in table.SECTIONS:
        for name, place in section.commands.items():
            assert group.load(name, place).help


def test_the_entry_points_are_the_commands_of_the_server() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert named == {table.ENTRY_POINTS: dict(COMMANDS)}
    assert set(COMMANDS) == set(table.SERVER_COMMANDS)


def test_the_list_says_of_the_servers_commands_what_they_say_themselves() -> None:
    for name, text in table.SERVER_COMMANDS.items():
        assert group.first_sentence(WHOLE.get_command(None, name).help) == text


@pytest.mark.parametrize("path", [(), *LEAVES], ids=" ".join)
def test_help_fits_80_columns_and_nothing_is_cut(path: tuple[str, ...]) -> None:
    result = RUNNER.invoke(cli, [*path, "-h"])
    assert result.exit_code == 0, result.output
    assert "…" not in result.output
    assert "..." not in result.output.replace("[ARGS]...", "").replace("OMMAND ...", "").replace("]...", "")
    assert max(map(len, result.output.splitlines())) <= 80
    # A bare call of a group is a question, too.
    assert "\x1b" not in result.output


@pytest.mark.parametrize("path", OWN, ids=" ".join)
def test_each_verb_says_what_it_does_and_what_its_options_mean(path: tuple[str, ...]) -> None:
    command = LEAVES[path]
    assert group.first_sentence(command.help).endswith(".")
    for one in command.params:
        assert getattr(one, "help", None), (path, one.name)


HEAVY = ("grpc", "google.protobuf", "rich", "yaml", "structlog", "psycopg", "orchestration_server")
IMPORTS = """
import sys
import threading
from orchestration.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print([name for name in {names} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [("ready", "--help"), ("task", "add", "-h"), ("--help",)], ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(names=HEAVY), *words],
        capture_output=True, text=True, timeout=60, check=True, env={"PYTHONPATH": f"{CLIENT}:{ROOT}"},
    )  # fmt: skip
    assert "Usage" in ended.stdout
    assert ended.stderr == "[]\n"


@pytest.mark.slow
def test_a_verb_imports_nothing_of_the_server() -> None:
    """With the control that the same program notices what the server's own command imports."""
    loaded = {}
    for package, words in (("orchestration.cli.main", "ready"), ("orchestration_server.__main__", "health")):
        program = IMPORTS.format(names=("orchestration_server", "pydantic_settings"))
        program = program.replace("assert not ended.code, ended.code", "pass")
        ended = subprocess.run(
            [sys.executable, "-c", program.replace("orchestration.cli.main", package), words, "-h"],
            capture_output=True, text=True, timeout=60, check=False,
            env={"PYTHONPATH": f"{CLIENT}:{ROOT}"},
        )  # fmt: skip
        loaded[words] = ended.stderr
    assert loaded == {"ready": "[]\n", "health": "['orchestration_server', 'pydantic_settings']\n"}


def without_server(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(group, "entry_points", dict)
    return app.new_app()


@pytest.mark.parametrize("name", table.SERVER_COMMANDS)
def test_a_command_whose_package_is_missing_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = RUNNER.invoke(without_server(monkeypatch), [name])
    assert result.exit_code == 2
    assert f"`{name}` comes with the server" in result.stderr
    assert "fix: " in result.stderr


def test_a_package_adds_a_command_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "entry_points", lambda: {"extra": "orchestration.cli.readiness:ready"})
    found = RUNNER.invoke(app.new_app(), ["-h"]).output
    assert "Others:\n  extra  List the tasks that can be claimed now" in found
    assert RUNNER.invoke(app.new_app(), ["extra", "-h"]).exit_code == 0


def test_an_unknown_command_names_a_like_one() -> None:
    result = RUNNER.invoke(cli, ["redy"])
    assert result.exit_code == 2
    assert "there is no command 'redy'; did you mean ready" in result.stderr


def test_an_option_before_a_command_that_does_not_take_it_is_refused() -> None:
    result = RUNNER.invoke(cli, ["--project", "x", "migrate"])
    assert result.exit_code == 2
    assert "write --project after `migrate`" in result.stderr


@pytest.mark.parametrize("option", [("-o", "xml"), ("--color", "red")])
def test_a_choice_that_is_none_is_refused(option: tuple[str, str]) -> None:
    result = RUNNER.invoke(cli, ["ready", *option])
    assert result.exit_code == 2
    assert "is none of" in result.stderr


@pytest.mark.parametrize("words", [("ready", "--json", "-o", "yaml"), ("--json", "-o", "name", "ready")])
def test_two_formats_are_refused(words: tuple[str, ...]) -> None:
    result = RUNNER.invoke(cli, words)
    assert result.exit_code == 2
    assert "are two formats; give one" in result.stderr


@pytest.mark.slow
def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')")
    ended = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "ready"],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": f"{tmp_path}:{CLIENT}"},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: the command needs the package typer\nfix: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error() -> None:
    ready, write = os.pipe()
    os.close(ready)
    with os.fdopen(write, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "orchestration.cli", "--help"],
            stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={"PYTHONPATH": str(CLIENT)},
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (141, "")


def test_the_client_names_all_that_it_has() -> None:
    package = importlib.import_module("orchestration")
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Ghost'"):
        _ = package.Ghost


@pytest.mark.parametrize(("name", "told"), [("channel_spin", False), ("other", True)])
def test_only_the_failure_of_a_channel_after_ctrl_c_is_kept_quiet(
    capsys: pytest.CaptureFixture[str], name: str, told: bool
) -> None:
    scope: dict[str, Any] = {}
    exec(f"def {name}():\n    len(None)", scope)
    try:
        scope[name]()
    except TypeError as error:
        quiet_channels(threading.ExceptHookArgs((TypeError, error, error.__traceback__, None)))
    assert ("TypeError" in capsys.readouterr().err) == told
