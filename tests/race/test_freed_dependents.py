"""The end of a task that thousands wait for: none of them is lost, and no transaction queues them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, lease_pb2, task_pb2
from orchestration_server.work.ready_windows import SLICE
from tests.conftest import Server
from tests.support import factories
from tests.support.ledger import Ledger

DEPENDENTS = 2 * SLICE + 500
BATCH = 500
ALL = [f"d-{number:05}" for number in range(DEPENDENTS)]
_LINK = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select project, code, 'blocker', 1, now() from tasks where code like 'd-%'
"""


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


@pytest.fixture
def ledger(channel: grpc.Channel, conn: psycopg.Connection) -> Ledger:
    """Return a ledger whose task "blocker" is held, and blocks DEPENDENTS tasks."""
    found = Ledger(channel)
    found.task("blocker")
    for start in range(0, DEPENDENTS, BATCH):
        new = [task_pb2.NewTask(task=factories.task(code)) for code in ALL[start : start + BATCH]]
        found.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    conn.execute(_LINK)
    assert queued(conn) == 1
    return found


def queued(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from ready_queue").fetchone()
    assert row is not None
    return int(row[0])


def left(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from freed_dependents").fetchone()
    assert row is not None
    return int(row[0])


def claimed(ledger: Ledger, count: int = 100, task: str = "") -> list[coordination_pb2.ClaimedTask]:
    request = coordination_pb2.ClaimTaskRequest(agent="a", task_code=task, count=0 if task else count)
    return list(ledger.coordination.ClaimTask(request).claims)


def complete_blocker(ledger: Ledger) -> None:
    [held] = claimed(ledger, task="blocker")
    ledger.coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code="blocker", fence=held.lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED
        )
    )


def claim_all(ledger: Ledger) -> list[str]:
    """Claim until a claim is told that nothing is ready."""
    found: list[str] = []
    while claims := claimed(ledger):
        found += [one.task.code for one in claims]
    return found


def test_the_end_of_the_blocker_leaves_its_dependents_to_slices(
    ledger: Ledger, conn: psycopg.Connection
) -> None:
    complete_blocker(ledger)
    assert (queued(conn), left(conn)) == (0, 1)
    for expected in (SLICE, 2 * SLICE, DEPENDENTS):
        conn.execute("select ledger_queue_freed('default', %s)", (SLICE,))
        assert queued(conn) == expected
    assert left(conn) == 0


def test_claims_get_every_dependent_once_before_they_are_told_that_none_is_ready(
    ledger: Ledger, conn: psycopg.Connection
) -> None:
    complete_blocker(ledger)
    assert sorted(claim_all(ledger)) == ALL
    assert left(conn) == 0


def test_control_without_the_record_of_the_blocker_its_dependents_are_lost(
    ledger: Ledger, conn: psycopg.Connection
) -> None:
    complete_blocker(ledger)
    conn.execute("delete from freed_dependents")
    assert claim_all(ledger) == []


def test_claims_at_once_share_the_dependents(ledger: Ledger, conn: psycopg.Connection) -> None:
    complete_blocker(ledger)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: claim_all(ledger), range(8))
    assert sorted(code for codes in found for code in codes) == ALL


def test_a_slice_that_was_killed_is_put_in_by_the_next(
    ledger: Ledger, conn: psycopg.Connection, database_url: str
) -> None:
    complete_blocker(ledger)
    with psycopg.connect(database_url) as killed:
        killed.execute("select ledger_queue_freed('default', %s)", (SLICE,))
        killed.rollback()
    assert queued(conn) == 0
    assert sorted(claim_all(ledger)) == ALL


def test_a_blocker_that_is_opened_and_ends_again_frees_all(ledger: Ledger, conn: psycopg.Connection) -> None:
    complete_blocker(ledger)
    conn.execute("select ledger_queue_freed('default', %s)", (SLICE,))
    ledger.set_status("blocker", common_pb2.TASK_STATUS_PENDING)
    assert claimed(ledger, task="blocker")[0].task.code == "blocker"
    # Nothing else is ready now, though dependents are in the queue.
    assert claim_all(ledger) == []
    [lease] = ledger.coordination.ListLeases(coordination_pb2.ListLeasesRequest()).leases
    ledger.coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code="blocker", fence=lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED
        )
    )
    assert sorted(claim_all(ledger)) == ALL


def test_a_server_of_the_release_before_puts_all_in_at_once(ledger: Ledger, conn: psycopg.Connection) -> None:
    """It would not know of the slices."""
    conn.execute("update tasks set status = 4 where code = 'blocker'")
    assert (queued(conn), left(conn)) == (DEPENDENTS, 0)


def test_a_waiting_claim_gets_a_dependent(ledger: Ledger, conn: psycopg.Connection) -> None:
    [held] = claimed(ledger, task="blocker")
    got: list[str] = []

    def wait() -> None:
        request = coordination_pb2.ClaimTaskRequest(agent="w")
        request.wait.seconds = 30
        got.extend(one.task.code for one in ledger.coordination.ClaimTask(request).claims)

    waiting = threading.Thread(target=wait)
    waiting.start()
    ledger.coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code="blocker", fence=held.lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED
        )
    )
    waiting.join()
    assert got == ["d-00000"]
