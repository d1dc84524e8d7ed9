"""Histories of claims, and a model that finds what no ledger may do. It is written from the promise alone.

Each operation has the moments at which its caller sent it and got its answer, and what the answer said. Times
of leases are the ledger's own. An operation without an answer may have acted, at any later time.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
CLAIM, BEAT, WRITE, RELEASE, PREEMPT = "claim", "beat", "write", "release", "preempt"
COMPLETED, EXPIRED, TIMED_OUT, PREEMPTED = 1, 5, 6, 7
"""Outcomes of attempts, by their numbers in lease.proto."""
LOST = (EXPIRED, TIMED_OUT)


@dataclass
class Operation:
    """A call about one task. A call about several is an operation on each."""

    kind: str
    agent: str
    task: str = ""
    """Empty for a claim of the next task that was not answered."""
    fence: int = 0
    """The fence that the caller gave or got; 0 if it gave none."""
    outcome: str = UNKNOWN
    began: float = 0.0
    ended: float = float("inf")
    reason: str = ""
    number: int = 0
    """The number of the attempt that a claim got, or the number of tasks that it asked for."""
    start: float = 0.0
    """The ledger's time of a claim, or of an accepted write."""
    expire: float = 0.0
    """The expiry that the answer gave."""
    ends: int = 0
    """The outcome that the operation asks for the attempt; 0 if it does not end it."""


@dataclass(frozen=True)
class AttemptRow:
    """An attempt as the ledger lists it at the end."""

    task: str
    number: int
    fence: int
    agent: str
    start: float
    end: float
    outcome: int


@dataclass
class History:
    """The operations of agents. Any thread may add some; ``log`` keeps them if the process is killed."""

    operations: list[Operation] = field(default_factory=list)
    log: TextIO | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: dict[int, int] = field(default_factory=dict)

    def begin(self, operation: Operation) -> Operation:
        """Record that an operation is sent."""
        operation.began = monotonic()
        with self._lock:
            self._places[id(operation)] = len(self.operations)
            self.operations.append(operation)
            self._write(len(self.operations) - 1, operation)
        return operation

    def end(self, operation: Operation, outcome: str, reason: str = "") -> None:
        """Record the answer of an operation."""
        operation.outcome, operation.reason = outcome, reason
        if outcome != UNKNOWN:
            operation.ended = monotonic()
        with self._lock:
            self._write(self._places[id(operation)], operation)

    def add(self, operation: Operation) -> None:
        """Record an operation that has its answer."""
        with self._lock:
            self.operations.append(operation)
            self._write(len(self.operations) - 1, operation)

    def count(self, kind: str, outcome: str, reason: str = "") -> int:
        """Return the number of operations with an outcome."""
        return sum(
            o.kind == kind and o.outcome == outcome and (not reason or o.reason == reason)
            for o in self.operations
        )

    def _write(self, place: int, operation: Operation) -> None:
        if self.log is not None:
            self.log.write(json.dumps([place, asdict(operation)]) + "\n")
            self.log.flush()


def read_log(path: Path) -> Iterator[Operation]:
    """Yield the operations that a process recorded, which may have been killed."""
    found: dict[int, dict[str, Any]] = {}
    for text in path.read_text().splitlines():
        with suppress(ValueError):
            place, fields = json.loads(text)
            found[place] = fields
    for fields in found.values():
        yield Operation(**fields)


def faults(
    history: Iterable[Operation], rows: Sequence[AttemptRow], graces: Sequence[tuple[float, float]] = ()
) -> list[str]:
    """Return what contradicts the promise of claims. ``rows`` has all attempts at the end.

    ``graces`` has the start and the end of the time that holders get after each start of Postgres.
    """
    by_task: dict[str, list[Operation]] = defaultdict(list)
    attempts: dict[str, list[AttemptRow]] = defaultdict(list)
    unanswered: dict[str, int] = defaultdict(int)
    for operation in history:
        by_task[operation.task].append(operation)
        if operation.kind == CLAIM and operation.outcome == UNKNOWN:
            unanswered[operation.agent] += max(1, operation.number)
    for row in rows:
        attempts[row.task].append(row)
    found: list[str] = []
    for task in sorted({*by_task, *attempts} - {""}):
        judged = _Task(by_task[task], sorted(attempts[task], key=lambda row: row.number), unanswered, graces)
        found += [f"{task}: {fault}" for fault in judged.faults()]
    return found


class _Task:
    """The operations on one task, and its attempts."""

    def __init__(
        self,
        operations: list[Operation],
        rows: list[AttemptRow],
        unanswered: dict[str, int],
        graces: Sequence[tuple[float, float]],
    ) -> None:
        self._graces = graces
        self._rows = rows
        self._by_fence = {row.fence: row for row in rows}
        self._unanswered = unanswered
        self._accepted = [o for o in operations if o.outcome == OK]
        self._claims = sorted((o for o in self._accepted if o.kind == CLAIM), key=lambda o: o.fence)
        self._doubtful = [o for o in operations if o.outcome == UNKNOWN]

    def faults(self) -> Iterator[str]:
        yield from self._fences()
        yield from self._rows_agree()
        yield from self._holders()
        yield from self._writes()
        done = {o.fence for o in self._accepted if o.ends == COMPLETED and o.fence}
        opened = any(
            o.ends and o.ends != COMPLETED and not o.fence for o in (*self._accepted, *self._doubtful)
        )
        if len(done) > 1 and not opened:
            yield f"done by {len(done)} holders that were told yes: fences {sorted(done)}"

    def _fences(self) -> Iterator[str]:
        for one, other in self._pairs(self._claims):
            if one.fence == other.fence:
                yield f"two claims have the fence {one.fence}"
            if other.ended < one.began or other.start < one.start:
                yield f"the later claim has the lower fence: {other.fence}, {one.fence}"
        for row, following in self._pairs(self._rows):
            if row.fence >= following.fence:
                yield f"attempt {following.number} has no higher fence than the one before"

    def _rows_agree(self) -> Iterator[str]:
        if [row.number for row in self._rows] != list(range(1, len(self._rows) + 1)):
            yield "the numbers of the attempts have gaps"
        if any(not row.outcome for row in self._rows[:-1]):
            yield "an attempt that is not the last one is open"
        for claim in self._claims:
            row = self._by_fence.get(claim.fence)
            if row is None or (row.number, row.agent) != (claim.number, claim.agent):
                yield f"the answered claim {claim.fence} of {claim.agent} has no attempt"
        known = {claim.fence for claim in self._claims}
        for row in self._rows:
            if row.fence not in known:
                self._unanswered[row.agent] -= 1
                if self._unanswered[row.agent] < 0:
                    yield f"nobody made the attempt {row.number} of {row.agent}"
        for ending in self._accepted:
            if ending.ends and ending.fence and ending.kind != PREEMPT:
                row = self._by_fence.get(ending.fence)
                if row is None or row.outcome != ending.ends:
                    yield f"the end {ending.ends} of fence {ending.fence} was answered, and is not stored"

    def _holders(self) -> Iterator[str]:
        """Find a lease that a later claim cut short. Neither its holder nor a coordinator ended it."""
        for row, following in self._pairs(self._rows):
            if row.end > following.start + 1e-6:
                yield f"attempt {following.number} began before the end of {row.number}"
            told = self._told(row.fence)
            if row.outcome in LOST and told > following.start:
                yield f"fence {row.fence} was told it is held {told - following.start:.3f} s longer"
        for row in self._rows:
            if row.outcome and row.outcome not in LOST and not self._ended_by(row):
                yield f"nobody ended attempt {row.number} with outcome {row.outcome}"
            if row.outcome in LOST and self._told(row.fence) > row.end + 1e-6:
                yield f"attempt {row.number} was ended as lost before its lease had expired"

    def _ended_by(self, row: AttemptRow) -> bool:
        return any(
            o.ends == row.outcome and (o.fence == row.fence or o.kind == PREEMPT)
            for o in (*self._accepted, *self._doubtful)
        )

    def _told(self, fence: int) -> float:
        """Return the latest expiry that the holder of a fence was told."""
        kinds = (CLAIM, BEAT)
        return max((o.expire for o in self._accepted if o.fence == fence and o.kind in kinds), default=0.0)

    def _writes(self) -> Iterator[str]:
        for write in self._accepted:
            if write.kind not in (WRITE, RELEASE, BEAT):
                continue
            if write.fence:
                yield from self._stale(write)
            elif write.ends:
                yield from self._unfenced(write)

    def _stale(self, write: Operation) -> Iterator[str]:
        for other in self._accepted:
            if other.ended >= write.began or other is write:
                continue
            if other.kind == CLAIM and other.fence > write.fence:
                yield f"{write.kind} with fence {write.fence} accepted after claim {other.fence}"
            if other.ends and other.fence == write.fence and other.kind != PREEMPT:
                yield f"{write.kind} with fence {write.fence} accepted after its end"
        if write.kind == BEAT or any(o.kind == BEAT and o.fence == write.fence for o in self._doubtful):
            return
        graced = any(start <= write.start <= end for start, end in self._graces)
        if self._told(write.fence) and write.start > self._told(write.fence) and not graced:
            yield f"{write.kind} with fence {write.fence} accepted after its lease expired"

    def _unfenced(self, write: Operation) -> Iterator[str]:
        for row in self._rows:
            certain = max(
                (o.expire for o in self._accepted
                 if o.fence == row.fence and o.kind in (CLAIM, BEAT) and o.ended < write.began),
                default=0.0,
            )  # fmt: skip
            if row.start < write.start < certain and row.end > write.start:
                yield f"a write without a fence accepted while fence {row.fence} was valid"

    @staticmethod
    def _pairs(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        return pairwise(items)


def lost_tasks(
    statuses: Mapping[str, int], ended: Iterable[int], held: set[str], given: set[str]
) -> list[str]:
    """Return the tasks that are neither ended, nor held, nor were ``given`` to somebody who claimed all."""
    over = set(ended)
    return sorted(code for code, status in statuses.items()
                  if status not in over and code not in held and code not in given)  # fmt: skip
