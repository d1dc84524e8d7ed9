"""`orchestration why`: tell why a task is not ready, or why an agent gets none."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated

import grpc
import typer

from orchestration import DEFAULT_ADDRESS, Client, error_details
from orchestration.settings import ADDRESS_VARIABLE
from orchestration.v1.coordination_pb2 import (
    READINESS_REASON_KIND_BLOCKER,
    READINESS_REASON_KIND_CHILDREN,
    READINESS_REASON_KIND_HELD,
    ExplainReadinessRequest,
    ExplainReadinessResponse,
)
from orchestration_server.cli import exit_codes
from orchestration_server.cli.options import err

_OF_ANOTHER_TASK = frozenset((READINESS_REASON_KIND_BLOCKER, READINESS_REASON_KIND_CHILDREN))


def why(
    task: Annotated[
        str, typer.Argument(help="The code of a task; none to explain what the agent gets.")
    ] = "",
    address: Annotated[
        str, typer.Option(envvar=ADDRESS_VARIABLE, help="The server, as HOST:PORT.")
    ] = DEFAULT_ADDRESS,
    project: Annotated[str, typer.Option(help="The project of the task.")] = "",
    agent: Annotated[str, typer.Option(help="The agent that would claim.")] = "",
    able: Annotated[
        list[str] | None, typer.Option(help="A capability of the agent. Repeat it for more.")
    ] = None,
) -> None:
    """Tell why a task is not ready to be claimed, and what would change it.

    Exits with 0 if a claim would succeed now, 1 if not, 2 if an argument, a setting or the credentials are
    wrong, 3 if the task does not exist, 4 after a conflict, and 5 if the server cannot be reached or failed.
    """
    request = ExplainReadinessRequest(task_code=task, agent=agent, capabilities=able or [])
    try:
        with Client(address, project=project) as ledger:
            answer = ledger.coordination.ExplainReadiness(request)
    except (grpc.RpcError, ValueError) as error:
        message = error_details(error).message if isinstance(error, grpc.RpcError) else str(error)
        err.print(message, style="red", markup=False, highlight=False)
        raise typer.Exit(exit_codes.of_error(error)) from None
    options = ["--address", address] if address != DEFAULT_ADDRESS else []
    options += ["--project", project] if project else []
    options += ["--agent", agent] if agent else []
    for name in able or []:
        options += ["--able", name]
    for line in _lines(task, answer, options):
        typer.echo(line)
    if not answer.ready:
        raise typer.Exit(exit_codes.NO)


def _lines(task: str, answer: ExplainReadinessResponse, options: Sequence[str]) -> list[str]:
    """Return the explanation, and the command to run next, which gets the same options."""
    if not task:
        first = "the first " if answer.partial else ""
        found = [f"of {first}{answer.tasks_seen} tasks, {answer.ready_tasks} are ready"]
        if answer.partial:
            found.append("  - there are more tasks, which were not looked at")
    elif answer.ready:
        found = [f"{task} is ready; {answer.tasks_before} tasks come before it"]
    else:
        found = [f"{task} is not ready"]
    found += [f"  - {reason.message}" for reason in answer.reasons]
    following = [reason.subject for reason in answer.reasons if reason.kind in _OF_ANOTHER_TASK]
    held = any(reason.kind == READINESS_REASON_KIND_HELD for reason in answer.reasons)
    if following:
        found.append("next: " + shlex.join(["orchestration", "why", following[0], *options]))
    elif held:
        found.append("next: wait for the holder, or end its attempt with PreemptTask")
    return found
