"""Short forms of the calls that make and read histories."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import Metadata

TASK = EntityType.ENTITY_TYPE_TASK
SPRINT = EntityType.ENTITY_TYPE_SPRINT
SESSION = EntityType.ENTITY_TYPE_SESSION
OLDEST = event_pb2.EVENT_ORDER_OLDEST_FIRST
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
CHAIN: Metadata = (("orchestration-correlation-id", "chain"), ("orchestration-agent", "builder"))
OTHER: Metadata = (("orchestration-correlation-id", "other"),)


def create(tasks: TaskServiceStub, code: str, **fields: Any) -> task_pb2.Task:
    request = task_pb2.CreateTaskRequest(task=factories.task(code, **fields))
    return tasks.CreateTask(request, metadata=CHAIN).task


def update(tasks: TaskServiceStub, code: str, call: Metadata = CHAIN, **fields: Any) -> task_pb2.Task:
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code=code, **fields), update_mask=FieldMask(paths=list(fields))
    )
    return tasks.UpdateTask(request, metadata=call).task


def status(
    tasks: TaskServiceStub, code: str, to: TaskStatus.ValueType, reason: str = "", metadata: Metadata = CHAIN
) -> task_pb2.Task:
    request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=to, reason=reason)
    return tasks.UpdateTaskStatus(request, metadata=metadata).task


def delete(tasks: TaskServiceStub, code: str) -> None:
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code), metadata=CHAIN)


def get(tasks: TaskServiceStub, code: str) -> task_pb2.Task:
    return tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)).task


def history(
    events: EventServiceStub, code: str, size: int = 0, kind: EntityType.ValueType = TASK, **fields: Any
) -> list[event_pb2.EntityChange]:
    """Return the changes of all pages."""
    found: list[event_pb2.EntityChange] = []
    token = ""
    while True:
        page = events.GetEntityHistory(
            event_pb2.GetEntityHistoryRequest(
                entity_type=kind, entity_code=code, page_size=size, page_token=token, **fields
            )
        )
        assert not size or len(page.changes) <= size
        found += page.changes
        token = page.next_page_token
        if not token:
            return found


def plain(changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(changes)
    return found


def rebuild(
    events: EventServiceStub, code: str, kind: EntityType.ValueType = TASK, **as_of: Any
) -> event_pb2.ReconstructStateResponse:
    return events.ReconstructState(
        event_pb2.ReconstructStateRequest(entity_type=kind, entity_code=code, **as_of)
    )


def replay(events: EventServiceStub, correlation_id: str = "chain") -> event_pb2.ReplayEventsResponse:
    return events.ReplayEvents(event_pb2.ReplayEventsRequest(correlation_id=correlation_id, dry_run=True))
