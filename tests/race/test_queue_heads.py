"""A read of the queue that goes on from an earlier one misses no task, and passes no row that is dead."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import uuid4

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, lease_pb2, task_pb2
from orchestration_server.db.connection import Connection
from orchestration_server.store import ready_queue
from orchestration_server.store.aging import DEFAULT
from orchestration_server.store.claims import Claimer, TaskFilter
from orchestration_server.store.ready_queue import CandidatePage, QueueHead
from tests.conftest import Server
from tests.support import factories
from tests.support.ledger import Ledger
from tests.support.query_plans import Explaining, connected

LIMIT = 16
STEPS = 60
FILTERS = (TaskFilter(), TaskFilter(labels=("db",)), TaskFilter(priorities=(1, 3)))
START = datetime(2026, 1, 1, tzinfo=UTC)
INSERT = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
values ('default', %s, '', 1, 3, '', '{}', 1, %s, now(), %s, %s)
"""
# Tasks that follow each other in the queue are not on one page.
SCATTERED = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 't' || n, '', 1, 3, '', array[]::text[], 1,
    timestamptz '2026-01-01' + mod(n * 997, {tasks}) * interval '1 second', now(), gen_random_uuid(), ''
from generate_series(1, {tasks}) n
"""
Kind = TypeVar("Kind")


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[Connection]:
    with connected(database_url) as opened:
        yield opened


def read(
    conn: Connection | Explaining, tasks: TaskFilter = FILTERS[0], head: QueueHead | None = None
) -> CandidatePage:
    return ready_queue.candidates(
        cast(Connection, conn), project="default", claimer=Claimer("a"), tasks=tasks, order=DEFAULT,
        after=None, limit=LIMIT, head=head, expired=head is None,
    )  # fmt: skip


def ready(page: CandidatePage) -> list[str]:
    return [row.task_code for row in page.rows if not row.unready]


class Reader:
    """A reader of one kind of claim that goes on from its last read."""

    def __init__(self, conn: Connection, tasks: TaskFilter) -> None:
        self._conn, self._tasks = conn, tasks
        self._head: QueueHead | None = None

    def read(self) -> None:
        """Compare the next read with one of the whole queue."""
        page = read(self._conn, self._tasks, self._head)
        assert ready(page) == ready(read(self._conn, self._tasks))
        assert page.head is not None
        self._head = page.head


class Fleet:
    """Random work on tasks, of which some is not yet committed."""

    def __init__(self, ledger: Ledger, url: str, seed: int) -> None:
        self._ledger, self._url, self._random = ledger, url, random.Random(seed)
        self._codes: list[str] = []
        self._held: list[lease_pb2.Lease] = []
        self._open: list[psycopg.Connection] = []

    def step(self) -> None:
        steps: Sequence[Callable[[], object]] = (
            *(self.create, self.create, self.claim, self.claim, self.release, self.link),
            *(self.complete, self.edit, self.begin, self.commit),
        )
        # There is no such task, or the ledger refuses the change.
        with suppress(ValueError, grpc.RpcError):
            self._random.choice(steps)()

    def close(self) -> None:
        for one in self._open:
            one.close()

    def create(self) -> None:
        self._codes.append(code := f"t{len(self._codes)}")
        new = task_pb2.NewTask(task=factories.task(
            code, priority=self._random.randint(1, 5), labels=self._random.choice([[], ["db"]]),
        ))  # fmt: skip
        # The order of the queue is not the order in which tasks come.
        new.occur_time.FromDatetime(START + timedelta(seconds=self._random.randint(0, 10_000)))
        self._ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=[new]))

    def claim(self, count: int = 3, tasks: TaskFilter = FILTERS[0]) -> list[str]:
        request = coordination_pb2.ClaimTaskRequest(
            agent="a", count=count, labels=tasks.labels, priorities=tasks.priorities  # type: ignore[arg-type]
        )  # fmt: skip
        claims = self._ledger.coordination.ClaimTask(request).claims
        self._held += [one.lease for one in claims]
        return [one.task.code for one in claims]

    def release(self) -> None:
        lease = self._taken_from(self._held)
        outcome = self._random.choice(
            [lease_pb2.ATTEMPT_OUTCOME_RETURNED, lease_pb2.ATTEMPT_OUTCOME_COMPLETED]
        )
        self._ledger.coordination.ReleaseTask(coordination_pb2.ReleaseTaskRequest(
            task_code=lease.task_code, fence=lease.fence, outcome=outcome
        ))  # fmt: skip

    def link(self) -> None:
        task, blocker = self._random.sample(self._codes, 2)
        self._ledger.link(task, blocker)

    def complete(self) -> None:
        self._ledger.set_status(self._one(), common_pb2.TASK_STATUS_COMPLETED)

    def edit(self) -> None:
        task = task_pb2.Task(code=self._one(), priority=self._random.randint(1, 5))  # type: ignore[arg-type]  # a number of the enum
        request = task_pb2.UpdateTaskRequest(task=task)
        request.update_mask.paths.append("priority")
        self._ledger.tasks.UpdateTask(request)

    def begin(self) -> None:
        """Create a task in a transaction that stays open."""
        if len(self._open) < 3:
            one = psycopg.connect(self._url)
            self._open.append(one)
            self._codes.append(code := f"t{len(self._codes)}")
            task = factories.task(code, uid=str(uuid4()), status=1, priority=3, revision=1)
            at = START + timedelta(seconds=self._random.randint(0, 10_000))
            task.create_time.FromDatetime(at)
            one.execute(INSERT, [code, at, task.uid, task.SerializeToString()])

    def commit(self) -> None:
        one = self._taken_from(self._open)
        one.commit() if self._random.random() < 0.8 else one.rollback()
        one.close()

    def _one(self) -> str:
        return self._random.sample(self._codes, 1)[0]

    def _taken_from(self, these: list[Kind]) -> Kind:
        return these.pop(self._random.sample(range(len(these)), 1)[0])


@pytest.mark.parametrize("seed", range(6))
def test_a_read_that_goes_on_finds_what_a_read_of_the_whole_queue_finds(
    ledger: Ledger, conn: Connection, database_url: str, seed: int
) -> None:
    readers = [Reader(conn, tasks) for tasks in FILTERS]
    fleet = Fleet(ledger, database_url, seed)
    try:
        with psycopg.connect(database_url) as snapshot:
            snapshot.execute("set transaction isolation level repeatable read")
            snapshot.execute("select 1 from log_state")
            for _ in range(STEPS):
                fleet.step()
                for reader in readers:
                    reader.read()
    finally:
        fleet.close()


@pytest.mark.parametrize("seed", range(6))
def test_each_claim_gets_the_first_task_of_the_whole_queue(
    ledger: Ledger, conn: Connection, database_url: str, seed: int
) -> None:
    fleet = Fleet(ledger, database_url, seed)
    try:
        for step in range(STEPS):
            fleet.step()
            tasks = FILTERS[step % len(FILTERS)]
            first = ready(read(conn, tasks))[:1]
            assert fleet.claim(1, tasks) == first
    finally:
        fleet.close()


def test_a_task_that_enters_before_the_head_is_found_once_it_is_committed(
    ledger: Ledger, conn: Connection, database_url: str
) -> None:
    for code in ("first", "second"):
        ledger.task(code)
    ledger.set_status("first", common_pb2.TASK_STATUS_BLOCKED)
    with psycopg.connect(database_url) as writer:
        writer.execute("update tasks set status = 1 where code = 'first'")
        # A transaction that began later and ends first.
        ledger.task("third")
        head = read(conn).head
        assert head is not None
        assert ready(read(conn, head=head)) == ["second", "third"]
        later = read(conn, head=head).head
        writer.commit()
    assert ready(read(conn, head=later)) == ["first", "second", "third"]
    # Control: a reader that looks only at later transactions misses it.
    row = conn.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    assert row is not None
    assert ready(read(conn, head=head._replace(since=row[0]))) == ["second", "third"]


def test_rows_that_a_snapshot_keeps_are_passed_once(conn: Connection, database_url: str) -> None:
    conn.execute(SCATTERED.format(tasks=2_000))
    conn.execute("vacuum analyze")
    head = read(conn).head
    with psycopg.connect(database_url) as snapshot:
        snapshot.execute("set transaction isolation level repeatable read")
        snapshot.execute("select 1 from log_state")
        conn.execute("update tasks set status = 4 where create_time < '2026-01-01 00:30:00'")
        whole, on = Explaining(conn), Explaining(conn)
        later = read(on, head=head).head
        assert ready(read(on, head=later)) == ready(read(whole))
        assert passed(on) < 100
        # Control: a read of the whole queue passes them each time.
        assert passed(whole) > 1_000


def test_the_first_look_needs_no_statistics(conn: Connection) -> None:
    """Until the first ANALYZE all indexes of a project seem equally good."""
    conn.execute(SCATTERED.format(tasks=20_000))
    look = Explaining(conn)
    assert len(read(look).rows) == LIMIT
    # Some 14 blocks for each task, beside the scans. By an index of the whole project it is above 100.
    assert look.blocks() < 2_000


def passed(read: Explaining) -> int:
    """Return the blocks that the scans of the queue have read."""
    found: list[dict[str, Any]] = [
        node for node in read.nodes() if node.get("Index Name", "").startswith("ready_queue")
    ]
    assert found
    return sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in found)
