"""Many agents race for the same tasks: a model judges what each was told.

tests/support/claim_histories.py is the model, and tests/support/claim_racers.py are the agents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Timer
from time import monotonic
from typing import NamedTuple

import psycopg
import pytest

from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from orchestration_server.app import App
from tests.conftest import open_channel
from tests.support import factories, short_leases
from tests.support.claim_histories import (
    BEAT,
    CLAIM,
    OK,
    REFUSED,
    RELEASE,
    UNKNOWN,
    WRITE,
    AttemptRow,
    History,
    Operation,
    faults,
    lost_tasks,
)  # fmt: skip
from tests.support.claim_racers import POLICY, Racer, race
from tests.support.ledger import Ledger
from tests.support.lengths import lengths
from tests.support.waits import turns

ENDED = (3, 4, 5)
LEASE = 0.5
EXPIRED = "select not exists (select from leases where ledger_lease_valid(expire_time, seconds, deadline))"


class Size(NamedTuple):
    """The size of a run."""

    racers: int
    tasks: int
    seconds: float


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


@pytest.fixture
def addresses(start_app: Callable[..., App]) -> Iterator[list[str]]:
    """Start two servers of one ledger in this process, which take short leases."""
    with short_leases.allowed():
        yield [start_app().address for _ in range(2)]


def create(ledger: Ledger, tasks: int) -> list[str]:
    codes = [f"t{number}" for number in range(tasks)]
    for at in range(0, tasks, 100):
        new = [task_pb2.NewTask(task=factories.task(c, retry_policy=POLICY)) for c in codes[at : at + 100]]
        ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    return codes


def attempt_rows(conn: psycopg.Connection) -> list[AttemptRow]:
    found = []
    for (body,) in conn.execute("select body from attempts"):
        one = lease_pb2.Attempt.FromString(body)
        end = one.end_time.ToMicroseconds() / 1e6 if one.outcome else float("inf")
        start = one.start_time.ToMicroseconds() / 1e6
        found.append(
            AttemptRow(one.task_code, one.number, one.fence, one.agent, start, end, int(one.outcome))
        )
    return found


def judge(
    ledger: Ledger,
    conn: psycopg.Connection,
    operations: list[Operation],
    graces: Sequence[tuple[float, float]] = (),
) -> list[str]:
    """Return what contradicts the promise of claims, after all agents have stopped."""
    found = faults(operations, attempt_rows(conn), graces)
    for _ in turns(10):
        if conn.execute(EXPIRED).fetchone() == (True,):
            break
    given: set[str] = set()
    request = coordination_pb2.ClaimTaskRequest(agent="rest", count=100)
    while claims := ledger.coordination.ClaimTask(request).claims:
        twice = given & {one.task.code for one in claims}
        assert not twice, f"given twice: {twice}"
        given |= {one.task.code for one in claims}
    statuses = {row[0]: row[1] for row in conn.execute("select code, status from tasks")}
    return found + [f"{code}: lost" for code in lost_tasks(statuses, ENDED, set(), given)]


def report(record_property: Callable[[str, object], None], history: list[Operation], **more: int) -> None:
    """Print the amounts of a run, for the note."""
    counts = History(history)
    stale = sum(counts.count(kind, REFUSED, "STALE_FENCE") for kind in (WRITE, RELEASE))
    amounts = {
        "claims": counts.count(CLAIM, OK),
        "claims refused": counts.count(CLAIM, REFUSED, "TASK_HELD"),
        "heartbeats": counts.count(BEAT, OK),
        "heartbeats of lost leases": counts.count(BEAT, REFUSED, "LOST"),
        "stale writes refused": stale,
        "unfenced writes refused": counts.count(WRITE, REFUSED, "TASK_HELD"),
        "unanswered": sum(o.outcome == UNKNOWN for o in history),
        **more,
    }
    record_property("amounts", amounts)
    print("\n" + ", ".join(f"{name} {amount:,}" for name, amount in amounts.items()))


END_CONNECTIONS = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where application_name = 'orchestration' and datname = current_database()"
)


def run(addresses: list[str], codes: list[str], size: Size, **how: float) -> History:
    history = History()
    until = monotonic() + size.seconds
    race([
        Racer(f"a{number}", addresses, codes, history, lease=LEASE, until=until, **how)
        for number in range(size.racers)
    ])  # fmt: skip
    return history


@lengths("size", short=Size(16, 60, 1.5), long=Size(64, 1_000, 15))
def test_agents_that_race_for_tasks_are_told_the_truth(
    addresses: list[str], conn: psycopg.Connection, size: Size,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    with open_channel(addresses[0]) as channel:
        ledger = Ledger(channel)
        codes = create(ledger, size.tasks)
        killed = Timer(size.seconds / 2, lambda: conn.execute(END_CONNECTIONS))
        killed.start()
        history = run(addresses, codes, size)
        killed.join()
        found = judge(ledger, conn, history.operations)
    report(record_property, history.operations)
    assert not found, "\n".join(found[:20])
    assert history.count(CLAIM, OK) > size.racers


@lengths("size", short=Size(16, 1, 1), long=Size(64, 1, 10))
def test_of_agents_that_race_for_one_task_one_holds_it(
    addresses: list[str], conn: psycopg.Connection, size: Size,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    with open_channel(addresses[0]) as channel:
        ledger = Ledger(channel)
        history = run(addresses, create(ledger, size.tasks), size, named=0.8, finish=0.0)
        found = judge(ledger, conn, history.operations)
    report(record_property, history.operations)
    assert not found, "\n".join(found[:20])
    assert history.count(CLAIM, OK)


def test_without_fences_the_model_finds_stale_writes(addresses: list[str], conn: psycopg.Connection) -> None:
    with open_channel(addresses[0]) as channel, short_leases.without_fences():
        size = Size(16, 6, 1)
        codes = create(Ledger(channel), size.tasks)
        found = faults(run(addresses, codes, size).operations, attempt_rows(conn))
    assert any("accepted after" in fault for fault in found), found


def test_without_compare_and_set_the_model_finds_two_holders(
    addresses: list[str], conn: psycopg.Connection
) -> None:
    with open_channel(addresses[0]) as channel, short_leases.without_compare_and_set(conn):
        size = Size(16, 2, 1)
        codes = create(Ledger(channel), size.tasks)
        found = faults(run(addresses, codes, size, named=0.8, finish=0.0).operations, attempt_rows(conn))
    assert any("longer" in fault or "open" in fault for fault in found), found
