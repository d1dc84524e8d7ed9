"""A model of one task, as the API promises it: state, operation, next state and answer.

Nothing here is taken from the server: the words are those of the protos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from orchestration.v1.common_pb2 import TaskStatus

PENDING, IN_PROGRESS, BLOCKED, COMPLETED, CANCELLED = (
    TaskStatus.TASK_STATUS_PENDING,
    TaskStatus.TASK_STATUS_IN_PROGRESS,
    TaskStatus.TASK_STATUS_BLOCKED,
    TaskStatus.TASK_STATUS_COMPLETED,
    TaskStatus.TASK_STATUS_CANCELLED,
)
STATUSES = (PENDING, IN_PROGRESS, BLOCKED, COMPLETED, CANCELLED)
MOVES = {
    PENDING: {IN_PROGRESS, BLOCKED, COMPLETED, CANCELLED},
    IN_PROGRESS: {PENDING, BLOCKED, COMPLETED, CANCELLED},
    BLOCKED: {PENDING, IN_PROGRESS, CANCELLED},
    COMPLETED: {PENDING, IN_PROGRESS},
    CANCELLED: {PENDING},
}


class State(NamedTuple):
    """The state of a task; revision 0 stands for a task that was never created."""

    revision: int = 0
    title: str = ""
    status: int = 0
    deleted: bool = False


class Answer(NamedTuple):
    """The answer of a call: the task after it, or the reason of a refusal."""

    revision: int = 0
    title: str = ""
    status: int = 0
    refusal: str = ""


NOTHING = Answer()
"""The answer of a deletion."""
NOT_FOUND = Answer(refusal="NOT_FOUND")


@dataclass(frozen=True)
class Create:
    """The creation of the task as pending."""

    title: str


@dataclass(frozen=True)
class Retitle:
    """A change of the title if the revision is the expected one; 0 expects any revision."""

    title: str
    expected: int = 0


@dataclass(frozen=True)
class Move:
    """A change of the status under the same condition."""

    status: int
    expected: int = 0


@dataclass(frozen=True)
class Delete:
    """The deletion of the task under the same condition."""

    expected: int = 0


@dataclass(frozen=True)
class Read:
    """A read of the task."""


Action = Create | Retitle | Move | Delete | Read


def step(state: State, action: Action) -> tuple[State, Answer]:
    """Return the state after ``action``, and the answer to the caller."""
    if isinstance(action, Create):
        if state.revision:
            return state, Answer(refusal="ALREADY_EXISTS")
        return _answered(State(1, action.title, PENDING))
    if not state.revision or state.deleted:
        return state, NOT_FOUND
    if isinstance(action, Read):
        return _answered(state)
    if action.expected not in (0, state.revision):
        return state, Answer(refusal="STALE_REVISION")
    if isinstance(action, Delete):
        return State(state.revision + 1, state.title, state.status, deleted=True), NOTHING
    if isinstance(action, Retitle):
        after = state._replace(title=action.title)
    elif action.status != state.status and action.status not in MOVES[state.status]:  # type: ignore[index]
        return state, Answer(refusal="TRANSITION_REFUSED")
    else:
        after = state._replace(status=action.status)
    if after != state:
        after = after._replace(revision=state.revision + 1)
    return _answered(after)


def _answered(state: State) -> tuple[State, Answer]:
    return state, Answer(state.revision, state.title, state.status)
