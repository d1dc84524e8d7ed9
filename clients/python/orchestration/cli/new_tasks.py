"""The creation of a task with the tasks that it waits for."""

from __future__ import annotations

from typing import Any

import grpc

from orchestration.cli import call_errors, follows, task_tables
from orchestration.cli.documents import to_document
from orchestration.cli.output import Answer
from orchestration.cli.refusal import Refusal
from orchestration.cli.verb import Session
from orchestration.v1.common_pb2 import TASK_STATUS_BLOCKED, TASK_STATUS_PENDING
from orchestration.v1.coordination_pb2 import AddDependencyRequest, Dependency
from orchestration.v1.task_pb2 import CreateTaskRequest, GetTaskRequest, Task, UpdateTaskStatusRequest


def create(session: Session, code: str, fields: dict[str, Any], after: list[str], request_id: str) -> Answer:
    """Create a task; if it waits for others, keep it blocked until they are stored."""
    client = session.client
    for other in after:
        client.tasks.GetTask(GetTaskRequest(task_code=other))
    task = Task(code=code, **fields)
    if after:
        task.status = TASK_STATUS_BLOCKED
    created = client.tasks.CreateTask(CreateTaskRequest(task=task, request_id=request_id)).task
    if after:
        created = _store_dependencies(session, code, after, request_id)
    where = f" in {created.sprint_code}" if created.sprint_code else ""
    lines = [f"{code} is created ({task_tables.priority(created)}{where})"]
    if after:
        lines.append(f"{code} waits for {', '.join(after)}")
    ready, following = follows.itself(session, code)
    return Answer({"task": to_document(created), "now_ready": ready}, [*lines, *following], [code])


def _store_dependencies(session: Session, code: str, after: list[str], request_id: str) -> Task:
    """Add the dependencies and make the task pending. What is left undone is said, and how to go on."""
    done: list[str] = []

    def id_of(step: str) -> str:
        # Each step has an id of its own, so that a second run of the command goes on.
        return f"{request_id}.{step}" if request_id else ""

    try:
        for number, other in enumerate(after):
            link = Dependency(task_code=code, depends_on_code=other)
            session.client.coordination.AddDependency(
                AddDependencyRequest(dependency=link, request_id=id_of(str(number)))
            )
            done.append(other)
        change = UpdateTaskStatusRequest(
            task_code=code,
            status=TASK_STATUS_PENDING,
            reason="its dependencies are stored",
            request_id=id_of("ready"),
        )
        return session.client.tasks.UpdateTaskStatus(change).task
    except grpc.RpcError as error:
        found = call_errors.explain(error, session)
        left = [one for one in after if one not in done]
        steps = [session.command("dep", "add", code, one) for one in left]
        steps.append(session.command("task", "reopen", code))
        raise Refusal(
            f"{code} is created and stays blocked, because a step after that failed: {found.message}",
            fix="then " + "; ".join(steps),
            code=found.code,
            reason=found.reason,
            metadata=found.metadata,
        ) from None
