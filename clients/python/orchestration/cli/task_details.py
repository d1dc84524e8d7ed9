"""The answer of `show`: a task with what it waits for and what waits for it."""

from __future__ import annotations

from orchestration.cli import task_tables, words
from orchestration.cli.documents import to_document
from orchestration.cli.output import Answer
from orchestration.cli.verb import Session
from orchestration.v1 import common_pb2
from orchestration.v1.coordination_pb2 import (
    DEPENDENCY_DIRECTION_DEPENDENTS,
    DEPENDENCY_DIRECTION_DEPENDS_ON,
    Dependency,
    DependencyDirection,
    ListDependenciesRequest,
)
from orchestration.v1.task_pb2 import TASK_VIEW_FULL, GetTaskRequest

_MOST = 20
_KIND = common_pb2.DependencyKind.DESCRIPTOR


def answer(session: Session, code: str) -> Answer:
    """Return a task with its links, at most 20 each way."""
    client = session.client
    response = client.tasks.GetTask(GetTaskRequest(task_code=code, view=TASK_VIEW_FULL))
    before, more_before = _links(session, code, DEPENDENCY_DIRECTION_DEPENDS_ON)
    behind, more_behind = _links(session, code, DEPENDENCY_DIRECTION_DEPENDENTS)
    lines = task_tables.task_page(response.task)
    if response.HasField("progress"):
        counts = response.progress.counts
        lines += ["", f"Below it: {task_tables.counts(counts)} ({response.progress.percent:.0f}%)"]
    for title, links, more, place in (
        ("Waits for", before, more_before, "depends_on_code"),
        ("Waited for by", behind, more_behind, "task_code"),
    ):
        if links:
            lines += ["", f"{title}:"]
            lines += [f"  - {getattr(link, place)}{_kind(link)}" for link in links]
            lines += ["  - and more: " + session.command("dep", "list", code)] if more else []
    document = {
        **to_document(response),
        "depends_on": [to_document(link) for link in before],
        "dependents": [to_document(link) for link in behind],
        "more_links": more_before or more_behind,
    }
    return Answer(document, lines, [code])


def _kind(link: Dependency) -> str:
    kind = words.word_of(_KIND, link.kind)
    return "" if kind == "blocks" else f" ({kind})"


def _links(
    session: Session, code: str, direction: DependencyDirection.ValueType
) -> tuple[list[Dependency], bool]:
    request = ListDependenciesRequest(task_code=code, direction=direction, page_size=_MOST)
    page = session.client.coordination.ListDependencies(request)
    return list(page.dependencies), bool(page.next_page_token)
