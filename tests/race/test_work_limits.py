"""Limits of work in progress are exact under claims that race on two servers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from threading import Barrier, Lock
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories, locks
from tests.support.lengths import lengths
from tests.support.waits import turns

CLAIMERS = 32
LIMIT = 5
TASKS = 64
KEYS = ({"agent": "a"}, {"agent": "*"}, {"label": "db"}, {"provider": "p"})
SECONDS = 60

# The control: claims take no turns. They wait until all may go on, so each counts the leases before the
# others have theirs.
NO_TURNS = """
create or replace function ledger_take_turn(of text, codes text[], claimer text, provided text, locked bigint)
returns bigint language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(4711);
    return locked;
end
$$
"""
HOLD = "select pg_advisory_xact_lock(4711)"
HELD_BACK = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"


@pytest.fixture
def stubs(channels: list[grpc.Channel]) -> list[CoordinationServiceStub]:
    """Return stubs of two servers, whose ledger has enough ready tasks for all claimers."""
    new = [task_pb2.NewTask(task=factories.task(f"t{n}", labels=["db", "x"])) for n in range(TASKS)]
    TaskServiceStub(channels[0]).BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    return [CoordinationServiceStub(channel) for channel in channels]


def set_limit(stub: CoordinationServiceStub, key: dict[str, str]) -> None:
    limit = coordination_pb2.WorkLimit(max_leases=LIMIT, **key)  # type: ignore[arg-type]
    stub.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))


def claim(stub: CoordinationServiceStub) -> list[lease_pb2.Lease]:
    request = coordination_pb2.ClaimTaskRequest(agent="a", provider="p")
    return [one.lease for one in stub.ClaimTask(request, timeout=SECONDS).claims]


def claimers(
    pool: ThreadPoolExecutor, stubs: list[CoordinationServiceStub], work: Callable[[Any], Any]
) -> list[Any]:
    """Start one piece of work for each claimer, all at once, half of them at each server."""
    barrier = Barrier(CLAIMERS)

    def one(stub: CoordinationServiceStub) -> Any:
        barrier.wait(timeout=SECONDS)
        return work(stub)

    return [pool.submit(one, stubs[number % 2]) for number in range(CLAIMERS)]


def leases(stub: CoordinationServiceStub) -> int:
    return len(stub.ListLeases(coordination_pb2.ListLeasesRequest(page_size=500)).leases)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_of_32_claimers_as_many_get_a_task_as_the_limit_allows(
    stubs: list[CoordinationServiceStub], key: dict[str, str]
) -> None:
    set_limit(stubs[0], key)
    with ThreadPoolExecutor(CLAIMERS) as pool:
        granted = sum(len(one.result()) for one in claimers(pool, stubs, claim))
    assert granted == leases(stubs[1]) == LIMIT


@lengths("rounds", short=3, long=40)
def test_no_more_than_the_limit_work_at_any_time(stubs: list[CoordinationServiceStub], rounds: int) -> None:
    set_limit(stubs[0], {"label": "db"})
    counting = Lock()
    held, most, done = 0, 0, 0

    def work(stub: CoordinationServiceStub) -> None:
        nonlocal held, most, done
        for _ in range(rounds):
            found = claim(stub)
            with counting:
                held += len(found)
                most = max(most, held)
            for lease in found:
                with counting:
                    held -= 1
                    done += 1
                stub.ReleaseTask(coordination_pb2.ReleaseTaskRequest(
                    task_code=lease.task_code, fence=lease.fence,
                    outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED,
                ))  # fmt: skip

    with ThreadPoolExecutor(CLAIMERS) as pool:
        for one in claimers(pool, stubs, work):
            one.result()
    assert most <= LIMIT
    assert done > LIMIT
    assert leases(stubs[1]) == 0


def test_without_turns_the_limit_is_exceeded(stubs: list[CoordinationServiceStub], database_url: str) -> None:
    set_limit(stubs[0], {"label": "db"})
    with ExitStack() as stack:
        conn = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        conn.execute(NO_TURNS)
        pool = stack.enter_context(ThreadPoolExecutor(CLAIMERS))
        with locks.held(database_url, HOLD):
            running = claimers(pool, stubs, claim)
            for _ in turns(locks.SECONDS):
                (held,) = conn.execute(HELD_BACK).fetchone() or (0,)
                if held > LIMIT:
                    break
        wait(running, timeout=SECONDS)
        granted = sum(len(one.result()) for one in running)
    assert granted == leases(stubs[1])
    assert granted > LIMIT
