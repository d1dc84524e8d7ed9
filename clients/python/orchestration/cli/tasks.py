"""`task …`, `show`, `assign` and `edit`: tasks and their fields."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestration.cli import arguments, task_status
from orchestration.cli.exit_codes import USAGE
from orchestration.cli.group import new_group
from orchestration.cli.output import Answer
from orchestration.cli.refusal import Refusal
from orchestration.cli.verb import Session, add, verb

Priority = Annotated[
    str, typer.Option("-p", "--priority", help="P0, the most urgent, to P4.", show_default=False)
]
Description = Annotated[
    str, typer.Option("-d", "--description", help="What is to be done.", show_default=False)
]
Label = Annotated[list[str] | None, typer.Option("-l", "--label", help="A label. Repeat it for more.")]
Accept = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="A condition under which it is done. Repeat it for more."),
]
Able = Annotated[
    list[str] | None, typer.Option(help="What its agent has to be able to do. Repeat it for more.")
]
Due = Annotated[str, typer.Option(metavar="TIME", help="When it should be done: 2026-12-24, or 3d from now.")]


@verb
def create(
    session: Session,
    code: Annotated[
        str, typer.Argument(metavar="TASK", help="A new code: letters, digits, and . _ - inside.")
    ],
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What the task is, in a few words.")],
    sprint: arguments.InSprint = "",
    priority: Priority = "",
    description: Description = "",
    after: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK", help="A task that has to be done first. Repeat it for more."),
    ] = None,
    label: Label = None,
    accept: Accept = None,
    able: Able = None,
    assignee: Annotated[str, typer.Option(help="Who is to do it.", show_default=False)] = "",
    due: Due = "",
    request_id: arguments.RequestId = "",
) -> Answer:
    """Create a task. With --after it waits for other tasks.

    A task with --after is blocked until its dependencies are stored, so that nobody can claim it before.
    """
    from orchestration.cli import new_tasks

    session.subject = code
    fields = _fields(
        title=title, sprint_code=sprint, priority=priority, description=description, labels=label,
        acceptance_criteria=accept, capabilities=able, assignee=assignee, due_time=due,
    )  # fmt: skip
    return new_tasks.create(session, code, fields, list(after or ()), request_id)


@verb
def list_(
    session: Session,
    sprint: arguments.InSprint = "",
    status: Annotated[
        list[str] | None,
        typer.Option(help="pending, in_progress, blocked, completed or cancelled. Repeat it for more."),
    ] = None,
    priority: Annotated[
        list[str] | None, typer.Option("-p", "--priority", help="P0 to P4. Repeat it.")
    ] = None,
    label: Label = None,
    assignee: Annotated[str, typer.Option(help="Only tasks of this assignee.", show_default=False)] = "",
    limit: arguments.Limit = 50,
) -> Answer:
    """List tasks, by priority and then by age."""
    from orchestration.cli import lists, task_tables, words
    from orchestration.v1.task_pb2 import TASK_ORDER_PRIORITY, ListTasksRequest

    client = session.client

    def listed(page_size: int) -> object:
        request = ListTasksRequest(
            sprint_code=sprint,
            assignee=assignee,
            labels=label or [],
            order=TASK_ORDER_PRIORITY,
            page_size=page_size,
        )
        request.statuses.extend(words.number_of(task_tables.TASK_STATUS, one) for one in status or ())
        request.priorities.extend(words.number_of(task_tables.PRIORITY, one) for one in priority or ())
        return client.pages(client.tasks.ListTasks, request)

    found, more = lists.first(listed, limit)
    return lists.answer(
        session.out, "tasks", found, more, task_tables.listed(found), names=[one.code for one in found],
        empty="no tasks",
    )  # fmt: skip


@verb
def show(session: Session, task: arguments.TaskCode) -> Answer:
    """Show a task: its fields, what it waits for, and what waits for it."""
    from orchestration.cli import task_details

    session.subject = task
    return task_details.answer(session, task)


@verb
def edit(
    session: Session,
    task: arguments.TaskCode,
    title: Annotated[str | None, typer.Option(help="A new title.")] = None,
    sprint: Annotated[str | None, typer.Option("-s", "--sprint", help="Another sprint; '' for none.")] = None,
    priority: Annotated[str | None, typer.Option("-p", "--priority", help="P0 to P4.")] = None,
    description: Annotated[str | None, typer.Option("-d", "--description", help="A new description.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", help="The labels, all of them. Repeat it; '' for none."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="The conditions, all of them. Repeat it; '' for none."),
    ] = None,
    able: Annotated[
        list[str] | None, typer.Option(help="The capabilities, all of them. Repeat it; '' for none.")
    ] = None,
    assignee: Annotated[str | None, typer.Option(help="Another assignee; '' for none.")] = None,
    due: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it should be done; '' for no time.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="A new status.")] = None,
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Change fields of a task, in one revision. What is not named stays."""
    given = {
        "title": title, "sprint_code": sprint, "priority": priority, "description": description,
        "labels": label, "acceptance_criteria": accept, "capabilities": able, "assignee": assignee,
        "due_time": due, "status": status,
    }  # fmt: skip
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        raise Refusal("nothing to change", fix="name a field, such as --title; -h lists them", code=USAGE)
    return _update(session, task, named, fence, revision, request_id)


@verb
def assign(
    session: Session,
    task: arguments.TaskCode,
    assignee: Annotated[str, typer.Argument(metavar="ASSIGNEE", help="Who is to do it; '' for nobody.")],
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Assign a task to an agent or a person."""
    return _update(session, task, {"assignee": assignee}, fence, revision, request_id)


@verb
def delete(
    session: Session,
    task: arguments.TaskCode,
    fence: arguments.Fence = 0,
    revision: arguments.Revision = 0,
    request_id: arguments.RequestId = "",
) -> Answer:
    """Delete a task. Its history stays, and its code is not given out again."""
    from orchestration.v1.task_pb2 import DeleteTaskRequest

    session.subject = task
    request = DeleteTaskRequest(
        task_code=task, fence=fence, expected_revision=revision, request_id=request_id
    )
    session.client.tasks.DeleteTask(request)
    return Answer({"deleted": task}, [f"{task} is deleted"], [task])


def _update(
    session: Session, code: str, given: dict[str, Any], fence: int, revision: int, request_id: str
) -> Answer:
    from orchestration.cli.documents import to_document
    from orchestration.v1.task_pb2 import GetTaskRequest, Task, UpdateTaskRequest

    session.subject = code
    fields = _fields(**given)
    request = UpdateTaskRequest(
        task=Task(code=code, **fields), fence=fence, expected_revision=revision, request_id=request_id
    )
    request.update_mask.paths.extend(given)
    before = session.client.tasks.GetTask(GetTaskRequest(task_code=code)).task.revision
    task = session.client.tasks.UpdateTask(request).task
    same = task.revision == before
    shown = ", ".join(name.removesuffix("_code").replace("_", " ") for name in given)
    line = f"{code} stays as it is" if same else f"{code} has another {shown} (revision {task.revision})"
    return Answer({"task": to_document(task)}, [line], [code])


def _fields(**given: Any) -> dict[str, Any]:
    """Return the fields of a message, without the empty ones. '' in a list means an empty list."""
    from google.protobuf.timestamp_pb2 import Timestamp

    from orchestration.cli import task_tables, times, words

    fields = {name: value for name, value in given.items() if value}
    for name, enum in (("priority", task_tables.PRIORITY), ("status", task_tables.TASK_STATUS)):
        if name in fields:
            fields[name] = words.number_of(enum, fields[name])
    for name in ("labels", "acceptance_criteria", "capabilities"):
        if fields.get(name) == [""]:
            del fields[name]
    if "due_time" in fields:
        due = Timestamp()
        due.FromDatetime(times.moment(fields["due_time"]))
        fields["due_time"] = due
    return fields


app = new_group("Create, list and change tasks.")
for _name, _verb in (
    ("add", create),
    ("list", list_),
    ("show", show),
    ("edit", edit),
    ("assign", assign),
    ("start", task_status.start),
    ("done", task_status.done),
    ("block", task_status.block),
    ("reopen", task_status.reopen),
    ("cancel", task_status.cancel),
    ("delete", delete),
):
    add(app, _name, _verb)
