"""Calls: the caller, its role and scope, and the request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from orchestration_server.model.log import EventRow
from orchestration_server.model.statuses import EntityType

Share = tuple[str, str]
"""A project and a caller in it, which take turns with others."""
ALL_PROJECTS = "*"
"""The project of a key that opens all projects."""
IMPORT_AGENT = "orchestration-import"
"""The calling agent of `orchestration import`. Its rate of events raises no alert, as it is no agent in a
loop."""


class Role(IntEnum):
    """The rights of a key. Each role includes the rights of those below it."""

    READER = 1
    """May read."""
    AGENT = 2
    """May change sprints, tasks, sessions, events and documents."""
    ADMIN = 3
    """May do what cannot be undone, and what concerns the whole ledger."""


class AuthMode(StrEnum):
    """The rule for callers without a credential."""

    AUTO = "auto"
    """Admit all callers on loopback until the first key is made, and none elsewhere."""
    REQUIRED = "required"
    """Admit none."""
    OPEN = "open"
    """Admit all. For loopback only."""


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
    """True if the key's role lets it change nothing."""

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
    """The metadata that the server sends with an answer. It is the only part of a call that changes.

    It refers to nothing, so a call that holds it keeps no stream alive.
    """

    __slots__ = ("correlation_id",)

    def __init__(self, correlation_id: str = "") -> None:
        self.correlation_id = correlation_id


# Every call makes one: a tuple takes 1.1 µs, a frozen dataclass of 14 fields 2.9 µs.
class Call(NamedTuple):
    """One call: the caller, its project and its deadline. It does not change; ``_replace`` returns a copy.

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
    """True if the caller gave the correlation id. It then takes precedence over the session's."""
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
        return self if scope is None else self._replace(scope=scope)

    def seconds_left(self) -> float | None:
        """Return the seconds until the deadline, or None if there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Request:
    """The ``request_id`` of a mutation, which may be empty, with the fingerprint of its body."""

    rpc: str
    request_id: str
    fingerprint: bytes
