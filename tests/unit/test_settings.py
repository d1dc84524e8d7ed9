"""Settings from flags, the environment and a file, in this order."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.config.settings import (
    FILE_VARIABLE,
    ConfigurationError,
    Settings,
    load,
    unknown_variables,
    variable,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orchestration.toml"
    path.write_text('threads = 5\nworkers = 2\ndatabase_url = "postgresql://file"\n')
    return path


def test_flags_win_over_the_environment_and_the_environment_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATION_THREADS", "6")
    monkeypatch.setenv("ORCHESTRATION_WORKERS", "3")
    found = load(file, threads=7)
    assert (found.threads, found.workers, found.database_url) == (7, 3, "postgresql://file")
    assert found.emit_streams == Settings.model_fields["emit_streams"].default


def test_an_empty_variable_is_ignored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_THREADS", "")
    assert load(file).threads == 5


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_a_newline_after_a_value_is_stripped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A secret that echo wrote to a file ends in a newline."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:hunter2@db/x{end}")
    monkeypatch.setenv("REDIS_URL", f"redis://:hunter2@cache/0{end}")
    monkeypatch.setenv("ORCHESTRATION_THREADS", f"6{end}")
    monkeypatch.setenv("ORCHESTRATION_TLS_KEY", f"/run/key{end}")
    monkeypatch.setenv("ORCHESTRATION_BACKGROUND", f"false{end}")
    path = tmp_path / "orchestration.toml"
    path.write_text('jwt_issuer = """issuer\n"""\n')
    monkeypatch.setenv(FILE_VARIABLE, f"{path}{end}")
    found = load()
    assert (found.database_url, found.redis_url) == (
        "postgresql://me:hunter2@db/x",
        "redis://:hunter2@cache/0",
    )
    assert (found.threads, found.tls_key, found.background) == (6, Path("/run/key"), False)
    assert found.jwt_issuer == "issuer"


def test_a_variable_of_only_a_newline_is_ignored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "\n")
    assert load(file).database_url == "postgresql://file"


def test_a_url_under_the_prefix_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ORCHESTRATION_DATABASE_URL", "postgresql://environment")
    assert load(file).database_url == "postgresql://environment"


def test_variables_with_the_prefix_that_nothing_reads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORCHESTRATION_THREDS", "ORCHESTRATION_TOKEN", "ORCHESTRATION_THREADS", FILE_VARIABLE):
        monkeypatch.setenv(name, "1")
    assert unknown_variables() == ["ORCHESTRATION_THREDS"]


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert load().threads == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threds = 5", "'threds' is not a setting"),
        ("threads = 1", "threads: Input should be greater than or equal to 2"),
        ("threads = ", "cannot read the configuration file"),
    ],
)
def test_an_error_in_a_configuration_file_is_reported(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load(tmp_path / "none.toml")


def test_an_error_does_not_show_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_THREADS", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert "threads" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_pass_unchanged_to_another_process(file: Path) -> None:
    settings = load(file, workspace=Path("/w"), redis_url="redis://r")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_every_setting_is_a_flag_with_its_variable() -> None:
    shown = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"}).invoke(cli, ["serve", "--help"]).stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown
        assert variable(name) in shown


def test_an_invalid_setting_ends_the_command() -> None:
    result = CliRunner().invoke(cli, ["serve", "--threads", "1"])
    assert result.exit_code == 2
