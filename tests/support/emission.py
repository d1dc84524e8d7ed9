"""Servers with emission policies, the service that logs pending changes, and a clock that stands still."""

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
    """A clock that a test sets; it starts at the present."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@contextmanager
def serving(engines: Engines, database_url: str, folder: Path, policies: str) -> Iterator[Server]:
    """Run a server in this process with these policies."""
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
    """Return a service that logs pending changes beside the server's, by its own clock."""
    assert server.app is not None
    return Debounced(server.app.db, lambda: None, clock)


def tell_all(server: Server) -> int:
    """Log all pending changes, due or not; return the number of events."""
    late = datetime.now(UTC) + LONG_AGO
    service, told = teller(server, lambda: late), 0
    while some := service.run_once():
        told += some
    return told
