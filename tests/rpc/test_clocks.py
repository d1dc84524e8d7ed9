"""A server whose clock is hours off judges times by the database's clock."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import admin_pb2, event_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration_server.app import App
from orchestration_server.db.database import Database
from orchestration_server.model import Role
from orchestration_server.store.database_clock import STALE_SECONDS, DatabaseClock
from tests.conftest import open_channel
from tests.support import factories
from tests.support.clock import FakeClock
from tests.support.credentials import bearer, make_key
from tests.support.ledger import Ledger
from tests.support.rpc_errors import refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT
HOURS = 6


def at(**ahead: float) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(datetime.now(UTC) + timedelta(**ahead))
    return found


@pytest.fixture(params=[HOURS, -HOURS], ids=["ahead", "behind"])
def off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the clock wrong for the server, but not for grpc, which needs it for its waits."""
    right = time.time

    def wrong() -> float:
        module = str(sys._getframe(1).f_globals["__name__"])  # its public name
        hours: int = request.param if module.startswith("orchestration_server") else 0
        return right() + hours * 3600

    monkeypatch.setattr(time, "time", wrong)


@pytest.fixture
def wrong(off: None, start_app: Callable[..., App]) -> Iterator[grpc.Channel]:
    with open_channel(start_app().address) as found:
        yield found


def emitted(ledger: Ledger, time: Timestamp) -> None:
    request = event_pb2.EmitEventsRequest(request_id="r", events=[factories.event(occur_time=time)])
    answer = next(ledger.events.EmitEvents(iter([request])))
    if answer.HasField("error"):
        assert list(answer.error.violations) == ["events[0].occur_time"]
    assert answer.stored == (not answer.HasField("error"))
    if not answer.stored:
        raise AssertionError("refused")


WRITES: dict[str, Callable[[Ledger, Any], Any]] = {
    "CreateTask": lambda ledger, time: ledger.tasks.CreateTask(
        task_pb2.CreateTaskRequest(task=factories.task(), occur_time=time)
    ),
    "BatchCreateTasks": lambda ledger, time: ledger.tasks.BatchCreateTasks(
        task_pb2.BatchCreateTasksRequest(tasks=[task_pb2.NewTask(task=factories.task(), occur_time=time)])
    ),
    "CreateSprint": lambda ledger, time: ledger.sprints.CreateSprint(
        sprint_pb2.CreateSprintRequest(sprint=factories.sprint(), occur_time=time)
    ),
    "EmitEvent": lambda ledger, time: ledger.emit(occur_time=time),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_occur_times_are_judged_by_the_database(wrong: grpc.Channel, write: Callable[..., Any]) -> None:
    ledger = Ledger(wrong)
    for ahead in (-10_000, 0, 240):
        write(ledger, at(seconds=ahead))
    with refused(INVALID) as caught:
        write(ledger, at(seconds=360))
    assert "must not be more than 300 seconds ahead" in str(caught.value)


def test_a_stream_and_a_report_use_the_database_clock(wrong: grpc.Channel) -> None:
    ledger = Ledger(wrong)
    emitted(ledger, at(seconds=240))
    with pytest.raises(AssertionError, match="refused"):
        emitted(ledger, at(seconds=360))
    reports = ReportServiceStub(wrong)
    reports.CreateBugReport(report_pb2.CreateBugReportRequest(title="t", occur_time=at(seconds=240)))
    with refused(INVALID):
        reports.CreateBugReport(report_pb2.CreateBugReportRequest(title="t", occur_time=at(seconds=360)))


def test_a_range_of_statistics_begins_in_the_past_of_the_database(wrong: grpc.Channel) -> None:
    events = Ledger(wrong).events
    for seconds in (-10, -365 * 86_400):
        events.GetEventStats(event_pb2.GetEventStatsRequest(start_time=at(seconds=seconds)))
    for seconds in (60, -367 * 86_400):
        with refused(INVALID):
            events.GetEventStats(event_pb2.GetEventStatsRequest(start_time=at(seconds=seconds)))


def test_a_cutoff_is_a_day_old_by_the_database_clock(wrong: grpc.Channel) -> None:
    admin = AdminServiceStub(wrong)
    admin.ArchiveEvents(admin_pb2.ArchiveEventsRequest(cutoff=at(hours=-25), dry_run=True))
    with refused(INVALID):
        admin.ArchiveEvents(admin_pb2.ArchiveEventsRequest(cutoff=at(hours=-23), dry_run=True))


def test_a_key_expires_by_the_database(off: None, database_url: str, start_app: Callable[..., App]) -> None:
    now = datetime.now(UTC)
    good = make_key(database_url, role=Role.READER, expire_time=now + timedelta(hours=1))
    over = make_key(database_url, role=Role.READER, expire_time=now - timedelta(hours=1))
    with open_channel(start_app().address) as channel:
        tasks = Ledger(channel).tasks
        tasks.ListTasks(task_pb2.ListTasksRequest(), metadata=bearer(good))
        with refused(grpc.StatusCode.UNAUTHENTICATED, "KEY_EXPIRED"):
            tasks.ListTasks(task_pb2.ListTasksRequest(), metadata=bearer(over))


def test_the_database_clock_is_read_once_a_minute(database_url: str) -> None:
    db = Database(database_url, size=1).start()
    seconds = FakeClock()
    clock = DatabaseClock(db, seconds)
    first = clock.now()
    seconds.now += 30
    assert clock.now() - first == timedelta(seconds=30)
    clock.refresh()
    assert clock.now() - first == timedelta(seconds=30), "it is not asked yet"
    seconds.now += STALE_SECONDS
    clock.refresh()
    assert clock.now() - first < timedelta(seconds=30), "the database did not wait for the test"
    db.close()
