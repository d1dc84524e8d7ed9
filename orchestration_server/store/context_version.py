"""The version of a context, as the row of versions has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orchestration_server.model import BEGINNING, Position

_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ContextVersion:
    """The version of a context. Contexts with equal versions have equal contents.

    It has revisions, counts and sums of all parts of the context, and the last event of its scope.
    """

    numbers: tuple[int | None, ...]
    texts: tuple[str | None, ...]
    knows_since: bool = field(compare=False)
    """True if the log has an event at the requested position."""
    now: datetime = field(compare=False)
    """The time by the database's clock."""

    @property
    def task_code(self) -> str:
        """Return the code of the target task, which may be deleted, or an empty string."""
        return self.texts[0] or ""

    @property
    def own_sprint(self) -> str:
        """Return the code of the target sprint, or an empty string if the target is a task."""
        return self.texts[1] or ""

    @property
    def sprint_code(self) -> str:
        """Return the code of the target sprint or of the target task's sprint, or an empty string."""
        return self.texts[2] or ""

    @property
    def tasks(self) -> str:
        """Return the version of the tasks of the target sprint."""
        return self.texts[3] or ""

    @property
    def deleted(self) -> bool:
        """Return whether the target is deleted."""
        return bool(self.numbers[4] if self.own_sprint else self.numbers[2])

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Return the numbers of the sprint's pending, in progress, blocked, completed and cancelled tasks."""
        pending, going, blocked, done, dropped = (number or 0 for number in self.numbers[5:10])
        return pending, going, blocked, done, dropped

    @property
    def latest(self) -> Position:
        """Return the position of the last event below the horizon, or the beginning of the log."""
        epoch, xid, seq = self.numbers[10:13]
        return BEGINNING if epoch is None else Position(epoch, xid or 0, seq or 0)


def read_version(numbers: list[int | None], texts: list[str | None]) -> ContextVersion:
    """Return the version that a row has. The last two numbers are no part of it."""
    *state, known, now = numbers
    time = _START + timedelta(microseconds=now or 0)
    return ContextVersion(tuple(state), tuple(texts), knows_since=bool(known), now=time)
