"""The sections of a context as items of Markdown, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from orchestration.v1 import context_pb2, event_pb2
from orchestration_server.codec.names import (
    ATTEMPT_OUTCOME_NAMES,
    DEPENDENCY_KIND_NAMES,
    PRIORITY_NAMES,
    SESSION_OUTCOME_NAMES,
    SESSION_STATUS_NAMES,
    TASK_STATUS_NAMES,
)
from orchestration_server.context.background import TEXT
from orchestration_server.context.markdown.escaping import word
from orchestration_server.context.markdown.history import history, history_heading
from orchestration_server.context.markdown.items import CUT, Form, Item, Part
from orchestration_server.context.markdown.target import sprint_facts, target
from orchestration_server.context.markdown.values import minute, plural, settings, used

S = context_pb2.ContextSection


class Section(NamedTuple):
    """A section: its heading, its items, and the noun for one and for several of them."""

    heading: str
    items: Sequence[Item]
    one: str
    many: str = ""

    def named(self, count: int) -> str:
        """Return a number of items with their noun."""
        return plural(count, self.one, self.many)


Events = Sequence[event_pb2.Event]


def sections(context: context_pb2.Context, events: Events, *, subject: str) -> dict[int, Section]:
    """Return the sections of a context that are not empty, in the order in which they are read."""
    of_sprint = subject == "sprint"
    found = {
        S.CONTEXT_SECTION_TARGET: Section("", target(context, subject), "further detail"),
        S.CONTEXT_SECTION_NEXT_STEPS: Section("Do next", _lines(context.next_steps), "step"),
        S.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: Section(
            "Done when", _lines(context.acceptance_criteria, "[ ] "), "condition"
        ),
        S.CONTEXT_SECTION_NOTES: Section("Notes for you", list(_notes(context)), "older note"),
        S.CONTEXT_SECTION_ATTEMPTS: Section("Earlier attempts", list(_attempts(context)), "older attempt"),
        S.CONTEXT_SECTION_BLOCKERS: Section(
            "Blocked tasks" if of_sprint else "Blocked by",
            list(_links(context.blockers, context, of_sprint=of_sprint)),
            "blocker",
        ),
        S.CONTEXT_SECTION_DEPENDENCIES: Section(
            "Linked tasks",
            list(_links(context.dependencies, context, of_sprint=of_sprint, kinds=True)),
            "linked task",
        ),
        S.CONTEXT_SECTION_DECISIONS: Section("Decisions", list(_decisions(context)), "older decision"),
        S.CONTEXT_SECTION_SPRINT: Section("Sprint", [] if of_sprint else _sprint(context), "sprint"),
        S.CONTEXT_SECTION_PROGRESS: Section("Progress of the sprint", list(_progress(context)), "summary"),
        S.CONTEXT_SECTION_TASKS: Section(
            "Tasks (more on the next page)" if context.next_page_token else "Tasks",
            list(_tasks(context)),
            "task",
        ),
        S.CONTEXT_SECTION_SESSIONS: Section("Earlier sessions", list(_sessions(context)), "older session"),
        S.CONTEXT_SECTION_AGENT_CONFIG: Section("Settings for you", _config(context), "group of settings",
                                                "groups of settings"),
        S.CONTEXT_SECTION_FILES: Section("Files", list(_files(context)), "file"),
        S.CONTEXT_SECTION_EVENTS: Section(history_heading(events), history(events), "older event"),
    }  # fmt: skip
    return {number: section for number, section in found.items() if section.items}


def _lines(texts: Sequence[str], mark: str = "") -> list[Item]:
    return [Item("\n-", [Part(text, Form.TEXT, prefix=" " + mark)]) for text in texts]


def _notes(context: context_pb2.Context) -> Iterator[Item]:
    for note in context.notes:
        about = f" on {note.task_code}" if note.task_code else ""
        yield Item(_lead(note, note.agent, about) + ":", [Part(note.text, Form.TEXT)])


def _ended(text: str) -> str:
    """Return a text with "…" if the context has only its beginning."""
    return text + CUT if len(text) >= TEXT else text


def _lead(
    entry: context_pb2.ContextNote | context_pb2.ContextDecision, agent: str, about: str = "", mark: str = ""
) -> str:
    """Return the beginning of an entry: when it was logged, and by whom."""
    when = f" {minute(entry.log_time)}" if entry.HasField("log_time") else ""
    return f"\n-{mark}{when}" + (f" {word(agent)}" if agent else "") + about


def _attempts(context: context_pb2.Context) -> Iterator[Item]:
    for attempt in context.attempts:
        lead = f"\n- Attempt {attempt.number}" + (f" by {word(attempt.agent)}" if attempt.agent else "")
        if attempt.outcome:
            lead += f", {ATTEMPT_OUTCOME_NAMES[attempt.outcome]}"
        if attempt.HasField("end_time"):
            lead += f" {minute(attempt.end_time)}"
        lead += ", not worth a retry" if attempt.not_retryable else ""
        parts = [Part(attempt.reason, Form.TEXT, prefix=": ")] if attempt.reason else []
        if usage := used(attempt.usage):
            parts.append(Part(usage, prefix="\n  Used "))
        for artifact in attempt.artifacts:
            digest = f" ({word(artifact.hash)})" if artifact.hash else ""
            uri = f" {word(artifact.uri)}" if artifact.uri else ""
            parts.append(Part(f"{word(artifact.name)}{uri}{digest}", prefix="\n  Made "))
        yield Item(lead, parts)


def _links(
    links: Sequence[context_pb2.ContextDependency],
    context: context_pb2.Context,
    *,
    of_sprint: bool,
    kinds: bool = False,
) -> Iterator[Item]:
    """Yield links. A description that is shown already is named by the task that has it."""
    shown = {context.task.description[:TEXT]: "as of this task"}
    for link in (*context.blockers, *context.dependencies):
        shown.setdefault(link.description, f"as of {link.depends_on_code}")
    for link in links:
        same = shown[link.description]
        repeated = len(link.description) > len(same) and same != f"as of {link.depends_on_code}"
        description = same if repeated else _ended(link.description)
        facts = [DEPENDENCY_KIND_NAMES[link.kind]] if kinds else []
        facts.append(TASK_STATUS_NAMES[link.status] or ("" if link.title else "deleted"))
        known = ", ".join(filter(None, facts))
        lead = "\n-" + (f" {link.task_code} waits for" if of_sprint else "") + f" {link.depends_on_code}"
        texts = (
            Part(link.title, Form.LINE),
            Part(_ended(link.outcome), Form.TEXT, prefix="\n  Outcome: "),
            Part(description, Form.TEXT, prefix="\n  Description: "),
        )
        yield Item(lead + (f" ({known})" if known else ""), [part for part in texts if part.text])


def _decisions(context: context_pb2.Context) -> Iterator[Item]:
    for decision in context.decisions:
        name = f" {word(decision.code)}" if decision.code else ""
        status = f" ({word(decision.status)})" if decision.status else ""
        parts = [Part(decision.title, Form.TEXT)] if decision.title else []
        if decision.text:
            parts.append(Part(_ended(decision.text), Form.TEXT, prefix="\n  Decision: "))
        yield Item(_lead(decision, decision.agent, mark=name + status) + ":", parts)


def _sprint(context: context_pb2.Context) -> list[Item]:
    if not context.HasField("sprint"):
        return []
    sprint = context.sprint
    facts = ", ".join(sprint_facts(sprint))
    text = f"\n{sprint.code}" + (f" ({facts})" if facts else "")
    text += Part(sprint.title, Form.LINE).written() if sprint.title else ""
    return [Item(text + (Part(sprint.goal, Form.TEXT, prefix="\nGoal: ").written() if sprint.goal else ""))]


def _progress(context: context_pb2.Context) -> Iterator[Item]:
    if not context.HasField("progress"):
        return
    counts = context.progress
    text = f"\n{counts.completed} of {plural(counts.total, 'task')} completed"
    text += f" ({context.progress_percent:g}%)" if context.progress_percent else ""
    for name in ("pending", "in_progress", "blocked", "cancelled"):
        if number := getattr(counts, name):
            text += f", {number} {name}"
    yield Item(text)


def _tasks(context: context_pb2.Context) -> Iterator[Item]:
    for task in context.tasks:
        facts = [TASK_STATUS_NAMES[task.status], PRIORITY_NAMES[task.priority]]
        facts += [f"assigned to {word(task.assignee)}"] if task.assignee else []
        facts += [f"phase {word(task.phase)}"] if task.phase else []
        facts += [f"changed {minute(task.update_time)}"] if task.HasField("update_time") else []
        known = ", ".join(filter(None, facts))
        yield Item(f"\n- {task.code}" + (f" ({known})" if known else ""), [Part(task.title, Form.LINE)])


def _sessions(context: context_pb2.Context) -> Iterator[Item]:
    for session in context.sessions:
        when = f" {minute(session.update_time)}" if session.HasField("update_time") else ""
        agent = f" {word(session.agent)}" if session.agent else ""
        outcome = SESSION_OUTCOME_NAMES[session.outcome] or SESSION_STATUS_NAMES[session.status]
        parts = [Part(_ended(session.summary), Form.TEXT, prefix=": ")] if session.summary else []
        yield Item(f"\n-{when}{agent}" + (f" ({outcome})" if outcome else ""), parts)


def _config(context: context_pb2.Context) -> list[Item]:
    """Return all settings as one item, because incomplete settings would be other settings."""
    whole = "".join(item.written() for item in settings(context.agent_config))
    return [Item(whole)] if whole else []


def _files(context: context_pb2.Context) -> Iterator[Item]:
    for file in context.files:
        when = f", {minute(file.modify_time)}" if file.HasField("modify_time") else ""
        yield Item(f"\n- {word(file.path)} ({plural(file.size, 'byte')}{when})")
