"""Statuses and their transitions, types of entities, and priorities.

The numbers are those of ``protos/orchestration/v1/common.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag


class SprintStatus(IntEnum):
    """The status of a sprint."""

    PLANNING = 1
    ACTIVE = 2
    COMPLETED = 3
    CANCELLED = 4


class TaskStatus(IntEnum):
    """The status of a task."""

    PENDING = 1
    IN_PROGRESS = 2
    BLOCKED = 3
    COMPLETED = 4
    CANCELLED = 5


class AttemptOutcome(IntEnum):
    """The end of an attempt."""

    OPEN = 0
    COMPLETED = 1
    FAILED = 2
    RETURNED = 3
    BLOCKED = 4
    EXPIRED = 5
    TIMED_OUT = 6
    PREEMPTED = 7
    SESSION_CLOSED = 8
    CANCELLED = 9


class Unready(IntFlag):
    """The reasons for which a task cannot be claimed, as ``ledger_unready`` returns them (migration 0026)."""

    STATUS = 1
    BLOCKER = 2
    HELD = 4
    NOT_BEFORE = 8
    BACKOFF = 16
    CAPABILITY = 32
    SPRINT = 64
    PAUSED = 128
    LIMIT = 256
    CHILDREN = 512
    MISSING = 1024
    BUDGET = 2048


class SessionStatus(IntEnum):
    """The status of a session."""

    ACTIVE = 1
    PAUSED = 2
    COMPLETED = 3


class EntityType(IntEnum):
    """The type of the entity that an event is about."""

    NONE = 0
    SPRINT = 1
    TASK = 2
    SESSION = 3
    ADR = 4
    BUG_REPORT = 5
    SCHEDULE = 6


ENTITY_NAMES: Mapping[int, str] = {
    EntityType.NONE: "",
    EntityType.SPRINT: "sprint",
    EntityType.TASK: "task",
    EntityType.SESSION: "session",
    EntityType.ADR: "adr",
    EntityType.BUG_REPORT: "bug_report",
    EntityType.SCHEDULE: "schedule",
}
"""The names of entity types in event types, payloads, locks and error details."""


class AlertState(IntEnum):
    """The state of an alert. Lists sort by it."""

    FIRING = 1
    PENDING = 2
    """The alert's condition holds, but not for long enough yet."""
    RESOLVED = 3


class AlertSeverity(IntEnum):
    """The urgency of an alert."""

    CRITICAL = 1
    WARNING = 2


def is_due(sprint: SprintStatus | None) -> bool:
    """Return whether the tasks of a sprint may be started. A task without a sprint is always due."""
    return sprint is None or sprint is SprintStatus.ACTIVE


SPRINT_TRANSITIONS: Mapping[SprintStatus, tuple[SprintStatus, ...]] = {
    SprintStatus.PLANNING: (SprintStatus.ACTIVE, SprintStatus.CANCELLED),
    SprintStatus.ACTIVE: (SprintStatus.COMPLETED, SprintStatus.PLANNING, SprintStatus.CANCELLED),
    SprintStatus.COMPLETED: (SprintStatus.ACTIVE,),
    SprintStatus.CANCELLED: (SprintStatus.PLANNING,),
}

TASK_TRANSITIONS: Mapping[TaskStatus, tuple[TaskStatus, ...]] = {
    TaskStatus.PENDING: (
        TaskStatus.IN_PROGRESS,
        TaskStatus.BLOCKED,
        TaskStatus.COMPLETED,
        TaskStatus.CANCELLED,
    ),
    TaskStatus.IN_PROGRESS: (
        TaskStatus.PENDING,
        TaskStatus.BLOCKED,
        TaskStatus.COMPLETED,
        TaskStatus.CANCELLED,
    ),
    TaskStatus.BLOCKED: (TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.CANCELLED),
    TaskStatus.COMPLETED: (TaskStatus.PENDING, TaskStatus.IN_PROGRESS),
    TaskStatus.CANCELLED: (TaskStatus.PENDING,),
}

SESSION_TRANSITIONS: Mapping[SessionStatus, tuple[SessionStatus, ...]] = {
    SessionStatus.ACTIVE: (SessionStatus.PAUSED, SessionStatus.COMPLETED),
    SessionStatus.PAUSED: (SessionStatus.ACTIVE, SessionStatus.COMPLETED),
    SessionStatus.COMPLETED: (),
}

PRIORITY_P0, PRIORITY_P1, PRIORITY_DEFAULT = 1, 2, 3
"""The numbers of common.proto. The default is P2."""
KEPT_PRIORITIES = frozenset((PRIORITY_P0, PRIORITY_P1))
"""The priorities of events that are kept for ever."""
