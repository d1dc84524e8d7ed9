"""The checks of `orchestration doctor` for the built-in engines and their data directory."""

import os
from pathlib import Path

import pytest

from orchestration_server.config.settings import Settings
from orchestration_server.doctor import engines
from orchestration_server.doctor.findings import Level
from orchestration_server.embedded import files

OK, WARNING, FAILED = Level


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the data directory of a server that has stopped."""
    files.lock_data_dir(tmp_path).close()
    (tmp_path / "lock").write_text("")
    return tmp_path


def built_in(data: Path) -> tuple[Level, str, str]:
    settings = Settings(data_dir=data)
    (found,) = engines.built_in(engines.find_installation(settings))
    return found.level, found.text, found.fix


def cluster(data: Path) -> Path:
    postgres, _ = files.find_postgres()
    found = data / f"postgres-{files.major_version(postgres)}"
    found.mkdir()
    return found


def test_built_in_engines_that_are_stopped(data: Path) -> None:
    found, text, fix = built_in(data)
    assert (found, fix) == (OK, "orchestration serve")
    assert text.startswith("stopped")


def test_built_in_engines_that_a_crash_ended(data: Path) -> None:
    (cluster(data) / "postmaster.pid").write_text(f"{os.getpid()}\n")
    found, text, _ = built_in(data)
    assert found == OK
    assert "crash" in text


def test_a_postgres_that_no_server_started_is_in_the_way(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = cluster(data)
    (place / "postmaster.pid").write_text(f"{os.getpid()}\n")
    monkeypatch.chdir(place)
    found, _, fix = built_in(data)
    assert (found, fix) == (FAILED, f"kill -INT {os.getpid()}")


def test_data_of_another_postgres_is_refused(data: Path) -> None:
    old = data / "postgres-9"
    old.mkdir()
    (old / "PG_VERSION").write_text("9\n")
    found, text, _ = built_in(data)
    assert found == FAILED
    assert "has data of Postgres 9" in text


def test_a_data_directory_that_cannot_be_written_in(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert built_in(data)[0] == FAILED


def test_engines_that_run_are_found_and_those_that_start_too(data: Path) -> None:
    with files.lock_data_dir(data):
        installation = engines.find_installation(Settings(data_dir=data))
        assert installation.database_url == ""
        found, text, _ = built_in(data)
        assert found == WARNING
        assert f"process {os.getpid()} is starting" in text
        run = data / "run"
        run.mkdir()
        (run / ".s.PGSQL.5432").touch()
        assert engines.find_installation(Settings(data_dir=data)).database_url == (
            f"postgresql:///orchestration?host={run}&user=orchestration"
        )
        assert built_in(data)[0] == OK


def test_engines_whose_server_is_gone_are_waited_for(data: Path) -> None:
    with files.lock_data_dir(data):
        (data / "lock").write_text("1 0")
        found, text, _ = built_in(data)
        assert found == WARNING
        assert "still run" in text
