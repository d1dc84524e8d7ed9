"""The last activity of sessions: written after the calls, rarely, and repeated after a failure."""

from collections.abc import Callable, Iterator
from itertools import count

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.auth.session_tracker import APART_SECONDS, BATCH, MAX_SESSIONS, SessionTracker
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import Unavailable
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.clock import FakeClock

LONG = 3_600


class Ledger:
    """A server, with access to the rows of its sessions."""

    def __init__(self, url: str, channel: grpc.Channel) -> None:
        self.url = url
        self.sessions = SessionServiceStub(channel)
        TaskServiceStub(channel).CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))

    def start(self, key: str = "one") -> str:
        """Start a session that was last active an hour ago."""
        request = session_pb2.InitAgentRequest(
            task_code="a", agent="ann", new_session_key=key, force_new=True
        )
        self.sessions.InitAgent(request)
        self.rest(key)
        return key

    def rest(self, key: str, seconds: float = LONG) -> None:
        """Move a session's last activity into the past."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "update sessions set last_activity_time = clock_timestamp() - %s * interval '1 second'"
                " where key = %s",
                (seconds, key),
            )

    def get(self, key: str) -> common_pb2.Session:
        return self.sessions.GetSession(session_pb2.GetSessionRequest(session_key=key)).session

    def idle(self, key: str) -> float:
        """Return the seconds since the last activity, by the database's clock."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute("select clock_timestamp()").fetchone()
        assert row is not None
        return float((row[0] - to_datetime(self.get(key).last_activity_time)).total_seconds())


@pytest.fixture
def ledger(server: Server, channel: grpc.Channel) -> Ledger:
    """A ledger whose server records activity and does not write it."""
    assert server.app is not None
    server.app.session_tracker.close()
    return Ledger(server.database_url, channel)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    found = Database(database_url, size=2).start()
    yield found
    found.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def still(db: Database, clock: FakeClock) -> SessionTracker:
    """Return a tracker whose thread is not started: it writes only when a test calls flush."""
    return SessionTracker(db, clock)


def test_activity_is_neither_an_event_nor_a_change(ledger: Ledger, db: Database, clock: FakeClock) -> None:
    key = ledger.start()
    before = ledger.get(key)
    tracker = still(db, clock)

    tracker.touch("default", key)

    assert tracker.flush() == 1
    after = ledger.get(key)
    assert to_datetime(after.last_activity_time) > to_datetime(before.last_activity_time)
    after.last_activity_time.CopyFrom(before.last_activity_time)
    assert after == before
    assert tracker.flush() == 0


def test_last_activity_is_written_at_most_every_ten_seconds(
    ledger: Ledger, db: Database, clock: FakeClock
) -> None:
    key = ledger.start()
    tracker, elsewhere = still(db, clock), still(db, clock)
    tracker.touch("default", key)
    assert tracker.flush() == 1

    clock.now = APART_SECONDS - 0.1
    ledger.rest(key)
    tracker.touch("default", key)
    assert tracker.flush() == 0
    clock.now = APART_SECONDS
    tracker.touch("default", key)
    assert tracker.flush() == 1
    elsewhere.touch("default", key)
    assert elsewhere.flush() == 0


def test_last_activity_is_the_time_of_the_call(ledger: Ledger, db: Database, clock: FakeClock) -> None:
    key = ledger.start()
    tracker = still(db, clock)
    tracker.touch("default", key)
    clock.now = 100.0

    assert tracker.flush() == 1
    assert 100 <= ledger.idle(key) < LONG


def test_a_closed_session_keeps_its_last_activity(ledger: Ledger, db: Database, clock: FakeClock) -> None:
    tracker = still(db, clock)
    key = ledger.start()
    ledger.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=key))

    tracker.touch("default", key)
    tracker.touch("default", "unknown")

    assert tracker.flush() == 0
    assert ledger.idle(key) >= LONG


def test_activity_that_could_not_be_written_is_written_later(
    ledger: Ledger, db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = still(db, clock)
    keys = [ledger.start(key) for key in ("one", "two")]
    tracker.touch("default", "one")

    def away() -> Connection:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(db, "connection", away)
        assert tracker.flush() == 0
        clock.now = APART_SECONDS
        for key in keys:
            tracker.touch("default", key)
        assert tracker.flush() == 0

    assert tracker.flush() == 2
    assert max(ledger.idle(key) for key in keys) < LONG


def test_the_activity_in_memory_is_bounded(
    ledger: Ledger, db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = still(db, clock)
    oldest, newest = ledger.start("oldest"), ledger.start("newest")
    tracker.touch("default", oldest)
    for number in range(MAX_SESSIONS - 1):
        tracker.touch("default", f"s{number}")
    tracker.touch("default", newest)
    sizes = count()
    take = tracker._take

    def counting() -> dict[tuple[str, str], float]:
        batch = take()
        assert len(batch) <= BATCH
        next(sizes)
        return batch

    monkeypatch.setattr(tracker, "_take", counting)

    assert tracker.flush() == 1
    assert next(sizes) == MAX_SESSIONS // BATCH + 1
    assert ledger.idle(newest) < LONG <= ledger.idle(oldest)


def test_a_call_with_a_session_key_makes_the_session_active(
    ledger: Ledger, start_server: Callable[[str], Server]
) -> None:
    server = start_server(ledger.url)
    assert server.app is not None
    read, emitted, logged = (ledger.start(key) for key in ("read", "emitted", "logged"))

    def call(key: str) -> tuple[tuple[str, str], ...]:
        return (("orchestration-session", key),)

    with open_channel(server.address) as channel:
        ask = task_pb2.GetTaskRequest(task_code="a")
        TaskServiceStub(channel).GetTask(ask, metadata=call(read))
        message = event_pb2.EmitEventsRequest(request_id="1", events=[factories.event()])
        list(EventServiceStub(channel).EmitEvents(iter([message]), metadata=call(emitted)))
        activity = session_pb2.LogActivityRequest(session_key=logged, kind="note", message="x")
        SessionServiceStub(channel).LogActivity(activity)
    server.app.session_tracker.close()

    assert max(ledger.idle(key) for key in (read, emitted, logged)) < LONG


def test_a_pause_by_the_session_itself_counts_as_activity(ledger: Ledger) -> None:
    own, others = ledger.start("own"), ledger.start("others")

    for key, carried in ((own, own), (others, own)):
        request = session_pb2.PauseSessionRequest(session_key=key)
        ledger.sessions.PauseSession(request, metadata=(("orchestration-session", carried),))

    assert ledger.idle(own) < LONG <= ledger.idle(others)
