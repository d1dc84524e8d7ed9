"""Messages that wait to be stored, in a line for each project.

One project may send without end, so a group takes as many events of each as there are, one line after the
other. In its line each message stands where it came.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque

from orchestration_server.writes.drafts import EmitRequest

SMALL_SHARE = 20
"""A project that has no more than this part of the room waiting finds some where others have filled it."""
SPARE_SHARE = 4
"""So much is kept free for such projects, as a part of the room."""


class ProjectQueues:
    """The messages, by project. It is not safe for threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[EmitRequest]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, emission: EmitRequest) -> None:
        """Put a message at the end of its project's line."""
        self._lines.setdefault(emission.call.project, deque()).append(emission)

    def take(self, most_events: int, most_bytes: int) -> list[EmitRequest]:
        """Take out so many events, or one message more.

        Of two messages with one request_id the second is left, and with it what stands behind it in its line.
        """
        group: list[EmitRequest] = []
        events = size = 0
        seen: set[tuple[str, str]] = set()
        turns = [(0, place, project) for place, project in enumerate(self._lines)]
        while turns and events < most_events and size < most_bytes:
            taken, place, project = heapq.heappop(turns)
            line = self._lines[project]
            request_id = line[0].request.request_id
            if request_id and (project, request_id) in seen:
                continue
            seen.add((project, request_id))
            one = line.popleft()
            group.append(one)
            events += len(one.drafts)
            size += one.size
            if line:
                heapq.heappush(turns, (taken + len(one.drafts), place, project))
        for project in dict.fromkeys(one.call.project for one in group):
            # Whoever had a turn is behind those who had none.
            if line := self._lines.pop(project):
                self._lines[project] = line
        return group


class QueueLimit:
    """Bounds what waits. A message that is larger than all the room is let in alone.

    What is above the room is for projects that have little waiting, so none is kept out by another.
    """

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._of_project: Counter[str] = Counter()
        self.events = self.bytes = 0

    def has_room(self, emission: EmitRequest) -> bool:
        """Whether there is room for it."""
        events, size = self._most_events, self._most_bytes
        own = self._of_project[emission.call.project] + len(emission.drafts)
        if own <= events // SMALL_SHARE and emission.size <= size // SMALL_SHARE:
            events, size = events + events // SPARE_SHARE, size + size // SPARE_SHARE
        return self.events + len(emission.drafts) <= events and (
            not self.bytes or self.bytes + emission.size <= size
        )

    def add(self, emission: EmitRequest) -> None:
        """Take its room."""
        self.events += len(emission.drafts)
        self.bytes += emission.size
        self._of_project[emission.call.project] += len(emission.drafts)

    def remove(self, emission: EmitRequest) -> None:
        """Give its room back."""
        self.events -= len(emission.drafts)
        self.bytes -= emission.size
        project = emission.call.project
        self._of_project[project] -= len(emission.drafts)
        if not self._of_project[project]:
            del self._of_project[project]
