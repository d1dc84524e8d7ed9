"""Words for the enums of the API, such as "in_progress" for TASK_STATUS_IN_PROGRESS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from orchestration.v1 import common_pb2, context_pb2, coordination_pb2, event_pb2, lease_pb2, task_pb2

Priority = Literal["P0", "P1", "P2", "P3", "P4"]
TaskStatus = Literal["pending", "in_progress", "blocked", "completed", "cancelled"]
SprintStatus = Literal["planning", "active", "completed", "cancelled"]
SessionStatus = Literal["active", "paused", "completed"]
SessionOutcome = Literal["succeeded", "failed", "handed_over", "abandoned"]
DependencyKind = Literal["blocks", "parent_child", "discovered_from", "related"]
DependencyDirection = Literal["depends_on", "dependents"]
EntityKind = Literal["sprint", "task", "session", "adr", "bug_report", "schedule"]
AttemptOutcome = Literal[
    "completed", "failed", "returned", "blocked", "expired", "timed_out", "preempted", "session_closed",
    "cancelled",
]  # fmt: skip
Directive = Literal["continue", "cancel", "pause", "drain"]
ReasonKind = Literal[
    "status", "blocker", "held", "not_before", "backoff", "capability", "sprint", "paused", "limit",
    "children", "budget",
]  # fmt: skip
TaskOrder = Literal["created", "priority"]
EventOrder = Literal["newest_first", "oldest_first"]
ContextPart = Literal[
    "target", "progress", "next_steps", "blockers", "acceptance_criteria", "agent_config", "sprint",
    "dependencies", "tasks", "events", "files", "notes", "decisions", "sessions", "attempts",
]  # fmt: skip

WordT = TypeVar("WordT", bound=str)


class Words(Generic[WordT]):
    """The words of one enum."""

    def __init__(self, name: str, literal: Any, enum: Any, prefix: str) -> None:
        """Map the words of a Literal to the numbers of an enum, whose names are the prefix and the word."""
        self._name = name
        self._numbers = {word: int(enum.Value(prefix + word.upper())) for word in get_args(literal)}
        self._words = {number: word for word, number in self._numbers.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def number(self, word: WordT) -> Any:
        """Return the number of a word. Raises ValueError for another word, with those that there are."""
        found = self._numbers.get(word)
        if found is None:
            raise ValueError(f"{word!r} is no {self._name}: use one of {', '.join(self._numbers)}")
        return found

    def numbers(self, words: WordT | Iterable[WordT]) -> list[Any]:
        """Return the numbers of one word or of several."""
        return [
            self.number(word) for word in cast(Iterable[WordT], [words] if isinstance(words, str) else words)
        ]

    def word(self, number: int) -> WordT:
        """Return the word of a number. A number of a newer server is "unknown_" and the number."""
        found = self._words.get(number)
        return cast(WordT, f"unknown_{number}" if found is None else found)

    def optional(self, number: int) -> WordT | None:
        """Return the word of a number, or None if it is 0, which means unset."""
        return self.word(number) if number else None


PRIORITIES = Words[Priority]("priority", Priority, common_pb2.Priority, "PRIORITY_")
TASK_STATUSES = Words[TaskStatus]("status of a task", TaskStatus, common_pb2.TaskStatus, "TASK_STATUS_")
SPRINT_STATUSES = Words[SprintStatus](
    "status of a sprint", SprintStatus, common_pb2.SprintStatus, "SPRINT_STATUS_"
)
SESSION_STATUSES = Words[SessionStatus](
    "status of a session", SessionStatus, common_pb2.SessionStatus, "SESSION_STATUS_"
)
SESSION_OUTCOMES = Words[SessionOutcome](
    "outcome of a session", SessionOutcome, common_pb2.SessionOutcome, "SESSION_OUTCOME_"
)
DEPENDENCY_KINDS = Words[DependencyKind](
    "kind of dependency", DependencyKind, common_pb2.DependencyKind, "DEPENDENCY_KIND_"
)
DIRECTIONS = Words[DependencyDirection](
    "direction", DependencyDirection, coordination_pb2.DependencyDirection, "DEPENDENCY_DIRECTION_"
)
ENTITY_KINDS = Words[EntityKind]("kind of entity", EntityKind, common_pb2.EntityType, "ENTITY_TYPE_")
ATTEMPT_OUTCOMES = Words[AttemptOutcome](
    "outcome of an attempt", AttemptOutcome, lease_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_"
)
DIRECTIVES = Words[Directive]("directive", Directive, coordination_pb2.Directive, "DIRECTIVE_")
REASON_KINDS = Words[ReasonKind](
    "kind of reason", ReasonKind, coordination_pb2.ReadinessReasonKind, "READINESS_REASON_KIND_"
)
TASK_ORDERS = Words[TaskOrder]("order of tasks", TaskOrder, task_pb2.TaskOrder, "TASK_ORDER_")
EVENT_ORDERS = Words[EventOrder]("order of events", EventOrder, event_pb2.EventOrder, "EVENT_ORDER_")
CONTEXT_PARTS = Words[ContextPart](
    "section of a context", ContextPart, context_pb2.ContextSection, "CONTEXT_SECTION_"
)
