"""Sprints and tasks whose changes the rules of automation follow."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import SprintStatus, TaskStatus
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server
from tests.support import factories

ACTIVE = SprintStatus.SPRINT_STATUS_ACTIVE


class Ledger:
    def __init__(self, server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
        self.server = server
        self.sprints, self.tasks = sprints, tasks

    def sprint(self, code: str, *tasks: str, status: SprintStatus.ValueType = ACTIVE) -> None:
        new = factories.sprint(code, status=status)
        self.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=new))
        for task in tasks:
            self.task(task, sprint_code=code)

    def task(self, code: str, **fields: object) -> None:
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, **fields)))

    def turn(self, code: str, *statuses: TaskStatus.ValueType, reason: str = "", chain: str = "") -> None:
        for status in statuses:
            self.tasks.UpdateTaskStatus(
                task_pb2.UpdateTaskStatusRequest(task_code=code, status=status, reason=reason),
                metadata=(("orchestration-correlation-id", chain),) if chain else (),
            )

    def edit(self, code: str, **fields: Any) -> None:
        """Set fields of a task."""
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, **fields), update_mask=FieldMask(paths=list(fields))
        )
        self.tasks.UpdateTask(request)

    def status(self, code: str) -> SprintStatus.ValueType:
        return self.sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=code)).sprint.status

    def set_sprint(self, code: str, status: SprintStatus.ValueType) -> None:
        self.sprints.UpdateSprint(
            sprint_pb2.UpdateSprintRequest(
                sprint=sprint_pb2.Sprint(code=code, status=status), update_mask=FieldMask(paths=["status"])
            )
        )


@pytest.fixture
def ledger(server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub) -> Ledger:
    return Ledger(server, sprints, tasks)
