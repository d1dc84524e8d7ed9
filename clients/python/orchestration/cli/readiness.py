"""`ready` and `why`: what can be worked on, and why something cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli import arguments, exit_codes
from orchestration.cli.completion_codes import tasks as task_codes
from orchestration.cli.output import Answer
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration.v1.coordination_pb2 import ExplainReadinessResponse


@verb
def ready(
    session: Session,
    sprint: arguments.InSprint = "",
    all_: Annotated[
        bool,
        typer.Option("--all", help="Include tasks that are not due, such as those of sprints in planning."),
    ] = False,
    limit: arguments.Limit = 50,
) -> Answer:
    """List the tasks that can be claimed now, in the order in which they are claimed."""
    from orchestration.cli import lists, task_tables
    from orchestration.v1.coordination_pb2 import ListReadyTasksRequest

    client = session.client

    def listed(page_size: int) -> object:
        request = ListReadyTasksRequest(sprint_code=sprint, page_size=page_size, include_not_due=all_)
        return client.pages(client.coordination.ListReadyTasks, request)

    found, more = lists.first(listed, limit)
    return lists.answer(
        session.out, "tasks", found, more, task_tables.ready(found), names=[one.code for one in found],
        empty="nothing is ready; ask why: " + session.command("why", *(["-s", sprint] if sprint else [])),
    )  # fmt: skip


@verb
def why(
    session: Session,
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="The code of a task; none to explain what the agent gets.",
            autocompletion=task_codes,
        ),
    ] = "",
    sprint: arguments.InSprint = "",
    able: Annotated[
        list[str] | None, typer.Option(help="A capability of the agent. Repeat it for more.")
    ] = None,
) -> Answer:
    """Tell why a task is not ready to be claimed, and what would change it.

    --agent is the agent that would claim. Exits with 0 if a claim would succeed now,
    1 if not, 2 if an argument, a setting or the credentials are wrong, 3 if the task
    does not exist, 4 after a conflict, and 5 if the server cannot be reached or failed.
    """
    from orchestration.cli.documents import to_document
    from orchestration.v1.coordination_pb2 import ExplainReadinessRequest

    session.subject = task
    request = ExplainReadinessRequest(
        task_code=task, sprint_code=sprint, agent=session.agent, capabilities=able or []
    )
    # The agent of the question need not be the caller.
    answer = session.connect().coordination.ExplainReadiness(request)
    options = ["-s", sprint] if sprint else []
    for name in able or []:
        options += ["--able", name]
    return Answer(
        to_document(answer),
        _lines(session, task, answer, options),
        [task] if task and answer.ready else [],
        0 if answer.ready else exit_codes.NO,
    )


def _lines(session: Session, task: str, answer: ExplainReadinessResponse, options: list[str]) -> list[str]:
    """Return the explanation, and the command to run next, which gets the same options."""
    from orchestration.v1 import coordination_pb2 as pb

    of_another_task = (pb.READINESS_REASON_KIND_BLOCKER, pb.READINESS_REASON_KIND_CHILDREN)
    if not task:
        first = "the first " if answer.partial else ""
        found = [f"of {first}{answer.tasks_seen} tasks, {answer.ready_tasks} are ready"]
        if answer.partial:
            found.append("  - there are more tasks, which were not looked at")
    elif answer.ready:
        found = [f"{task} is ready; {answer.tasks_before} tasks come before it"]
    else:
        found = [f"{task} is not ready"]
    for reason in answer.reasons:
        found += session.out.wrapped(f"  - {reason.message}", "    ")
    following = [reason.subject for reason in answer.reasons if reason.kind in of_another_task]
    held = any(reason.kind == pb.READINESS_REASON_KIND_HELD for reason in answer.reasons)
    if following:
        found.append("next: " + session.command("why", following[0], tail=options))
    elif held:
        found.append(
            "next: wait for the holder, or end its attempt: "
            + session.command("preempt", task, tail=["-m", "REASON"])
        )
    return found
