"""No task is lost from the queue of ready tasks, whatever commits while a claim looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2
from tests.conftest import Server
from tests.support.ledger import Ledger

PENDING = common_pb2.TASK_STATUS_PENDING
LOOKS = 4


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


def claimed(ledger: Ledger) -> list[str]:
    request = coordination_pb2.ClaimTaskRequest(agent="a")
    return [one.task.code for one in ledger.coordination.ClaimTask(request).claims]


def queued(conn: psycopg.Connection) -> list[str]:
    return [row[0] for row in conn.execute("select task_code from ready_queue order by task_code")]


def test_a_task_of_a_sprint_that_is_about_to_be_active_is_not_lost(
    ledger: Ledger, conn: psycopg.Connection, database_url: str
) -> None:
    """The activation has looked for the tasks of the sprint before the task became pending."""
    ledger.sprint("s", status=common_pb2.SPRINT_STATUS_PLANNING)
    ledger.task("t", sprint_code="s", status=common_pb2.TASK_STATUS_BLOCKED)
    with psycopg.connect(database_url) as activation:
        activation.execute("update sprints set status = 2")
        ledger.set_status("t", PENDING)
        assert [claimed(ledger) for _ in range(LOOKS)] == [[]] * LOOKS
        activation.commit()
    assert claimed(ledger) == ["t"]


def test_a_transaction_that_began_later_and_has_not_looked_again_counts(
    ledger: Ledger, conn: psycopg.Connection, database_url: str
) -> None:
    """The activation has the later id, and has looked before the task was committed as pending."""
    ledger.sprint("s", status=common_pb2.SPRINT_STATUS_PLANNING)
    ledger.task("t", sprint_code="s", status=common_pb2.TASK_STATUS_BLOCKED)
    with psycopg.connect(database_url) as unblocked, psycopg.connect(database_url) as activation:
        unblocked.execute("update tasks set status = 1")
        activation.execute("update sprints set status = 2")
        unblocked.commit()
        assert [claimed(ledger) for _ in range(LOOKS)] == [[]] * LOOKS
        activation.commit()
    assert queued(conn) == ["t"]


def test_a_task_that_came_back_is_not_taken_for_the_row_that_went(
    ledger: Ledger, conn: psycopg.Connection
) -> None:
    ledger.task("t")
    ledger.set_status("t", common_pb2.TASK_STATUS_BLOCKED)
    assert queued(conn) == []
    ledger.set_status("t", PENDING)
    ledger.set_status("t", common_pb2.TASK_STATUS_COMPLETED)
    ledger.set_status("t", PENDING)
    generations = conn.execute("select count(*), min(generation) from ready_queue").fetchone()
    assert generations == (1, 3)


def test_tasks_that_are_not_ready_leave_the_queue(ledger: Ledger, conn: psycopg.Connection) -> None:
    """Else each claim would look at them again."""
    ledger.sprint("s", status=common_pb2.SPRINT_STATUS_PLANNING)
    ledger.task("t", sprint_code="s")
    assert queued(conn) == ["t"]
    assert [claimed(ledger) for _ in range(LOOKS)] == [[]] * LOOKS
    assert queued(conn) == []
    conn.execute("update sprints set status = 2")
    assert claimed(ledger) == ["t"]
