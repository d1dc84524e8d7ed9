"""A follower whose events are read one at a time, as commands ask for them."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from conformance_driver.messages import to_json
from orchestration import Timeline
from orchestration.v1.event_pb2 import Event


class Follower:
    """A timeline, and a thread that takes an event from it when one is wanted."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._wanted = threading.Semaphore(0)
        self._asked = False
        self._taken: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
        self._end: Exception | None = None
        self._ended = False
        threading.Thread(target=self._take, daemon=True).start()

    def next(self, count: int, timeout: float) -> dict[str, Any]:
        """Return the next events, fewer if the time passes or the stream ends. Raises what ended it."""
        until = time.monotonic() + timeout
        events: list[Event] = []
        timed_out = False
        while len(events) < count and not self._ended and not timed_out:
            try:
                event = self._one(until)
            except queue.Empty:
                timed_out = True
            else:
                if event is not None:
                    events.append(event)
        if self._end is not None and not events:
            raise self._end
        cursor = events[-1].cursor if events and not timed_out else self._timeline.cursor
        found: dict[str, Any] = {"events": [to_json(event) for event in events], "cursor": cursor}
        return found | {"ended": self._ended, "timedOut": timed_out}

    def close(self) -> None:
        """End the timeline."""
        self._timeline.close()

    def _one(self, until: float) -> Event | None:
        if not self._asked:
            self._asked = True
            self._wanted.release()
        found = self._taken.get(timeout=max(0.0, until - time.monotonic()))
        self._asked = False
        if isinstance(found, Event):
            return found
        self._ended, self._end = True, found
        return None

    def _take(self) -> None:
        while True:
            self._wanted.acquire()
            try:
                event = next(self._timeline, None)
            except Exception as error:
                self._taken.put(error)
                return
            self._taken.put(event)
            if event is None:
                return
