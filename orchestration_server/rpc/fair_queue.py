"""A queue of calls that is fair among projects, and among the callers of a project.

Projects take turns, and in each project its callers; the calls of one caller keep their order. While others
are active, a project, or a caller in it, may use only its share of the threads, so that the next call of
another finds a thread. If its calls take long, it may use a quarter of that share, since long calls also
compete with others for the interpreter and the processors. A project that is alone may use more, and leaves
one thread for a newcomer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from orchestration_server.model import Share

ACTIVE_SECONDS = 2.0
"""The time after its last call in which a project or a caller counts as active."""
LONG_SECONDS = 0.01
"""The mean duration of calls above which a project or a caller gets a quarter of the share."""
MEAN_WEIGHT = 0.2
"""The weight of the last call in that mean."""
IDLE_QUEUES = 1_000
"""Projects that are remembered although they have no call that waits or runs; the same for callers."""


class QueuedCall(Protocol):
    """A call that can wait in the queue."""

    share: Share
    queued_at: float
    started_at: float


CallT = TypeVar("CallT", bound=QueuedCall)


class _Activity:
    """The last two parties that called: enough to know for each if another is active."""

    __slots__ = ("_last", "_last_at", "_other_at")

    def __init__(self) -> None:
        self._last: object = None
        self._last_at = self._other_at = float("-inf")

    def note(self, party: object, now: float) -> None:
        if party is not self._last:
            self._last, self._other_at = party, self._last_at
        self._last_at = now

    def is_alone(self, party: object, now: float) -> bool:
        other_at = self._other_at if party is self._last else self._last_at
        return now - other_at > ACTIVE_SECONDS


class _CallerQueue(Generic[CallT]):
    """The calls of one caller."""

    __slots__ = ("mean_seconds", "running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[CallT] = deque()
        self.running = 0
        self.mean_seconds = 0.0
        """The mean duration of the last calls."""


class _ProjectQueue(Generic[CallT]):
    """The callers of one project."""

    __slots__ = ("activity", "callers", "mean_seconds", "rotation", "running", "waiting")

    def __init__(self) -> None:
        self.callers: dict[str, _CallerQueue[CallT]] = {}
        self.rotation: deque[_CallerQueue[CallT]] = deque()
        """The callers with a call that waits, the next one first."""
        self.activity = _Activity()
        self.waiting = 0
        self.running = 0
        self.mean_seconds = 0.0
        """The mean duration of the last calls."""


class FairQueue(Generic[CallT]):
    """A fair queue of calls. It is not thread-safe: its owner holds a lock.

    Args:
        contended_limit: How many calls of a project, or of a caller in it, may run while others are active;
            a quarter of that if its calls take long.
        alone_limit: How many may run while no other is active.
        clock: The monotonic clock.
    """

    def __init__(
        self, contended_limit: int, alone_limit: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._contended_limit = contended_limit
        self._alone_limit = alone_limit
        self._clock = clock
        self._projects: dict[str, _ProjectQueue[CallT]] = {}
        self._rotation: deque[_ProjectQueue[CallT]] = deque()
        """The projects with a call that waits, the next one first."""
        self._activity = _Activity()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, call: CallT) -> None:
        """Add a call that waits."""
        project_name, caller_name = call.share
        project = self._projects.get(project_name)
        if project is None:
            project = self._projects[project_name] = _ProjectQueue()
            if len(self._projects) > IDLE_QUEUES:
                self._forget_idle(project)
        caller = project.callers.get(caller_name)
        if caller is None:
            caller = project.callers[caller_name] = _CallerQueue()
            if len(project.callers) > IDLE_QUEUES:
                busy = {name: one for name, one in project.callers.items() if one.waiting or one.running}
                project.callers = {**busy, caller_name: caller}
        self._activity.note(project, call.queued_at)
        project.activity.note(caller, call.queued_at)
        if not caller.waiting:
            project.rotation.append(caller)
        if not project.waiting:
            self._rotation.append(project)
        caller.waiting.append(call)
        project.waiting += 1
        self._waiting += 1

    def pop(self) -> CallT | None:
        """Remove the next call and count it as running.

        Return None if the queue is empty, or if all that wait are at their limits.
        """
        now = self._clock()
        for _ in range(len(self._rotation)):
            project = self._rotation[0]
            caller = self._pop_caller(project, now) if self._may_run(project, self._activity, now) else None
            if caller is None:
                self._rotation.rotate(-1)
                continue
            self._rotation.popleft()
            call = self._uncount(project, caller.waiting.popleft())
            if caller.waiting:
                project.rotation.append(caller)
            if project.waiting:
                self._rotation.append(project)
            project.running += 1
            caller.running += 1
            call.started_at = now
            return call
        return None

    def _may_run(
        self, party: _ProjectQueue[CallT] | _CallerQueue[CallT], activity: _Activity, now: float
    ) -> bool:
        limit = self._contended_limit
        if party.mean_seconds >= LONG_SECONDS:
            limit = max(1, limit // 4)
        return party.running < limit or (party.running < self._alone_limit and activity.is_alone(party, now))

    def _pop_caller(self, project: _ProjectQueue[CallT], now: float) -> _CallerQueue[CallT] | None:
        """Remove the next caller that may run a call from the rotation of its project."""
        for _ in range(len(project.rotation)):
            caller = project.rotation.popleft()
            if self._may_run(caller, project.activity, now):
                return caller
            project.rotation.append(caller)
        return None

    def _uncount(self, project: _ProjectQueue[CallT], call: CallT) -> CallT:
        project.waiting -= 1
        self._waiting -= 1
        return call

    def finish(self, call: CallT) -> None:
        """Note that a running call has ended."""
        project_name, caller_name = call.share
        project = self._projects[project_name]
        took = self._clock() - call.started_at
        for party in (project, project.callers[caller_name]):
            party.running -= 1
            party.mean_seconds += MEAN_WEIGHT * (took - party.mean_seconds)

    def pop_older(self, moment: float) -> list[CallT]:
        """Remove the calls that were queued before a moment."""
        found: list[CallT] = []
        for project in list(self._rotation):
            for caller in list(project.rotation):
                while caller.waiting and caller.waiting[0].queued_at < moment:
                    found.append(self._uncount(project, caller.waiting.popleft()))
            self._leave_rotation(project)
        return found

    def other_has_more(self, share: Share) -> bool:
        """Return whether another project has more calls that wait than this one with one call added."""
        mine = self._projects.get(share[0])
        waiting = mine.waiting if mine is not None else 0
        return any(project.waiting > waiting + 1 for project in self._rotation if project is not mine)

    def drop_newest(self, share: Share) -> CallT | None:
        """Remove the newest call of the project with the most, to make room for a call of this share.

        Return None if no other project has more calls that wait.
        """
        if not self.other_has_more(share):
            return None
        project = max(self._rotation, key=lambda one: one.waiting)
        caller = max(project.rotation, key=lambda one: len(one.waiting))
        call = self._uncount(project, caller.waiting.pop())
        self._leave_rotation(project)
        return call

    def _leave_rotation(self, project: _ProjectQueue[CallT]) -> None:
        """Remove callers without a call that waits, and the project if it has none."""
        project.rotation = deque(caller for caller in project.rotation if caller.waiting)
        if not project.waiting:
            self._rotation.remove(project)

    def _forget_idle(self, new: _ProjectQueue[CallT]) -> None:
        """Forget the projects that are idle, except for a new one."""
        self._projects = {
            name: project
            for name, project in self._projects.items()
            if project.waiting or project.running or project is new
        }
