"""Each event is in one place while events move and processes write, read, wait or are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from orchestration.v1 import event_pb2
from orchestration_server.db.database import Database
from orchestration_server.maintenance.archiver import Archiver
from tests.conftest import Server, open_channel
from tests.support.archive import OldLog, month
from tests.support.ledger import Ledger
from tests.support.waits import turns

BACK = (7, 6, 5)
EVENTS = 3_000
"""Events in each month. A tenth of them are kept for ever."""
WRITERS = 3
READERS = 2
SPLIT = month(BACK[1]) + timedelta(days=13)


class Old(OldLog):
    """A log with three old months, and a service that moves them."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.database_url = database_url
        self.db = Database(database_url, size=2).start()
        for back in BACK:
            # The middle month was made by a release without an archive.
            self.add_month(back, checked=back != BACK[1])
            self.fill(back, EVENTS)
        self.conn.execute("analyze events")
        self.counted()
        self.before = set.union(*self.places())
        self.archive = Archiver(self.db)

    def run(self) -> None:
        """Move all old events. One month is split first."""
        self.archive.run(SPLIT, exact=True)
        self.archive.run(month(BACK[-1] - 1), exact=False)

    def complete(self) -> None:
        """Move the rest, and check that each event is there as before."""
        self.run()
        live, archived = self.places()
        assert live | archived >= self.before
        assert len(archived) == len(BACK) * EVENTS * 9 // 10
        assert not self.conn.execute("select from pg_locks where locktype = 'advisory'").fetchall()

    def same(self) -> None:
        """Check that each event is in one place."""
        assert set.union(*self.places()) == self.before

    def close(self) -> None:
        self.db.close()
        super().close()


@pytest.fixture
def old(database_url: str) -> Iterator[Old]:
    with closing(Old(database_url)) as made:
        yield made


@contextmanager
def holding(url: str, statement: str) -> Iterator[None]:
    """Hold a transaction of another process open after a statement."""
    with psycopg.connect(url) as conn:
        conn.execute(statement.encode())
        yield


def wait_for(old: Old, condition: str) -> int:
    """Wait until a row of pg_stat_activity of another connection matches, and return its pid."""
    query = f"select pid from pg_stat_activity where datname = current_database() and {condition}".encode()
    for _ in turns(60):
        if (row := old.conn.execute(query).fetchone()) is not None:
            break
    assert row is not None
    return int(row[0])


def test_readers_see_each_event_once_while_months_move_under_writers(
    old: Old, server: Server, database_url: str
) -> None:
    ending = Event()

    def write(number: int) -> list[str]:
        with open_channel(server.address) as channel:
            ledger, ids = Ledger(channel), []
            while not ending.is_set():
                ids.append(ledger.emit(f"w-{number}").id)
            return ids

    def read(_: int) -> int:
        readings = 0
        with open_channel(server.address) as channel:
            events = Ledger(channel).events
            while not ending.is_set() or not readings:
                request = event_pb2.StreamTimelineRequest(include_archived=True, batch_size=100)
                seen = [e.cursor for m in events.StreamTimeline(request) for e in m.events.events]
                assert len(seen) == len(set(seen)) >= len(old.before)
                listed = event_pb2.ListEventsRequest(
                    filter=event_pb2.EventFilter(sprint_code="sprint-5"), page_size=500, include_archived=True
                )
                assert len(events.ListEvents(listed).events) == 500
                readings += 1
        return readings

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        writers = [pool.submit(write, n) for n in range(WRITERS)]
        readers = [pool.submit(read, n) for n in range(READERS)]
        try:
            old.run()
        finally:
            ending.set()
        written = {one for writer in writers for one in writer.result()}
        assert all(reader.result() for reader in readers)
    assert written
    live, _ = old.places()
    assert written <= live
    old.complete()


@pytest.mark.parametrize(
    "held",
    ["select from events limit 1", "lock table only events_rest in access share mode"],
    ids=["a reader of the log", "a reader that writers meet too"],
)
def test_a_long_lock_on_the_log_delays_the_archiver_and_no_writer(
    old: Old, server: Server, held: str
) -> None:
    with open_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        ledger = Ledger(channel)
        with holding(old.database_url, held):
            moving = pool.submit(old.archive.step, month(BACK[0] - 1), exact=False)
            for _ in range(3):
                wait_for(old, "wait_event_type = 'Lock' and query like '%ledger_archive_part%'")
                for _ in range(5):
                    # This returns, because the archiver does not wait for the locks without a limit.
                    ledger.events.EmitEvent(
                        event_pb2.EmitEventRequest(event=event_pb2.NewEvent(type="a.write")), timeout=10
                    )
            assert not moving.done()
            assert old.places()[1] == set()
        moved = moving.result()
    assert moved is not None
    assert moved.whole


MIDDLE = f"events_rest_{month(BACK[1]):%Y_%m}"
# The locks that another process holds to stop the archiver at a point, and the events moved by then: in the
# middle of a check of bounds, of the swap of a month, and of the chunks of another month.
POINTS = {
    "validation": (f"lock table {MIDDLE} in share update exclusive mode", 2_700),
    "swap": ("lock table only events_rest in access share mode", 0),
    "chunks": (
        f"select from {MIDDLE} where emit_time >= '{month(BACK[1]) + timedelta(days=12)}'"
        " order by emit_time limit 50 for update",
        2_700 + 2 * 500,
    ),
}


@pytest.mark.parametrize(
    ("point", "killed"),
    [
        ("validation", "process"),
        ("swap", "backend"),
        pytest.param("validation", "backend", marks=pytest.mark.race),
        pytest.param("swap", "process", marks=pytest.mark.race),
        ("chunks", "process"),
        pytest.param("chunks", "backend", marks=pytest.mark.race),
    ],
)
def test_a_kill_at_any_point_leaves_each_event_in_one_place(old: Old, point: str, killed: str) -> None:
    held, moved = POINTS[point]
    exact = point == "chunks"
    if exact:
        old.archive.step(SPLIT, exact=False)
    cutoff = SPLIT if exact else month(BACK[-1] - 1)
    days = (datetime.now(UTC) - cutoff).days
    command = [sys.executable, "-m", "orchestration_server", "archive", f"--older-than={days}d"]
    with holding(old.database_url, held):
        process = subprocess.Popen(
            [*command, *(["--exact"] if exact else [])], env={"DATABASE_URL": old.database_url},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        pid = wait_for(old, "wait_event_type = 'Lock' and application_name = 'orchestration'")
        if killed == "process":
            process.kill()
        else:
            old.conn.execute("select pg_terminate_backend(%s)", (pid,))
        assert process.wait(timeout=60) != 0
        old.same()
        assert len(old.places()[1]) == moved
    old.same()
    old.complete()


def test_two_concurrent_archivers_do_the_work_once(old: Old) -> None:
    def run(_: int) -> int:
        moved = 0
        while (outcome := old.archive.run(month(BACK[-1] - 1), exact=False)).more:
            moved += len(outcome.moved)
        return moved + len(outcome.moved)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(run, range(2))) == len(BACK)
    old.complete()
