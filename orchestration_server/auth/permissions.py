"""The permissions of each rpc, in one table. An rpc without a row is refused.

A row has the role that an rpc requires, and a function that names the resources of a request. A key that is
scoped to a sprint or a session may send a request only if its resources show that it stays inside. A request
that cannot show that, such as a list without its sprint, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, session_pb2, task_pb2
from orchestration_server.errors import OutOfBounds, PermissionDenied
from orchestration_server.model import ALL_PROJECTS, Principal, Role

DEFAULT_PROJECT = "default"
_ALL_PROJECTS_HINT = (
    "; this concerns the ledger as a whole, and requires a key made with"
    " orchestration keys create NAME --role admin --project '*'"
)
REFLECTION = "ServerReflection/ServerReflectionInfo"


class ResourceRef(NamedTuple):
    """The resources that one item of a request names.

    An item is inside a scope if it names at least one resource, and every resource that it names is inside.
    """

    sprint: str = ""
    task: str = ""
    session: str = ""
    recorded_session: str = ""
    """The session that events have to be recorded under. It counts only for a key of that session."""
    long_lived: bool = False
    """True if the caller follows the resource over time. A task alone does not count then: it may leave."""
    in_call_session: bool = False
    """True if the item is recorded under the call's session. A key of that session need name nothing else."""


Resources = Callable[[Any], Iterable[ResourceRef]]


@dataclass(frozen=True, slots=True)
class RpcPolicy:
    """The permissions that an rpc requires."""

    role: Role
    resources: Resources | None = None
    """Returns the resources of a request. Without it a scoped key may not call the rpc."""
    unscoped: bool = False
    """True if the rpc neither shows nor changes anything of a project. Scoped keys may call it, too."""
    all_projects: bool = False
    """True if the rpc concerns all projects and requires a key that opens each."""
    lists_sessions: bool = False
    """True if the rpc shows other sessions. A key that is scoped to a session may not call it."""
    events: Callable[[Any], int] | None = None
    """Returns the number of events in a request, if they count against the key's rate of events."""


def _in_sprint(request: Any) -> list[ResourceRef]:
    return [ResourceRef(sprint=request.sprint_code)]


def _on_task(request: Any) -> list[ResourceRef]:
    return [ResourceRef(task=request.task_code)]


def _on_task_or_sprint(request: Any) -> list[ResourceRef]:
    return [ResourceRef(request.sprint_code, request.task_code)]


def _on_leases(request: coordination_pb2.HeartbeatRequest) -> list[ResourceRef]:
    return [ResourceRef(task=lease.task_code) for lease in request.leases]


def _on_work_scope(request: Any) -> list[ResourceRef]:
    # A pause of an agent, a label or the project reaches beyond every scope.
    scope = request.scope
    return [ResourceRef(scope.sprint_code, scope.task_code)]


def _in_session(request: Any) -> list[ResourceRef]:
    return [ResourceRef(session=request.session_key)]


def _on_target(request: Any) -> list[ResourceRef]:
    # The target is a oneof, so at most one of them is set.
    return [ResourceRef(request.sprint_code, request.task_code, getattr(request, "session_key", ""))]


def _on_document(request: Any) -> list[ResourceRef]:
    return [ResourceRef(request.sprint_code, request.task_code)]


def _on_update(request: task_pb2.UpdateTaskRequest) -> list[ResourceRef]:
    # A task that moves may leave the scope.
    return [] if "sprint_code" in request.update_mask.paths else [ResourceRef(task=request.task.code)]


def _on_dependency(request: Any) -> list[ResourceRef]:
    return [
        ResourceRef(task=request.dependency.task_code),
        ResourceRef(task=request.dependency.depends_on_code),
    ]


def _in_filter(request: Any, *, long_lived: bool = False) -> list[ResourceRef]:
    filter_ = request.filter
    return [
        ResourceRef(
            filter_.sprint_code,
            filter_.task_code,
            recorded_session=filter_.session_key,
            long_lived=long_lived,
        )
    ]


def _of_entity(kind: int, code: str, sprint: str = "", *, in_call_session: bool = False) -> list[ResourceRef]:
    if kind == common_pb2.ENTITY_TYPE_TASK:
        return [ResourceRef(sprint, task=code, in_call_session=in_call_session)]
    if kind == common_pb2.ENTITY_TYPE_SPRINT:
        # If both are named, both have to be inside.
        return [
            ResourceRef(code, in_call_session=in_call_session),
            *([ResourceRef(sprint)] if sprint else []),
        ]
    if kind == common_pb2.ENTITY_TYPE_SESSION:
        return [ResourceRef(sprint, session=code, in_call_session=in_call_session)]
    # A document names neither a sprint nor a session.
    return [] if kind else [ResourceRef(sprint, in_call_session=in_call_session)]


def _on_history(request: Any) -> list[ResourceRef]:
    return _of_entity(request.entity_type, request.entity_code)


def _of_events(events: Iterable[event_pb2.NewEvent]) -> list[ResourceRef]:
    found: list[ResourceRef] = []
    for event in events:
        refs = _of_entity(event.entity_type, event.entity_code, event.sprint_code, in_call_session=True)
        if not refs:
            return []
        found += refs
    return found


def _at_start(request: session_pb2.InitAgentRequest) -> list[ResourceRef]:
    if not request.short_form:
        return _on_target(request)
    kind, _, name = request.short_form.partition(":")
    return [{"S": ResourceRef(sprint=name), "T": ResourceRef(task=name)}.get(kind, ResourceRef(session=name))]


_READER, _AGENT, _ADMIN = Role.READER, Role.AGENT, Role.ADMIN

POLICIES: Mapping[str, RpcPolicy] = {
    "SprintService/CreateSprint": RpcPolicy(_AGENT, lambda r: [ResourceRef(sprint=r.sprint.code)]),
    "SprintService/GetSprint": RpcPolicy(_READER, _in_sprint),
    "SprintService/ListSprints": RpcPolicy(_READER),
    "SprintService/UpdateSprint": RpcPolicy(_AGENT, lambda r: [ResourceRef(sprint=r.sprint.code)]),
    "SprintService/DeleteSprint": RpcPolicy(_ADMIN, _in_sprint),
    "SprintService/CreateSprintFromTemplate": RpcPolicy(_AGENT, _in_sprint),
    "SprintService/SyncSprint": RpcPolicy(_AGENT, _in_sprint),
    "TaskService/CreateTask": RpcPolicy(_AGENT, lambda r: [ResourceRef(sprint=r.task.sprint_code)]),
    "TaskService/GetTask": RpcPolicy(_READER, _on_task),
    "TaskService/ListTasks": RpcPolicy(_READER, _in_sprint),
    "TaskService/UpdateTask": RpcPolicy(_AGENT, _on_update),
    "TaskService/UpdateTaskStatus": RpcPolicy(_AGENT, _on_task),
    "TaskService/DeleteTask": RpcPolicy(_ADMIN, _on_task),
    "TaskService/BatchCreateTasks": RpcPolicy(
        _AGENT, lambda r: [ResourceRef(sprint=new.task.sprint_code) for new in r.tasks]
    ),
    "TaskService/BatchUpdateTaskStatus": RpcPolicy(
        _AGENT, lambda r: [ResourceRef(task=change.task_code) for change in r.changes]
    ),
    "TaskService/CreateTasksFromTemplate": RpcPolicy(_AGENT, _in_sprint),
    "EventService/EmitEvent": RpcPolicy(_AGENT, lambda r: _of_events([r.event]), events=lambda r: 1),
    "EventService/EmitEvents": RpcPolicy(
        _AGENT, lambda r: _of_events(r.events), events=lambda r: max(1, len(r.events))
    ),
    "EventService/GetEvent": RpcPolicy(_READER),
    "EventService/ListEvents": RpcPolicy(_READER, _in_filter),
    "EventService/StreamTimeline": RpcPolicy(_READER, lambda r: _in_filter(r, long_lived=True)),
    "EventService/GetEventStats": RpcPolicy(_READER, _in_sprint),
    "EventService/GetEntityHistory": RpcPolicy(_READER, _on_history),
    "EventService/ReconstructState": RpcPolicy(_READER, _on_history),
    "EventService/ReplayEvents": RpcPolicy(_READER),
    "SessionService/InitAgent": RpcPolicy(_AGENT, _at_start),
    "SessionService/GetSession": RpcPolicy(_READER, _in_session),
    "SessionService/ListSessions": RpcPolicy(_READER, _on_target, lists_sessions=True),
    "SessionService/GetSessionContext": RpcPolicy(_READER, _in_session),
    "SessionService/LogActivity": RpcPolicy(_AGENT, _in_session, events=lambda r: 1),
    "SessionService/PauseSession": RpcPolicy(_AGENT, _in_session),
    "SessionService/CloseSession": RpcPolicy(_AGENT, _in_session),
    "ContextService/AssembleContext": RpcPolicy(_READER, _on_target),
    "ContextService/ReadContextFile": RpcPolicy(_READER, _on_target),
    "CoordinationService/AddDependency": RpcPolicy(_AGENT, _on_dependency),
    "CoordinationService/RemoveDependency": RpcPolicy(_AGENT, _on_dependency),
    "CoordinationService/ListDependencies": RpcPolicy(_READER, _on_task),
    "CoordinationService/ListReadyTasks": RpcPolicy(_READER, _in_sprint),
    "CoordinationService/ClaimTask": RpcPolicy(_AGENT, _on_task_or_sprint),
    "CoordinationService/Heartbeat": RpcPolicy(_AGENT, _on_leases),
    "CoordinationService/ReleaseTask": RpcPolicy(_AGENT, _on_task),
    "CoordinationService/PreemptTask": RpcPolicy(_AGENT, _on_task),
    "CoordinationService/ListLeases": RpcPolicy(_READER),
    "CoordinationService/ListAttempts": RpcPolicy(_READER, _on_task),
    "CoordinationService/ExplainReadiness": RpcPolicy(_READER, _on_task_or_sprint),
    "CoordinationService/PauseWork": RpcPolicy(_AGENT, _on_work_scope),
    "CoordinationService/ResumeWork": RpcPolicy(_AGENT, _on_work_scope),
    "CoordinationService/ListPauses": RpcPolicy(_READER),
    "CoordinationService/SetWorkLimit": RpcPolicy(_AGENT),
    "CoordinationService/ListWorkLimits": RpcPolicy(_READER),
    "TemplateService/ListTemplates": RpcPolicy(_READER, unscoped=True),
    "TemplateService/GetTemplate": RpcPolicy(_READER, unscoped=True),
    "TemplateService/RenderTemplate": RpcPolicy(_READER, unscoped=True),
    "ScheduleService/CreateSchedule": RpcPolicy(_AGENT),
    "ScheduleService/GetSchedule": RpcPolicy(_READER),
    "ScheduleService/ListSchedules": RpcPolicy(_READER),
    "ScheduleService/UpdateSchedule": RpcPolicy(_AGENT),
    "ScheduleService/DeleteSchedule": RpcPolicy(_ADMIN),
    "ScheduleService/TriggerSchedule": RpcPolicy(_AGENT),
    "ReportService/GetSprintStatusReport": RpcPolicy(_READER, _in_sprint),
    "ReportService/CreateAdr": RpcPolicy(_AGENT, _on_document),
    "ReportService/CreateBugReport": RpcPolicy(_AGENT, _on_document),
    "AdminService/GetServerInfo": RpcPolicy(_READER, unscoped=True),
    "AdminService/ArchiveEvents": RpcPolicy(_ADMIN, all_projects=True),
    "AdminService/GetStorageStats": RpcPolicy(_ADMIN, all_projects=True),
    "AdminService/ListAlerts": RpcPolicy(_ADMIN, all_projects=True),
    REFLECTION: RpcPolicy(_READER, unscoped=True),
}
"""Policies by service and rpc. Health is not among them: probes have no key, so it is open."""


def policy_for(rpc: str) -> RpcPolicy:
    """Return the policy of an rpc. Raises PermissionDenied if it has none."""
    policy = POLICIES.get(rpc)
    if policy is None:
        raise PermissionDenied("no key may call this rpc", reason="RPC_CLOSED")
    return policy


def resolve_project(principal: Principal, requested: str) -> str:
    """Return the project of a call: the requested one, else the key's.

    Raises PermissionDenied if the key opens another project.
    """
    if principal.project == ALL_PROJECTS:
        return requested or DEFAULT_PROJECT
    if requested and requested != principal.project:
        raise PermissionDenied(
            f"the key opens project {principal.project}, and the call asks for another",
            reason="PROJECT_CLOSED",
        )
    return principal.project


def resolve_session(principal: Principal, requested: str) -> str:
    """Return the session of a call: the requested one, else the session that the key is scoped to.

    Raises OutOfBounds if the key is scoped to another session.
    """
    if principal.session_key and requested and requested != principal.session_key:
        raise OutOfBounds("the key is scoped to another session")
    return principal.session_key or requested


def authorize(policy: RpcPolicy, principal: Principal) -> None:
    """Raise PermissionDenied if the caller may not call an rpc, whatever the request says."""
    if principal.role < policy.role:
        raise PermissionDenied(
            f"this requires the role {policy.role.name.lower()}; the key has {principal.role.name.lower()}"
            + (_ALL_PROJECTS_HINT if policy.all_projects else ""),
            reason="ROLE_TOO_LOW",
            role=policy.role.name.lower(),
        )
    if policy.all_projects and (principal.project != ALL_PROJECTS or principal.scoped):
        opened = "a part of one project" if principal.scoped else f"project {principal.project} alone"
        raise PermissionDenied(f"the key opens {opened}" + _ALL_PROJECTS_HINT, reason="PROJECT_CLOSED")
    if principal.scoped and not policy.unscoped and policy.resources is None:
        raise OutOfBounds("a key that is scoped to a sprint or a session may not call this rpc")
    if principal.session_key and policy.lists_sessions:
        raise OutOfBounds("this rpc shows other sessions, and the key is scoped to one")
