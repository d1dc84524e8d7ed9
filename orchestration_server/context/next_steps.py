"""The next steps of a context, in sentences. Rules derive them from the state, so equal states agree.

docs/context.md lists the rules. The most urgent step comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.v1 import common_pb2, context_pb2
from orchestration_server.codec.names import SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.model import SprintStatus, is_due

NAMED = 3
"""Most codes that one sentence names."""


def next_steps(context: context_pb2.Context, ready: Sequence[str]) -> list[str]:
    """Return the next steps for a context. ``ready`` has the codes of the sprint's ready tasks."""
    steps = _of_session(context) if context.HasField("session") else []
    if context.HasField("task"):
        return steps + _of_task(context)
    if context.target_type != common_pb2.ENTITY_TYPE_TASK and context.HasField("sprint"):
        return steps + _of_sprint(context, ready)
    return steps


def _of_session(context: context_pb2.Context) -> list[str]:
    session = context.session
    kind = "task" if session.target_type == common_pb2.ENTITY_TYPE_TASK else "sprint"
    exists = context.HasField("task") if kind == "task" else context.HasField("sprint")
    steps = []
    if session.status == common_pb2.SESSION_STATUS_COMPLETED:
        steps.append(f"This session is closed: start another to go on with {kind} {session.target_code}.")
    elif session.status == common_pb2.SESSION_STATUS_PAUSED:
        reason = f" ({session.pause_reason})" if session.pause_reason else ""
        steps.append(f"This session is paused{reason}: resume it before you go on.")
    if not exists and session.status != common_pb2.SESSION_STATUS_COMPLETED:
        steps.append(f"The {kind} {session.target_code} was deleted: close this session.")
    return steps


def _of_task(context: context_pb2.Context) -> list[str]:
    task = context.task
    code = task.code
    if task.status == common_pb2.TASK_STATUS_COMPLETED:
        return [f"Task {code} is completed: nothing is left to do."]
    if task.status == common_pb2.TASK_STATUS_CANCELLED:
        return [f"Task {code} is cancelled: do not work on it."]
    steps = []
    if task.status == common_pb2.TASK_STATUS_BLOCKED:
        steps.append(f"Task {code} is blocked: clear what holds it up, then set it in progress.")
    if context.blockers:
        waits = _named([f"{b.depends_on_code} ({TASK_STATUS_NAMES[b.status]})" for b in context.blockers])
        steps.append(f"Task {code} waits for {waits}: have that done first.")
    due = not context.HasField("sprint") or is_due(SprintStatus(context.sprint.status))
    if not due:
        status = SPRINT_STATUS_NAMES[context.sprint.status]
        steps.append(f"Sprint {context.sprint.code} is {status}, not active: ask whether this work is due.")
    if task.status == common_pb2.TASK_STATUS_PENDING and not context.blockers and due:
        steps.append(f"Start task {code}: set it in progress.")
    if task.status == common_pb2.TASK_STATUS_IN_PROGRESS:
        steps.append(f"Go on with task {code}, and log what you do.")
    if context.acceptance_criteria:
        many = _counted(len(context.acceptance_criteria), "acceptance criterion", "acceptance criteria")
        steps.append(f"Meet the {many} of task {code}, then set it completed.")
    else:
        steps.append(f"Task {code} has no acceptance criteria: agree on when it counts as done.")
    return steps


def _of_sprint(context: context_pb2.Context, ready: Sequence[str]) -> list[str]:
    code, counts = context.sprint.code, context.progress
    if context.sprint.status == common_pb2.SPRINT_STATUS_COMPLETED:
        return [f"Sprint {code} is completed: nothing is left to do."]
    if context.sprint.status == common_pb2.SPRINT_STATUS_CANCELLED:
        return [f"Sprint {code} is cancelled: do not work on it."]
    if not counts.total:
        return [f"Sprint {code} has no tasks: add some."]
    steps = []
    if context.sprint.status == common_pb2.SPRINT_STATUS_PLANNING:
        steps.append(f"Sprint {code} is being planned: activate it once its tasks are agreed on.")
    open_tasks = counts.pending + counts.in_progress + counts.blocked
    if not open_tasks:
        return [*steps, f"All tasks of sprint {code} are done: complete the sprint."]
    if counts.blocked:
        steps.append(f"Clear what holds up {_counted(counts.blocked, 'blocked task')}.")
    if counts.in_progress:
        steps.append(f"See {_counted(counts.in_progress, 'task')} in progress through.")
    if not is_due(SprintStatus(context.sprint.status)):
        return steps
    if ready:
        steps.append(f"Start what is ready, the most urgent first: {', '.join(ready)}.")
    elif counts.pending:
        steps.append(f"None of {_counted(counts.pending, 'pending task')} can start: clear the blockers.")
    return steps


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    listed = list(names[:NAMED]) + ([f"{more} more"] if more > 0 else [])
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]
