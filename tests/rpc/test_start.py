"""Parts may work as soon as they start. A process whose start fails stops those that it has started."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from orchestration_server import app
from orchestration_server.app import App, Worker
from orchestration_server.auth.audit import RefusalAudit
from orchestration_server.auth.credentials import Credentials
from orchestration_server.auth.session_tracker import SessionTracker
from orchestration_server.cache.wakes import WakeBus
from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.errors import CannotListen
from orchestration_server.jobs.runner import Runner
from orchestration_server.rpc.server import Server
from orchestration_server.timeline.hub import Hub
from orchestration_server.work.waiting_claims import WaitingClaims
from orchestration_server.writes.group_commit import GroupCommit

JOIN_SECONDS = 5
PARTS = (
    Database,
    Hub,
    WaitingClaims,
    WakeBus,
    RefusalAudit,
    Credentials,
    SessionTracker,
    GroupCommit,
    Runner,
)


class Fault(Exception):
    """The fault that a test injects."""


def fail_after(monkeypatch: pytest.MonkeyPatch, part: type[Any]) -> None:
    """Let the start of a part fail after it has started its threads."""
    start = part.start

    def failing(self: Any) -> None:
        start(self)
        raise Fault

    monkeypatch.setattr(part, "start", failing)


def left_by(start: Callable[[], object], fault: type[Exception]) -> list[str]:
    """Return the names of the threads that a start leaves behind when it fails."""
    before = set(threading.enumerate())
    with pytest.raises(fault):
        start()
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(JOIN_SECONDS)
    return [thread.name for thread in left if thread.is_alive()]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_start_that_fails_leaves_no_thread(
    part: type[Any], start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_after(monkeypatch, part)
    assert left_by(start_app, Fault) == []


def test_a_server_that_cannot_listen_leaves_no_thread(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: Server) -> int:
        raise CannotListen("the address is in use")

    monkeypatch.setattr(Server, "_listen", taken)
    assert left_by(start_app, CannotListen) == []


def test_the_control_finds_threads_that_are_left(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_after(monkeypatch, Runner)
    close = SessionTracker.close
    trackers: list[SessionTracker] = []
    monkeypatch.setattr(SessionTracker, "close", lambda tracker: trackers.append(tracker))
    monkeypatch.setattr("tests.rpc.test_start.JOIN_SECONDS", 0.1)
    assert left_by(start_app, Fault) == ["session-tracker"]
    for tracker in trackers:
        close(tracker)


def calls_of(part: object) -> list[Callable[[], None]]:
    """Return the methods of the app that a part, or a background service of it, was given to call."""
    values = list(vars(part).values()) if hasattr(part, "__dict__") else []
    services = [service for value in values if isinstance(value, list) for service in value]
    given = [*values, *(value for service in services for value in getattr(service, "__dict__", {}).values())]
    return [value for value in given if isinstance(getattr(value, "__self__", None), App)]


def test_a_part_may_call_the_app_as_soon_as_it_starts(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = app._start
    called: set[str] = set()

    def calling(stack: ExitStack, part: Any) -> Any:
        started = start(stack, part)
        for call in calls_of(part):
            call()
            called.add(call.__name__)
        return started

    monkeypatch.setattr(app, "_start", calling)
    start_app(background=True)
    assert called >= {"_woken", "_wake"}


@pytest.mark.parametrize("part", [Database, WakeBus, Runner], ids=lambda part: part.__name__)
def test_a_worker_whose_start_fails_leaves_no_thread(
    part: type[Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_after(monkeypatch, part)
    assert left_by(Worker(Settings(database_url=database_url)).start, Fault) == []
