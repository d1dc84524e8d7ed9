"""Tasks created from a template in a batch."""

import grpc
import pytest

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import details, refused, violations
from tests.support.statements import counted
from tests.support.templates import STATEMENTS, logged, nothing_is_there, of_tasks

pytestmark = pytest.mark.shared_server


def test_tasks_are_created_with_their_own_variables(
    tasks: TaskServiceStub, sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    request = of_tasks(
        {"title": "Shared", "labels": ["x"]},
        {"a": None, "b": {"title": "Own", "priority": "P0"}},
        sprint_code="s",
    )

    answer = tasks.CreateTasksFromTemplate(request)

    assert [(task.code, task.title, task.sprint_code) for task in answer.tasks] == [
        ("a", "Shared", "s"),
        ("b", "Own", "s"),
    ]
    assert answer.tasks[1].priority == 1
    assert list(answer.tasks[0].labels) == ["x"]
    for task in answer.tasks:
        assert tasks.GetTask(task_pb2.GetTaskRequest(task_code=task.code)).task == task
        assert [event.type for event in logged(events, task_code=task.code)] == [
            "orchestration.task.created",
            "orchestration.task.generated",
        ]


def test_a_thousand_tasks_are_two_statements(tasks: TaskServiceStub, monkeypatch: pytest.MonkeyPatch) -> None:
    request = of_tasks({}, {f"t{n}": {"title": f"Task {n}"} for n in range(1000)})

    with counted(monkeypatch) as seen:
        answer = tasks.CreateTasksFromTemplate(request)

    assert [task.title for task in answer.tasks] == [f"Task {n}" for n in range(1000)]
    assert len(seen) == STATEMENTS, seen


def test_a_violation_names_its_item_and_nothing_is_created(
    tasks: TaskServiceStub, sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    request = of_tasks({}, {"a": {"title": "ok"}, "b": None, "c": {"title": "x", "phase": "p" * 101}})

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.CreateTasksFromTemplate(request)

    assert set(violations(caught.value)) == {"items[1].variables.title", "items[2].task.phase"}
    nothing_is_there(sprints, tasks, events)


def test_tasks_join_only_an_existing_sprint(tasks: TaskServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
        tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"a": None}, sprint_code="none"))
    assert details(caught.value)["ResourceInfo"].resource_type == "sprint"
    assert not tasks.ListTasks(task_pb2.ListTasksRequest()).tasks


def test_one_taken_code_leaves_none_of_the_tasks(tasks: TaskServiceStub) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("b")))

    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"):
        tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"a": None, "b": None}))

    assert [task.code for task in tasks.ListTasks(task_pb2.ListTasksRequest()).tasks] == ["b"]


def test_a_retry_of_tasks_returns_the_first_answer(tasks: TaskServiceStub) -> None:
    request = of_tasks({"title": "t"}, {"a": None, "b": None}, request_id="r")

    assert tasks.CreateTasksFromTemplate(request) == tasks.CreateTasksFromTemplate(request)
