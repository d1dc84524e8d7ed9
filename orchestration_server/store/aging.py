"""The order of ready tasks: by priority, in which tasks rise with their age.

A task of P2 that is older than one of P1 by a certain age comes first, and so on for each priority, so no
task waits for ever. Tasks of P0 come before all others. The difference between two tasks does not change
while both wait, so the order is one of stored columns, and a scan for each priority finds its first tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from orchestration_server.model import PRIORITY_P0

PRIORITIES = (1, 2, 3, 4, 5)
_NEVER = "20000 years"
"""Longer than the difference of any two times of the ledger."""
_BEGINNING, _END = "-infinity", "infinity"

ORDER: LiteralString = """
order by (q.priority > 1), q.create_time + q.priority * %(step)s::interval, q.task_code"""
"""The order of tasks ``q``. It reads ``step``. Aging.key is the same in Python."""


@dataclass(frozen=True, slots=True)
class Aging:
    """The age that makes up for one priority; None for an order by priority alone."""

    age: timedelta | None

    @classmethod
    def by_hours(cls, hours: float) -> Aging:
        """Return the order for a number of hours, of which 0 means an order by priority alone."""
        return cls(timedelta(hours=hours) if hours else None)

    @property
    def step(self) -> str:
        """Return the parameter of ORDER."""
        return _NEVER if self.age is None else f"{self.age // timedelta(microseconds=1)} microseconds"

    def key(self, priority: int, create_time: datetime, code: str) -> tuple[bool, int, datetime, str]:
        """Return the key of a task, by which ORDER sorts."""
        if self.age is None:
            return priority > PRIORITY_P0, priority, create_time, code
        return priority > PRIORITY_P0, 0, create_time + priority * self.age, code

    def starts(self, after: tuple[int, datetime] | None, priorities: Sequence[int]) -> list[str]:
        """Return for each priority the create time from which its tasks come after a position.

        The position is the priority and the create time of a task.
        """
        return [_BEGINNING if after is None else self._start(priority, *after) for priority in priorities]

    def _start(self, priority: int, after_priority: int, after_time: datetime) -> str:
        if priority == after_priority:
            return after_time.isoformat()
        lower = priority > after_priority
        if self.age is None or PRIORITY_P0 in (priority, after_priority):
            return _BEGINNING if lower else _END
        try:
            return (after_time + (after_priority - priority) * self.age).isoformat()
        except OverflowError:
            return _BEGINNING if lower else _END


DEFAULT = Aging.by_hours(168)
"""A week for each priority."""
