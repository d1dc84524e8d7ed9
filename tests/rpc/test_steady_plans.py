"""A call on a few tasks reads a few rows, whatever the statistics say of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import LiteralString

import psycopg
import pytest

from orchestration.v1 import context_pb2, coordination_pb2, lease_pb2, task_pb2
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from tests.conftest import new_database, open_channel
from tests.support import factories
from tests.support.ledger import Ledger

TASKS = 4_000
BATCH = 500
HUB = "hub"
ROWS = 2_500
"""A call may read this many rows and entries of indexes. A context shows 500 links; a table has 4,000."""
ROWS_OF_A_BATCHED_TASK = 50
WORK = "select code from tasks where code <> 'hub' and code like 'm%'"
SHAPES = {
    # Nearly all wait for one task.
    "one blocks all": f"insert into dependencies select 'default', code, 'hub', 1, now() from ({WORK}) t",
    # One task waits for nearly all.
    "one waits for all": f"insert into dependencies select 'default', 'hub', code, 1, now() from ({WORK}) t",
    # One task has nearly all others as its children.
    "one parent": f"insert into dependencies select 'default', code, 'hub', 2, now() from ({WORK}) t",
}
FLUSH: LiteralString = "select pg_stat_force_next_flush()"
SUM = """
select (select sum(seq_tup_read) from pg_stat_user_tables)
    + (select sum(idx_tup_read) from pg_stat_user_indexes)
"""
Prepared = coordination_pb2.ClaimTaskResponse | None


def claim(ledger: Ledger, code: str) -> coordination_pb2.ClaimTaskResponse:
    return ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(task_code=code, agent="a"))


def release(ledger: Ledger, code: str, claimed: Prepared) -> None:
    assert claimed is not None
    ledger.coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code=code, fence=claimed.claims[0].lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED
        )
    )


def beat(ledger: Ledger, code: str, claimed: Prepared) -> None:
    assert claimed is not None
    lease = coordination_pb2.LeaseRef(task_code=code, fence=claimed.claims[0].lease.fence)
    ledger.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[lease]))


def retitle(ledger: Ledger, code: str, _: Prepared) -> None:
    request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code=code, title="new"))
    request.update_mask.paths.append("title")
    ledger.tasks.UpdateTask(request)


CALLS: dict[str, Callable[[Ledger, str, Prepared], object]] = {
    "CreateTask": lambda ledger, code, _: ledger.task(f"{code}-new"),
    "GetTask": lambda ledger, code, _: ledger.tasks.GetTask(
        task_pb2.GetTaskRequest(task_code=code, view=task_pb2.TASK_VIEW_FULL)
    ),
    "UpdateTask": retitle,
    "UpdateTaskStatus": lambda ledger, code, _: ledger.set_status(code, 4),
    "DeleteTask": lambda ledger, code, _: ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code)),
    "ClaimTask": lambda ledger, code, _: claim(ledger, code),
    "Heartbeat": beat,
    "ReleaseTask": release,
    "AddDependency": lambda ledger, code, _: ledger.link(code, "t299"),
    "ExplainReadiness": lambda ledger, code, _: ledger.coordination.ExplainReadiness(
        coordination_pb2.ExplainReadinessRequest(task_code=code, agent="a")
    ),
    "AssembleContext": lambda ledger, code, _: ledger.contexts.AssembleContext(
        context_pb2.AssembleContextRequest(task_code=code)
    ),
}
LEASED = ("Heartbeat", "ReleaseTask")


def prepare(ledger: Ledger, name: str, code: str) -> Prepared:
    """Claim the task of a call that needs a lease."""
    return claim(ledger, code) if name in LEASED else None


class Counted:
    """A server, and the rows that its calls read."""

    def __init__(self, app: App, ledger: Ledger, conn: psycopg.Connection) -> None:
        self._app = app
        self._conn = conn
        self.ledger = ledger

    def analyze(self) -> None:
        self._conn.execute("vacuum analyze")

    def fill(self, links: str = "") -> None:
        """Create tasks `t…` that the calls use, and tasks `m…` that the statement `links` links."""
        codes = [f"t{number}" for number in range(300)] + [f"m{number}" for number in range(TASKS)]
        for start in range(0, len(codes), BATCH):
            new = [task_pb2.NewTask(task=factories.task(code)) for code in codes[start : start + BATCH]]
            self.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
        if links:
            self._conn.execute(links.encode())
            self.analyze()

    def rows(self) -> int:
        """Return the rows read so far."""
        with ExitStack() as stack:
            for _ in range(self._app.settings.connections or 0):
                stack.enter_context(self._app.db.connection()).execute(FLUSH, name="test.flush")
        # The statement that links tasks ran here.
        self._conn.execute(FLUSH)
        row = self._conn.execute(SUM).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def served(engines: Engines) -> Iterator[Counted]:
    """Start a server whose tables nothing analyzes."""
    with ExitStack() as stack:
        url = stack.enter_context(new_database(engines))
        conn = stack.enter_context(psycopg.connect(url, autocommit=True))
        conn.execute("alter table tasks set (autovacuum_enabled = false)")
        conn.execute("alter table dependencies set (autovacuum_enabled = false)")
        app = App(
            Settings(address="127.0.0.1:0", database_url=url, redis_url="", grace_seconds=1, connections=2)
        )
        stack.callback(app.stop)
        ledger = Ledger(stack.enter_context(open_channel(app.start())))
        yield Counted(app, ledger, conn)


@pytest.fixture(scope="module", params=SHAPES)
def counted(engines: Engines, request: pytest.FixtureRequest) -> Iterator[Counted]:
    with served(engines) as found:
        found.ledger.task(HUB, status=3)
        found.fill(SHAPES[request.param])
        yield found


@pytest.mark.parametrize("name", CALLS)
def test_a_call_on_one_task_reads_few_rows(counted: Counted, name: str) -> None:
    for number in range(3):
        code = f"t{100 + 10 * list(CALLS).index(name) + number}"
        prepared = prepare(counted.ledger, name, code)
        before = counted.rows()
        CALLS[name](counted.ledger, code, prepared)
        assert counted.rows() - before < ROWS


def test_a_batch_finds_its_tasks_by_their_keys_whenever_it_was_planned(engines: Engines) -> None:
    """A new ledger is filled by batches that were planned while it was nearly empty."""
    with served(engines) as counted:
        counted.ledger.task("early")
        counted.analyze()
        counted.fill()
        new = [task_pb2.NewTask(task=factories.task(f"batch-{number}")) for number in range(BATCH)]
        before = counted.rows()
        counted.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
        assert counted.rows() - before < ROWS_OF_A_BATCHED_TASK * BATCH
