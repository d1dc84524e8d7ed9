"""Priorities that age: an old task of a lower priority is claimed before a new one of a higher priority."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from tests.conftest import Server, open_channel

P0, P1, P2, P3, P4 = range(common_pb2.PRIORITY_P0, common_pb2.PRIORITY_P4 + 1)


def create(tasks: TaskServiceStub, code: str, priority: int, age_hours: float) -> None:
    """Create a task that has waited for some hours."""
    task = task_pb2.Task(code=code, title=code, priority=priority)  # type: ignore[arg-type]
    request = task_pb2.CreateTaskRequest(task=task)
    request.occur_time.FromDatetime(datetime.now(UTC) - timedelta(hours=age_hours))
    tasks.CreateTask(request)


def claimed(channel: grpc.Channel) -> list[str]:
    """Claim all tasks one after the other, and return their codes."""
    stub = CoordinationServiceStub(channel)
    codes = []
    while found := stub.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="a")).claims:
        codes += [one.task.code for one in found]
    return codes


def ready(channel: grpc.Channel, page_size: int = 500) -> list[str]:
    """Return the codes of all ready tasks, page by page."""
    stub = CoordinationServiceStub(channel)
    request = coordination_pb2.ListReadyTasksRequest(page_size=page_size)
    codes = []
    while True:
        page = stub.ListReadyTasks(request)
        assert len(page.tasks) <= page_size
        codes += [task.code for task in page.tasks]
        if not page.next_page_token:
            return codes
        assert page.tasks, "only the last page may be empty"
        request.page_token = page.next_page_token


def explained(channel: grpc.Channel, code: str) -> coordination_pb2.ExplainReadinessResponse:
    request = coordination_pb2.ExplainReadinessRequest(task_code=code)
    return CoordinationServiceStub(channel).ExplainReadiness(request)


def test_a_week_makes_up_for_one_priority(channel: grpc.Channel, tasks: TaskServiceStub) -> None:
    create(tasks, "old-p4", P4, 5_000)
    create(tasks, "p3-of-12-days", P3, 12 * 24)
    create(tasks, "p3-of-16-days", P3, 16 * 24)
    create(tasks, "p2-of-6-days", P2, 6 * 24)
    create(tasks, "p2-of-8-days", P2, 8 * 24)
    create(tasks, "new-p1", P1, 0)
    create(tasks, "new-p0", P0, 0)
    assert claimed(channel) == [
        "new-p0", "old-p4", "p3-of-16-days", "p2-of-8-days", "new-p1", "p2-of-6-days", "p3-of-12-days",
    ]  # fmt: skip


@pytest.mark.parametrize(("hours", "first"), [(0.0, "p1"), (1.0, "p4")])
def test_the_setting_says_how_fast_they_age(start_app: Callable[..., App], hours: float, first: str) -> None:
    with open_channel(start_app(priority_aging_hours=hours).address) as channel:
        tasks = TaskServiceStub(channel)
        create(tasks, "p1", P1, 1)
        create(tasks, "p4", P4, 50_000)
        create(tasks, "p0", P0, 0)
        assert claimed(channel) == ["p0", *sorted(["p1", "p4"], key=lambda code: code != first)]


@pytest.mark.parametrize("hours", [0.0, 5.0])
def test_a_queue_of_many_pages_keeps_the_order(start_app: Callable[..., App], hours: float) -> None:
    random, start = Random(7), datetime.now(UTC)
    ranks: dict[str, tuple[bool, float]] = {}
    with open_channel(start_app(priority_aging_hours=hours).address) as channel:
        new = []
        for number in range(200):
            priority, age = random.randint(P0, P4), random.uniform(1, 30)
            task = task_pb2.Task(code=f"t{number}", title="t", priority=priority)  # type: ignore[arg-type]
            one = task_pb2.NewTask(task=task)
            one.occur_time.FromDatetime(start - timedelta(hours=age))
            new.append(one)
            ranks[task.code] = (priority > P0, priority * (hours or 1e9) - age)
        TaskServiceStub(channel).BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
        listed = ready(channel, page_size=7)
        before = [explained(channel, code).tasks_before for code in listed]
        codes = claimed(channel)
    assert listed == codes, "the list has the order of claims"
    assert before == list(range(200))
    assert sorted(codes) == sorted(ranks)
    assert all(ranks[one] <= ranks[other] for one, other in pairwise(codes))


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_pages_leave_out_what_only_the_function_refuses(
    server: Server, channel: grpc.Channel, tasks: TaskServiceStub, size: int
) -> None:
    """Paused tasks between ready ones, tasks with expired leases, and bodies that fill a page."""
    random, stub = Random(size), CoordinationServiceStub(channel)
    new = []
    ranks: dict[str, tuple[bool, float]] = {}
    for number in range(120):
        kind = random.choice(["ready", "ready", "paused", "paused", "large"])
        priority, age = random.randint(P0, P4), random.uniform(1, 2_000)
        task = task_pb2.Task(code=f"t{number}", title="t", priority=priority)  # type: ignore[arg-type]
        if kind == "paused":
            task.labels.append("paused")
        else:
            ranks[task.code] = (priority > P0, priority * 168 - age)
        if kind == "large":
            task.description = "x" * 100_000
        one = task_pb2.NewTask(task=task)
        one.occur_time.FromDatetime(datetime.now(UTC) - timedelta(hours=age))
        new.append(one)
    for start in range(0, len(new), 30):
        tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new[start : start + 30]))
    stub.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="a", count=25))
    with psycopg.connect(server.database_url) as conn:
        conn.execute("update leases set expire_time = now() - interval '1 s', seconds = 0")
    scope = coordination_pb2.WorkScope(label="paused")
    stub.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="r"))
    assert ready(channel, page_size=size) == sorted(ranks, key=ranks.__getitem__)
    assert set(claimed(channel)) == set(ranks)
