"""The progress of the tasks below a task, through the stubs."""

import random
from collections.abc import Callable
from typing import Any, cast

import grpc
import pytest

from orchestration.v1 import task_pb2
from orchestration_server.app import App
from orchestration_server.db.connection import Connection
from orchestration_server.model import Role
from orchestration_server.store import progress as progress_store
from tests.support.credentials import calling_with, make_key
from tests.support.ledger import Ledger
from tests.support.query_plans import Explaining
from tests.support.rpc_errors import refused

FULL = task_pb2.TASK_VIEW_FULL
STATUSES = ("pending", "in_progress", "blocked", "completed", "cancelled")
PARENT, BLOCKS = 2, 1


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


def progress(ledger: Ledger, code: str) -> task_pb2.TaskProgress:
    return ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code=code, view=FULL)).progress


def below(ledger: Ledger, parent: str, *codes: str, **fields: Any) -> None:
    for code in codes:
        ledger.task(code, **fields)
        ledger.link(code, parent, PARENT)


@pytest.mark.shared_server
def test_the_tasks_of_all_levels_are_counted_by_status(ledger: Ledger) -> None:
    ledger.task("top")
    below(ledger, "top", "a", status=4)
    below(ledger, "top", "b", status=2)
    below(ledger, "b", "c", status=4)
    below(ledger, "c", "d", status=5)
    below(ledger, "c", "e", status=3)
    ledger.task("blocked-by-top")
    ledger.link("blocked-by-top", "top", BLOCKS)
    ledger.task("other", status=4)
    found = progress(ledger, "top")
    assert found.counts == task_pb2.TaskCounts(total=5, in_progress=1, blocked=1, completed=2, cancelled=1)
    assert (found.percent, found.partial) == (50.0, False)
    assert progress(ledger, "b").counts.total == 3
    assert progress(ledger, "e") == task_pb2.TaskProgress(counts=task_pb2.TaskCounts())


@pytest.mark.shared_server
def test_only_the_full_view_has_it(ledger: Ledger) -> None:
    ledger.task("top")
    for view in (task_pb2.TASK_VIEW_UNSPECIFIED, task_pb2.TASK_VIEW_BASIC):
        plain = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="top", view=view))
        assert not plain.HasField("progress")
    full = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="top", view=FULL))
    assert (full.task, full.HasField("progress")) == (plain.task, True)
    with refused(grpc.StatusCode.NOT_FOUND):
        progress(ledger, "none")
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="top"))
    with refused(grpc.StatusCode.NOT_FOUND):
        progress(ledger, "top")


@pytest.mark.shared_server
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_are_counted_as_a_walk_counts_them(ledger: Ledger, seed: int) -> None:
    """The graphs have tasks with several parents, circles, and deleted tasks in between."""
    chance = random.Random(seed)
    codes = [f"t{number}" for number in range(20)]
    status = {code: chance.randrange(5) for code in codes}
    for code in codes:
        ledger.task(code, status=status[code] + 1)
    children: dict[str, set[str]] = {code: set() for code in codes}
    for child in codes:
        for parent in chance.sample(codes, chance.choice([0, 1, 1, 2])):
            if parent != child:
                ledger.link(child, parent, PARENT)
                children[parent].add(child)
    deleted = set(chance.sample(codes, 3))
    for code in deleted:
        ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code))
    for code in set(codes) - deleted:
        seen, waiting = {code}, [code]
        while waiting:
            for child in children[waiting.pop()] - seen:
                seen.add(child)
                waiting.append(child)
        expected = [0] * 5
        for each in seen - deleted - {code}:
            expected[status[each]] += 1
        counts = progress(ledger, code).counts
        assert [getattr(counts, name) for name in STATUSES] == expected, code
        assert counts.total == sum(expected)


@pytest.mark.shared_server
def test_what_is_beyond_the_limit_is_said(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_store, "MOST", 3)
    ledger.task("top")
    below(ledger, "top", "a", "b", status=4)
    below(ledger, "a", "a1")
    found = progress(ledger, "top")
    assert (found.counts.total, found.partial) == (3, False)
    below(ledger, "a1", "a2")
    found = progress(ledger, "top")
    # The nearest are counted.
    assert (found.counts.completed, found.counts.total, found.partial) == (2, 3, True)


def test_a_scoped_key_sees_the_progress_of_its_sprint(
    closed: App, channel: grpc.Channel, database_url: str
) -> None:
    admin = Ledger(calling_with(channel, make_key(database_url, role=Role.ADMIN)))
    for sprint in ("s", "s2"):
        admin.sprint(sprint, status=2)
    admin.task("top", sprint_code="s")
    below(admin, "top", "inside", sprint_code="s")
    below(admin, "top", "outside", sprint_code="s2", status=4)
    below(admin, "outside", "inside-2", sprint_code="s", status=4)
    of_sprint = Ledger(calling_with(channel, make_key(database_url, sprint_code="s")))
    found = progress(of_sprint, "top")
    assert found.counts == task_pb2.TaskCounts(total=2, pending=1, completed=1)
    assert progress(admin, "top").counts.total == 3


TREE = 100_000
FILL = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 't' || n, '', 4, 3, '', '{}', 1, now(), now(), gen_random_uuid(), ''
from generate_series(0, %(tasks)s) n
"""
SHAPES: dict[str, Callable[[str], str]] = {
    "wide": lambda n: "0",
    "binary": lambda n: f"({n} - 1) / 2",
    "deep": lambda n: f"{n} - 1",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_tree_is_read_up_to_the_limit(database_url: str, shape: str) -> None:
    link = (
        "insert into dependencies (project, task_code, depends_on_code, kind, create_time)"
        f" select 'default', 't' || n, 't' || {SHAPES[shape]('n')}, 2, now()"
        f" from generate_series(1, {TREE}) n"
    )
    with Connection.connect(database_url, autocommit=True) as conn:
        conn.execute(FILL, {"tasks": TREE})
        conn.execute(link)
        for table in ("", "analyze tasks", "analyze dependencies"):
            if table:
                conn.execute(table)
            explaining = Explaining(conn)
            found = progress_store.get(
                cast(Connection, explaining), project="default", code="t0", inside=None
            )
            assert found is not None
            assert (sum(found.counts.values()), found.partial) == (progress_store.MOST, True)
            # Probes of two indexes and their rows for each task.
            assert explaining.blocks() < 16 * progress_store.MOST
