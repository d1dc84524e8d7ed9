"""The audit of refused calls: it logs the first at once and counts the others, up to a limit a minute."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.v1.event_pb2 import Event
from orchestration_server.auth.audit import (
    EVENTS_PER_MINUTE,
    MAX_KEYS,
    MAX_KEYS_PER_CALLER,
    OTHERS,
    RefusalAudit,
    RefusalKey,
)
from orchestration_server.model import Call, EventRow
from tests.support.clock import FakeClock

KEY = RefusalKey("p", "TaskService/GetTask", "ROLE_TOO_LOW", "192.0.2.1", "abc")


class Log:
    """A gate that keeps recorded events, or fails."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    def record(self, call: Call, events: Sequence[EventRow]) -> None:
        if self.away:
            raise RuntimeError("away")
        for row in events:
            self.recorded.append((row.project, dict(Event.FromString(row.body).payload.items())))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def audit(log: Log, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> RefusalAudit:
    monkeypatch.setattr(RefusalAudit, "_run", lambda _: None)
    return RefusalAudit(log, lambda: datetime.now(UTC), clock=clock)  # type: ignore[arg-type]  # all that is asked of a gate


def test_the_first_refusal_is_logged_at_once_and_the_others_when_the_minute_ends(
    audit: RefusalAudit, log: Log, clock: FakeClock
) -> None:
    for _ in range(5):
        audit.record(KEY)
        audit.flush()
    assert [(project, said["count"]) for project, said in log.recorded] == [("p", 1)]
    clock.now = 59
    assert audit.flush() == 0
    clock.now = 61
    audit.flush()
    assert [said["count"] for _, said in log.recorded] == [1, 4]
    assert log.recorded[1][1]["seconds"] == 61
    audit.record(KEY)
    audit.flush()
    clock.now = 130
    audit.flush()
    assert [said["count"] for _, said in log.recorded] == [1, 4, 1]
    assert audit.flush() == 0


def test_at_most_sixty_events_a_minute_are_logged(audit: RefusalAudit, log: Log, clock: FakeClock) -> None:
    for n in range(MAX_KEYS + 50):
        audit.record(KEY._replace(peer=str(n)))
    audit.flush()
    assert len(log.recorded) == EVENTS_PER_MINUTE
    clock.now = 61
    audit.flush()
    assert len(log.recorded) == 2 * EVENTS_PER_MINUTE


def test_the_keys_of_one_caller_are_limited(audit: RefusalAudit, log: Log) -> None:
    for n in range(MAX_KEYS):
        audit.record(KEY._replace(rpc=str(n), caller=""))
    audit.record(KEY._replace(peer="198.51.100.7", caller=""))
    audit.flush()
    assert len(log.recorded) == MAX_KEYS_PER_CALLER + 2
    project, others = log.recorded[MAX_KEYS_PER_CALLER]
    assert (project, others["rpc"], others["count"]) == ("default", OTHERS, MAX_KEYS - MAX_KEYS_PER_CALLER)
    assert log.recorded[-1][1]["peer"] == "198.51.100.7"


def test_above_the_limit_of_keys_refusals_are_counted_together(audit: RefusalAudit, clock: FakeClock) -> None:
    for n in range(MAX_KEYS + 50):
        audit.record(KEY._replace(peer=str(n), caller=""))
    assert audit._counts[RefusalKey("default", OTHERS, KEY.reason, OTHERS, "")].pending == 50
    for _ in range(MAX_KEYS // EVENTS_PER_MINUTE + 2):
        clock.now += 61
        audit.flush()
    clock.now += 61
    audit.flush()
    assert not audit._counts
    assert not audit._keys_of


def test_a_failed_write_does_not_stop_the_audit(audit: RefusalAudit, log: Log) -> None:
    log.away = True
    audit.record(KEY)
    audit.flush()
    log.away = False
    audit.record(KEY._replace(rpc="TaskService/ListTasks"))
    audit.flush()
    assert [said["rpc"] for _, said in log.recorded] == ["TaskService/ListTasks"]
