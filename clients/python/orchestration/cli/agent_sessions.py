"""`session …`: the sessions of agents."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli import arguments
from orchestration.cli.completion_codes import tasks as task_codes
from orchestration.cli.group import new_group
from orchestration.cli.output import Answer, Table, one_line
from orchestration.cli.verb import Session, add, verb


@verb
def list_(
    session: Session,
    status: Annotated[
        list[str] | None, typer.Option(help="active, paused or completed. Repeat it for more.")
    ] = None,
    of: Annotated[
        str, typer.Option(metavar="AGENT", help="Only those of this agent.", show_default=False)
    ] = "",
    task: Annotated[
        str, typer.Option(metavar="TASK", help="Only those of this task.", autocompletion=task_codes)
    ] = "",
    sprint: arguments.InSprint = "",
    limit: arguments.Limit = 50,
) -> Answer:
    """List the sessions of agents, the newest first."""
    from orchestration.cli import lists, times, words
    from orchestration.v1.common_pb2 import SessionStatus
    from orchestration.v1.session_pb2 import ListSessionsRequest

    client = session.client

    def listed(page_size: int) -> object:
        request = ListSessionsRequest(agent=of, page_size=page_size)
        if task:
            request.task_code = task
        elif sprint:
            request.sprint_code = sprint
        request.statuses.extend(words.number_of(SessionStatus.DESCRIPTOR, one) for one in status or ())
        return client.pages(client.sessions.ListSessions, request)

    if task and sprint:
        raise ValueError("name a task or a sprint, not both")
    found, more = lists.first(listed, limit)
    table = Table(("SESSION", "STATUS", "AGENT", "ABOUT", "ACTIVE", "SUMMARY"))
    for one in found:
        table.add(
            one.key, words.word_of(SessionStatus.DESCRIPTOR, one.status), one.agent or "-",
            one.target_code or "-", times.clock(one.last_activity_time), one_line(one.summary),
        )  # fmt: skip
    names = [one.key for one in found]
    return lists.answer(session.out, "sessions", found, more, table, names=names, empty="no sessions")


@verb
def show(
    session: Session, key: Annotated[str, typer.Argument(metavar="KEY", help="The key of a session.")]
) -> Answer:
    """Show a session."""
    from orchestration.cli import task_tables, times, words
    from orchestration.cli.documents import to_document
    from orchestration.v1.common_pb2 import SessionOutcome, SessionStatus
    from orchestration.v1.session_pb2 import GetSessionRequest

    session.subject = key
    found = session.client.sessions.GetSession(GetSessionRequest(session_key=key)).session
    facts = [
        ("status", words.word_of(SessionStatus.DESCRIPTOR, found.status)),
        ("agent", found.agent),
        ("about", found.target_code),
        ("outcome", words.word_of(SessionOutcome.DESCRIPTOR, found.outcome) if found.outcome else ""),
        ("paused", found.pause_reason),
        ("summary", found.summary),
        ("since", times.clock(found.create_time)),
    ]
    return Answer({"session": to_document(found)}, [found.key, *task_tables.pairs(facts)], [found.key])


app = new_group("List and show the sessions of agents.")
add(app, "list", list_)
add(app, "show", show)
