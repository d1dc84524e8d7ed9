"""Finds whether concurrent calls on one task can be put in an order that explains every answer.

The method is Wing and Gong's search, run along the history: a set of possible worlds (a state, and the
calls in progress that already took effect) is kept, and at each return those worlds stay in which the
call took effect with the answer that it returned. A call whose outcome is unknown may take effect at any
time after it began, or never. (Wing and Gong, Testing and verifying concurrent objects, 1993.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from tests.robustness.spec import Action, Answer, State, step

World = tuple[State, frozenset[int]]
MOST_WORLDS = 200_000


@dataclass(frozen=True)
class Operation:
    """A call on one task, from ``began`` to ``ended``; without an ``answer`` its outcome is unknown."""

    id: str
    action: Action
    began: float
    ended: float
    answer: Answer | None

    @property
    def until(self) -> float:
        """Return the time by which the call has taken effect."""
        return inf if self.answer is None else self.ended


class Undecided(Exception):
    """Raised if a history has too many calls of unknown outcome to be decided."""


def unexplained(history: Iterable[Operation]) -> str:
    """Return the answer that no order of the calls explains; an empty text if an order explains all."""
    operations = sorted(history, key=lambda one: one.began)
    moments = [(one.began, 0, number) for number, one in enumerate(operations)]
    moments += [(one.until, 1, number) for number, one in enumerate(operations) if one.answer is not None]
    worlds: set[World] = {(State(), frozenset())}
    open_calls: dict[int, Operation] = {}
    for _, returns, number in sorted(moments):
        one = operations[number]
        if not returns:
            open_calls[number] = one
            continue
        after = _with_effect(worlds, number, open_calls)
        if not after:
            states = sorted({world[0] for world in worlds})[:4]
            return f"{one.id} {one.action} was answered {one.answer}, but the task may be only {states}"
        worlds = after
        del open_calls[number]
    return ""


def _with_effect(worlds: set[World], number: int, open_calls: dict[int, Operation]) -> set[World]:
    """Return the worlds in which the call took effect, without it."""
    found: set[World] = set()
    seen = set(worlds)
    waiting = list(worlds)
    while waiting:
        state, done = waiting.pop()
        if number in done:
            found.add((state, done - {number}))
            continue
        for other, one in open_calls.items():
            if other in done:
                continue
            after, answer = step(state, one.action)
            if one.answer is None:
                if after == state:
                    continue
            elif answer != one.answer:
                continue
            world = (after, done | {other})
            if world not in seen:
                seen.add(world)
                waiting.append(world)
        if len(seen) > MOST_WORLDS:
            raise Undecided(f"{len(open_calls)} calls at once")
    return found
