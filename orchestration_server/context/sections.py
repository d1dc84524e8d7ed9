"""The sections of a context, made from the rows of the ledger."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, context_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import progress_percent, task_counts
from orchestration_server.context import background
from orchestration_server.context.events import without_ids
from orchestration_server.context.next_steps import next_steps
from orchestration_server.model import EntityType, TaskStatus
from orchestration_server.store import context as context_store
from orchestration_server.store.dependencies import BLOCKS
from orchestration_server.workspace.reader import FileState

SECTIONS = context_pb2.ContextSection.values()[1:]
_PARENT = common_pb2.DEPENDENCY_KIND_PARENT_CHILD
_SPRINT_FIELDS = ("code", "title", "status", "owner", "goal", "start_date", "end_date")
_OPEN = frozenset(map(int, (TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.BLOCKED)))


def make_sections(
    contents: context_store.Contents, kind: EntityType, code: str, *, ids: bool
) -> dict[context_pb2.ContextSection.ValueType, context_pb2.Context]:
    """Return each section as a context with nothing else. The broker adds tasks, events and files."""
    parts = {section: context_pb2.Context() for section in SECTIONS}
    whole = _entities(contents)
    whole.target_type = int(kind)  # type: ignore[assignment]  # the numbers are the same
    own_sprint = bool(contents.version.own_sprint)
    if whole.HasField("sprint"):
        whole.progress.CopyFrom(task_counts(dict(zip(TaskStatus, contents.version.counts, strict=True))))
        whole.progress_percent = progress_percent(whole.progress)
    _links(whole, contents)
    _background(whole, contents, code if kind == EntityType.SESSION else "")
    whole.next_steps.extend(next_steps(whole, contents.ready))
    if not ids:
        _without_ids(whole, own_sprint=own_sprint)
    sections: dict[context_pb2.ContextSection.ValueType, tuple[str, ...]] = {
        context_pb2.CONTEXT_SECTION_TARGET: ("session", "sprint" if own_sprint else "task"),
        context_pb2.CONTEXT_SECTION_PROGRESS: ("progress", "progress_percent"),
        context_pb2.CONTEXT_SECTION_NEXT_STEPS: ("next_steps",),
        context_pb2.CONTEXT_SECTION_BLOCKERS: ("blockers",),
        context_pb2.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: ("acceptance_criteria",),
        context_pb2.CONTEXT_SECTION_AGENT_CONFIG: ("agent_config",),
        context_pb2.CONTEXT_SECTION_SPRINT: () if own_sprint else ("sprint",),
        context_pb2.CONTEXT_SECTION_DEPENDENCIES: ("dependencies",),
        context_pb2.CONTEXT_SECTION_NOTES: ("notes",),
        context_pb2.CONTEXT_SECTION_DECISIONS: ("decisions",),
        context_pb2.CONTEXT_SECTION_SESSIONS: ("sessions",),
        context_pb2.CONTEXT_SECTION_ATTEMPTS: ("attempts",),
    }
    present = {field.name: value for field, value in whole.ListFields()}
    for section, names in sections.items():
        for name in present.keys() & names:
            _set(parts[section], name, present[name])
    return parts


def _set(part: context_pb2.Context, name: str, value: object) -> None:
    if isinstance(value, float):
        setattr(part, name, value)
    elif hasattr(value, "CopyFrom"):
        getattr(part, name).CopyFrom(value)
    else:
        getattr(part, name).extend(value)


def _entities(contents: context_store.Contents) -> context_pb2.Context:
    """Return the entities, with the fields of theirs that are sections of their own moved out."""
    whole = context_pb2.Context()
    if contents.session is not None:
        whole.session.MergeFromString(contents.session)
    if contents.sprint is not None:
        whole.sprint.MergeFromString(contents.sprint)
    if contents.task is not None:
        task = whole.task
        task.MergeFromString(contents.task)
        whole.acceptance_criteria.extend(task.acceptance_criteria)
        task.ClearField("acceptance_criteria")
        if task.HasField("agent_config"):
            whole.agent_config.CopyFrom(task.agent_config)
            task.ClearField("agent_config")
    elif contents.version.own_sprint and "agent_config" in whole.sprint.metadata.fields:
        config = whole.sprint.metadata.fields["agent_config"]
        if config.WhichOneof("kind") == "struct_value":
            whole.agent_config.CopyFrom(config.struct_value)
            del whole.sprint.metadata.fields["agent_config"]
            if not whole.sprint.metadata.fields:
                whole.sprint.ClearField("metadata")
    return whole


def _background(whole: context_pb2.Context, contents: context_store.Contents, own_key: str) -> None:
    """Add notes, decisions, earlier sessions and earlier attempts."""
    noted, decided = background.activities(contents)
    whole.notes.extend(background.notes([event for _, event in noted], own_task=contents.version.task_code))
    whole.decisions.extend(background.decisions(contents.decisions, [event for _, event in decided]))
    whole.sessions.extend(background.sessions(contents, own_key))
    if whole.HasField("task"):
        whole.attempts.extend(background.attempts(contents))


def _without_ids(whole: context_pb2.Context, *, own_sprint: bool) -> None:
    for name in ("session", "task", "sprint"):
        if whole.HasField(name):
            without_ids(getattr(whole, name))
    if whole.HasField("sprint") and not own_sprint:
        sprint = sprint_pb2.Sprint(**{name: getattr(whole.sprint, name) for name in _SPRINT_FIELDS})
        whole.sprint.CopyFrom(sprint)
    for session in whole.sessions:
        session.ClearField("key")
    for attempt in whole.attempts:
        attempt.ClearField("session_key")
        attempt.ClearField("fence")


def _links(whole: context_pb2.Context, contents: context_store.Contents) -> None:
    """Add the open blockers and the other dependencies."""
    for link in contents.links:
        shown = context_pb2.ContextDependency(
            task_code=link.task_code,
            depends_on_code=link.depends_on_code,
            kind=link.kind,  # type: ignore[arg-type]  # the numbers are the same
            status=link.status or 0,  # type: ignore[arg-type]  # the same
        )
        if link.body is not None:
            other = task_pb2.Task.FromString(link.body)
            shown.title = other.title
            if link.kind in (BLOCKS, _PARENT) and not contents.version.own_sprint:
                shown.description = other.description[: background.TEXT]
                shown.outcome = background.outcome(
                    other, contents.outcomes.get(other.code), contents.completions.get(other.code)
                )
        group = whole.blockers if link.kind == BLOCKS and shown.status in _OPEN else whole.dependencies
        if len(group) < context_store.LINKS:
            group.append(shown)


def context_file(state: FileState, digest: str) -> context_pb2.ContextFile:
    """Return a file as a context names it."""
    modified = Timestamp()
    modified.FromNanoseconds(state.mtime_ns)
    return context_pb2.ContextFile(path=state.path, size=state.size, sha256=digest, modify_time=modified)
