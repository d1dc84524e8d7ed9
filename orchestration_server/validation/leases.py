"""The rules of lease.proto, and of the claims, pauses and limits of coordination.proto."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import context_pb2, coordination_pb2, lease_pb2
from orchestration_server.validation.constraints import (
    Check,
    EnumValue,
    Flag,
    Ignored,
    Int,
    Items,
    Rule,
    Rules,
    Span,
    Sub,
    Text,
    Violations,
)
from orchestration_server.validation.fields import (
    AGENT,
    CODE,
    CODE_OR_NONE,
    FENCE,
    LABEL,
    PAGE,
    PRIORITY,
    REASON,
    REQUEST_ID,
    enum_of,
)

MAX_BEATS = 10_000
MAX_CLAIMS = 100
_DAY = 86_400
_PROVIDER = Text(0, 100)
_REQUIRED_REASON = Text(1, 2_000)
_COUNT = Int(0, 2**53)
_FILTER: dict[str, Rule] = {
    "sprint_code": CODE_OR_NONE,
    "labels": Items(10, LABEL),
    "priorities": Items(5, EnumValue(PRIORITY, required=True)),
    "capabilities": Items(50, LABEL),
    "agent": AGENT,
    "provider": _PROVIDER,
}
_RELEASED = frozenset(
    (
        lease_pb2.ATTEMPT_OUTCOME_COMPLETED,
        lease_pb2.ATTEMPT_OUTCOME_FAILED,
        lease_pb2.ATTEMPT_OUTCOME_RETURNED,
        lease_pb2.ATTEMPT_OUTCOME_BLOCKED,
        lease_pb2.ATTEMPT_OUTCOME_CANCELLED,
    )
)


def _one_scope(scope: coordination_pb2.WorkScope) -> Violations | None:
    field = scope.WhichOneof("scope")
    if field is None:
        return {"": "must name a project, sprint_code, agent, label or task_code"}
    return None if getattr(scope, field) else {field: "must not be empty"}


def _one_key(limit: coordination_pb2.WorkLimit) -> Violations | None:
    field = limit.WhichOneof("key")
    if field is None:
        return {"": "must name an agent, label or provider"}
    return None if getattr(limit, field) else {field: "must not be empty"}


def _named_or_next(request: coordination_pb2.ClaimTaskRequest) -> Violations | None:
    if not request.task_code:
        return None
    return {
        name: "must not be set together with task_code"
        for name in ("sprint_code", "labels", "priorities", "count", "wait")
        if (request.HasField("wait") if name == "wait" else getattr(request, name))
    }


def _says_why(request: coordination_pb2.ReleaseTaskRequest) -> Violations | None:
    blocked = request.outcome == lease_pb2.ATTEMPT_OUTCOME_BLOCKED
    return {"reason": "is required for the outcome BLOCKED"} if blocked and not request.reason else None


RULES: Rules = {
    # lease.proto
    lease_pb2.ModelUsage: {
        "provider": _PROVIDER,
        "model": Text(0, 200),
        **dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "cost_micros"), _COUNT),
    },
    lease_pb2.Usage: {
        "models": Items(20, Sub(lease_pb2.ModelUsage)),
        "tool_calls": _COUNT,
        "wall_time": Span(0, 30 * _DAY),
    },
    lease_pb2.Artifact: {"name": Text(1, 200), "uri": Text(0, 2_000), "hash": Text(0, 200)},
    # coordination.proto
    coordination_pb2.ClaimTaskRequest: {
        "task_code": CODE_OR_NONE,
        **_FILTER,
        "lease": Span(10, _DAY),
        "attempt_deadline": Span(10, 30 * _DAY),
        "wait": Span(0, 60),
        "count": Int(0, MAX_CLAIMS),
        "context": Sub(context_pb2.ContextOptions),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.LeaseRef: {"task_code": CODE, "fence": FENCE, "usage": Sub(lease_pb2.Usage)},
    coordination_pb2.HeartbeatRequest: {
        "leases": Items(MAX_BEATS, Sub(coordination_pb2.LeaseRef), low=1),
    },
    coordination_pb2.ReleaseTaskRequest: {
        "task_code": CODE,
        "fence": FENCE,
        "outcome": EnumValue(lease_pb2.AttemptOutcome.DESCRIPTOR, required=True, only=_RELEASED),
        "reason": REASON,
        "not_retryable": Flag(),
        "usage": Sub(lease_pb2.Usage),
        "artifacts": Items(100, Sub(lease_pb2.Artifact)),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.PreemptTaskRequest: {
        "task_code": CODE,
        "reason": _REQUIRED_REASON,
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ListLeasesRequest: {"agent": AGENT, "session_key": CODE_OR_NONE, **PAGE},
    coordination_pb2.ListAttemptsRequest: {"task_code": CODE, **PAGE},
    coordination_pb2.ExplainReadinessRequest: {"task_code": CODE_OR_NONE, **_FILTER},
    coordination_pb2.WorkScope: {
        "project": Flag(),
        "sprint_code": CODE_OR_NONE,
        "agent": AGENT,
        "label": Text(0, 100),
        "task_code": CODE_OR_NONE,
    },
    coordination_pb2.PauseWorkRequest: {
        "scope": Sub(coordination_pb2.WorkScope, required=True),
        "mode": enum_of(coordination_pb2.PauseWorkRequest, "mode"),
        "reason": _REQUIRED_REASON,
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ResumeWorkRequest: {
        "scope": Sub(coordination_pb2.WorkScope, required=True),
        "reason": REASON,
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ListPausesRequest: PAGE,
    coordination_pb2.WorkLimit: {
        "agent": AGENT,
        "label": Text(0, 100),
        "provider": _PROVIDER,
        "max_leases": Int(0, 100_000),
        "leases": Ignored(),
    },
    coordination_pb2.SetWorkLimitRequest: {
        "limit": Sub(coordination_pb2.WorkLimit, required=True),
        "remove": Flag(),
        "request_id": REQUEST_ID,
    },
    coordination_pb2.ListWorkLimitsRequest: PAGE,
}

ACROSS: Mapping[type[Message], Check] = {
    coordination_pb2.ClaimTaskRequest: _named_or_next,
    coordination_pb2.ReleaseTaskRequest: _says_why,
    coordination_pb2.WorkScope: _one_scope,
    coordination_pb2.WorkLimit: _one_key,
}
