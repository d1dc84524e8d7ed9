"""The target of a context as items of Markdown: the task or sprint, and the session that works on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestration.v1 import common_pb2, context_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.names import (
    PRIORITY_NAMES,
    SESSION_OUTCOME_NAMES,
    SESSION_STATUS_NAMES,
    SPRINT_STATUS_NAMES,
    TASK_STATUS_NAMES,
)
from orchestration_server.context.markdown.escaping import word
from orchestration_server.context.markdown.items import Form, Item, Part
from orchestration_server.context.markdown.values import minute, retries, settings, words

LAST = 9
"""The rank of details that get room last, though they are shown near the beginning."""
_HEADINGS = {
    "description": "Description", "goal": "Goal", "objectives": "Objectives", "deliverables": "Deliverables",
}  # fmt: skip


def target_name(context: context_pb2.Context, subject: str) -> str:
    """Return the code that the context begins with. A session goes by the key until its target is known."""
    if context.HasField(subject):  # type: ignore[arg-type]  # one of two names
        return str(getattr(context, subject).code)
    if context.HasField("session"):
        return context.session.target_code
    return context.target_code


def target(context: context_pb2.Context, subject: str) -> list[Item]:
    """Return the items of the target; none if the context lacks it."""
    found = list(_of_session(context)) if context.HasField("session") else []
    if context.HasField("task") and subject == "task":
        return [*_of_task(context.task), *found]
    if context.HasField("sprint") and subject == "sprint":
        return [*_of_sprint(context.sprint), *found]
    return found


def sprint_facts(sprint: sprint_pb2.Sprint) -> list[str]:
    """Return what a line says of a sprint."""
    found = [SPRINT_STATUS_NAMES[sprint.status]] if sprint.status else []
    found += [f"owned by {word(sprint.owner)}"] if sprint.owner else []
    found += [f"from {sprint.start_date}"] if sprint.start_date else []
    found += [f"to {sprint.end_date}"] if sprint.end_date else []
    return found


def _of_task(task: task_pb2.Task) -> Iterator[Item]:
    yield Item("", [Part(task.title, Form.LINE)])
    facts = ["Task", TASK_STATUS_NAMES[task.status], PRIORITY_NAMES[task.priority]]
    facts += [f"assigned to {word(task.assignee)}"] if task.assignee else []
    facts += [f"phase {word(task.phase)}"] if task.phase else []
    facts += [f"sprint {task.sprint_code}"] if task.sprint_code else []
    facts += [f"not before {minute(task.not_before)} UTC"] if task.HasField("not_before") else []
    facts += [f"due {minute(task.due_time)} UTC"] if task.HasField("due_time") else []
    facts += ["completed by its last child"] if task.completed_by_children else []
    yield Item("\n" + ", ".join(filter(None, facts)))
    yield from _names("Labels", task.labels)
    yield from _names("Needs", task.capabilities, LAST - 3)
    if policy := retries(task.retry_policy):
        yield Item(f"\nRetries: {policy}", rank=LAST - 1)
    yield from _times(task)
    yield from _texts(task, ("description", "objectives", "deliverables"))
    yield from settings(task.metadata, group="\n\n## Metadata", rank=LAST - 2)


def _of_sprint(sprint: sprint_pb2.Sprint) -> Iterator[Item]:
    yield Item("", [Part(sprint.title, Form.LINE)])
    yield Item("\n" + ", ".join(["Sprint", *sprint_facts(sprint)]))
    yield from _times(sprint)
    yield from _texts(sprint, ("goal",))
    yield from settings(sprint.metadata, group="\n\n## Metadata", rank=LAST - 2)


def _of_session(context: context_pb2.Context) -> Iterator[Item]:
    session = context.session
    group = "\n\n## Your session"
    kind = "task" if session.target_type == common_pb2.ENTITY_TYPE_TASK else "sprint"
    facts = [session.key, SESSION_STATUS_NAMES[session.status], SESSION_OUTCOME_NAMES[session.outcome]]
    facts += [f"agent {word(session.agent)}"] if session.agent else []
    facts += [f"on {kind} {session.target_code}"] if session.target_code else []
    yield Item("\n" + ", ".join(filter(None, facts)), group=group)
    if session.pause_reason:
        yield Item("\nPaused:", [Part(session.pause_reason, Form.TEXT)], group=group)
    yield from _times(session, group)
    if session.summary:
        yield Item("\nSummary:", [Part(session.summary, Form.TEXT)], group=group, rank=2)
    yield from settings(session.metadata, group="\n\n## Metadata of your session", rank=LAST - 2)


def _names(title: str, values: Sequence[str], rank: int = 0) -> Iterator[Item]:
    if values:
        # Each name can be left out alone, the last first.
        parts = [Part(words([each]), prefix=" " if first else ", ") for first, each in _first(values)]
        yield Item(f"\n{title}:", parts, rank=rank)


def _first(values: Sequence[str]) -> Iterator[tuple[bool, str]]:
    return ((number == 0, value) for number, value in enumerate(values))


def _times(entity: Any, group: str = "") -> Iterator[Item]:
    found = [
        f"{name} {minute(getattr(entity, field))}"
        for name, field in (
            ("created", "create_time"), ("changed", "update_time"), ("closed", "close_time"),
        )
        if field in entity.DESCRIPTOR.fields_by_name and entity.HasField(field)
        # The first revision is that of the creation, whose time an import may set.
        and (field != "update_time" or entity.revision != 1)
    ]  # fmt: skip
    found += [f"revision {entity.revision}"] if entity.revision else []
    if found:
        text = ", ".join(found)
        yield Item("\n" + text[0].upper() + text[1:], group=group, rank=LAST)


def _texts(entity: Any, names: Sequence[str]) -> Iterator[Item]:
    for rank, name in enumerate(names, start=1):
        group = f"\n\n## {_HEADINGS[name]}"
        value = getattr(entity, name)
        if isinstance(value, str):
            if value.strip():
                yield Item("", [Part(value, Form.BLOCK)], group=group, rank=rank)
            continue
        for each in value:
            yield Item("\n-", [Part(each, Form.TEXT)], group=group, rank=rank)
