"""Calls of TaskService that most of its tests make."""

from collections.abc import Iterable

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories


def create(tasks: TaskServiceStub, code: str, **fields: object) -> task_pb2.Task:
    request = task_pb2.CreateTaskRequest(task=factories.task(code, **fields))
    return tasks.CreateTask(request).task


def delete(tasks: TaskServiceStub, code: str, expected: int = 0) -> None:
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code, expected_revision=expected))


def listed(tasks: TaskServiceStub, **fields: object) -> list[str]:
    """Return the codes on all pages."""
    codes: list[str] = []
    token = ""
    while True:
        request = task_pb2.ListTasksRequest(**{"page_token": token, **fields})  # type: ignore[arg-type]  # any field
        page = tasks.ListTasks(request)
        codes += [task.code for task in page.tasks]
        token = page.next_page_token
        if not token:
            return codes


def batch(codes: Iterable[str]) -> task_pb2.BatchCreateTasksRequest:
    return task_pb2.BatchCreateTasksRequest(
        tasks=[task_pb2.NewTask(task=factories.task(code)) for code in codes]
    )
