"""The reasons for which a task is not ready, as sentences that say what would change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestration.v1 import coordination_pb2
from orchestration_server.codec import budgets
from orchestration_server.codec.names import SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.model import Unready
from orchestration_server.store.readiness import Cause, CountedTasks

_Kind = coordination_pb2.ReadinessReasonKind
_PAUSED = ("", "the project", "sprint {}", "agent {}", "label {}", "task {}")
_LIMITED = ("", "agent {}", "label {}", "provider {}")


def _time(cause: Cause) -> str:
    return "" if cause.until is None else cause.until.isoformat(timespec="seconds").replace("+00:00", "Z")


def _status(cause: Cause) -> str:
    name = TASK_STATUS_NAMES[cause.status]
    if name == "in_progress":
        return "it is in progress without a lease: somebody set the status. It is ready once it is pending"
    return f"it is {name}: it is ready once it is pending"


def _blocker(cause: Cause) -> str:
    held = f", held by {cause.holder} until {_time(cause)} at least" if cause.holder else ""
    return (
        f"task {cause.subject} blocks it, which is {TASK_STATUS_NAMES[cause.status]}{held}:"
        " it is ready once that task is completed, cancelled or deleted, or the dependency is removed"
    )


def _held(cause: Cause) -> str:
    return (
        f"{cause.holder} holds it until {_time(cause)} at least: it is ready once the lease ends;"
        " PreemptTask ends it"
    )


def _sprint(cause: Cause) -> str:
    status = SPRINT_STATUS_NAMES[int(cause.detail)] if cause.detail else "missing"
    return f"its sprint {cause.subject} is {status}: it is ready once the sprint is active"


def _paused(cause: Cause) -> str:
    kind, _, reason = cause.detail.partition(" ")
    scope = _PAUSED[int(kind)].format(cause.subject)
    by = f" by {cause.holder}" if cause.holder else ""
    return f"{scope} is paused{by} ({reason}): it is ready after ResumeWork"


def _limit(cause: Cause) -> str:
    kind, _, most = cause.detail.partition(" ")
    key = _LIMITED[int(kind)].format(cause.subject)
    return f"{key} has its limit of {most} leases: it is ready once one ends, or the limit is raised"


def _child(cause: Cause) -> str:
    if TASK_STATUS_NAMES[cause.status] == "completed":
        return f"its child {cause.subject} is completed: its last child completes it"
    return f"its child {cause.subject} is {TASK_STATUS_NAMES[cause.status]}: its last child completes it"


def _budget(cause: Cause) -> str:
    limits, _, used = cause.detail.strip("{}").partition("}{")
    spent = budgets.spent(
        [None if limit == "NULL" else int(limit) for limit in limits.split(",")],
        [int(amount) for amount in used.split(",")],
    )
    return (
        f"its attempts have used up its budget ({', '.join(spent)}):"
        " it is ready once the budget of its retry_policy is raised"
    )


_REASONS: Mapping[Unready, tuple[_Kind.ValueType, Callable[[Cause], str], str]] = {
    Unready.STATUS: (
        _Kind.READINESS_REASON_KIND_STATUS, _status, "are not pending",
    ),
    Unready.BLOCKER: (
        _Kind.READINESS_REASON_KIND_BLOCKER, _blocker, "wait for other tasks",
    ),
    Unready.HELD: (_Kind.READINESS_REASON_KIND_HELD, _held, "are held"),
    Unready.NOT_BEFORE: (
        _Kind.READINESS_REASON_KIND_NOT_BEFORE,
        lambda cause: f"its not_before is {_time(cause)}: it is ready then, or once not_before is changed",
        "have a not_before that has not come",
    ),
    Unready.BACKOFF: (
        _Kind.READINESS_REASON_KIND_BACKOFF,
        lambda cause: f"an attempt failed: it is ready at {_time(cause)}, or once its status is set again",
        "pause after a failed attempt",
    ),
    Unready.CAPABILITY: (
        _Kind.READINESS_REASON_KIND_CAPABILITY,
        lambda cause: f"it requires the capability {cause.subject}: claim with an agent that has it",
        "require capabilities that the agent lacks",
    ),
    Unready.SPRINT: (
        _Kind.READINESS_REASON_KIND_SPRINT, _sprint, "belong to a sprint that is not active",
    ),
    Unready.PAUSED: (_Kind.READINESS_REASON_KIND_PAUSED, _paused, "are paused"),
    Unready.LIMIT: (_Kind.READINESS_REASON_KIND_LIMIT, _limit, "are beyond a limit of leases"),
    Unready.CHILDREN: (
        _Kind.READINESS_REASON_KIND_CHILDREN, _child, "wait for their children",
    ),
    Unready.BUDGET: (
        _Kind.READINESS_REASON_KIND_BUDGET, _budget, "have used up their budget",
    ),
}  # fmt: skip
KINDS = {bit: kind for bit, (kind, _, _) in _REASONS.items()}
"""The kinds of reasons in the API, by the bit of the database's function."""


def reason(cause: Cause) -> coordination_pb2.ReadinessReason:
    """Return the reason that a cause gives."""
    kind, say, _ = _REASONS[Unready(cause.bit)]
    made = coordination_pb2.ReadinessReason(
        kind=kind,
        message=say(cause),
        subject=cause.subject,
        status=cause.status,  # type: ignore[arg-type]  # the numbers are the same
        holder=cause.holder,
    )
    if cause.until is not None:
        made.until.CopyFrom(to_timestamp(cause.until))
    return made


def reasons(unready: int, causes: Sequence[Cause]) -> list[coordination_pb2.ReadinessReason]:
    """Return the reasons for which a task is not ready. ``causes`` were read a moment after ``unready``."""
    made = [reason(cause) for cause in causes]
    named = {cause.bit for cause in causes}
    for bit, (kind, _, _) in _REASONS.items():
        if bit & unready and bit not in named:
            made.append(coordination_pb2.ReadinessReason(kind=kind, message="it has just changed: ask again"))
    return made


def summary(found: CountedTasks, *, ready: bool) -> coordination_pb2.ExplainReadinessResponse:
    """Return what a claimer may get of the first tasks, and what keeps it from the others of these."""
    counted = found.by_reasons
    answer = coordination_pb2.ExplainReadinessResponse(
        ready=ready,
        ready_tasks=sum(number for unready, number in counted if not unready),
        tasks_seen=sum(number for _, number in counted),
        partial=found.partial,
    )
    for bit, (kind, _, text) in _REASONS.items():
        tasks = sum(number for unready, number in counted if Unready(unready) & bit)
        if tasks:
            answer.reasons.add(kind=kind, message=f"{tasks} tasks {text}", tasks=tasks)
    return answer
