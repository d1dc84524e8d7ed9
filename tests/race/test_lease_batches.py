"""Batches of heartbeats, claims and ends of the same leases do not wait for each other in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from tests.conftest import Server
from tests.support import factories
from tests.support.ledger import Ledger
from tests.support.lengths import lengths

ROUNDS = 6
HELD = coordination_pb2.LEASE_STATUS_HELD
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


def claimed(ledger: Ledger, number: int) -> list[coordination_pb2.LeaseRef]:
    refs = []
    for at in range(0, number, 100):
        codes = [f"t{n}" for n in range(at, at + 100)]
        new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
        ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
        claims = ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="a", count=100)).claims
        refs += [coordination_pb2.LeaseRef(task_code=c.task.code, fence=c.lease.fence) for c in claims]
    assert len(refs) == number
    return refs


@lengths("number", short=500, long=10_000)
def test_heartbeats_and_ends_of_the_same_leases_do_not_deadlock(
    ledger: Ledger, conn: psycopg.Connection, number: int
) -> None:
    refs = claimed(ledger, number)
    conn.execute("analyze leases")
    other_way = refs[::-1]
    done = refs[: min(100, number // 5)]
    changes = [
        task_pb2.TaskStatusChange(
            task_code=ref.task_code, fence=ref.fence, status=common_pb2.TASK_STATUS_COMPLETED
        )
        for ref in reversed(done)
    ]
    beats: list[Callable[[], object]] = [
        lambda given=given: [  # type: ignore[misc]  # bound now
            ledger.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=given)).leases
            for _ in range(ROUNDS)
        ][-1]
        for given in (refs, other_way, refs, other_way)
    ]
    request = task_pb2.BatchUpdateTaskStatusRequest(changes=changes)
    began = monotonic()
    with ThreadPoolExecutor(5) as pool:
        running = [pool.submit(beat) for beat in beats]
        pool.submit(ledger.tasks.BatchUpdateTaskStatus, request).result()
        answers = [one.result() for one in running]
    print(f"\n{number:,} leases beaten in {(monotonic() - began) / 4 / ROUNDS:.3f} s a batch")
    conn.execute("select pg_stat_force_next_flush()")
    assert conn.execute(DEADLOCKS).fetchone() == (0,)
    for states in answers:
        lost = {state.task_code for state in states if state.status != HELD}  # type: ignore[attr-defined]
        assert lost <= {ref.task_code for ref in done}
