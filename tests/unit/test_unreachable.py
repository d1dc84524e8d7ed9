"""Commands whose database or cache cannot be reached report that without showing the URL."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from orchestration_server import app
from orchestration_server.app import App
from orchestration_server.cli import process, serve
from orchestration_server.config.settings import Settings
from tests.support import commands
from tests.support.commands import COMMANDS

BAD = [
    "postgresql//me:hunter2@127.0.0.1/x",
    "postgresql://me:hunter2",
    "postgresql://me:a@hunter2@127.0.0.1/x",
    "postgresql://me:one hunter2@127.0.0.1/x",
    "host=127.0.0.1 password=hunter2 prot=1",
]


def run(command: tuple[str, ...], **env: str) -> tuple[int, str]:
    code, text = commands.run(*command, **env)
    assert "hunter2" not in text
    return code, text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_url_that_is_not_valid_is_refused(command: tuple[str, ...]) -> None:
    for url in BAD:
        code, text = run(command, DATABASE_URL=url)
        assert code == 2
        assert text.startswith("DATABASE_URL is not valid")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_is_away_is_named_with_what_to_ask(command: tuple[str, ...]) -> None:
    code, text = run(command, DATABASE_URL="postgresql://me:hunter2@127.0.0.1:9/x")
    assert code == 1
    assert "the database does not answer" in text
    assert "pg_isready -h 127.0.0.1 -p 9" in text


@pytest.mark.parametrize(
    "url", ["redis://:a/hunter2@localhost/0", "redis:hunter2", "redis://localhost:hunter2"]
)
def test_a_redis_url_that_is_not_valid_is_refused(url: str) -> None:
    code, text = run(COMMANDS[-2], REDIS_URL=url)
    assert code == 2
    assert text.startswith("REDIS_URL is not valid")


def test_others_do_not_read_the_ready_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "Console", lambda **_: Console(quiet=True))
    ready = tmp_path / "ready.json"
    (tmp_path / "ready.part").touch(0o644)
    serve._print_ready("127.0.0.1:1", "", Settings(), ready, "", (True, []))
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600


def test_a_server_that_answers_outlives_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The banner is printed when calls are answered already: it must not need the database then."""
    answering = threading.Event()

    def start(_: App) -> str:
        answering.set()
        return "127.0.0.1:1"

    def has_credentials(_: Settings) -> bool:
        if answering.is_set():
            raise psycopg.OperationalError("the server closed the connection unexpectedly")
        return False

    stopped: list[threading.Event] = []
    monkeypatch.setattr(app.App, "start", start)
    monkeypatch.setattr(app, "has_credentials", has_credentials)
    monkeypatch.setattr(process, "stop_signal", threading.Event)
    monkeypatch.setattr(process, "freeze_gc", lambda: None)
    monkeypatch.setattr(process, "wait_for", stopped.append)
    serve._serve(Settings(), "", None)
    assert stopped
