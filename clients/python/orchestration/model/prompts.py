"""Contexts as Markdown, for a model. ``render`` is the only function that others call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from google.protobuf.struct_pb2 import Struct

from orchestration.model.words import (
    ATTEMPT_OUTCOMES,
    CONTEXT_PARTS,
    DEPENDENCY_KINDS,
    PRIORITIES,
    SESSION_OUTCOMES,
    SESSION_STATUSES,
    SPRINT_STATUSES,
    TASK_STATUSES,
)
from orchestration.structs import plain
from orchestration.v1 import context_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import ENTITY_TYPE_SESSION


def render(context: context_pb2.Context) -> str:
    """Return a context as Markdown. Empty sections are left out; what a budget left out is named."""
    sections = (
        ("", _target(context)),
        ("What to do next", _items(context.next_steps)),
        ("Done when", _items(context.acceptance_criteria)),
        ("Notes from earlier agents", _items(_note(each) for each in context.notes)),
        ("Earlier attempts", _items(_attempt(each) for each in context.attempts)),
        ("Waits for", _items(_dependency(each, context) for each in context.blockers)),
        ("Related tasks", _items(_dependency(each, context) for each in context.dependencies)),
        ("Decisions", _items(_decision(each) for each in context.decisions)),
        ("Settings", _settings(context.agent_config)),
        ("Sprint", _sprint_section(context)),
        ("Tasks", _items(_summary(each) for each in context.tasks)),
        ("Earlier sessions", _items(_session(each) for each in context.sessions)),
        ("Files", _items(f"{each.path} ({each.size} bytes)" for each in context.files)),
        ("What happened, newest last", _items(_event(each) for each in context.events)),
        ("Unchanged since the last context", _items(_names(context.unchanged))),
        ("Left out for lack of space", _items(_trim(each) for each in context.trimmed)),
    )
    parts = []
    for title, lines in sections:
        if text := "\n".join(lines):
            parts.append(f"## {title}\n{text}" if title else text)
    return "\n\n".join(parts) + "\n"


def _items(texts: Iterable[str]) -> Iterator[str]:
    # Further lines of an item are indented, so that they stay in it.
    return ("- " + text.strip().replace("\n", "\n  ") for text in texts)


def _names(sections: Iterable[int]) -> Iterator[str]:
    return (CONTEXT_PARTS.word(section).replace("_", " ") for section in sections)


def _target(context: context_pb2.Context) -> Iterator[str]:
    if context.HasField("task"):
        yield from _task(context.task)
    elif context.HasField("sprint"):
        yield f"# Sprint {context.sprint.code}: {context.sprint.title}"
        yield from _sprint(context.sprint)
        yield from _progress(context)
    else:
        yield f"# Session {context.target_code}"
        yield "Its task or sprint no longer exists."
    if context.HasField("session"):
        session = context.session
        yield f"Session of {session.agent}: {SESSION_STATUSES.word(session.status)}."
        if session.pause_reason:
            yield f"Paused: {session.pause_reason}"


def _task(task: task_pb2.Task) -> Iterator[str]:
    yield f"# Task {task.code}: {task.title}" if task.title else f"# Task {task.code}"
    facts = [TASK_STATUSES.word(task.status).replace("_", " ")] if task.status else []
    facts += [PRIORITIES.word(task.priority)] if task.priority else []
    facts += [f"phase {task.phase}"] if task.phase else []
    facts += [f"assigned to {task.assignee}"] if task.assignee else []
    facts += [f"due {task.due_time.ToJsonString()}"] if task.HasField("due_time") else []
    facts += ["labels " + ", ".join(task.labels)] if task.labels else []
    if facts:
        yield "; ".join(facts) + "."
    if task.description:
        yield f"\n{task.description.strip()}"
    for name, texts in (("Objectives", task.objectives), ("Deliverables", task.deliverables)):
        if texts:
            yield f"\n{name}:"
            yield from _items(texts)
    if task.metadata.fields:
        yield f"\nMetadata: {_json(task.metadata)}"


def _sprint(sprint: sprint_pb2.Sprint) -> Iterator[str]:
    facts: list[str] = [SPRINT_STATUSES.word(sprint.status)] if sprint.status else []
    facts += [f"owned by {sprint.owner}"] if sprint.owner else []
    facts += [f"from {sprint.start_date}"] if sprint.start_date else []
    facts += [f"until {sprint.end_date}"] if sprint.end_date else []
    if facts:
        yield "; ".join(facts) + "."
    if sprint.goal:
        yield sprint.goal.strip()
    if sprint.metadata.fields:
        yield f"Metadata: {_json(sprint.metadata)}"


def _sprint_section(context: context_pb2.Context) -> Iterator[str]:
    if context.HasField("task"):
        if context.HasField("sprint"):
            yield f"{context.sprint.code}: {context.sprint.title}"
            yield from _sprint(context.sprint)
        yield from _progress(context)


def _progress(context: context_pb2.Context) -> Iterator[str]:
    if context.HasField("progress"):
        counts = context.progress
        named = (
            (counts.completed, "completed"), (counts.in_progress, "in progress"), (counts.pending, "pending"),
            (counts.blocked, "blocked"), (counts.cancelled, "cancelled"),
        )  # fmt: skip
        listed = ", ".join(f"{number} {word}" for number, word in named if number)
        yield f"{counts.total} tasks, {context.progress_percent:g}% done: {listed or 'none yet'}."


def _settings(config: Struct) -> Iterator[str]:
    if config.fields:
        yield _json(config)


def _json(value: Struct) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def _note(note: context_pb2.ContextNote) -> str:
    about = f" on {note.task_code}" if note.task_code else ""
    return f"{note.agent or 'unnamed'}{about}: {note.text}"


def _attempt(attempt: context_pb2.ContextAttempt) -> str:
    outcome = ATTEMPT_OUTCOMES.word(attempt.outcome).replace("_", " ")
    text = f"Attempt {attempt.number} by {attempt.agent}: {outcome}"
    text += f": {attempt.reason}" if attempt.reason else ""
    text += " (another try cannot succeed)" if attempt.not_retryable else ""
    made = ", ".join(f"{each.name} {each.uri}".strip() for each in attempt.artifacts)
    return f"{text}\nProduced: {made}" if made else text


def _dependency(link: context_pb2.ContextDependency, context: context_pb2.Context) -> str:
    status = TASK_STATUSES.word(link.status).replace("_", " ") if link.status else "deleted"
    owner = "" if link.task_code == context.task.code else f"{link.task_code} waits for "
    kind = DEPENDENCY_KINDS.word(link.kind)
    relation = "" if kind == "blocks" else f", {kind.replace('_', ' ')}"
    text = f"{owner}{link.depends_on_code}: {link.title} ({status}{relation})"
    text += f"\n{link.description.strip()}" if link.description else ""
    return text + (f"\nOutcome: {link.outcome.strip()}" if link.outcome else "")


def _decision(decision: context_pb2.ContextDecision) -> str:
    code = f"{decision.code}: " if decision.code else ""
    status = f" ({decision.status})" if decision.status else ""
    return f"{code}{decision.title}{status}" + (f"\n{decision.text.strip()}" if decision.text else "")


def _summary(task: task_pb2.TaskSummary) -> str:
    status = TASK_STATUSES.word(task.status).replace("_", " ")
    assignee = f", {task.assignee}" if task.assignee else ""
    return f"{task.code}: {task.title} ({status}, {PRIORITIES.word(task.priority)}{assignee})"


def _session(session: context_pb2.ContextSession) -> str:
    ended = SESSION_OUTCOMES.optional(session.outcome) or SESSION_STATUSES.word(session.status)
    return f"{session.agent}, {ended.replace('_', ' ')}: {session.summary or 'no summary'}"


def _event(event: event_pb2.Event) -> str:
    who = event.actor or event.agent
    # The key of a session is of no use to a model.
    shown = event.entity_code and event.entity_type != ENTITY_TYPE_SESSION
    about = f" {event.entity_code}" if shown else ""
    name = event.type.removeprefix("orchestration.").replace("_", " ")
    when = event.occur_time.ToJsonString()[:16].replace("T", " ") if event.HasField("occur_time") else ""
    text = f"{when} {name}{about}" + (f" by {who}" if who else "")
    return f"{text}: {_payload(event.payload)}" if event.payload.fields else text


def _payload(payload: Struct) -> str:
    values = plain(payload)
    told = []
    for key, value in values.items():
        if key == "changes" and isinstance(value, dict):
            told += [_change(field, each) for field, each in value.items()]
        else:
            told.append(f"{key.replace('_', ' ')} {_short(value)}")
    return "; ".join(told)


def _change(field: str, value: object) -> str:
    if isinstance(value, dict) and value.keys() <= {"from", "to"}:
        before, after = _short(value.get("from")), _short(value.get("to"))
        name = field.replace("_", " ")
        return f"{name} {before} → {after}" if value.get("from") else f"{name} {after}"
    return f"{field} {_short(value)}"


def _short(value: object) -> str:
    if value is None or value == "":
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _trim(trim: context_pb2.ContextTrim) -> str:
    name = CONTEXT_PARTS.word(trim.section).replace("_", " ")
    left = f"{trim.left_out} left out" if trim.left_out else ""
    return f"{name}: " + " and ".join(filter(None, (left, "text shortened" if trim.shortened else "")))
