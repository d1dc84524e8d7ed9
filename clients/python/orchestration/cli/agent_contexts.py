"""`context` and `prime`: what an agent reads before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli import arguments
from orchestration.cli.output import Answer, one_line, plural
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration.v1.context_pb2 import Context, ContextDependency

Budget = Annotated[int, typer.Option("--tokens", min=0, help="The most tokens of a model; 0 for no limit.")]


@verb
def context(
    session: Session,
    code: arguments.TaskCode,
    type_: Annotated[
        str, typer.Option("--type", help="task, sprint or session: what the code names.")
    ] = "task",
    tokens: Budget = 0,
) -> Answer:
    """Show what an agent needs to know before it works on a task."""
    from orchestration.cli.documents import to_document
    from orchestration.v1.context_pb2 import AssembleContextRequest, ContextOptions

    session.subject = code
    field = {"task": "task_code", "sprint": "sprint_code", "session": "session_key"}.get(type_)
    if field is None:
        raise ValueError(f"--type {type_} is none of task, sprint, session")
    request = AssembleContextRequest(options=ContextOptions(token_budget=tokens))
    setattr(request, field, code)
    found = session.client.contexts.AssembleContext(request)
    return Answer(to_document(found), _page(found.context), [code])


def _page(found: Context) -> list[str]:
    from orchestration.cli import sentences, task_tables, times

    lines: list[str] = []
    if found.HasField("task"):
        lines += task_tables.task_page(found.task)
    if found.HasField("sprint"):
        lines += ["", f"Sprint {found.sprint.code}: {one_line(found.sprint.title)}"]
        lines += [f"  goal: {one_line(found.sprint.goal)}"] if found.sprint.goal else []
        lines += [f"  {task_tables.counts(found.progress)}"] if found.HasField("progress") else []

    def section(title: str, items: list[str]) -> None:
        if items:
            lines.extend(["", f"{title}:", *[f"  - {item}" for item in items]])

    section("Next steps", [one_line(step) for step in found.next_steps])
    for title, links in (("Blockers", found.blockers), ("Dependencies", found.dependencies)):
        section(title, [_link(link) for link in links])
    section("Notes", [f"{note.agent or 'someone'}: {one_line(note.text)}" for note in found.notes])
    section("Decisions", [f"{one.code} {one_line(one.title)} ({one.status})" for one in found.decisions])
    section(
        "Sessions before", [f"{one.agent}: {one_line(one.summary)}" for one in found.sessions if one.summary]
    )
    section(
        "Attempts before",
        [
            f"{one.number} by {one.agent}" + (f": {one_line(one.reason)}" if one.reason else "")
            for one in found.attempts
        ],
    )
    section("Files", [f"{file.path} ({file.size} bytes)" for file in found.files])
    section(
        "Events",
        [
            f"{times.clock(event.occur_time)} {sentences.sentence(event, found.target_code)}"
            for event in found.events
        ],
    )
    if found.trimmed:
        lines += ["", "Some parts were left out to keep within the limit of tokens."]
    return lines


def _link(link: ContextDependency) -> str:
    from orchestration.cli import task_tables, words
    from orchestration.v1.common_pb2 import DependencyKind

    kind = words.word_of(DependencyKind.DESCRIPTOR, link.kind)
    status = words.word_of(task_tables.TASK_STATUS, link.status)
    outcome = f": {one_line(link.outcome)}" if link.outcome else ""
    return f"{link.depends_on_code} {one_line(link.title)} ({status}, {kind}){outcome}"


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
