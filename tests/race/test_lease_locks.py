"""Claims, ends of attempts and heartbeats of one lease that meet at its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from orchestration_server.jobs import work
from orchestration_server.model import Call, Request
from orchestration_server.store import leases as lease_store
from orchestration_server.work.releases import ExpireLease
from orchestration_server.writes.gate import Gate
from tests.conftest import Server
from tests.support import locks
from tests.support.ledger import Ledger
from tests.support.rpc_errors import refused
from tests.support.waits import turns

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
HELD = coordination_pb2.LEASE_STATUS_HELD
PROJECT = "default"
VALID = "select ledger_lease_valid(expire_time, seconds, deadline) from leases"


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


def claim(ledger: Ledger, code: str, agent: str) -> coordination_pb2.ClaimedTask:
    request = coordination_pb2.ClaimTaskRequest(task_code=code, agent=agent)
    return ledger.coordination.ClaimTask(request).claims[0]


def beat(ledger: Ledger, lease: coordination_pb2.ClaimedTask) -> coordination_pb2.LeaseState:
    ref = coordination_pb2.LeaseRef(task_code=lease.task.code, fence=lease.lease.fence)
    return ledger.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref])).leases[0]


@contextmanager
def late_heartbeat(url: str, conn: psycopg.Connection, lease: coordination_pb2.ClaimedTask) -> Iterator[None]:
    """Begin the heartbeat of a lease just before it expires, and commit it after the block.

    Others see an expired lease in the block.
    """
    # After a start of Postgres a lease has a grace of its duration, up to 30 s.
    conn.execute("update leases set expire_time = clock_timestamp() + interval '0.2 s', seconds = 0.2")
    with psycopg.connect(url) as other:
        # The server's own connection class is not needed: the statement is the same.
        rows = other.execute(
            lease_store._BEAT,
            {"project": PROJECT, "codes": [lease.task.code], "fences": [lease.lease.fence]},
        ).fetchall()
        assert rows, "the lease was valid when the heartbeat began"
        other.execute("update leases set expire_time = clock_timestamp() + interval '90 s', seconds = 90")
        for _ in turns(5):
            if conn.execute(VALID).fetchone() == (False,):
                break
        yield


@pytest.mark.parametrize("other", ["claim", "next", "status", "delete", "sweep"])
def test_a_heartbeat_that_began_in_time_keeps_the_lease(
    ledger: Ledger, server: Server, conn: psycopg.Connection, other: str
) -> None:
    """Whatever found the lease expired meanwhile has to look again when the heartbeat has committed."""
    assert server.app is not None
    gate = Gate(server.app.db, lambda: None)
    call = Call("CoordinationService/ExpireLeases", PROJECT, agent="orchestration.leases")
    acts: dict[str, Callable[[], object]] = {
        "claim": lambda: claim(ledger, "t", "a2"),
        "next": lambda: ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="a2")).claims,
        "status": lambda: ledger.set_status("t", common_pb2.TASK_STATUS_COMPLETED),
        "delete": lambda: ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="t")),
        "sweep": lambda: gate.write(ExpireLease(call, Request(call.rpc, "", b""), code="t")),
    }
    ledger.task("t")
    lease = claim(ledger, "t", "a1")
    pool = ThreadPoolExecutor(1)
    with late_heartbeat(server.database_url, conn, lease):
        acted = pool.submit(acts[other])
        locks.waiting(conn, 1)
    if other == "next":
        assert not acted.result(10)
    elif other == "sweep":
        acted.result(10)
    else:
        with refused(PRECONDITION, "TASK_HELD"):
            acted.result(10)
    pool.shutdown()
    assert beat(ledger, lease).status == HELD
    assert work.services(server.app.db, gate, lambda: None)[0].run_once() == 0
