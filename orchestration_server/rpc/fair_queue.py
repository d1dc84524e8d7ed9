"""Whose turn it is: a queue of calls that is fair among projects, and in a project among its callers.

Each project has its turn, and in it each caller; what one of them sends waits in the order in which it came.
While others are about, one project gets at most its part of the threads, and so does one caller in it: a
thread is free for the next call of the others. A quarter of that part if its calls take long: they compete
with the others' for the interpreter and the processors, too. Who is alone may have more, and leaves one for a
newcomer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from orchestration_server.model import Share

ABOUT_SECONDS = 2.0
"""For how long after its last call a project or a caller counts as about."""
LONG_SECONDS = 0.01
"""The mean duration of calls from which on a quarter of a part is enough."""
WEIGHT = 0.2
"""Of the last call in that mean."""
IDLE_GROUPS = 1_000
"""Projects that are remembered though nothing of theirs waits or is at work."""


class Waiting(Protocol):
    """A call that can wait for its turn."""

    share: Share
    since: float
    """When it began to wait."""
    began: float
    """When its turn came."""


Item = TypeVar("Item", bound=Waiting)


class _Seen:
    """The last two of those who called, so that each can be told whether another is about."""

    __slots__ = ("_last", "_last_at", "_other_at")

    def __init__(self) -> None:
        self._last: object = None
        self._last_at = self._other_at = float("-inf")

    def note(self, who: object, now: float) -> None:
        if who is not self._last:
            self._last, self._other_at = who, self._last_at
        self._last_at = now

    def alone(self, who: object, now: float) -> bool:
        other_at = self._other_at if who is self._last else self._last_at
        return now - other_at > ABOUT_SECONDS


class _Line(Generic[Item]):
    """One caller."""

    __slots__ = ("at_work", "seconds", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.at_work = 0
        self.seconds = 0.0
        """The mean duration of its last calls."""


class _Group(Generic[Item]):
    """One project."""

    __slots__ = ("at_work", "lines", "seconds", "seen", "turn", "waiting")

    def __init__(self) -> None:
        self.lines: dict[str, _Line[Item]] = {}
        self.turn: deque[_Line[Item]] = deque()
        """The callers of whom something waits."""
        self.seen = _Seen()
        self.waiting = 0
        self.at_work = 0
        self.seconds = 0.0
        """The mean duration of its last calls."""


class Turns(Generic[Item]):
    """The queue. It is not safe for threads: its owner holds a lock.

    ``part`` is how many items of one project, or of one caller in it, may be at work while others are about,
    a quarter of it for one whose items take long, and ``most`` how many while none are.
    """

    def __init__(self, part: int, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._most = most
        self._clock = clock
        self._groups: dict[str, _Group[Item]] = {}
        self._turn: deque[_Group[Item]] = deque()
        self._seen = _Seen()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, item: Item) -> None:
        """Let an item wait for its turn."""
        project, caller = item.share
        group = self._groups.get(project)
        if group is None:
            group = self._groups[project] = _Group()
            if len(self._groups) > IDLE_GROUPS:
                self._forget_idle(group)
        line = group.lines.get(caller)
        if line is None:
            line = group.lines[caller] = _Line()
            if len(group.lines) > IDLE_GROUPS:
                busy = {name: one for name, one in group.lines.items() if one.waiting or one.at_work}
                group.lines = {**busy, caller: line}
        self._seen.note(group, item.since)
        group.seen.note(line, item.since)
        if not line.waiting:
            group.turn.append(line)
        if not group.waiting:
            self._turn.append(group)
        line.waiting.append(item)
        group.waiting += 1
        self._waiting += 1

    def pop(self) -> Item | None:
        """Return the item whose turn it is, from now on at work; None if nobody who waits may have more."""
        now = self._clock()
        for _ in range(len(self._turn)):
            group = self._turn[0]
            line = self._line(group, now) if self._may(group, self._seen, now) else None
            if line is None:
                self._turn.rotate(-1)
                continue
            self._turn.popleft()
            item = self._taken(group, line, line.waiting.popleft())
            if line.waiting:
                group.turn.append(line)
            if group.waiting:
                self._turn.append(group)
            group.at_work += 1
            line.at_work += 1
            item.began = now
            return item
        return None

    def _may(self, who: _Group[Item] | _Line[Item], seen: _Seen, now: float) -> bool:
        part = self._part if who.seconds < LONG_SECONDS else max(1, self._part // 4)
        return who.at_work < part or (who.at_work < self._most and seen.alone(who, now))

    def _line(self, group: _Group[Item], now: float) -> _Line[Item] | None:
        """Return the caller of a project whose turn it is, taken out of the project's turns."""
        for _ in range(len(group.turn)):
            line = group.turn.popleft()
            if self._may(line, group.seen, now):
                return line
            group.turn.append(line)
        return None

    def _taken(self, group: _Group[Item], line: _Line[Item], item: Item) -> Item:
        group.waiting -= 1
        self._waiting -= 1
        return item

    def over(self, item: Item) -> None:
        """Note that an item is at work no more."""
        project, caller = item.share
        group = self._groups[project]
        took = self._clock() - item.began
        for one in (group, group.lines[caller]):
            one.at_work -= 1
            one.seconds += WEIGHT * (took - one.seconds)

    def late(self, since: float) -> list[Item]:
        """Take out the items that have waited since before then."""
        found: list[Item] = []
        for group in list(self._turn):
            for line in list(group.turn):
                while line.waiting and line.waiting[0].since < since:
                    found.append(self._taken(group, line, line.waiting.popleft()))
            self._clear(group)
        return found

    def greedier(self, share: Share) -> bool:
        """Return whether another project has more waiting than this one, with one more of its own."""
        mine = self._groups.get(share[0])
        waits = mine.waiting if mine is not None else 0
        return any(group.waiting > waits + 1 for group in self._turn if group is not mine)

    def drop(self, share: Share) -> Item | None:
        """Take out the newest item of the project with the most, for one of this project; None if no other
        project has more waiting."""
        if not self.greedier(share):
            return None
        group = max(self._turn, key=lambda one: one.waiting)
        line = max(group.turn, key=lambda one: len(one.waiting))
        item = self._taken(group, line, line.waiting.pop())
        self._clear(group)
        return item

    def _clear(self, group: _Group[Item]) -> None:
        """Take those of whom nothing waits out of the turns."""
        group.turn = deque(line for line in group.turn if line.waiting)
        if not group.waiting:
            self._turn.remove(group)

    def _forget_idle(self, but: _Group[Item]) -> None:
        self._groups = {
            name: group
            for name, group in self._groups.items()
            if group.waiting or group.at_work or group is but
        }
