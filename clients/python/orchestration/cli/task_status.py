"""`start`, `done`, `block`, `reopen` and `cancel`: changes of a task's status."""

from __future__ import annotations

from orchestration.cli import arguments
from orchestration.cli.output import Answer
from orchestration.cli.verb import Session, verb


@verb
def start(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason = "",
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Set a task to in_progress. `claim` does it too, and keeps others away."""
    return _change(session, task, "in_progress", message, fence, revision, request_id)


@verb
def done(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason = "",
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Complete a task, and list the tasks that are ready now."""
    return _change(session, task, "completed", message, fence, revision, request_id)


@verb
def block(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason = "",
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Set a task to blocked, with the reason."""
    return _change(session, task, "blocked", message, fence, revision, request_id)


@verb
def reopen(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason = "",
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Set a task back to pending."""
    return _change(session, task, "pending", message, fence, revision, request_id)


@verb
def cancel(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason = "",
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Cancel a task, and list the tasks that are ready now."""
    return _change(session, task, "cancelled", message, fence, revision, request_id)


def _change(
    session: Session, code: str, word: str, message: str, fence: int, revision: int, request_id: str
) -> Answer:
    from orchestration.cli import follows, task_tables, words
    from orchestration.cli.documents import to_document
    from orchestration.v1.task_pb2 import GetTaskRequest, UpdateTaskStatusRequest

    session.subject = code
    status = words.number_of(task_tables.TASK_STATUS, word)
    request = UpdateTaskStatusRequest(
        task_code=code, status=status, reason=message, fence=fence, expected_revision=revision,
        request_id=request_id,
    )  # fmt: skip
    tasks = session.client.tasks
    before = tasks.GetTask(GetTaskRequest(task_code=code)).task.revision
    task = tasks.UpdateTaskStatus(request).task
    if task.revision == before:
        lines = [f"{code} was {task_tables.status(task)} already"]
        return Answer({"task": to_document(task), "now_ready": []}, lines, [task.code])
    lines = [f"{task.code} is {task_tables.status(task)}" + (f": {message}" if message else "")]
    ready: list[str] | None = []
    if word in ("completed", "cancelled"):
        ready, following = follows.now_ready(session, code)
        lines += following
    elif word == "pending":
        ready, following = follows.itself(session, code)
        lines += following
    elif word == "blocked":
        lines.append(f"next, when it can go on: {session.command('task', 'reopen', code)}")
    elif word == "in_progress":
        lines.append(f"next, when it is finished: {session.command('done', code)}")
    return Answer({"task": to_document(task), "now_ready": ready}, lines, [task.code])
