"""Calls of ScheduleService, and the tasks and events that schedules have created."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, schedule_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories

S = schedule_pb2


def create(schedules: ScheduleServiceStub, code: str = "c", **fields: Any) -> S.Schedule:
    request = S.CreateScheduleRequest(schedule=factories.schedule(code, **fields))
    return schedules.CreateSchedule(request).schedule


def get(schedules: ScheduleServiceStub, code: str = "c") -> S.Schedule:
    return schedules.GetSchedule(S.GetScheduleRequest(schedule_code=code)).schedule


def update(
    schedules: ScheduleServiceStub, code: str = "c", *, expected_revision: int = 0, **fields: Any
) -> S.Schedule:
    request = S.UpdateScheduleRequest(
        schedule=S.Schedule(code=code, **fields), update_mask=FieldMask(paths=list(fields)),
        expected_revision=expected_revision,
    )  # fmt: skip
    return schedules.UpdateSchedule(request).schedule


def trigger(schedules: ScheduleServiceStub, code: str = "c", **fields: Any) -> S.Schedule:
    return schedules.TriggerSchedule(S.TriggerScheduleRequest(schedule_code=code, **fields)).schedule


def tasks_of(tasks: TaskServiceStub) -> list[str]:
    return sorted(task.code for task in tasks.ListTasks(task_pb2.ListTasksRequest(page_size=500)).tasks)


def log_of(events: EventServiceStub, *types: str) -> list[event_pb2.Event]:
    names = [f"orchestration.schedule.{type_}" for type_ in types] or ["orchestration.schedule.*"]
    request = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=names), page_size=500)
    return list(events.ListEvents(request).events)
