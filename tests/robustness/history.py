"""What the agents of a run did and were told."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.robustness.linearizability import Operation
from tests.robustness.spec import Action, Answer


@dataclass
class Write:
    """A write under one request_id and one correlation id, however often it was sent."""

    id: str
    code: str
    action: Action
    acknowledged: Answer | None = None
    """The answer of the call that acted, or found that another one had; None if no call was told so."""
    doubtful: bool = False
    """Whether a call of it ended without an answer, so that it may act later."""


@dataclass
class History:
    """Calls of all agents. Its methods may be called by any thread."""

    operations: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """By the code of the task."""
    writes: dict[str, Write] = field(default_factory=dict)
    emitted: dict[str, str] = field(default_factory=dict)
    """The id of each event that was acknowledged, by the actor that it names."""
    attempted: set[str] = field(default_factory=set)
    """Actors of all events that a caller tried to emit."""
    faults: list[str] = field(default_factory=list)
    """What no order of the calls is needed for, such as a page whose counts are not its tasks'."""
    calls: int = 0

    def __post_init__(self) -> None:
        self._changed = threading.Condition()

    def add(self, code: str, operation: Operation) -> None:
        """Keep a call on a task."""
        with self._changed:
            self.operations[code].append(operation)

    def count(self) -> None:
        """Count a call that ended."""
        with self._changed:
            self.calls += 1
            self._changed.notify_all()

    def fault(self, text: str) -> None:
        """Keep what is wrong by itself."""
        with self._changed:
            self.faults.append(text)

    def wait_for(self, calls: int, timeout: float) -> bool:
        """Wait until that many more calls have ended. Return whether they did in time."""
        with self._changed:
            upto = self.calls + calls
            return self._changed.wait_for(lambda: self.calls >= upto, timeout)

    def codes(self) -> Iterator[str]:
        """Yield the code of each task that was called for."""
        return iter(sorted(self.operations))
