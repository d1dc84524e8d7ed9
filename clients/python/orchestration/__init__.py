"""The Python client of the orchestration ledger.

``Ledger`` and ``AsyncLedger`` take plain values and return records. ``Client`` and ``AsyncClient`` are the
layer below: the generated stubs, with deadlines, retries, leases that are kept, and streams that resume.

A name is imported when it is first used, so that the command does not wait for what it does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration._async.claim import AsyncClaim, AsyncWork
    from orchestration._async.claimed import AsyncClaimedWork
    from orchestration._async.events import AsyncEventFeed
    from orchestration._async.ledger import AsyncLedger
    from orchestration._async.sessions import AsyncSessionHandle
    from orchestration._async.sprints import AsyncSprintHandle
    from orchestration._async.work import AsyncClaims
    from orchestration._sync.claim import Claim, Work
    from orchestration._sync.claimed import ClaimedWork
    from orchestration._sync.events import EventFeed
    from orchestration._sync.ledger import Ledger
    from orchestration._sync.sessions import SessionHandle
    from orchestration._sync.sprints import SprintHandle
    from orchestration._sync.work import Claims
    from orchestration.async_client import AsyncClient
    from orchestration.client import Client
    from orchestration.emitting import EmitTotals
    from orchestration.errors import ErrorDetails, LedgerError, Resource, error_details
    from orchestration.model.context_records import Context
    from orchestration.model.history_records import Change, SprintReport
    from orchestration.model.records import Budget, Event, RetryPolicy, Session, Sprint, Task
    from orchestration.model.requests import NewEvent, NewTask
    from orchestration.model.words import (
        AttemptOutcome,
        ContextPart,
        DependencyKind,
        Directive,
        EntityKind,
        Priority,
        ReasonKind,
        SessionOutcome,
        SessionStatus,
        SprintStatus,
        TaskStatus,
    )
    from orchestration.model.work_records import (
        Artifact,
        Attempt,
        Dependency,
        Lease,
        ModelUsage,
        Readiness,
        Reason,
        Usage,
    )
    from orchestration.reasons import (
        AlreadyExists,
        AnswerTooLarge,
        Conflict,
        CredentialsEnded,
        CursorGone,
        CursorInvalid,
        DeadlineExceeded,
        DependencyCycle,
        FileChanged,
        FileTooLarge,
        HistoryIncomplete,
        InternalFault,
        InvalidRequest,
        LeaseLost,
        NotFound,
        NotHeld,
        NoWorkspace,
        OutOfBounds,
        Overloaded,
        PageTokenInvalid,
        PermissionDenied,
        ProjectClosed,
        RateLimited,
        Refused,
        RequestIdReused,
        RequestTooLarge,
        RoleTooLow,
        SessionClosed,
        SprintNotEmpty,
        StaleFence,
        StaleRevision,
        TaskHeld,
        TaskNotReady,
        TemplateBroken,
        TemplateLimit,
        TooManySchedules,
        TransitionRefused,
        Unauthenticated,
        Unavailable,
        Unimplemented,
    )
    from orchestration.settings import DEFAULT_ADDRESS
    from orchestration.structs import plain
    from orchestration.timeline import AsyncTimeline, Timeline

__all__ = [
    "DEFAULT_ADDRESS",
    "AlreadyExists",
    "AnswerTooLarge",
    "Artifact",
    "AsyncClaim",
    "AsyncClaimedWork",
    "AsyncClaims",
    "AsyncClient",
    "AsyncEventFeed",
    "AsyncLedger",
    "AsyncSessionHandle",
    "AsyncSprintHandle",
    "AsyncTimeline",
    "AsyncWork",
    "Attempt",
    "AttemptOutcome",
    "Budget",
    "Change",
    "Claim",
    "ClaimedWork",
    "Claims",
    "Client",
    "Conflict",
    "Context",
    "ContextPart",
    "CredentialsEnded",
    "CursorGone",
    "CursorInvalid",
    "DeadlineExceeded",
    "Dependency",
    "DependencyCycle",
    "DependencyKind",
    "Directive",
    "EmitTotals",
    "EntityKind",
    "ErrorDetails",
    "Event",
    "EventFeed",
    "FileChanged",
    "FileTooLarge",
    "HistoryIncomplete",
    "InternalFault",
    "InvalidRequest",
    "Lease",
    "LeaseLost",
    "Ledger",
    "LedgerError",
    "ModelUsage",
    "NewEvent",
    "NewTask",
    "NoWorkspace",
    "NotFound",
    "NotHeld",
    "OutOfBounds",
    "Overloaded",
    "PageTokenInvalid",
    "PermissionDenied",
    "Priority",
    "ProjectClosed",
    "RateLimited",
    "Readiness",
    "Reason",
    "ReasonKind",
    "Refused",
    "RequestIdReused",
    "RequestTooLarge",
    "Resource",
    "RetryPolicy",
    "RoleTooLow",
    "Session",
    "SessionClosed",
    "SessionHandle",
    "SessionOutcome",
    "SessionStatus",
    "Sprint",
    "SprintHandle",
    "SprintNotEmpty",
    "SprintReport",
    "SprintStatus",
    "StaleFence",
    "StaleRevision",
    "Task",
    "TaskHeld",
    "TaskNotReady",
    "TaskStatus",
    "TemplateBroken",
    "TemplateLimit",
    "Timeline",
    "TooManySchedules",
    "TransitionRefused",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "Work",
    "error_details",
    "plain",
]

_MODULES = {
    "_async.claim": ("AsyncClaim", "AsyncWork"),
    "_async.claimed": ("AsyncClaimedWork",),
    "_async.events": ("AsyncEventFeed",),
    "_async.ledger": ("AsyncLedger",),
    "_async.sessions": ("AsyncSessionHandle",),
    "_async.sprints": ("AsyncSprintHandle",),
    "_async.work": ("AsyncClaims",),
    "_sync.claim": ("Claim", "Work"),
    "_sync.claimed": ("ClaimedWork",),
    "_sync.events": ("EventFeed",),
    "_sync.ledger": ("Ledger",),
    "_sync.sessions": ("SessionHandle",),
    "_sync.sprints": ("SprintHandle",),
    "_sync.work": ("Claims",),
    "async_client": ("AsyncClient",),
    "client": ("Client",),
    "emitting": ("EmitTotals",),
    "errors": (
        "ErrorDetails",
        "LedgerError",
        "Resource",
        "error_details",
    ),
    "model.context_records": ("Context",),
    "model.history_records": ("Change", "SprintReport"),
    "model.records": (
        "Budget",
        "Event",
        "RetryPolicy",
        "Session",
        "Sprint",
        "Task",
    ),
    "model.requests": (
        "NewEvent",
        "NewTask",
    ),
    "model.words": (
        "AttemptOutcome",
        "ContextPart",
        "DependencyKind",
        "Directive",
        "EntityKind",
        "Priority",
        "ReasonKind",
        "SessionOutcome",
        "SessionStatus",
        "SprintStatus",
        "TaskStatus",
    ),
    "model.work_records": (
        "Artifact",
        "Attempt",
        "Dependency",
        "Lease",
        "ModelUsage",
        "Readiness",
        "Reason",
        "Usage",
    ),
    "reasons": (
        "AlreadyExists",
        "AnswerTooLarge",
        "Conflict",
        "CredentialsEnded",
        "CursorGone",
        "CursorInvalid",
        "DeadlineExceeded",
        "DependencyCycle",
        "FileChanged",
        "FileTooLarge",
        "HistoryIncomplete",
        "InternalFault",
        "InvalidRequest",
        "LeaseLost",
        "NotFound",
        "NotHeld",
        "NoWorkspace",
        "OutOfBounds",
        "Overloaded",
        "PageTokenInvalid",
        "PermissionDenied",
        "ProjectClosed",
        "RateLimited",
        "Refused",
        "RequestIdReused",
        "RequestTooLarge",
        "RoleTooLow",
        "SessionClosed",
        "SprintNotEmpty",
        "StaleFence",
        "StaleRevision",
        "TaskHeld",
        "TaskNotReady",
        "TemplateBroken",
        "TemplateLimit",
        "TooManySchedules",
        "TransitionRefused",
        "Unauthenticated",
        "Unavailable",
        "Unimplemented",
    ),
    "settings": ("DEFAULT_ADDRESS",),
    "structs": ("plain",),
    "timeline": (
        "AsyncTimeline",
        "Timeline",
    ),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
