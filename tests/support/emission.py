"""Servers with emission policies, the service that tells of what is held, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs.debounce import Debounced
from tests.conftest import Server

DEBOUNCE = """
policies:
  - on: [orchestration.task.status_updated, orchestration.sprint.status_changed]
    emit: debounce
    stable_seconds: 5
    latest_seconds: 60
"""
LONG_AGO = timedelta(days=1)


class Clock:
    """The time that a test says it is; it starts now."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@contextmanager
def serving(engines: Engines, database_url: str, folder: Path, policies: str) -> Iterator[Server]:
    """A server in this process with these policies."""
    file = folder / "emission.yaml"
    file.write_text(policies)
    app = App(
        Settings(
            address="127.0.0.1:0", database_url=database_url, redis_url=engines.redis_url or "",
            grace_seconds=1, emission_file=file,
        )
    )  # fmt: skip
    try:
        yield Server(app.start(), database_url, app)
    finally:
        app.stop()


def teller(server: Server, clock: Callable[[], datetime]) -> Debounced:
    """What tells of held changes, beside the server and by a clock of its own."""
    assert server.app is not None
    return Debounced(server.app.db, lambda: None, clock)


def tell_all(server: Server) -> int:
    """Tells of all that is held, whatever its time; how many events it took."""
    late = datetime.now(UTC) + LONG_AGO
    service, told = teller(server, lambda: late), 0
    while some := service.run_once():
        told += some
    return told
