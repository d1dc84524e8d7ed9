"""Requests and messages from plain values. Raises ValueError for a value that no message can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.model.records import RetryPolicy
from orchestration.model.times import duration, iso_date, timestamp
from orchestration.model.words import (
    CONTEXT_PARTS,
    ENTITY_KINDS,
    PRIORITIES,
    SPRINT_STATUSES,
    TASK_STATUSES,
    ContextPart,
    Priority,
    TaskStatus,
)
from orchestration.structs import struct
from orchestration.v1.context_pb2 import ContextOptions
from orchestration.v1.coordination_pb2 import ClaimTaskRequest
from orchestration.v1.event_pb2 import EventFilter
from orchestration.v1.event_pb2 import NewEvent as NewEventMessage
from orchestration.v1.sprint_pb2 import Sprint, UpdateSprintRequest
from orchestration.v1.task_pb2 import NewTask as NewTaskMessage
from orchestration.v1.task_pb2 import Task, UpdateTaskRequest

Words = str | Iterable[str]
"""One str, or several."""


def many(value: Words) -> list[str]:
    """Return one str or several as a list."""
    return [value] if isinstance(value, str) else list(value)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to create. ``create_task`` takes the same values.

    Attributes:
        code: The name of the task, unique in the project for ever: up to 128 letters, digits, ".", "_" or
            "-".
        title: What the task is, in one line.
        sprint: The code of the sprint; empty for none.
        after: The codes of the tasks that have to end first.
        part_of: The codes of the parents: tasks that get a dependency of kind "parent_child" on their part.
        priority: "P0", the highest, to "P4".
        description: The task in full.
        accept: The conditions under which the task is done.
        objectives: What the task is to achieve.
        deliverables: What the task is to produce.
        labels: Labels.
        capabilities: What an agent has to be able to do to claim the task.
        assignee: The agent or person who works on the task.
        phase: A stage with a name that the caller chooses.
        config: Settings for the agent that works on the task, as JSON values.
        metadata: Custom fields, as JSON values.
        not_before: The task is not ready before this time.
        due: When the task should be done.
        retry: What follows a failed attempt; None for the default of the server.
        completed_by_children: True if the last of its children completes the task.
        status: The status; an import may create completed tasks.
        occurred: When the task was created, if that was earlier than now.
    """

    code: str
    title: str
    sprint: str = ""
    after: Words = ()
    part_of: Words = ()
    priority: Priority | None = None
    description: str = ""
    accept: Words = ()
    objectives: Words = ()
    deliverables: Words = ()
    labels: Words = ()
    capabilities: Words = ()
    assignee: str = ""
    phase: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None
    due: datetime | None = None
    retry: RetryPolicy | None = None
    completed_by_children: bool = False
    status: TaskStatus = "pending"
    occurred: datetime | None = None

    @property
    def waits_for_links(self) -> bool:
        """True if nobody may claim the task before its links are stored."""
        return self.status == "pending" and bool(self.after)

    def message(self) -> NewTaskMessage:
        """Return the message of the task, as it is created before its links."""
        given = {name: getattr(self, name) for name in _TASK_FIELDS}
        return NewTaskMessage(
            task=new_task(self.code, given, waits=self.waits_for_links),
            occur_time=None if self.occurred is None else timestamp("occurred", self.occurred),
        )


def linked_outside(tasks: Iterable[NewTask]) -> list[str]:
    """Return the codes that links name and that are not those of the tasks. Raises ValueError for a cycle."""
    given = list(tasks)
    try:
        # The order itself is of no use: links are stored after all tasks.
        list(TopologicalSorter({task.code: many(task.after) for task in given}).static_order())
    except CycleError as error:
        raise ValueError(f"tasks wait for each other: {' -> '.join(error.args[1])}") from None
    own = {task.code for task in given}
    named = (code for task in given for code in (*many(task.after), *many(task.part_of)))
    return [code for code in dict.fromkeys(named) if code not in own]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to store.

    Attributes:
        type: The type: at least two parts of lower-case letters, digits, "_" or "-", separated by dots.
        payload: Custom fields, as JSON values.
        task: The code of the task that the event is about.
        sprint: The code of the sprint that the event is about; with ``task``, the sprint of the event.
        session: The key of the session that the event is about.
        priority: "P0" to "P4". Events of P0 and P1 are never deleted.
        actor: Who acted, if not the agent that makes the call.
        occurred: When the event happened, if that was earlier than now.
        dedup_key: A key that makes the event unique in the project for ever.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    sprint: str = ""
    session: str = ""
    priority: Priority | None = None
    actor: str = ""
    occurred: datetime | None = None
    dedup_key: str = ""

    def message(self) -> NewEventMessage:
        """Return the message of the event."""
        if self.session and (self.task or self.sprint):
            raise ValueError("an event is about a session, or about a task or sprint: give one of them")
        # 0 is an unset enum.
        kind: Any = 0
        priority: Any = 0
        if self.session or self.task or self.sprint:
            kind = ENTITY_KINDS.number("session" if self.session else "task" if self.task else "sprint")
        if self.priority is not None:
            priority = PRIORITIES.number(self.priority)
        return NewEventMessage(
            type=self.type,
            entity_type=kind,
            entity_code=self.session or self.task or self.sprint,
            sprint_code=self.sprint,
            priority=priority,
            actor=self.actor,
            payload=struct("payload", self.payload) if self.payload else None,
            occur_time=None if self.occurred is None else timestamp("occurred", self.occurred),
            dedup_key=self.dedup_key,
        )


_Field = tuple[str, Callable[[Any], Any] | None]
"""The name of a field in the message, and how its value is converted, if it is."""

_TASK_FIELDS: dict[str, _Field] = {
    "title": ("title", None),
    "description": ("description", None),
    "sprint": ("sprint_code", None),
    "status": ("status", TASK_STATUSES.number),
    "priority": ("priority", PRIORITIES.number),
    "phase": ("phase", None),
    "assignee": ("assignee", None),
    "labels": ("labels", many),
    "objectives": ("objectives", many),
    "deliverables": ("deliverables", many),
    "accept": ("acceptance_criteria", many),
    "capabilities": ("capabilities", many),
    "config": ("agent_config", partial(struct, "config")),
    "metadata": ("metadata", partial(struct, "metadata")),
    "not_before": ("not_before", partial(timestamp, "not_before")),
    "due": ("due_time", partial(timestamp, "due")),
    "retry": ("retry_policy", RetryPolicy.message),
    "completed_by_children": ("completed_by_children", None),
}
"""The fields of a task that callers write."""

_SPRINT_FIELDS: dict[str, _Field] = {
    "title": ("title", None),
    "status": ("status", SPRINT_STATUSES.number),
    "owner": ("owner", None),
    "goal": ("goal", None),
    "start_date": ("start_date", iso_date),
    "end_date": ("end_date", iso_date),
    "metadata": ("metadata", partial(struct, "metadata")),
}


def _values(fields: Mapping[str, _Field], given: Mapping[str, Any], *, empty: bool) -> dict[str, Any]:
    """Return the values by the names of the message, without None, and without empty ones unless asked."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value or (empty and value is not None):
            path, convert = fields[name]
            found[path] = value if convert is None else convert(value)
    return found


def new_task(code: str, given: Mapping[str, Any], *, waits: bool) -> Task:
    """Return the task to create.

    The ledger stores a task and its links by several calls. A task that waits for links is blocked until they
    are stored, so that no agent claims it too early, whatever happens in between.
    """
    task = Task(code=code, **_values(_TASK_FIELDS, given, empty=False))
    if waits:
        task.status = TASK_STATUSES.number("blocked")
    return task


def sprint_message(code: str, given: Mapping[str, Any]) -> Sprint:
    """Return the message of a sprint. None and empty values are left out."""
    return Sprint(code=code, **_values(_SPRINT_FIELDS, given, empty=False))


def _cleared(clear: Words, fields: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    names = many(clear)
    for name in names:
        if name not in fields:
            raise ValueError(f"{name!r} is no field to clear: use one of {', '.join(fields)}")
        if given.get(name) is not None:
            raise ValueError(f"{name!r} is both set and cleared")
    return [fields[name][0] for name in names]


def task_update(
    code: str, given: Mapping[str, Any], *, clear: Words, expected_revision: int, fence: int, request_id: str
) -> UpdateTaskRequest:
    """Return the request that sets the values that are not None, and clears the fields in ``clear``."""
    values = _values(_TASK_FIELDS, given, empty=True)
    return UpdateTaskRequest(
        task=Task(code=code, **values),
        update_mask=FieldMask(paths=[*values, *_cleared(clear, _TASK_FIELDS, given)]),
        expected_revision=expected_revision,
        fence=fence,
        request_id=request_id,
    )


def sprint_update(
    code: str, given: Mapping[str, Any], *, clear: Words, expected_revision: int, request_id: str
) -> UpdateSprintRequest:
    """Return the request that sets the values that are not None, and clears the fields in ``clear``."""
    values = _values(_SPRINT_FIELDS, given, empty=True)
    return UpdateSprintRequest(
        sprint=Sprint(code=code, **values),
        update_mask=FieldMask(paths=[*values, *_cleared(clear, _SPRINT_FIELDS, given)]),
        expected_revision=expected_revision,
        request_id=request_id,
    )


def claim(
    code: str = "",
    *,
    sprint: str = "",
    labels: Words = (),
    priorities: Priority | Iterable[Priority] = (),
    capabilities: Words = (),
    provider: str = "",
    lease: float | timedelta = 90.0,
    deadline: float | timedelta | None = None,
    wait: float = 0.0,
    count: int = 0,
    request_id: str = "",
) -> ClaimTaskRequest:
    """Return the request of a claim."""
    return ClaimTaskRequest(
        task_code=code,
        sprint_code=sprint,
        labels=many(labels),
        priorities=PRIORITIES.numbers(priorities),
        capabilities=many(capabilities),
        provider=provider,
        lease=duration(lease),
        attempt_deadline=None if deadline is None else duration(deadline),
        wait=duration(wait) if wait else None,
        count=count,
        request_id=request_id,
    )


def context_options(
    *,
    tokens: int,
    since: str,
    max_events: int,
    omit: ContextPart | Iterable[ContextPart],
    include_ids: bool,
) -> ContextOptions:
    """Return the options of a context."""
    return ContextOptions(
        token_budget=tokens,
        since_cursor=since,
        max_events=max_events,
        omit_sections=CONTEXT_PARTS.numbers(omit),
        include_ids=include_ids,
    )


def event_filter(
    *,
    sprint: str,
    task: str,
    session: str,
    correlation_id: str,
    types: Words,
    priorities: Priority | Iterable[Priority],
) -> EventFilter:
    """Return a filter of events."""
    return EventFilter(
        sprint_code=sprint,
        task_code=task,
        session_key=session,
        correlation_id=correlation_id,
        types=many(types),
        priorities=PRIORITIES.numbers(priorities),
    )


def one_target(*, task: str, sprint: str, session: str) -> dict[str, str]:
    """Return the one target that is named, by the field of the request. Raises ValueError for none or two."""
    named = {"task_code": task, "sprint_code": sprint, "session_key": session}
    found = {name: value for name, value in named.items() if value}
    if len(found) != 1:
        raise ValueError("name one target: task, sprint or session")
    return found


def matches(
    task: Task, *, labels: Sequence[str], priorities: Sequence[int], capabilities: Iterable[str]
) -> bool:
    """Return True if a claim with these filters takes the task."""
    return (
        set(labels) <= set(task.labels)
        and (not priorities or task.priority in priorities)
        and set(task.capabilities) <= set(capabilities)
    )
