"""What one task does, as the API promises it: a state, an operation, the next state and the answer.

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
    """A task as it is; revision 0 is one that was never created."""

    revision: int = 0
    title: str = ""
    status: int = 0
    deleted: bool = False


class Answer(NamedTuple):
    """What a call was told: the task as it is then, or the reason of a refusal."""

    revision: int = 0
    title: str = ""
    status: int = 0
    refusal: str = ""


NOTHING = Answer()
"""The answer of a deletion."""
NOT_FOUND = Answer(refusal="NOT_FOUND")


@dataclass(frozen=True)
class Create:
    """Creates the task, pending."""

    title: str


@dataclass(frozen=True)
class Retitle:
    """Changes the title, if the revision is the expected one; any is if that is 0."""

    title: str
    expected: int = 0


@dataclass(frozen=True)
class Move:
    """Changes the status, under the same condition."""

    status: int
    expected: int = 0


@dataclass(frozen=True)
class Delete:
    """Deletes the task, under the same condition."""

    expected: int = 0


@dataclass(frozen=True)
class Read:
    """Reads the task."""


Action = Create | Retitle | Move | Delete | Read


def step(state: State, action: Action) -> tuple[State, Answer]:
    """Return the state after ``action``, and what its caller is answered."""
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
