"""from_time: exactly the events recorded at or after it, whatever order emit_time has in the log."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import event_pb2
from orchestration_server.app import App
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.store import log_times
from tests.support.late_writer import LateWriter, late_writer
from tests.support.ledger import Ledger

pytestmark = pytest.mark.shared_server

SECONDS = 20
MINUTE = timedelta(minutes=1)


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def writer(database_url: str) -> Iterator[LateWriter]:
    with late_writer(database_url) as found:
        yield found


def stamp(time: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(time)
    return found


def read(ledger: Ledger, **fields: object) -> list[event_pb2.Event]:
    stream = ledger.events.StreamTimeline(event_pb2.StreamTimelineRequest(**fields), timeout=SECONDS)  # type: ignore[arg-type]
    return [event for message in stream for event in message.events.events]


def ids(events: list[event_pb2.Event]) -> list[str]:
    return [event.id for event in events]


def test_a_large_group_with_one_time_hides_no_event_before_it(ledger: Ledger, writer: LateWriter) -> None:
    """A group gets its emit_time before its transaction id: later changes may come before it in the log."""
    start = datetime.now(UTC) + 2 * MINUTE
    writer.insert(3, "of.before", emit_time=start - MINUTE)
    early = writer.insert(30, "stands.early", emit_time=start + timedelta(seconds=1))
    group = writer.insert(1100, "of.group", emit_time=start)
    group += writer.insert(1100, "of.group", emit_time=start)
    assert ids(read(ledger, from_time=stamp(start))) == [*early, *group]
    assert ids(read(ledger, from_time=stamp(start + timedelta(seconds=1)))) == early


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_from_a_time_is_the_log_without_events_recorded_before(
    ledger: Ledger, writer: LateWriter, app: App, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps ahead, stands still and is set back, and marks are made now and then."""
    random = Random(seed)
    step = random.choice((1, 3, 7))
    marks = log_times.mark
    monkeypatch.setattr(log_times, "mark", lambda conn, project: marks(conn, project=project, step=step))
    # Ahead of now, in months that have partitions.
    clock = datetime.now(UTC) + 500 * MINUTE
    for _ in range(40):
        clock += random.choice((0, 0, 1, 1, 2, 5, -4, -12)) * MINUTE
        writer.insert(random.choice((1, 1, 2, 9)), emit_time=clock)
        if random.random() < 0.5:
            Rollups(app.db).run_once()
    log = read(ledger)
    times = sorted({event.emit_time.ToMicroseconds() for event in log})
    assert times != [event.emit_time.ToMicroseconds() for event in log]
    for time in [times[0] - 1, *times, times[-1] + 1]:
        from_time = Timestamp()
        from_time.FromMicroseconds(time)
        wanted = [event.id for event in log if event.emit_time.ToMicroseconds() >= time]
        found = read(ledger, from_time=from_time)
        assert ids(found) == wanted
        # A reader that resumes gets no more than one that stayed.
        if found:
            place = random.randrange(len(found))
            assert ids(read(ledger, after_cursor=found[place].cursor)) == wanted[place + 1 :]


def test_marks_are_right(ledger: Ledger, writer: LateWriter, app: App, database_url: str) -> None:
    """A mark describes only the events up to it, and is never beyond the horizon."""
    start = datetime.now(UTC)
    for turn in range(9):
        writer.insert(1, emit_time=start + turn * MINUTE)
    writer.begin()
    ledger.emit()
    with app.db.connection() as conn:
        assert [log_times.mark(conn, project="default", step=4) for _ in range(3)] == [True, True, False]
        assert not log_times.mark(conn, project="other", step=4)
        assert log_times.before(conn, project="default", time=start) < log_times.before(
            conn, project="default", time=start + 4 * MINUTE
        )
        assert not log_times.mark(conn, project="default", step=2)
        writer.commit()
        assert log_times.mark(conn, project="default", step=2)
    with psycopg.connect(database_url) as conn:
        rows = conn.execute(
            "select latest, (select max(emit_time) from events e"
            " where (e.epoch, e.xid, e.seq) <= (t.epoch, t.xid, t.seq)) from log_times t"
        ).fetchall()
    assert len(rows) == 3
    assert all(latest == found for latest, found in rows)


def test_a_time_in_the_future_brings_no_event_recorded_before_it(
    ledger: Ledger, writer: LateWriter, follow: Callable[..., "Following"]
) -> None:
    writer.insert(1, "of.past")
    ahead = datetime.now(UTC) + 30 * MINUTE
    first = follow(ledger, from_time=stamp(ahead))
    cursor = first.caught_up()
    assert read(ledger, from_time=stamp(ahead)) == []
    ledger.emit(type_="still.before")
    wanted = writer.insert(2, "after.it", emit_time=ahead)
    assert first.take(2) == wanted
    assert follow(ledger, after_cursor=cursor).take(2) == wanted
    # When it has passed, streams that started at it share messages with all others.
    later = writer.insert(1, "long.after", emit_time=ahead + 16 * MINUTE)
    assert first.take(1) == later
    last = ledger.emit(type_="clock.set.back").id
    assert first.take(1) == [last]
    assert len(first.cursor) == 32


class Following:
    """A live stream that is read event by event."""

    def __init__(self, ledger: Ledger, **fields: object) -> None:
        request = event_pb2.StreamTimelineRequest(follow=True, **fields)  # type: ignore[arg-type]
        self.call = ledger.events.StreamTimeline(request, timeout=SECONDS)
        self._events = self._flat()
        self.cursor = ""

    def caught_up(self) -> str:
        for message in self.call:
            assert not message.events.events
            if message.WhichOneof("message") == "caught_up":
                return message.caught_up.cursor
        raise AssertionError("the stream ended")

    def take(self, count: int) -> list[str]:
        return [next(self._events) for _ in range(count)]

    def _flat(self) -> Iterator[str]:
        for message in self.call:
            for event in message.events.events:
                self.cursor = event.cursor
                yield event.id


@pytest.fixture
def follow() -> Iterator[Callable[..., Following]]:
    opened: list[Following] = []

    def start(ledger: Ledger, **fields: object) -> Following:
        opened.append(Following(ledger, **fields))
        return opened[-1]

    yield start
    for stream in opened:
        stream.call.cancel()
