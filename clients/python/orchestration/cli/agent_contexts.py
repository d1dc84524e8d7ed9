"""`context` and `prime`: what an agent reads before it starts."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli import arguments
from orchestration.cli.output import Answer, one_line, plural, visible
from orchestration.cli.verb import Session, verb

Budget = Annotated[
    int, typer.Option("--tokens", min=0, help="The most tokens of a model, from 200; 0 for no limit.")
]


@verb
def context(
    session: Session,
    code: arguments.TaskCode,
    type_: Annotated[
        str, typer.Option("--type", help="task, sprint or session: what the code names.")
    ] = "task",
    tokens: Budget = 0,
) -> Answer:
    """Show what an agent needs to know before it works on a task, as Markdown for a model.

    With --json the context has its fields.
    """
    from orchestration.cli.documents import to_document
    from orchestration.v1.context_pb2 import CONTEXT_FORMAT_MARKDOWN, AssembleContextRequest, ContextOptions

    session.subject = code
    field = {"task": "task_code", "sprint": "sprint_code", "session": "session_key"}.get(type_)
    if field is None:
        raise ValueError(f"--type {type_} is none of task, sprint, session")
    options = ContextOptions(token_budget=tokens)
    if session.out.format == "table":
        # For a model and for people; JSON and YAML have the fields.
        options.format = CONTEXT_FORMAT_MARKDOWN
    request = AssembleContextRequest(options=options)
    setattr(request, field, code)
    found = session.client.contexts.AssembleContext(request)
    lines = [visible(line) for line in found.context.markdown.splitlines()]
    return Answer(to_document(found), lines, [code])


@verb
def prime(session: Session, sprint: arguments.InSprint = "") -> Answer:
    """Show on one screen what an agent has to know: its work, what is ready, and the words to type."""
    from orchestration.cli import task_tables, times
    from orchestration.cli.documents import to_document
    from orchestration.v1 import coordination_pb2, sprint_pb2
    from orchestration.v1.common_pb2 import SPRINT_STATUS_ACTIVE

    client = session.client
    active = [] if sprint else [SPRINT_STATUS_ACTIVE]
    sprints = client.sprints.ListSprints(sprint_pb2.ListSprintsRequest(statuses=active, page_size=4)).sprints
    if sprint:
        one = client.sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=sprint)).sprint
        sprints = [one]  # type: ignore[assignment]  # a list has what the field has
    ready = client.coordination.ListReadyTasks(
        coordination_pb2.ListReadyTasksRequest(sprint_code=sprint, page_size=5)
    )
    leases = []
    if session.agent:
        request = coordination_pb2.ListLeasesRequest(agent=session.agent, page_size=5)
        leases = list(client.coordination.ListLeases(request).leases)
    lines = [
        f"You are {session.agent or 'nobody yet (set ORCHESTRATION_AGENT)'}, at the ledger {client.address}."
    ]
    lines += [""] + [f"Sprint {one.code}: {one_line(one.title, 60)}" for one in sprints] if sprints else []
    if leases:
        lines += ["", "You hold:"]
        lines += [
            f"  {one.task_code} until {times.clock(one.expire_time)}, fence {one.fence}" for one in leases
        ]
    more = "or more" if ready.next_page_token else ""
    lines += ["", f"Ready: {plural(len(ready.tasks), 'task')} {more}".rstrip()]
    lines += [
        f"  {task.code}  {task_tables.priority(task)}  {one_line(task.title, 60)}" for task in ready.tasks
    ]
    lines += ["", *_words(session, sprint)]
    document = {
        "agent": session.agent,
        "address": client.address,
        "sprints": [to_document(one) for one in sprints],
        "leases": [to_document(one) for one in leases],
        "ready": [to_document(one) for one in ready.tasks],
        "more_ready": bool(ready.next_page_token),
    }
    return Answer(document, lines, [task.code for task in ready.tasks])


def _words(session: Session, sprint: str) -> list[str]:
    where = ["-s", sprint] if sprint else []
    rows = [
        (session.command("claim", tail=where), "take the next task; it prints the fence"),
        (session.command("context", "TASK"), "what to know about it"),
        (session.command("heartbeat", "TASK", "--fence", "N"), "keep it while you work"),
        (session.command("done", "TASK", "--fence", "N", "-m", "result"), "finish it"),
        (session.command("release", "TASK", "--fence", "N", "-m", "reason"), "give it back"),
        (session.command("task", "add", "CODE", "TITLE", tail=where), "add work that you found"),
        (session.command("why", "TASK"), "why it is not ready"),
    ]
    lines = ["Words:"]
    for words, meaning in rows:
        lines += [f"  {words}", f"      {meaning}"]
    return lines
