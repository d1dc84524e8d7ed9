"""The calls of the agents of a run, and their answers."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.robustness.linearizability import Operation
from tests.robustness.spec import Action, Answer


@dataclass
class Write:
    """A write under one request_id and one correlation id, sent once or more."""

    id: str
    code: str
    action: Action
    acknowledged: Answer | None = None
    """The answer of a call that acted, or found that another had acted; None if no call was answered so."""
    doubtful: bool = False
    """True if a call of it ended without an answer, and may act later."""


@dataclass
class History:
    """The calls of all agents. Any thread may call the methods."""

    operations: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """The operations by the code of their task."""
    writes: dict[str, Write] = field(default_factory=dict)
    emitted: dict[str, str] = field(default_factory=dict)
    """The id of each acknowledged event, by the event's actor."""
    attempted: set[str] = field(default_factory=set)
    """The actors of all events that a caller tried to emit."""
    faults: list[str] = field(default_factory=list)
    """Faults that show without an order of the calls, such as a page whose counts disagree with its tasks."""
    calls: int = 0

    def __post_init__(self) -> None:
        self._changed = threading.Condition()

    def add(self, code: str, operation: Operation) -> None:
        """Record a call on a task."""
        with self._changed:
            self.operations[code].append(operation)

    def count(self) -> None:
        """Count a call that ended."""
        with self._changed:
            self.calls += 1
            self._changed.notify_all()

    def fault(self, text: str) -> None:
        """Record a fault that shows without an order of the calls."""
        with self._changed:
            self.faults.append(text)

    def wait_for(self, calls: int, timeout: float) -> bool:
        """Wait until ``more`` calls have ended; return False if the time runs out."""
        with self._changed:
            upto = self.calls + calls
            return self._changed.wait_for(lambda: self.calls >= upto, timeout)

    def codes(self) -> Iterator[str]:
        """Yield the code of each task with a call."""
        return iter(sorted(self.operations))
