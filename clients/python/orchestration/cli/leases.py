"""`claim`, `heartbeat`, `release`, `preempt` and `lease …`: who works on a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli import arguments, exit_codes
from orchestration.cli.completion_codes import tasks as task_codes
from orchestration.cli.group import new_group
from orchestration.cli.output import Answer, Table
from orchestration.cli.refusal import Refusal
from orchestration.cli.verb import Session, add, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

Held = Annotated[int, typer.Option("--fence", min=1, help="The fence that the claim printed.")]


@verb
def claim(
    session: Session,
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="A task; none for the next ready one.", autocompletion=task_codes
        ),
    ] = "",
    sprint: arguments.InSprint = "",
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", help="Only tasks with this label.")
    ] = None,
    able: Annotated[list[str] | None, typer.Option(help="What the agent can do. Repeat it for more.")] = None,
    lease: Annotated[str, typer.Option(help="How long it lasts without a heartbeat, 10s to 24h.")] = "15m",
    wait: Annotated[str, typer.Option(help="How long to wait for a ready task, up to 60s.")] = "0s",
    request_id: arguments.RequestId = "",
) -> Answer:
    """Claim a task, or the next ready one, so that nobody else gets it.

    The claim ends by itself unless `heartbeat` extends it. Exits with 1 if there is no task to claim.
    """
    from orchestration.cli import task_tables, times
    from orchestration.cli.documents import to_document
    from orchestration.v1.coordination_pb2 import ClaimTaskRequest

    session.subject = task
    if not session.agent:
        raise Refusal(
            "a claim needs the name of its holder", code=exit_codes.USAGE,
            fix="give --agent NAME, or set ORCHESTRATION_AGENT",
        )  # fmt: skip
    waiting = times.span(wait)
    request = ClaimTaskRequest(
        task_code=task, sprint_code=sprint, labels=label or [], capabilities=able or [], request_id=request_id
    )
    request.lease.FromTimedelta(times.span(lease))
    if waiting:
        request.wait.FromTimedelta(waiting)
    client = session.connect(session.agent, timeout=10.0 + waiting.total_seconds())
    claims = client.coordination.ClaimTask(request).claims
    if not claims:
        options = ["-s", sprint] if sprint else []
        for name in able or []:
            options += ["--able", name]
        raise Refusal("there is no task to claim", fix="ask why: " + session.command("why", tail=options))
    found = claims[0]
    held = found.lease
    end = ["--fence", str(held.fence)]
    lines = [
        f"{held.agent} holds {held.task_code} until {times.clock(held.expire_time)}"
        f" (fence {held.fence}, attempt {held.attempt})",
        *task_tables.task_page(found.task),
        "",
        "to keep it:    " + session.command("heartbeat", held.task_code, tail=end),
        "when finished: " + session.command("done", held.task_code, tail=end),
        "to give up:    " + session.command("release", held.task_code, tail=end),
    ]
    return Answer({"claim": to_document(found)}, lines, [held.task_code])


@verb
def heartbeat(session: Session, task: arguments.TaskCode, fence: Held) -> Answer:
    """Extend a claim, and say what its holder should do.

    Exits with 1 if the claim is lost.
    """
    from orchestration.cli import times, words
    from orchestration.cli.documents import to_document
    from orchestration.v1 import coordination_pb2 as pb

    session.subject = task
    request = pb.HeartbeatRequest(leases=[pb.LeaseRef(task_code=task, fence=fence)])
    (state,) = session.client.coordination.Heartbeat(request).leases
    document = {"lease": to_document(state)}
    reason = f": {state.reason}" if state.reason else ""
    if state.status == pb.LEASE_STATUS_LOST:
        lines = [f"the claim of {task} is lost{reason}; stop the work"]
        return Answer(document, lines, [], exit_codes.NO)
    line = f"{task} is yours until {times.clock(state.expire_time)}"
    if state.directive not in (pb.DIRECTIVE_UNSPECIFIED, pb.DIRECTIVE_CONTINUE):
        line += f"; the ledger asks you to {words.word_of(pb.Directive.DESCRIPTOR, state.directive)}{reason}"
    return Answer(document, [line], [task])


@verb
def release(
    session: Session,
    task: arguments.TaskCode,
    fence: Held,
    outcome: Annotated[str, typer.Option(help="returned, failed, blocked or completed.")] = "returned",
    message: arguments.Reason = "",
    final: Annotated[
        bool, typer.Option("--not-retryable", help="After a failure: do not try again.")
    ] = False,
    request_id: arguments.RequestId = "",
) -> Answer:
    """End a claim. Without --outcome the task goes back for others."""
    from orchestration.cli import words
    from orchestration.v1.coordination_pb2 import ReleaseTaskRequest
    from orchestration.v1.lease_pb2 import AttemptOutcome

    session.subject = task
    request = ReleaseTaskRequest(
        task_code=task, fence=fence, reason=message, not_retryable=final, request_id=request_id,
        outcome=words.number_of(AttemptOutcome.DESCRIPTOR, outcome),
    )  # fmt: skip
    return _ended(session, task, session.client.coordination.ReleaseTask(request))


@verb
def preempt(
    session: Session,
    task: arguments.TaskCode,
    message: arguments.Reason,
    request_id: arguments.RequestId = "",
) -> Answer:
    """End the claim of another holder. The reason is required."""
    from orchestration.v1.coordination_pb2 import PreemptTaskRequest

    session.subject = task
    request = PreemptTaskRequest(task_code=task, reason=message, request_id=request_id)
    return _ended(session, task, session.client.coordination.PreemptTask(request))


@verb
def list_(
    session: Session,
    of: Annotated[
        str, typer.Option(metavar="AGENT", help="Only those of this agent.", show_default=False)
    ] = "",
    limit: arguments.Limit = 50,
) -> Answer:
    """List who works on what now, since when, and for how long."""
    from orchestration.cli import lists, times
    from orchestration.v1.coordination_pb2 import ListLeasesRequest

    coordination = session.client.coordination

    def listed(page_size: int) -> Iterator[Any]:
        token = ""
        while True:
            page = coordination.ListLeases(ListLeasesRequest(agent=of, page_size=page_size, page_token=token))
            yield from page.leases
            token = page.next_page_token
            if not token:
                return

    found, more = lists.first(listed, limit)
    table = Table(("TASK", "AGENT", "ATTEMPT", "FENCE", "SINCE", "UNTIL"))
    for one in found:
        table.add(
            one.task_code, one.agent or "-", str(one.attempt), str(one.fence),
            times.clock(one.start_time), times.clock(one.expire_time),
        )  # fmt: skip
    names = [one.task_code for one in found]
    return lists.answer(session.out, "leases", found, more, table, names=names, empty="nobody holds a task")


def _ended(session: Session, code: str, response: Any) -> Answer:
    """Return the answer about the end of an attempt, and what follows from it."""
    from orchestration.cli import follows, task_tables, words
    from orchestration.cli.documents import to_document
    from orchestration.v1.lease_pb2 import AttemptOutcome

    attempt, status = response.attempt, task_tables.status(response.task)
    outcome = words.word_of(AttemptOutcome.DESCRIPTOR, attempt.outcome)
    lines = [f"attempt {attempt.number} at {code} is {outcome}; the task is {status}"]
    ready: list[str] | None = []
    if status == "completed":
        ready, following = follows.now_ready(session, code)
        lines += following
    elif status == "pending":
        ready, following = follows.itself(session, code)
        lines += following
    return Answer({**to_document(response), "now_ready": ready}, lines, [code])


app = new_group("List the claims that are valid now.")
add(app, "list", list_)
