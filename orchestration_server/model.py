"""The terms of the ledger: statuses and their allowed changes, event types, calls, places in the log.

The content of a sprint, a task or an event is its protobuf message (docs/decisions/0001); the enums
here have the numbers of ``protos/orchestration/v1/common.proto``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from uuid_utils import UUID


class SprintStatus(IntEnum):
    """Where a sprint stands."""

    PLANNING = 1
    ACTIVE = 2
    COMPLETED = 3
    CANCELLED = 4


class TaskStatus(IntEnum):
    """Where a task stands."""

    PENDING = 1
    IN_PROGRESS = 2
    BLOCKED = 3
    COMPLETED = 4
    CANCELLED = 5


class SessionStatus(IntEnum):
    """Where a session stands."""

    ACTIVE = 1
    PAUSED = 2
    COMPLETED = 3


class EntityType(IntEnum):
    """What an event is about."""

    NONE = 0
    SPRINT = 1
    TASK = 2
    SESSION = 3
    ADR = 4
    BUG_REPORT = 5


ENTITY_NAMES: Mapping[int, str] = {
    EntityType.NONE: "",
    EntityType.SPRINT: "sprint",
    EntityType.TASK: "task",
    EntityType.SESSION: "session",
    EntityType.ADR: "adr",
    EntityType.BUG_REPORT: "bug_report",
}
"""The names of entity types in event types, payloads, locks and error details."""


Share = tuple[str, str]
"""A project, and a caller in it: whose turn it is."""


class Role(IntEnum):
    """What a key may do. Each may do what those below it may."""

    READER = 1
    """Reads."""
    AGENT = 2
    """Works on sprints, tasks, sessions, events and documents."""
    ADMIN = 3
    """Does also what cannot be undone, and what concerns the ledger as a whole."""


class AuthMode(StrEnum):
    """Who is let in without a credential."""

    AUTO = "auto"
    """On loopback everybody, until there is a first key; off loopback nobody."""
    REQUIRED = "required"
    """Nobody."""
    OPEN = "open"
    """Everybody; on loopback only."""


ALL_PROJECTS = "*"
"""The project of a key that opens each."""


class AlertState(IntEnum):
    """Where an alert stands; a list goes by it."""

    FIRING = 1
    PENDING = 2
    """Its condition holds, but not for long enough yet."""
    RESOLVED = 3


class AlertSeverity(IntEnum):
    """How soon somebody has to look."""

    CRITICAL = 1
    WARNING = 2


def is_due(sprint: SprintStatus | None) -> bool:
    """Return whether the work of a sprint may be started. A task of no sprint is always due."""
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
IMPORT_AGENT = "orchestration-import"
"""The calling agent of `orchestration import`, whose rate of events raises no alert: no agent loops there."""
KEPT_PRIORITIES = frozenset((PRIORITY_P0, PRIORITY_P1))
"""The priorities of events that are kept for ever."""


class Position(NamedTuple):
    """A place in the log: events are ordered by (log epoch, transaction id, sequence)."""

    epoch: int
    xid: int
    seq: int


BEGINNING = Position(0, 0, 0)


class Cursor(NamedTuple):
    """A position to resume from, with what its reader has not seen at or below it.

    An answer may show an event while transactions with lower ids are still in progress; what they commit
    later stands before it in the log (docs/decisions/0012).
    """

    position: Position
    open: tuple[int, ...] = ()
    """Ids below the position's, ascending, of transactions of its epoch that were in progress when the answer
    was read. All other events up to the position count as seen."""
    read: int = 0
    """The sequence up to which events of the first of them are seen."""
    from_time: datetime | None = None
    """Takes only events that were recorded at or after this time."""

    @property
    def start(self) -> Position:
        """The position to read on after."""
        return Position(self.position.epoch, self.open[0], self.read) if self.open else self.position

    def at(self, position: Position) -> Cursor:
        """Return the cursor of a reader that resumed here and has read on up to a position."""
        if position >= self.position:
            return Cursor(position, from_time=self.from_time)
        if position <= self.start:
            return self
        still = tuple(xid for xid in self.open if xid >= position.xid)
        seen = position.seq if still and still[0] == position.xid else 0
        return Cursor(self.position, still, seen, self.from_time)

    def takes(self, position: Position, emit_time: datetime) -> bool:
        """Return whether an event is one that the reader has not seen and wants."""
        return (self.from_time is None or emit_time >= self.from_time) and (
            position > self.position
            or (position > self.start and position.epoch == self.position.epoch and position.xid in self.open)
        )


FIRST = Cursor(BEGINNING)
"""The cursor of a reader that has seen nothing."""


def cursor_of(position: Position, open_ids: Sequence[int] | None) -> Cursor:
    """Return the cursor of an event that was read while transactions with these ids were in progress."""
    return Cursor(position, tuple(xid for xid in open_ids or () if xid < position.xid))


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as its key or JWT names it."""

    id: str
    """The caller's name in counters and logs. It is no secret."""
    project: str
    """The one project that the key opens, or ALL_PROJECTS."""
    role: Role
    session_key: str = ""
    """The session that the key is scoped to."""
    sprint_code: str = ""
    """The sprint that the key is scoped to."""
    per_minute: int | None = None
    """Calls a minute. None means the server's limit for all keys."""
    events_per_minute: int | None = None

    @property
    def scoped(self) -> bool:
        """Return whether the key opens only a part of its project."""
        return bool(self.session_key or self.sprint_code)


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a project that a scoped key opens: one sprint, or one session with its task or sprint."""

    session_key: str = ""
    sprint_code: str = ""
    task_code: str = ""
    read_only: bool = False
    """Whether the key's role lets it change nothing."""

    def covers(self, event: EventRow) -> bool:
        """Return whether an event is about an entity of this scope."""
        if event.entity_type == EntityType.SESSION and self.session_key:
            return event.entity_code == self.session_key
        if self.sprint_code:
            return event.sprint_code == self.sprint_code
        # A document's event names no task. The request that wrote it did, or it would have been refused.
        return event.entity_type not in (EntityType.TASK, EntityType.SPRINT) or (
            event.entity_type == EntityType.TASK and event.entity_code == self.task_code
        )

    def may_see(self, sprint_code: str, session_key: str, entity_type: int, entity_code: str) -> bool:
        """Return whether a stored event with these fields belongs to this scope."""
        of_task = entity_type == EntityType.TASK and entity_code == self.task_code
        return (
            (bool(self.sprint_code) and sprint_code == self.sprint_code)
            or (bool(self.session_key) and session_key == self.session_key)
            or (bool(self.task_code) and of_task)
        )

    def covers_document(self, sprint_code: str, task_code: str) -> bool:
        """Return whether a stored decision or bug report belongs to this scope."""
        if self.sprint_code:
            return sprint_code == self.sprint_code
        return bool(task_code) and task_code == self.task_code


class AnswerMetadata:
    """The metadata that the server sends with an answer. The only part of a call that changes.

    It refers to nothing, so a call that holds it keeps no stream alive.
    """

    __slots__ = ("correlation_id",)

    def __init__(self, correlation_id: str = "") -> None:
        self.correlation_id = correlation_id


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the caller, its project and its deadline.

    ``deadline`` is a ``time.monotonic()`` moment, or None. ``on_end`` registers a callback that cancels the
    call's statement if the caller leaves.
    """

    rpc: str
    project: str = "default"
    correlation_id: str = ""
    session_key: str = ""
    agent: str = ""
    deadline: float | None = None
    on_end: Callable[[Callable[[], None]], bool] | None = None
    correlated: bool = False
    """Whether the caller gave the correlation id. It then takes precedence over the session's."""
    causer_scopes: str = ""
    """The scopes of the callers that caused an action of automation (codec/causers.py)."""
    automation: Mapping[str, Any] | None = None
    """The rule of automation that calls, as its events name it. None if a client calls."""
    principal: Principal | None = None
    """The caller. None if the ledger is open, or if the server itself calls."""
    scope: Scope | None = None
    """The scope that a write of this request has to stay inside. None if the key has none."""
    authorize: Callable[[Any, Call], Scope | None] | None = None
    """Returns the scope of a request, or raises if the key does not allow it. It takes the call as an
    argument: a closure over the call would keep it, and grpc's stream, until the garbage collector runs."""
    answer: AnswerMetadata | None = None

    def authorized(self, request: Any) -> Call:
        """Return the call with the scope of a request. Raises if the caller's key does not allow it."""
        scope = None if self.authorize is None else self.authorize(request, self)
        return self if scope is None else replace(self, scope=scope)

    def seconds_left(self) -> float | None:
        """Return the seconds until the deadline, or None if there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


class EventRow(NamedTuple):
    """An event to be stored: the columns that queries filter on, and its serialized message."""

    kept: bool
    """Whether retention leaves it alone."""
    project: str
    event_id: UUID
    type: str
    entity_type: int
    entity_code: str
    sprint_code: str
    priority: int
    correlation_id: str
    session_key: str
    actor: str
    occur_time: datetime
    emit_time: datetime
    body: bytes
    agent: str = ""
    """The agent that called."""
    scopes: str = ""
    """What bounds the callers that caused it; empty if nothing does."""


class Entity(NamedTuple):
    """What an event is about."""

    project: str
    entity_type: int
    code: str


class PendingChange(NamedTuple):
    """A step of an entity that an event to come will tell of; ``body`` is an event of it alone."""

    entity: Entity
    revision: int
    stable_time: datetime
    """When it is told of, unless another step follows."""
    latest_time: datetime
    """When it is told of in any case."""
    correlation_id: str
    body: bytes
    scopes: str = ""
    """As in the row of an event."""


class SampledOut(NamedTuple):
    """Events alike that sampling left out, with the minute of their occur_time."""

    project: str
    minute: datetime
    type: str
    actor: str
    entity_type: int
    entity_code: str
    sprint_code: str
    events: int = 1


class OutboxRow(NamedTuple):
    """An entity whose files are to be written; ``kind`` is sprint, task, adr or bug_report."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the log holds it: ``body`` is None where a filter left it out."""

    position: Position
    body: bytes | None
    archive_time: datetime | None = None
    """None where it is live."""
    recorded: float = 0.0
    """When, by ``time.monotonic``; known of live events alone."""
    open: Sequence[int] = ()
    """Ids of transactions that were in progress when it was read; none if it was read below the horizon."""

    @property
    def cursor(self) -> Cursor:
        """The cursor of the event in the answer that it was read for."""
        return cursor_of(self.position, self.open)


@dataclass(frozen=True, slots=True)
class Request:
    """A mutation's ``request_id`` with the fingerprint of its body; the id may be empty."""

    rpc: str
    request_id: str
    fingerprint: bytes


@dataclass(slots=True)
class EventFilter:
    """Which events; empty fields take any. ``types`` may end in ``.*``."""

    sprint_code: str = ""
    task_code: str = ""
    session_key: str = ""
    correlation_id: str = ""
    types: list[str] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
