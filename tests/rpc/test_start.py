"""A process whose start fails stops the parts that it has started."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

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
from orchestration_server.writes.group_commit import GroupCommit

JOIN_SECONDS = 5
PARTS = (Database, Hub, WakeBus, RefusalAudit, Credentials, SessionTracker, GroupCommit, Runner)


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


@pytest.mark.parametrize("part", [Database, WakeBus, Runner], ids=lambda part: part.__name__)
def test_a_worker_whose_start_fails_leaves_no_thread(
    part: type[Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_after(monkeypatch, part)
    assert left_by(Worker(Settings(database_url=database_url)).start, Fault) == []
