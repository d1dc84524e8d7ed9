"""The messages that wait to be stored, in one queue for each project.

One project may send without end. So a group takes the projects in turns, and each queue keeps its order.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque

from orchestration_server.writes.drafts import EmitRequest

SMALL_SHARE = 20
"""A project that uses at most 1/SMALL_SHARE of the limit may send even if others have filled it."""
SPARE_SHARE = 4
"""1/SPARE_SHARE of the limit is added for such projects."""


class ProjectQueues:
    """The queues of waiting messages by project. They are not thread-safe: the owner holds a lock."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[EmitRequest]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, message: EmitRequest) -> None:
        """Add a message at the end of its project's queue."""
        self._queues.setdefault(message.call.project, deque()).append(message)

    def take(self, most_events: int, most_bytes: int) -> list[EmitRequest]:
        """Remove and return messages, until they have ``most_events`` events or ``most_bytes`` bytes.

        The last message may exceed the limits. Of two messages with one ``request_id`` the second stays, and
        so do those behind it.
        """
        group: list[EmitRequest] = []
        events = size = 0
        seen: set[tuple[str, str]] = set()
        turns = [(0, index, project) for index, project in enumerate(self._queues)]
        while turns and events < most_events and size < most_bytes:
            taken, index, project = heapq.heappop(turns)
            queue = self._queues[project]
            request_id = queue[0].request.request_id
            if request_id and (project, request_id) in seen:
                continue
            seen.add((project, request_id))
            one = queue.popleft()
            group.append(one)
            events += len(one.drafts)
            size += one.size
            if queue:
                heapq.heappush(turns, (taken + len(one.drafts), index, project))
        for project in dict.fromkeys(one.call.project for one in group):
            # The projects that had a turn go behind the others.
            if queue := self._queues.pop(project):
                self._queues[project] = queue
        return group


class QueueLimit:
    """The limit of the waiting events and bytes. A message that is larger than the limit is admitted alone.

    Projects with few waiting events may exceed the limit, so no project can shut them out.
    """

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._of_project: Counter[str] = Counter()
        self.events = self.bytes = 0

    def has_room(self, message: EmitRequest) -> bool:
        """Return whether the limit admits a message."""
        events, size = self._most_events, self._most_bytes
        own = self._of_project[message.call.project] + len(message.drafts)
        if own <= events // SMALL_SHARE and message.size <= size // SMALL_SHARE:
            events, size = events + events // SPARE_SHARE, size + size // SPARE_SHARE
        return self.events + len(message.drafts) <= events and (
            not self.bytes or self.bytes + message.size <= size
        )

    def add(self, message: EmitRequest) -> None:
        """Count a message."""
        self.events += len(message.drafts)
        self.bytes += message.size
        self._of_project[message.call.project] += len(message.drafts)

    def remove(self, message: EmitRequest) -> None:
        """Stop counting a message."""
        self.events -= len(message.drafts)
        self.bytes -= message.size
        project = message.call.project
        self._of_project[project] -= len(message.drafts)
        if not self._of_project[project]:
            del self._of_project[project]
