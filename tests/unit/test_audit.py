"""What is told of refusals: the first at once, the others counted, and never more than a minute's worth."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.v1.event_pb2 import Event
from orchestration_server.auth.audit import EVENTS_A_MINUTE, KINDS, KINDS_OF_ONE, OTHERS, Kind, Refusals
from orchestration_server.model import Call, EventRow
from tests.support.clock import FakeClock

KIND = Kind("p", "TaskService/GetTask", "ROLE_TOO_LOW", "192.0.2.1", "abc")


class Log:
    """Keeps what is recorded, or fails."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    def record(self, call: Call, events: Sequence[EventRow]) -> None:
        if self.away:
            raise RuntimeError("away")
        for row in events:
            self.said.append((row.project, dict(Event.FromString(row.body).payload.items())))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def refusals(log: Log, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Refusals:
    monkeypatch.setattr(Refusals, "_run", lambda _: None)
    return Refusals(log, lambda: datetime.now(UTC), clock=clock)  # type: ignore[arg-type]  # all that is asked of a gate


def test_the_first_is_told_at_once_and_the_others_of_its_minute_at_its_end(
    refusals: Refusals, log: Log, clock: FakeClock
) -> None:
    for _ in range(5):
        refusals.note(KIND)
        refusals.flush()
    assert [(project, said["count"]) for project, said in log.said] == [("p", 1)]
    clock.now = 59
    assert refusals.flush() == 0
    clock.now = 61
    refusals.flush()
    assert [said["count"] for _, said in log.said] == [1, 4]
    assert log.said[1][1]["seconds"] == 61
    refusals.note(KIND)
    refusals.flush()
    clock.now = 130
    refusals.flush()
    assert [said["count"] for _, said in log.said] == [1, 4, 1]
    assert refusals.flush() == 0


def test_no_more_than_a_minute_s_worth_is_told(refusals: Refusals, log: Log, clock: FakeClock) -> None:
    for n in range(KINDS + 50):
        refusals.note(KIND._replace(peer=str(n)))
    refusals.flush()
    assert len(log.said) == EVENTS_A_MINUTE
    clock.now = 61
    refusals.flush()
    assert len(log.said) == 2 * EVENTS_A_MINUTE


def test_one_caller_leaves_room_for_the_refusals_of_others(refusals: Refusals, log: Log) -> None:
    for n in range(KINDS):
        refusals.note(KIND._replace(rpc=str(n), caller=""))
    refusals.note(KIND._replace(peer="198.51.100.7", caller=""))
    refusals.flush()
    assert len(log.said) == KINDS_OF_ONE + 2
    project, others = log.said[KINDS_OF_ONE]
    assert (project, others["rpc"], others["count"]) == ("default", OTHERS, KINDS - KINDS_OF_ONE)
    assert log.said[-1][1]["peer"] == "198.51.100.7"


def test_above_all_kinds_they_are_counted_together(refusals: Refusals, clock: FakeClock) -> None:
    for n in range(KINDS + 50):
        refusals.note(KIND._replace(peer=str(n), caller=""))
    assert refusals._counts[Kind("default", OTHERS, KIND.reason, OTHERS, "")].waiting == 50
    for _ in range(KINDS // EVENTS_A_MINUTE + 2):
        clock.now += 61
        refusals.flush()
    clock.now += 61
    refusals.flush()
    assert not refusals._counts
    assert not refusals._of_one


def test_what_cannot_be_written_harms_nobody(refusals: Refusals, log: Log) -> None:
    log.away = True
    refusals.note(KIND)
    refusals.flush()
    log.away = False
    refusals.note(KIND._replace(rpc="TaskService/ListTasks"))
    refusals.flush()
    assert [said["rpc"] for _, said in log.said] == ["TaskService/ListTasks"]
