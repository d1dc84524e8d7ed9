"""Lists of tasks: their filters, order and pages."""

import grpc
import pytest

from orchestration.v1 import task_pb2
from orchestration.v1.common_pb2 import Priority, TaskStatus
from orchestration.v1.sprint_pb2 import CreateSprintRequest
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import refused, violations
from tests.support.task_calls import batch, create, delete, listed

pytestmark = pytest.mark.shared_server


def test_filters_are_joined_by_and(tasks: TaskServiceStub, sprints: SprintServiceStub) -> None:
    sprints.CreateSprint(CreateSprintRequest(sprint=factories.sprint("s")))
    done, pending = TaskStatus.TASK_STATUS_COMPLETED, TaskStatus.TASK_STATUS_PENDING
    create(tasks, "a", sprint_code="s", assignee="ann", labels=["x", "y"], status=done)
    create(tasks, "b", sprint_code="s", labels=["x"], priority=Priority.PRIORITY_P0)
    create(tasks, "c", assignee="ann", labels=["x", "y", "z"])

    assert listed(tasks) == ["c", "b", "a"]
    assert listed(tasks, sprint_code="s") == ["b", "a"]
    assert listed(tasks, statuses=[done]) == ["a"]
    assert listed(tasks, statuses=[done, pending]) == ["c", "b", "a"]
    assert listed(tasks, priorities=[Priority.PRIORITY_P0]) == ["b"]
    assert listed(tasks, assignee="ann") == ["c", "a"]
    assert listed(tasks, labels=["x", "y"]) == ["c", "a"]
    assert listed(tasks, labels=["x", "y"], sprint_code="s", assignee="ann") == ["a"]
    assert listed(tasks, labels=["none"]) == []


def test_pages_keep_their_order_while_tasks_come_and_go(tasks: TaskServiceStub) -> None:
    tasks.BatchCreateTasks(batch(f"t{number:02}" for number in range(25)))
    first = tasks.ListTasks(task_pb2.ListTasksRequest(page_size=10))
    seen = [task.code for task in first.tasks]
    create(tasks, "late")
    delete(tasks, seen[-1])
    delete(tasks, "t00")

    token = first.next_page_token
    while token:
        page = tasks.ListTasks(task_pb2.ListTasksRequest(page_size=10, page_token=token))
        seen += [task.code for task in page.tasks]
        token = page.next_page_token

    assert seen == [f"t{number:02}" for number in range(24, 0, -1)]


def test_priority_order_is_p0_first_then_oldest(tasks: TaskServiceStub) -> None:
    for number, priority in enumerate([3, 1, 5, 1, 3, 2]):
        create(tasks, f"t{number}", priority=priority)

    order = task_pb2.TASK_ORDER_PRIORITY
    assert listed(tasks, order=order, page_size=2) == ["t1", "t3", "t5", "t0", "t4", "t2"]


def test_a_page_has_fifty_tasks_by_default(tasks: TaskServiceStub) -> None:
    tasks.BatchCreateTasks(batch(f"t{number}" for number in range(51)))

    page = tasks.ListTasks(task_pb2.ListTasksRequest())

    assert len(page.tasks) == 50
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        tasks.ListTasks(task_pb2.ListTasksRequest(page_size=501))


def test_a_changed_or_foreign_page_token_is_refused(tasks: TaskServiceStub) -> None:
    tasks.BatchCreateTasks(batch("abc"))
    token = tasks.ListTasks(task_pb2.ListTasksRequest(page_size=1)).next_page_token
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]

    for tampered in (changed, token[:-4], "x", "é", token + "AAAA", "A" * 2_000):
        with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
            tasks.ListTasks(task_pb2.ListTasksRequest(page_size=1, page_token=tampered))
        assert "page_token" in violations(caught.value)
    for foreign in (
        task_pb2.ListTasksRequest(page_token=token, assignee="ann"),
        task_pb2.ListTasksRequest(page_token=token, order=task_pb2.TASK_ORDER_PRIORITY),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
            tasks.ListTasks(foreign)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        tasks.ListTasks(
            task_pb2.ListTasksRequest(page_token=token),
            metadata=(("orchestration-project", "other"),),
        )
