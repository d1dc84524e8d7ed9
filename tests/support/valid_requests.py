"""The smallest valid request of each rpc, and the violations of a changed one."""

from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)
from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import validate

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        admin_pb2,
        context_pb2,
        coordination_pb2,
        event_pb2,
        report_pb2,
        schedule_pb2,
        session_pb2,
        sprint_pb2,
        task_pb2,
        template_pb2,
    )
)
REQUESTS = [
    GetMessageClass(method.input_type)
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def violations(request: Message) -> dict[str, str]:
    """Return the violations of a request."""
    try:
        validate(request)
    except InvalidArgument as error:
        return dict(error.violations)
    return {}


GOOD: dict[type[Message], dict[str, Any]] = {
    task_pb2.CreateTaskRequest: {"task": {"code": "T", "title": "t"}},
    task_pb2.GetTaskRequest: {"task_code": "T"},
    task_pb2.ListTasksRequest: {},
    task_pb2.UpdateTaskRequest: {"task": {"code": "T", "title": "t"}, "update_mask": "title"},
    task_pb2.UpdateTaskStatusRequest: {"task_code": "T", "status": 1},
    task_pb2.DeleteTaskRequest: {"task_code": "T"},
    task_pb2.BatchCreateTasksRequest: {"tasks": [{"task": {"code": "T", "title": "t"}}]},
    task_pb2.BatchUpdateTaskStatusRequest: {"changes": [{"task_code": "T", "status": 1}]},
    task_pb2.CreateTasksFromTemplateRequest: {"template": "t", "items": [{"task_code": "T"}]},
    sprint_pb2.CreateSprintRequest: {"sprint": {"code": "S", "title": "t"}},
    sprint_pb2.GetSprintRequest: {"sprint_code": "S"},
    sprint_pb2.ListSprintsRequest: {},
    sprint_pb2.UpdateSprintRequest: {"sprint": {"code": "S", "title": "t"}, "update_mask": "title"},
    sprint_pb2.DeleteSprintRequest: {"sprint_code": "S"},
    sprint_pb2.CreateSprintFromTemplateRequest: {"template": "t", "sprint_code": "S"},
    sprint_pb2.SyncSprintRequest: {"sprint_code": "S"},
    event_pb2.EmitEventRequest: {"event": {"type": "a.b"}},
    event_pb2.EmitEventsRequest: {"request_id": "r", "events": [{"type": "a.b"}]},
    event_pb2.GetEventRequest: {"event_id": ID},
    event_pb2.ListEventsRequest: {},
    event_pb2.StreamTimelineRequest: {},
    event_pb2.GetEventStatsRequest: {},
    event_pb2.GetEntityHistoryRequest: {"entity_type": 1, "entity_code": "S"},
    event_pb2.ReconstructStateRequest: {"entity_type": 1, "entity_code": "S"},
    event_pb2.ReplayEventsRequest: {"correlation_id": "c", "dry_run": True},
    session_pb2.InitAgentRequest: {"task_code": "T"},
    session_pb2.GetSessionRequest: {"session_key": "K"},
    session_pb2.ListSessionsRequest: {},
    session_pb2.GetSessionContextRequest: {"session_key": "K"},
    session_pb2.LogActivityRequest: {"session_key": "K", "kind": "progress", "message": "m"},
    session_pb2.PauseSessionRequest: {"session_key": "K"},
    session_pb2.CloseSessionRequest: {"session_key": "K"},
    context_pb2.AssembleContextRequest: {"task_code": "T"},
    context_pb2.ReadContextFileRequest: {"task_code": "T", "path": "a"},
    template_pb2.ListTemplatesRequest: {},
    template_pb2.GetTemplateRequest: {"name": "t"},
    template_pb2.RenderTemplateRequest: {"name": "t"},
    schedule_pb2.CreateScheduleRequest: {"schedule": {"code": "C", "template": "t", "cron": "0 4 * * *"}},
    schedule_pb2.GetScheduleRequest: {"schedule_code": "C"},
    schedule_pb2.ListSchedulesRequest: {},
    schedule_pb2.UpdateScheduleRequest: {
        "schedule": {"code": "C", "template": "t", "cron": "0 4 * * *"},
        "update_mask": "cron",
    },
    schedule_pb2.DeleteScheduleRequest: {"schedule_code": "C"},
    schedule_pb2.TriggerScheduleRequest: {"schedule_code": "C"},
    report_pb2.GetSprintStatusReportRequest: {"sprint_code": "S"},
    report_pb2.CreateAdrRequest: {"title": "t", "decision": "d"},
    report_pb2.CreateBugReportRequest: {"title": "t"},
    coordination_pb2.AddDependencyRequest: {"dependency": {"task_code": "A", "depends_on_code": "B"}},
    coordination_pb2.RemoveDependencyRequest: {"dependency": {"task_code": "A", "depends_on_code": "B"}},
    coordination_pb2.ListDependenciesRequest: {"task_code": "T"},
    coordination_pb2.ListReadyTasksRequest: {},
    coordination_pb2.ClaimTaskRequest: {},
    coordination_pb2.HeartbeatRequest: {"leases": [{"task_code": "T", "fence": 1}]},
    coordination_pb2.ReleaseTaskRequest: {"task_code": "T", "fence": 1, "outcome": 1},
    coordination_pb2.PreemptTaskRequest: {"task_code": "T", "reason": "r"},
    coordination_pb2.ListLeasesRequest: {},
    coordination_pb2.ListAttemptsRequest: {"task_code": "T"},
    coordination_pb2.ExplainReadinessRequest: {},
    coordination_pb2.PauseWorkRequest: {"scope": {"project": True}, "reason": "r"},
    coordination_pb2.ResumeWorkRequest: {"scope": {"project": True}},
    coordination_pb2.ListPausesRequest: {},
    coordination_pb2.SetWorkLimitRequest: {"limit": {"agent": "a"}},
    coordination_pb2.ListWorkLimitsRequest: {},
    admin_pb2.GetServerInfoRequest: {},
    admin_pb2.ArchiveEventsRequest: {"older_than": "7776000s"},
    admin_pb2.GetStorageStatsRequest: {},
    admin_pb2.ListAlertsRequest: {},
}


def merged(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return ``base`` with the field at a dotted path set."""
    head, _, rest = path.partition(".")
    return {**base, head: merged(base.get(head, {}), rest, value) if rest else value}


def made(request: type[Message], path: str, value: Any) -> Message:
    """Return a valid request with one field set."""
    return ParseDict(merged(GOOD[request], path, value), request())
