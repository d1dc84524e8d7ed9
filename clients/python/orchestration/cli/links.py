"""`dep …`: what a task waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli import arguments
from orchestration.cli import completion_codes as codes
from orchestration.cli.group import new_group
from orchestration.cli.output import Answer, Table
from orchestration.cli.verb import Session, add, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestration.v1.coordination_pb2 import Dependency

Other = Annotated[
    str, typer.Argument(metavar="OTHER", help="The task that it waits for.", autocompletion=codes.tasks)
]
Kind = Annotated[str, typer.Option(help="blocks, parent_child, discovered_from or related.")]


@verb
def add_(
    session: Session,
    task: arguments.TaskCode,
    other: Other,
    kind: Kind = "blocks",
    request_id: arguments.RequestId = "",
) -> Answer:
    """Let TASK wait for OTHER. With --kind parent_child OTHER is its parent."""
    from orchestration.cli import follows
    from orchestration.cli.documents import to_document
    from orchestration.v1.coordination_pb2 import AddDependencyRequest

    session.subject = task
    request = AddDependencyRequest(dependency=_link(task, other, kind), request_id=request_id)
    link = session.client.coordination.AddDependency(request).dependency
    ready, following = follows.itself(session, task)
    lines = [f"{task} waits for {other}" if kind == "blocks" else f"{task} is linked to {other} ({kind})"]
    return Answer({"dependency": to_document(link), "now_ready": ready}, [*lines, *following], [task])


@verb
def remove(
    session: Session,
    task: arguments.TaskCode,
    other: Other,
    kind: Kind = "blocks",
    request_id: arguments.RequestId = "",
) -> Answer:
    """Remove a dependency of TASK on OTHER."""
    from orchestration.cli import follows
    from orchestration.cli.documents import to_document
    from orchestration.v1.coordination_pb2 import RemoveDependencyRequest

    session.subject = task
    link = _link(task, other, kind)
    session.client.coordination.RemoveDependency(
        RemoveDependencyRequest(dependency=link, request_id=request_id)
    )
    ready, following = follows.itself(session, task)
    lines = [f"{task} waits for {other} no more" if kind == "blocks" else f"{task} and {other}: link removed"]
    return Answer({"removed": to_document(link), "now_ready": ready}, [*lines, *following], [task])


@verb
def list_(
    session: Session,
    task: arguments.TaskCode,
    dependents: Annotated[bool, typer.Option("--dependents", help="List what waits for it instead.")] = False,
    limit: arguments.Limit = 50,
) -> Answer:
    """List what a task waits for."""
    from orchestration.cli import lists, words
    from orchestration.v1 import common_pb2
    from orchestration.v1 import coordination_pb2 as pb

    session.subject = task
    direction = pb.DEPENDENCY_DIRECTION_DEPENDENTS if dependents else pb.DEPENDENCY_DIRECTION_DEPENDS_ON
    coordination = session.client.coordination

    def listed(page_size: int) -> Iterator[Dependency]:
        token = ""
        while True:
            page = coordination.ListDependencies(
                pb.ListDependenciesRequest(
                    task_code=task, direction=direction, page_size=page_size, page_token=token
                )
            )
            yield from page.dependencies
            token = page.next_page_token
            if not token:
                return

    found, more = lists.first(listed, limit)
    table = Table(("TASK", "WAITS FOR", "KIND"))
    for link in found:
        kind = words.word_of(common_pb2.DependencyKind.DESCRIPTOR, link.kind)
        table.add(link.task_code, link.depends_on_code, kind)
    names = [link.task_code if dependents else link.depends_on_code for link in found]
    return lists.answer(
        session.out, "dependencies", found, more, table, names=names,
        empty=f"nothing waits for {task}" if dependents else f"{task} waits for nothing",
    )  # fmt: skip


def _link(task: str, other: str, kind: str) -> Dependency:
    from orchestration.cli import words
    from orchestration.v1 import common_pb2, coordination_pb2

    link = coordination_pb2.Dependency(task_code=task, depends_on_code=other)
    link.kind = words.number_of(common_pb2.DependencyKind.DESCRIPTOR, kind)
    return link


app = new_group("Say what a task waits for.")
for _name, _verb in (("add", add_), ("rm", remove), ("list", list_)):
    add(app, _name, _verb)
