"""GetEventStats from hourly rollups equals a plain count at all times."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.db.database import Database
from orchestration_server.jobs import rollups as jobs
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.store import event_counts, log_positions, migrations
from orchestration_server.store import rollups as rollup_store
from tests.conftest import Server
from tests.support import factories
from tests.support.query_plans import Explaining
from tests.support.statements import counted

START = datetime(2024, 3, 1, tzinfo=UTC)
GROUPS = {
    "hour": event_pb2.EVENT_GROUPING_HOUR,
    "day": event_pb2.EVENT_GROUPING_DAY,
    "week": event_pb2.EVENT_GROUPING_WEEK,
    "type": event_pb2.EVENT_GROUPING_TYPE,
    "entity": event_pb2.EVENT_GROUPING_ENTITY,
    "actor": event_pb2.EVENT_GROUPING_ACTOR,
}
ROLLED = [group for group in GROUPS if group != "entity"]
_projects = count(1)


class Stats:
    """One project of a server, with the service that counts its events."""

    def __init__(self, server: Server, events: EventServiceStub) -> None:
        assert server.app is not None
        self.db: Database = server.app.db
        self.events = events
        self.rollups = Rollups(self.db)
        self.project = f"p{next(_projects)}"
        self._names = count(1)

    def emit(self, new: list[event_pb2.NewEvent]) -> None:
        message = event_pb2.EmitEventsRequest(request_id=f"{self.project}-{next(self._names)}", events=new)
        (answer,) = self.events.EmitEvents(iter([message]), metadata=self.metadata, timeout=20)
        assert answer.stored == len(new), answer.error

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("orchestration-project", self.project),)

    def roll(self) -> None:
        while self.rollups.run_once():
            pass

    def rolled(self) -> int:
        """Return the number of events in the rollups."""
        with self.db.connection() as conn:
            row = conn.execute(
                "select coalesce(sum(count), 0)::bigint from event_rollups"
                " where dimension = 0 and project = %(project)s",
                {"project": self.project},
            ).fetchone()
        assert row is not None
        return int(row[0])

    def asked(
        self, group: str, start: datetime, end: datetime, limit: int
    ) -> event_pb2.GetEventStatsResponse:
        return self.events.GetEventStats(
            event_pb2.GetEventStatsRequest(
                group_by=GROUPS[group],
                start_time=to_timestamp(start),
                end_time=to_timestamp(end),
                limit=limit,
            ),
            metadata=self.metadata,
        )

    def raw(self, group: str, start: datetime, end: datetime, limit: int) -> list[tuple[Any, int, int]]:
        with self.db.connection() as conn:
            return event_counts.stats(
                conn, project=self.project, group=group, start=start, end=end, sprint="", limit=limit
            )

    def check(self, group: str, start: datetime, end: datetime, limit: int = 1_000) -> None:
        """Check that the response equals a count of the raw events."""
        answer = self.asked(group, start, end, limit)
        raw = self.raw(group, start, end, limit)
        assert [c.count for c in answer.counts] == [number for _, number, _ in raw]
        if group in ("type", "actor"):
            assert [c.key for c in answer.counts] == [key for key, _, _ in raw]
        elif group != "entity":
            assert [to_datetime(c.start_time) for c in answer.counts] == [key for key, _, _ in raw]
        assert answer.total == (raw[0][2] if raw else 0)

    def serves(self, group: str, start: datetime, end: datetime) -> bool:
        with self.db.connection() as conn:
            found = rollup_store.stats(conn, project=self.project, group=group, start=start, end=end, limit=1)
        return found is not None


@pytest.fixture
def stats(server: Server, events: EventServiceStub) -> Stats:
    return Stats(server, events)


def new_event(random: Random, hours: float) -> event_pb2.NewEvent:
    fields: dict[str, Any] = {}
    if random.random() < 0.5:
        fields = {"entity_type": random.choice([1, 2]), "entity_code": f"e{random.randrange(4)}"}
    return factories.event(
        f"x.{random.choice('abc')}",
        occur_time=to_timestamp(START + timedelta(hours=hours)),
        actor=random.choice(["", "ann", "ben"]),
        **fields,
    )


# Whole hours, their edges to the microsecond, and arbitrary times.
MOMENTS = st.one_of(
    st.integers(0, 60).map(float),
    st.tuples(st.integers(0, 60), st.sampled_from([-1, 1])).map(lambda p: p[0] + p[1] / 3_600_000_000),
    st.floats(0, 60, allow_nan=False),
).map(lambda hours: max(0.0, hours))
STEPS = st.lists(
    st.one_of(st.lists(MOMENTS, min_size=1, max_size=12), st.just("roll"), st.just("part")), max_size=8
)
RANGES = st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=4)


@settings(max_examples=40)
@given(steps=STEPS, ranges=RANGES, seed=st.integers(0, 2**32))
def test_counts_equal_raw_counts_however_much_is_rolled_up(
    stats: Stats,
    steps: list[list[float] | str],
    ranges: list[tuple[float, float]],
    seed: int,
) -> None:
    random = Random(seed)
    stats.project = f"p{next(_projects)}"
    for step in steps:
        if isinstance(step, list):
            stats.emit([new_event(random, hours) for hours in step])
        elif step == "roll":
            stats.roll()
        else:
            with stats.db.connection() as conn:
                log_positions.begin(conn, reader=rollup_store.READER, project=stats.project)
                rollup_store.roll(conn, project=stats.project, limit=3)
        start, end = sorted(random.choice(ranges))
        stats.check(random.choice(list(GROUPS)), *moments(start, end))
    for start, end in ranges:
        for group in GROUPS:
            stats.check(group, *moments(*sorted((start, end))), limit=random.choice([1, 3, 1_000]))


def moments(start: float, end: float) -> tuple[datetime, datetime]:
    first = START + timedelta(hours=start)
    return first, max(START + timedelta(hours=end), first + timedelta(microseconds=1))


def test_counts_are_exact_while_others_emit_and_roll_up(
    stats: Stats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 40)
    ended = threading.Event()
    first, last = START, START + timedelta(hours=48)
    seen: list[int] = []

    def emit(number: int) -> None:
        random = Random(number)
        for _ in range(25):
            stats.emit([new_event(random, random.uniform(0, 48)) for _ in range(20)])

    def roll() -> None:
        rollups = Rollups(stats.db)
        while not ended.is_set():
            rollups.run_once()

    def look() -> None:
        while not ended.is_set():
            for group in ROLLED[:4]:
                with stats.db.connection() as conn, conn.transaction():
                    # Both counts read the same snapshot.
                    conn.execute("set transaction isolation level repeatable read")
                    params: dict[str, Any] = {"project": stats.project, "group": group, "limit": 1_000}
                    rolled = rollup_store.stats(conn, start=first, end=last, **params)
                    raw = event_counts.stats(conn, start=first, end=last, sprint="", **params)
                assert rolled == raw
                seen.append(raw[0][2] if raw else 0)

    with ThreadPoolExecutor(10) as pool:
        others = [pool.submit(roll), pool.submit(roll), pool.submit(look), pool.submit(look)]
        for one in [pool.submit(emit, number) for number in range(4)]:
            one.result(timeout=60)
        ended.set()
        for other in others:
            other.result(timeout=60)
    assert len(set(seen)) > 5
    stats.roll()
    for group in GROUPS:
        stats.check(group, first, last)
    assert stats.asked("type", first, last, 10).total == 2_000


@contextmanager
def open_write(url: str, project: str, time: datetime) -> Iterator[psycopg.Connection[Any]]:
    """Write an event in a transaction that stays open."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "insert into events select true, epoch, pg_current_xact_id(), nextval('event_seq'), project,"
            " gen_random_uuid(), type, entity_type, entity_code, sprint_code, priority, correlation_id,"
            " session_key, actor, %s, emit_time, body from events where project = %s limit 1",
            (time, project),
        )
        yield conn


def test_a_late_commit_is_counted_once(server: Server, stats: Stats) -> None:
    random = Random(1)
    start, end = START, START + timedelta(hours=10)
    stats.emit([new_event(random, 1.5)])
    with open_write(server.database_url, stats.project, START + timedelta(hours=2.5)) as late:
        # It has a lower transaction id than the events that follow, and commits after them.
        stats.emit([new_event(random, 3.5)])
        stats.roll()
        assert stats.rolled() == 1
        stats.check("type", start, end)
        late.commit()
    stats.check("type", start, end)
    stats.roll()
    assert stats.rolled() == 3
    assert stats.asked("hour", start, end, 100).total == 3
    stats.check("hour", start, end)


def test_counts_go_on_in_a_new_epoch(
    server: Server, stats: Stats, start_server: Callable[[str], Server]
) -> None:
    random = Random(2)
    start, end = START, START + timedelta(hours=48)
    for part in range(3):
        stats.emit([new_event(random, random.uniform(0, 48)) for _ in range(30)])
        if part != 1:
            stats.roll()
        stats.check("actor", start, end)
        with psycopg.connect(server.database_url, autocommit=True) as conn:
            conn.execute("update log_state set cluster = 'elsewhere'")
            migrations.migrate(conn)
    assert stats.asked("actor", start, end, 100).total < 90
    assert stats.asked("type", start, end, 100).total == 90


def test_rollups_are_used_for_whole_hours_if_few_events_are_behind(
    stats: Stats, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = timedelta(hours=1)
    stats.emit([new_event(Random(n), n * 0.3) for n in range(60)])
    stats.roll()
    assert all(stats.serves(group, START, START + hour) for group in ROLLED)
    assert not stats.serves("entity", START, START + hour)
    assert stats.serves("type", START + hour / 2, START + hour * 2)
    assert not stats.serves("type", START + hour / 2, START + hour * 2 - timedelta(microseconds=1))
    assert not stats.serves("type", START + hour / 4, START + hour / 2)
    stats.emit([new_event(Random(n), n * 0.3) for n in range(20)])
    assert stats.serves("type", START, START + hour)
    monkeypatch.setattr(rollup_store, "MAX_UNROLLED", 19)
    assert not stats.serves("type", START, START + hour)
    stats.check("type", START, START + hour)
    latest = datetime.max.replace(tzinfo=UTC)
    assert not stats.serves("type", latest - hour / 2, latest)


def test_busy_projects_do_not_keep_others_waiting(stats: Stats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PROJECTS", 2)
    monkeypatch.setattr(jobs, "BATCH", 1)
    names = [f"busy{n}" for n in range(5)]
    for name in names:
        stats.project = name
        stats.emit([new_event(Random(n), 1) for n in range(3)])
    rounds = Counter(stats.rollups.run_once() for _ in range(3))
    assert rounds == {2: 2, 1: 1}
    stats.roll()
    for name in names:
        stats.project = name
        assert stats.rolled() == 3
        stats.check("type", START, START + timedelta(hours=5))


def test_a_whole_range_reads_little(stats: Stats, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 6,000 events it reads the hours, the edges and the events behind, even without statistics."""
    for part in range(12):
        stats.emit([new_event(Random(n), n % 48 + 0.5) for n in range(part * 500, part * 500 + 500)])
    stats.roll()
    stats.emit([new_event(Random(n), n) for n in range(40)])
    start, end = START + timedelta(hours=0.6), START + timedelta(hours=47.4)
    with stats.db.connection() as conn:
        explaining: Any = Explaining(conn)
        for group in ROLLED:
            found = rollup_store.stats(
                explaining, project=stats.project, group=group, start=start, end=end, limit=100
            )
            assert found
            read = sum(
                node["Actual Rows"] * node["Actual Loops"]
                for node in explaining.nodes()
                if not node.get("Plans")
            )
            assert read < 1_000, group
    with counted(monkeypatch) as statements:
        stats.asked("type", start, end, 50)
    assert len(statements) == 5, "version, clock, how much is behind, the count, the version again"
