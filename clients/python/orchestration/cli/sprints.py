"""`sprint …`: sprints."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli import arguments
from orchestration.cli.group import new_group
from orchestration.cli.output import Answer, plural
from orchestration.cli.verb import Session, add, verb


@verb
def create(
    session: Session,
    code: Annotated[
        str, typer.Argument(metavar="SPRINT", help="A new code: letters, digits, and . _ - inside.")
    ],
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What the sprint is, in a few words.")],
    start: Annotated[bool, typer.Option("--start", help="Make it active at once.")] = False,
    goal: Annotated[str, typer.Option(help="What it is to achieve.", show_default=False)] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.", show_default=False)] = "",
    begin: Annotated[str, typer.Option(metavar="DATE", help="Its first day, as 2026-12-24.")] = "",
    end: Annotated[str, typer.Option(metavar="DATE", help="Its last day.")] = "",
    request_id: arguments.RequestId = "",
) -> Answer:
    """Create a sprint. The tasks of a sprint are ready once it is active."""
    from orchestration.cli.documents import to_document
    from orchestration.v1.common_pb2 import SPRINT_STATUS_ACTIVE, SPRINT_STATUS_PLANNING
    from orchestration.v1.sprint_pb2 import CreateSprintRequest, Sprint

    session.subject = code
    sprint = Sprint(
        code=code, title=title, goal=goal, owner=owner, start_date=begin, end_date=end,
        status=SPRINT_STATUS_ACTIVE if start else SPRINT_STATUS_PLANNING,
    )  # fmt: skip
    created = session.client.sprints.CreateSprint(
        CreateSprintRequest(sprint=sprint, request_id=request_id)
    ).sprint
    add_task = session.command("task", "add", "CODE", "TITLE", "-s", code)
    lines = [f"{code} is created, {'active' if start else 'in planning'}", f"next: {add_task}"]
    if not start:
        lines.append(f"its tasks are ready after: {session.command('sprint', 'start', code)}")
    return Answer({"sprint": to_document(created)}, lines, [code])


@verb
def start(session: Session, sprint: arguments.SprintCode, request_id: arguments.RequestId = "") -> Answer:
    """Make a sprint active, so that its tasks can be claimed."""
    return _change(session, sprint, "active", request_id)


@verb
def complete(session: Session, sprint: arguments.SprintCode, request_id: arguments.RequestId = "") -> Answer:
    """Complete a sprint."""
    return _change(session, sprint, "completed", request_id)


@verb
def cancel(session: Session, sprint: arguments.SprintCode, request_id: arguments.RequestId = "") -> Answer:
    """Cancel a sprint."""
    return _change(session, sprint, "cancelled", request_id)


@verb
def list_(
    session: Session,
    status: Annotated[
        list[str] | None, typer.Option(help="planning, active, completed or cancelled. Repeat it for more.")
    ] = None,
    owner: Annotated[str, typer.Option(help="Only sprints of this owner.", show_default=False)] = "",
    limit: arguments.Limit = 50,
) -> Answer:
    """List sprints, the newest first."""
    from orchestration.cli import lists, task_tables, words
    from orchestration.v1.sprint_pb2 import ListSprintsRequest

    client = session.client

    def listed(page_size: int) -> object:
        request = ListSprintsRequest(owner=owner, page_size=page_size)
        request.statuses.extend(words.number_of(task_tables.SPRINT_STATUS, one) for one in status or ())
        return client.pages(client.sprints.ListSprints, request)

    found, more = lists.first(listed, limit)
    return lists.answer(
        session.out, "sprints", found, more, task_tables.sprints(found), names=[one.code for one in found],
        empty="no sprints; next: " + session.command("sprint", "create", "CODE", "TITLE", "--start"),
    )  # fmt: skip


@verb
def show(session: Session, sprint: arguments.SprintCode) -> Answer:
    """Show a sprint with its first tasks."""
    from orchestration.cli import task_tables, times, words
    from orchestration.cli.documents import to_document
    from orchestration.cli.output import one_line
    from orchestration.v1.sprint_pb2 import SPRINT_VIEW_FULL, GetSprintRequest

    session.subject = sprint
    found = session.client.sprints.GetSprint(GetSprintRequest(sprint_code=sprint, view=SPRINT_VIEW_FULL))
    one = found.sprint
    facts = [
        ("status", words.word_of(task_tables.SPRINT_STATUS, one.status)),
        ("owner", one.owner),
        ("goal", one_line(one.goal)),
        ("from", one.start_date),
        ("to", one.end_date),
        ("tasks", task_tables.counts(found.task_counts)),
        ("revision", f"{one.revision}, {times.clock(one.update_time)}"),
    ]
    lines = [f"{one.code}  {one_line(one.title)}", *task_tables.pairs(facts)]
    lines += ["", *session.out.table(task_tables.listed(found.tasks))] if found.tasks else []
    if found.next_task_page_token:
        lines.append("all tasks: " + session.command("task", "list", "-s", sprint))
    return Answer(to_document(found), lines, [sprint])


def _change(session: Session, code: str, word: str, request_id: str) -> Answer:
    from orchestration.cli import task_tables, words
    from orchestration.cli.documents import to_document
    from orchestration.v1.sprint_pb2 import Sprint, UpdateSprintRequest

    session.subject = code
    sprint = Sprint(code=code)
    sprint.status = words.number_of(task_tables.SPRINT_STATUS, word)
    request = UpdateSprintRequest(sprint=sprint, request_id=request_id)
    request.update_mask.paths.append("status")
    changed = session.client.sprints.UpdateSprint(request).sprint
    lines = [f"{code} is {word}"]
    ready: list[str] | None = []
    if word == "active":
        ready, following = _ready_of(session, code)
        lines += following
    return Answer({"sprint": to_document(changed), "now_ready": ready}, lines, [code])


def _ready_of(session: Session, code: str) -> tuple[list[str] | None, list[str]]:
    import grpc

    from orchestration.errors import error_details
    from orchestration.v1.coordination_pb2 import ListReadyTasksRequest

    try:
        page = session.client.coordination.ListReadyTasks(
            ListReadyTasksRequest(sprint_code=code, page_size=20)
        )
    except grpc.RpcError as error:
        return None, [f"what follows could not be read: {error_details(error).message}"]
    ready = [task.code for task in page.tasks]
    if page.next_page_token:
        return ready, [
            f"more than {plural(len(ready), 'task')} are ready now: {session.command('ready', '-s', code)}"
        ]
    return ready, [f"{one} is ready now" for one in ready]


app = new_group("Create, list, start and end sprints.")
for _name, _verb in (
    ("create", create),
    ("start", start),
    ("list", list_),
    ("show", show),
    ("complete", complete),
    ("cancel", cancel),
):
    add(app, _name, _verb)
