"""Records of what the ledger returns: frozen objects of plain values, each with its message as ``raw``.

A str is empty and a tuple has no items where the ledger has no value; a time that is not set is None. The
whole numbers in a dict are ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestration.model.times import duration, moment, period
from orchestration.model.words import (
    ENTITY_KINDS,
    PRIORITIES,
    SESSION_OUTCOMES,
    SESSION_STATUSES,
    SPRINT_STATUSES,
    TASK_STATUSES,
    EntityKind,
    Priority,
    SessionOutcome,
    SessionStatus,
    SprintStatus,
    TaskStatus,
)
from orchestration.structs import plain
from orchestration.v1 import common_pb2, event_pb2, sprint_pb2, task_pb2


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of what all attempts at a task may use. None in a field means no limit.

    Attributes:
        tokens: Tokens that models read and wrote.
        cost_micros: Cost in millionths of a US dollar.
        tool_calls: Calls of tools.
        wall_time: Working time, as the holders measure it.
    """

    tokens: int | None = None
    cost_micros: int | None = None
    tool_calls: int | None = None
    wall_time: timedelta | None = None

    def message(self) -> task_pb2.Budget:
        """Return the message of the budget."""
        return task_pb2.Budget(
            tokens=self.tokens,
            cost_micros=self.cost_micros,
            tool_calls=self.tool_calls,
            wall_time=None if self.wall_time is None else duration(self.wall_time),
        )

    @classmethod
    def of(cls, raw: task_pb2.Budget) -> Budget:
        """Return the budget of a message."""
        return cls(
            tokens=raw.tokens if raw.HasField("tokens") else None,
            cost_micros=raw.cost_micros if raw.HasField("cost_micros") else None,
            tool_calls=raw.tool_calls if raw.HasField("tool_calls") else None,
            wall_time=period(raw.wall_time) if raw.HasField("wall_time") else None,
        )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What follows a failed attempt at a task, and what all attempts may use.

    Attributes:
        max_attempts: The most attempts that may fail; 0 for the default, 3.
        backoff: The pause after the first failed attempt, which doubles with each further one.
        max_backoff: The longest pause.
        budget: What all attempts may use together; None for no limit.
    """

    max_attempts: int = 0
    backoff: timedelta | None = None
    max_backoff: timedelta | None = None
    budget: Budget | None = None

    def message(self) -> task_pb2.RetryPolicy:
        """Return the message of the policy."""
        return task_pb2.RetryPolicy(
            max_attempts=self.max_attempts,
            backoff=None if self.backoff is None else duration(self.backoff),
            max_backoff=None if self.max_backoff is None else duration(self.max_backoff),
            budget=None if self.budget is None else self.budget.message(),
        )

    @classmethod
    def of(cls, raw: task_pb2.RetryPolicy) -> RetryPolicy:
        """Return the policy of a message."""
        return cls(
            max_attempts=raw.max_attempts,
            backoff=period(raw.backoff) if raw.HasField("backoff") else None,
            max_backoff=period(raw.max_backoff) if raw.HasField("max_backoff") else None,
            budget=Budget.of(raw.budget) if raw.HasField("budget") else None,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work.

    Attributes:
        code: The name of the task, unique in the project for ever.
        title: What the task is, in one line.
        status: "pending", "in_progress", "blocked", "completed" or "cancelled".
        priority: "P0", the highest, to "P4".
        sprint: The code of the sprint.
        description: The task in full.
        phase: A stage with a name that the caller chose.
        assignee: The agent or person who works on the task.
        labels: Labels.
        objectives: What the task is to achieve.
        deliverables: What the task is to produce.
        accept: The conditions under which the task is done.
        capabilities: What an agent has to be able to do to claim the task.
        config: Settings for the agent that works on the task.
        metadata: Custom fields.
        not_before: The task is not ready before this time.
        due: When the task should be done.
        retry: What follows a failed attempt; None for the default of the server.
        completed_by_children: True if the last of its children completes the task.
        revision: The number of changes, counted from 1.
        created: When the task was created.
        updated: When it last changed.
        uid: The UUIDv7 of the task.
        hash: The SHA-256 hash of the content.
        raw: The message.
    """

    code: str
    title: str
    status: TaskStatus
    priority: Priority
    sprint: str
    description: str
    phase: str
    assignee: str
    labels: tuple[str, ...]
    objectives: tuple[str, ...]
    deliverables: tuple[str, ...]
    accept: tuple[str, ...]
    capabilities: tuple[str, ...]
    not_before: datetime | None
    due: datetime | None
    retry: RetryPolicy | None
    completed_by_children: bool
    revision: int
    created: datetime
    updated: datetime
    uid: str
    hash: str
    raw: task_pb2.Task = field(repr=False, compare=False)

    # Most callers read neither, and they take a third of the time of a record. ``hash`` compares them.
    @property
    def config(self) -> Mapping[str, Any]:
        """Settings for the agent that works on the task."""
        return plain(self.raw.agent_config)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Custom fields."""
        return plain(self.raw.metadata)

    @classmethod
    def of(cls, raw: task_pb2.Task) -> Task:
        """Return the record of a message."""
        return cls(
            raw.code,
            raw.title,
            TASK_STATUSES.word(raw.status),
            PRIORITIES.word(raw.priority),
            raw.sprint_code,
            raw.description,
            raw.phase,
            raw.assignee,
            tuple(raw.labels),
            tuple(raw.objectives),
            tuple(raw.deliverables),
            tuple(raw.acceptance_criteria),
            tuple(raw.capabilities),
            moment(raw.not_before) if raw.HasField("not_before") else None,
            moment(raw.due_time) if raw.HasField("due_time") else None,
            RetryPolicy.of(raw.retry_policy) if raw.HasField("retry_policy") else None,
            raw.completed_by_children,
            raw.revision,
            moment(raw.create_time),
            moment(raw.update_time),
            raw.uid,
            raw.hash,
            raw,
        )


@dataclass(frozen=True, slots=True)
class Sprint:
    """A named period of work.

    Attributes:
        code: The name of the sprint, unique in the project for ever.
        title: What the sprint is, in one line.
        status: "planning", "active", "completed" or "cancelled".
        owner: The agent or person responsible for the sprint.
        goal: What the sprint is to achieve.
        start_date: The first day, as YYYY-MM-DD.
        end_date: The last day, as YYYY-MM-DD.
        metadata: Custom fields.
        revision: The number of changes, counted from 1.
        created: When the sprint was created.
        updated: When it last changed.
        uid: The UUIDv7 of the sprint.
        hash: The SHA-256 hash of the content.
        raw: The message.
    """

    code: str
    title: str
    status: SprintStatus
    owner: str
    goal: str
    start_date: str
    end_date: str
    metadata: Mapping[str, Any] = field(hash=False)
    revision: int
    created: datetime
    updated: datetime
    uid: str
    hash: str
    raw: sprint_pb2.Sprint = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: sprint_pb2.Sprint) -> Sprint:
        """Return the record of a message."""
        return cls(
            raw.code,
            raw.title,
            SPRINT_STATUSES.word(raw.status),
            raw.owner,
            raw.goal,
            raw.start_date,
            raw.end_date,
            plain(raw.metadata),
            raw.revision,
            moment(raw.create_time),
            moment(raw.update_time),
            raw.uid,
            raw.hash,
            raw,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's work on one task or sprint, from start to end.

    Attributes:
        key: The name of the session, unique in the project for ever.
        status: "active", "paused" or "completed".
        agent: The agent that works in the session.
        target_kind: "task" or "sprint".
        target: The code of the task or sprint.
        correlation_id: Links the events of the session.
        metadata: Custom fields.
        pause_reason: The reason of the pause.
        summary: The summary given at the close.
        outcome: The result, or None while the session is open.
        revision: The number of changes, counted from 1.
        created: When the session was started.
        updated: When it last changed.
        last_activity: When the session last made a call, to 10 seconds.
        closed: When the session was closed.
        uid: The UUIDv7 of the session.
        raw: The message.
    """

    key: str
    status: SessionStatus
    agent: str
    target_kind: EntityKind
    target: str
    correlation_id: str
    metadata: Mapping[str, Any] = field(hash=False)
    pause_reason: str
    summary: str
    outcome: SessionOutcome | None
    revision: int
    created: datetime
    updated: datetime
    last_activity: datetime | None
    closed: datetime | None
    uid: str
    raw: common_pb2.Session = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: common_pb2.Session) -> Session:
        """Return the record of a message."""
        return cls(
            raw.key,
            SESSION_STATUSES.word(raw.status),
            raw.agent,
            ENTITY_KINDS.word(raw.target_type),
            raw.target_code,
            raw.correlation_id,
            plain(raw.metadata),
            raw.pause_reason,
            raw.summary,
            SESSION_OUTCOMES.optional(raw.outcome),
            raw.revision,
            moment(raw.create_time),
            moment(raw.update_time),
            moment(raw.last_activity_time) if raw.HasField("last_activity_time") else None,
            moment(raw.close_time) if raw.HasField("close_time") else None,
            raw.uid,
            raw,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the event log.

    Attributes:
        id: The UUIDv7 of the event.
        cursor: The position in the log, for ``after`` of ``follow``.
        type: The type, such as "orchestration.task.created".
        kind: The kind of entity that the event is about, or None.
        entity: The code of the entity.
        revision: The revision of the entity after the change; 0 if the event changes none.
        sprint: The sprint of the entity.
        priority: The priority of the entity.
        correlation_id: Links the events of one piece of work.
        session: The key of the session.
        agent: The agent that made the call.
        actor: Who acted, if not the agent.
        payload: For a change ``changes`` and the snapshot; else what the caller gave.
        occurred: When the event happened.
        emitted: When the server recorded it; None for an event that is accepted and not stored yet.
        dedup_key: The caller's key of the event.
        raw: The message.
    """

    id: str
    cursor: str
    type: str
    kind: EntityKind | None
    entity: str
    revision: int
    sprint: str
    priority: Priority
    correlation_id: str
    session: str
    agent: str
    actor: str
    payload: Mapping[str, Any] = field(hash=False)
    occurred: datetime | None
    emitted: datetime | None
    dedup_key: str
    raw: event_pb2.Event = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: event_pb2.Event) -> Event:
        """Return the record of a message."""
        return cls(
            raw.id,
            raw.cursor,
            raw.type,
            ENTITY_KINDS.optional(raw.entity_type),
            raw.entity_code,
            raw.entity_revision,
            raw.sprint_code,
            PRIORITIES.word(raw.priority),
            raw.correlation_id,
            raw.session_key,
            raw.agent,
            raw.actor,
            plain(raw.payload),
            moment(raw.occur_time) if raw.HasField("occur_time") else None,
            moment(raw.emit_time) if raw.HasField("emit_time") else None,
            raw.dedup_key,
            raw,
        )
