"""Who may call what: one table of every rpc. What does not stand in it is refused.

A row says the role that an rpc takes, and what of a request shows that it stays inside one sprint or session,
for keys that are held to one. Where a request cannot show that, as a list without its sprint, a held key is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestration.v1 import common_pb2, event_pb2, session_pb2, task_pb2
from orchestration_server.errors import OutOfBounds, PermissionDenied
from orchestration_server.model import ALL_PROJECTS, Principal, Role

DEFAULT_PROJECT = "default"
_WHOLE = (
    "; this is about the ledger as a whole, and takes a key that is made with"
    " orchestration keys create NAME --role admin --project '*'"
)
REFLECTION = "ServerReflection/ServerReflectionInfo"


class About(NamedTuple):
    """What one item of a request is about. Inside is what names something, and nothing that is outside."""

    sprint: str = ""
    task: str = ""
    session: str = ""
    recorded: str = ""
    """The session under which events have to be recorded: that of a session's key alone shows anything."""
    lasting: bool = False
    """It is followed for as long as the caller likes: a task alone shows nothing then, as it may leave."""
    own: bool = False
    """It is recorded under the session of the call, and needs to name nothing else where the key is held
    to that."""


Shown = Callable[[Any], Iterable[About]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What an rpc takes."""

    role: Role
    about: Shown | None = None
    """What shows that a request stays inside; without one no request does."""
    free: bool = False
    """Shows and changes nothing of any project: for keys that are held, too."""
    ledger: bool = False
    """Concerns all projects: for keys that open each."""
    of_others: bool = False
    """Shows other sessions: not for a key that is held to one."""
    events: Callable[[Any], int] | None = None
    """How many events a request brings, where they are counted beside the calls."""


def _in_sprint(request: Any) -> list[About]:
    return [About(sprint=request.sprint_code)]


def _on_task(request: Any) -> list[About]:
    return [About(task=request.task_code)]


def _in_session(request: Any) -> list[About]:
    return [About(session=request.session_key)]


def _on_target(request: Any) -> list[About]:
    """Of a oneof at most one is set."""
    return [About(request.sprint_code, request.task_code, getattr(request, "session_key", ""))]


def _on_document(request: Any) -> list[About]:
    return [About(request.sprint_code, request.task_code)]


def _on_update(request: task_pb2.UpdateTaskRequest) -> list[About]:
    # A task that moves is not shown to stay.
    return [] if "sprint_code" in request.update_mask.paths else [About(task=request.task.code)]


def _on_dependency(request: Any) -> list[About]:
    return [About(task=request.dependency.task_code), About(task=request.dependency.depends_on_code)]


def _in_filter(request: Any, *, lasting: bool = False) -> list[About]:
    chosen = request.filter
    return [About(chosen.sprint_code, chosen.task_code, recorded=chosen.session_key, lasting=lasting)]


def _of_entity(kind: int, code: str, sprint: str = "", *, own: bool = False) -> list[About]:
    if kind == common_pb2.ENTITY_TYPE_TASK:
        return [About(sprint, task=code, own=own)]
    if kind == common_pb2.ENTITY_TYPE_SPRINT:
        # Both where both are named.
        return [About(code, own=own), *([About(sprint)] if sprint else [])]
    if kind == common_pb2.ENTITY_TYPE_SESSION:
        return [About(sprint, session=code, own=own)]
    # A document names neither sprint nor session.
    return [] if kind else [About(sprint, own=own)]


def _on_history(request: Any) -> list[About]:
    return _of_entity(request.entity_type, request.entity_code)


def _of_events(events: Iterable[event_pb2.NewEvent]) -> list[About]:
    found: list[About] = []
    for event in events:
        about = _of_entity(event.entity_type, event.entity_code, event.sprint_code, own=True)
        if not about:
            return []
        found += about
    return found


def _at_start(request: session_pb2.InitAgentRequest) -> list[About]:
    if not request.short_form:
        return _on_target(request)
    kind, _, name = request.short_form.partition(":")
    return [{"S": About(sprint=name), "T": About(task=name)}.get(kind, About(session=name))]


_READER, _AGENT, _ADMIN = Role.READER, Role.AGENT, Role.ADMIN

RULES: Mapping[str, Rule] = {
    "SprintService/CreateSprint": Rule(_AGENT, lambda r: [About(sprint=r.sprint.code)]),
    "SprintService/GetSprint": Rule(_READER, _in_sprint),
    "SprintService/ListSprints": Rule(_READER),
    "SprintService/UpdateSprint": Rule(_AGENT, lambda r: [About(sprint=r.sprint.code)]),
    "SprintService/DeleteSprint": Rule(_ADMIN, _in_sprint),
    "SprintService/CreateSprintFromTemplate": Rule(_AGENT, _in_sprint),
    "SprintService/SyncSprint": Rule(_AGENT, _in_sprint),
    "TaskService/CreateTask": Rule(_AGENT, lambda r: [About(sprint=r.task.sprint_code)]),
    "TaskService/GetTask": Rule(_READER, _on_task),
    "TaskService/ListTasks": Rule(_READER, _in_sprint),
    "TaskService/UpdateTask": Rule(_AGENT, _on_update),
    "TaskService/UpdateTaskStatus": Rule(_AGENT, _on_task),
    "TaskService/DeleteTask": Rule(_ADMIN, _on_task),
    "TaskService/BatchCreateTasks": Rule(
        _AGENT, lambda r: [About(sprint=new.task.sprint_code) for new in r.tasks]
    ),
    "TaskService/BatchUpdateTaskStatus": Rule(
        _AGENT, lambda r: [About(task=change.task_code) for change in r.changes]
    ),
    "TaskService/CreateTasksFromTemplate": Rule(_AGENT, _in_sprint),
    "EventService/EmitEvent": Rule(_AGENT, lambda r: _of_events([r.event]), events=lambda r: 1),
    "EventService/EmitEvents": Rule(
        _AGENT, lambda r: _of_events(r.events), events=lambda r: max(1, len(r.events))
    ),
    "EventService/GetEvent": Rule(_READER),
    "EventService/ListEvents": Rule(_READER, _in_filter),
    "EventService/StreamTimeline": Rule(_READER, lambda r: _in_filter(r, lasting=True)),
    "EventService/GetEventStats": Rule(_READER, _in_sprint),
    "EventService/GetEntityHistory": Rule(_READER, _on_history),
    "EventService/ReconstructState": Rule(_READER, _on_history),
    "EventService/ReplayEvents": Rule(_READER),
    "SessionService/InitAgent": Rule(_AGENT, _at_start),
    "SessionService/GetSession": Rule(_READER, _in_session),
    "SessionService/ListSessions": Rule(_READER, _on_target, of_others=True),
    "SessionService/GetSessionContext": Rule(_READER, _in_session),
    "SessionService/LogActivity": Rule(_AGENT, _in_session, events=lambda r: 1),
    "SessionService/PauseSession": Rule(_AGENT, _in_session),
    "SessionService/CloseSession": Rule(_AGENT, _in_session),
    "ContextService/AssembleContext": Rule(_READER, _on_target),
    "ContextService/ReadContextFile": Rule(_READER, _on_target),
    "CoordinationService/AddDependency": Rule(_AGENT, _on_dependency),
    "CoordinationService/RemoveDependency": Rule(_AGENT, _on_dependency),
    "CoordinationService/ListDependencies": Rule(_READER, _on_task),
    "CoordinationService/ListReadyTasks": Rule(_READER, _in_sprint),
    "TemplateService/ListTemplates": Rule(_READER, free=True),
    "TemplateService/GetTemplate": Rule(_READER, free=True),
    "TemplateService/RenderTemplate": Rule(_READER, free=True),
    "ReportService/GetSprintStatusReport": Rule(_READER, _in_sprint),
    "ReportService/CreateAdr": Rule(_AGENT, _on_document),
    "ReportService/CreateBugReport": Rule(_AGENT, _on_document),
    "AdminService/GetServerInfo": Rule(_READER, free=True),
    "AdminService/ArchiveEvents": Rule(_ADMIN, ledger=True),
    "AdminService/GetStorageStats": Rule(_ADMIN, ledger=True),
    "AdminService/ListAlerts": Rule(_ADMIN, ledger=True),
    REFLECTION: Rule(_READER, free=True),
}
"""By service and rpc. Health is not among them: it is open, as whoever probes has no key."""


def rule_of(rpc: str) -> Rule:
    """The row of an rpc; refused where there is none."""
    rule = RULES.get(rpc)
    if rule is None:
        raise PermissionDenied("nobody was given this rpc", reason="RPC_CLOSED")
    return rule


def project_of(principal: Principal, asked: str) -> str:
    """The project of a call: what it asks for, else that of its key. Refused where the key opens another."""
    if principal.project == ALL_PROJECTS:
        return asked or DEFAULT_PROJECT
    if asked and asked != principal.project:
        raise PermissionDenied(
            f"the key opens project {principal.project}, and the call asks for another",
            reason="PROJECT_CLOSED",
        )
    return principal.project


def session_of(principal: Principal, asked: str) -> str:
    """The session of a call: what it says, else the one that its key is held to; refused where another."""
    if principal.session_key and asked and asked != principal.session_key:
        raise OutOfBounds("the key is held to another session")
    return principal.session_key or asked


def authorize(rule: Rule, principal: Principal) -> None:
    """Refuses what the caller's role, or what it is held to, never lets in."""
    if principal.role < rule.role:
        raise PermissionDenied(
            f"this takes the role {rule.role.name.lower()}, and the key has {principal.role.name.lower()}"
            + (_WHOLE if rule.ledger else ""),
            reason="ROLE_TOO_LOW",
            role=rule.role.name.lower(),
        )
    if rule.ledger and (principal.project != ALL_PROJECTS or principal.held):
        opened = "a part of one project" if principal.held else f"project {principal.project} alone"
        raise PermissionDenied(f"the key opens {opened}" + _WHOLE, reason="PROJECT_CLOSED")
    if principal.held and not rule.free and rule.about is None:
        raise OutOfBounds("this cannot be held to a sprint or a session, as the key is")
    if principal.session_key and rule.of_others:
        raise OutOfBounds("this shows other sessions, and the key is held to one")
