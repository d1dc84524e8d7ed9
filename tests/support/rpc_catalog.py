"""Every rpc of the server by its descriptor, with a valid request for each."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from grpc_reflection.v1alpha import reflection_pb2

from orchestration.v1 import (
    admin_pb2,
    common_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    lease_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)
from orchestration_server.rpc.server import SERVICES
from tests.support import factories
from tests.support.rpc_errors import Metadata, reason

SERVICE_NAMES = [
    f"orchestration.v1.{name}Service"
    for name in (
        "Sprint", "Task", "Event", "Session", "Context", "Coordination", "Template", "Schedule",
        "Report", "Admin",
    )
]  # fmt: skip
REFLECTION = "ServerReflection/ServerReflectionInfo"
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}/{method.name}": method for service in SERVICES.values() for method in service.methods
}
RPCS = [*METHODS, REFLECTION]


class Place(NamedTuple):
    """The entities of the requests: a sprint, its two tasks, its session, and a prefix of new codes."""

    sprint: str
    task: str
    second: str
    session: str
    new: str


class Outcome(NamedTuple):
    """The outcome of a call; the reason is empty if the call did not fail."""

    code: grpc.StatusCode
    reason: str


def _struct(**fields: str) -> Struct:
    made = Struct()
    made.update(fields)
    return made


def requests(place: Place) -> dict[str, Message]:
    """Return a valid request for each rpc, about the place."""
    sprint, task, second, session, new = place
    dependency = coordination_pb2.Dependency(
        task_code=task, depends_on_code=second, kind=common_pb2.DEPENDENCY_KIND_RELATED
    )
    chosen = event_pb2.EventFilter(sprint_code=sprint)
    told = factories.event(entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code=task, dedup_key=f"{new}-told")
    planned = task_pb2.TaskFromTemplate(task_code=f"{new}-planned")
    return {
        "SprintService/CreateSprint": sprint_pb2.CreateSprintRequest(sprint=factories.sprint(sprint)),
        "SprintService/GetSprint": sprint_pb2.GetSprintRequest(sprint_code=sprint),
        "SprintService/ListSprints": sprint_pb2.ListSprintsRequest(),
        "SprintService/UpdateSprint": sprint_pb2.UpdateSprintRequest(
            sprint=factories.sprint(sprint, title=f"By {new}"), update_mask=FieldMask(paths=["title"])
        ),
        "SprintService/DeleteSprint": sprint_pb2.DeleteSprintRequest(sprint_code=sprint),
        "SprintService/CreateSprintFromTemplate": sprint_pb2.CreateSprintFromTemplateRequest(
            template="feature-sprint", sprint_code=sprint, variables=_struct(feature="f")
        ),
        "SprintService/SyncSprint": sprint_pb2.SyncSprintRequest(sprint_code=sprint),
        "TaskService/CreateTask": task_pb2.CreateTaskRequest(
            task=factories.task(f"{new}-made", sprint_code=sprint)
        ),
        "TaskService/GetTask": task_pb2.GetTaskRequest(task_code=task),
        "TaskService/ListTasks": task_pb2.ListTasksRequest(sprint_code=sprint),
        "TaskService/UpdateTask": task_pb2.UpdateTaskRequest(
            task=factories.task(task, title=f"By {new}"), update_mask=FieldMask(paths=["title"])
        ),
        "TaskService/UpdateTaskStatus": task_pb2.UpdateTaskStatusRequest(
            task_code=task, status=common_pb2.TASK_STATUS_IN_PROGRESS
        ),
        "TaskService/DeleteTask": task_pb2.DeleteTaskRequest(task_code=second),
        "TaskService/BatchCreateTasks": task_pb2.BatchCreateTasksRequest(
            tasks=[task_pb2.NewTask(task=factories.task(f"{new}-batch", sprint_code=sprint))]
        ),
        "TaskService/BatchUpdateTaskStatus": task_pb2.BatchUpdateTaskStatusRequest(
            changes=[
                task_pb2.TaskStatusChange(task_code=task, status=common_pb2.TASK_STATUS_BLOCKED, reason="r")
            ]
        ),
        "TaskService/CreateTasksFromTemplate": task_pb2.CreateTasksFromTemplateRequest(
            template="task",
            sprint_code=sprint,
            items=[planned],
            variables=_struct(title="A title"),
        ),
        "EventService/EmitEvent": event_pb2.EmitEventRequest(event=told),
        "EventService/EmitEvents": event_pb2.EmitEventsRequest(request_id=f"{new}-emit", events=[told]),
        "EventService/GetEvent": event_pb2.GetEventRequest(event_id="0190b4c3-0000-7000-8000-000000000000"),
        "EventService/ListEvents": event_pb2.ListEventsRequest(filter=chosen),
        "EventService/StreamTimeline": event_pb2.StreamTimelineRequest(filter=chosen),
        "EventService/GetEventStats": event_pb2.GetEventStatsRequest(sprint_code=sprint),
        "EventService/GetEntityHistory": event_pb2.GetEntityHistoryRequest(
            entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code=task
        ),
        "EventService/ReconstructState": event_pb2.ReconstructStateRequest(
            entity_type=common_pb2.ENTITY_TYPE_SESSION, entity_code=session
        ),
        "EventService/ReplayEvents": event_pb2.ReplayEventsRequest(correlation_id="c", dry_run=True),
        "SessionService/InitAgent": session_pb2.InitAgentRequest(session_key=session, agent="a"),
        "SessionService/GetSession": session_pb2.GetSessionRequest(session_key=session),
        "SessionService/ListSessions": session_pb2.ListSessionsRequest(sprint_code=sprint),
        "SessionService/GetSessionContext": session_pb2.GetSessionContextRequest(session_key=session),
        "SessionService/LogActivity": session_pb2.LogActivityRequest(
            session_key=session, kind="note", message="m"
        ),
        "SessionService/PauseSession": session_pb2.PauseSessionRequest(session_key=session),
        "SessionService/CloseSession": session_pb2.CloseSessionRequest(session_key=session),
        "ContextService/AssembleContext": context_pb2.AssembleContextRequest(task_code=task),
        "ContextService/ReadContextFile": context_pb2.ReadContextFileRequest(task_code=task, path="f"),
        "CoordinationService/AddDependency": coordination_pb2.AddDependencyRequest(dependency=dependency),
        "CoordinationService/RemoveDependency": coordination_pb2.RemoveDependencyRequest(
            dependency=dependency
        ),
        "CoordinationService/ListDependencies": coordination_pb2.ListDependenciesRequest(task_code=task),
        "CoordinationService/ListReadyTasks": coordination_pb2.ListReadyTasksRequest(sprint_code=sprint),
        "CoordinationService/ClaimTask": coordination_pb2.ClaimTaskRequest(sprint_code=sprint, agent="a"),
        "CoordinationService/Heartbeat": coordination_pb2.HeartbeatRequest(
            leases=[coordination_pb2.LeaseRef(task_code=task, fence=1)]
        ),
        "CoordinationService/ReleaseTask": coordination_pb2.ReleaseTaskRequest(
            task_code=task, fence=1, outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED
        ),
        "CoordinationService/PreemptTask": coordination_pb2.PreemptTaskRequest(task_code=task, reason="r"),
        "CoordinationService/ListLeases": coordination_pb2.ListLeasesRequest(),
        "CoordinationService/ListAttempts": coordination_pb2.ListAttemptsRequest(task_code=task),
        "CoordinationService/ExplainReadiness": coordination_pb2.ExplainReadinessRequest(task_code=task),
        "CoordinationService/PauseWork": coordination_pb2.PauseWorkRequest(
            scope=coordination_pb2.WorkScope(sprint_code=sprint), reason="r"
        ),
        "CoordinationService/ResumeWork": coordination_pb2.ResumeWorkRequest(
            scope=coordination_pb2.WorkScope(sprint_code=sprint)
        ),
        "CoordinationService/ListPauses": coordination_pb2.ListPausesRequest(),
        "CoordinationService/SetWorkLimit": coordination_pb2.SetWorkLimitRequest(
            limit=coordination_pb2.WorkLimit(agent="a", max_leases=100)
        ),
        "CoordinationService/ListWorkLimits": coordination_pb2.ListWorkLimitsRequest(),
        "TemplateService/ListTemplates": template_pb2.ListTemplatesRequest(),
        "TemplateService/GetTemplate": template_pb2.GetTemplateRequest(name="task"),
        "TemplateService/RenderTemplate": template_pb2.RenderTemplateRequest(
            name="task", variables=_struct(title="t", task_code="c")
        ),
        "ScheduleService/CreateSchedule": schedule_pb2.CreateScheduleRequest(
            schedule=factories.schedule(f"{new}-schedule", sprint_code=sprint)
        ),
        "ScheduleService/GetSchedule": schedule_pb2.GetScheduleRequest(schedule_code=f"{new}-schedule"),
        "ScheduleService/ListSchedules": schedule_pb2.ListSchedulesRequest(),
        "ScheduleService/UpdateSchedule": schedule_pb2.UpdateScheduleRequest(
            schedule=factories.schedule(f"{new}-schedule", paused=True),
            update_mask=FieldMask(paths=["paused"]),
        ),
        "ScheduleService/DeleteSchedule": schedule_pb2.DeleteScheduleRequest(schedule_code=f"{new}-schedule"),
        "ScheduleService/TriggerSchedule": schedule_pb2.TriggerScheduleRequest(
            schedule_code=f"{new}-schedule"
        ),
        "ReportService/GetSprintStatusReport": report_pb2.GetSprintStatusReportRequest(sprint_code=sprint),
        "ReportService/CreateAdr": report_pb2.CreateAdrRequest(
            title=f"{new} adr", context="c", decision="d", consequences="e", task_code=task
        ),
        "ReportService/CreateBugReport": report_pb2.CreateBugReportRequest(
            title=f"{new} bug", description="d", task_code=task
        ),
        "AdminService/GetServerInfo": admin_pb2.GetServerInfoRequest(),
        "AdminService/GetStorageStats": admin_pb2.GetStorageStatsRequest(),
        "AdminService/ListAlerts": admin_pb2.ListAlertsRequest(),
        "AdminService/ArchiveEvents": admin_pb2.ArchiveEventsRequest(
            older_than=Duration(seconds=90 * 86_400), dry_run=True
        ),
        REFLECTION: reflection_pb2.ServerReflectionRequest(list_services=""),
    }


def call(channel: grpc.Channel, rpc: str, request: Message, metadata: Metadata = ()) -> Outcome:
    """Make a call of any kind of rpc. A message that a stream refuses counts as a refused call."""
    try:
        answered = list(answers(channel, rpc, request, metadata))
    except grpc.RpcError as error:
        return Outcome(cast(grpc.Call, error).code(), reason(error))
    for answer in answered:
        if rpc == "EventService/EmitEvents" and answer.error.code:
            return Outcome(_CODES[answer.error.code], answer.error.reason)
    return Outcome(grpc.StatusCode.OK, "")


_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def answers(channel: grpc.Channel, rpc: str, request: Message, metadata: Metadata = ()) -> Iterator[Any]:
    """Return the answers of a call: one if the rpc is no stream."""
    if rpc == REFLECTION:
        path, response = (
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            (reflection_pb2.ServerReflectionResponse),
        )
        streams = (True, True)
    else:
        method = METHODS[rpc]
        path = f"/{method.containing_service.full_name}/{method.name}"
        response = GetMessageClass(method.output_type)
        streams = (method.client_streaming, method.server_streaming)
    kind = "_".join("stream" if one else "unary" for one in streams)
    stub = getattr(channel, kind)(path, type(request).SerializeToString, response.FromString)
    answer = stub(iter([request]) if streams[0] else request, timeout=10, metadata=metadata)
    return iter(answer) if streams[1] else iter([answer])
