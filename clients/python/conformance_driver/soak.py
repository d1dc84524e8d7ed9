"""The work of an agent for some time, with all parts of the client at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from orchestration import Client, Ledger
from orchestration.v1.coordination_pb2 import ClaimTaskRequest
from orchestration.v1.event_pb2 import EventFilter, NewEvent
from orchestration.v1.task_pb2 import CreateTaskRequest, GetTaskRequest, Task, UpdateTaskRequest

PAUSE = 0.005
BATCH = 20
LAST_SECONDS = 30.0
RETURNED = 4
"""One of this number of claimed tasks is given back."""
WAIT_SECONDS = 2.0
ERRORS = 10


class _Soak:
    def __init__(self, ledger: Ledger, seconds: float, name: str, label: str) -> None:
        self._client: Client = ledger.raw
        self._name, self._label = name, label
        self._until = time.monotonic() + seconds
        self._changed = threading.Condition()
        self.calls = self.failed = self.emitted = self.claimed = 0
        self.errors: Counter[str] = Counter()
        self.seen: Counter[int] = Counter()
        self.held: list[tuple[str, str, float, float]] = []

    def run(self) -> dict[str, Any]:
        feed = self._client.follow(EventFilter(types=[f"{self._name}.step"]))
        reader = threading.Thread(target=self._part(lambda: self._read(feed)), daemon=True)
        workers = [
            threading.Thread(target=self._part(part), daemon=True)
            for part in (self._call, self._emit, self._claim)
        ]
        for thread in (reader, *workers):
            thread.start()
        for thread in workers:
            thread.join()
        with self._changed:
            self._changed.wait_for(lambda: len(self.seen) >= self.emitted, timeout=LAST_SECONDS)
        feed.close()
        reader.join()
        total = sum(self.seen.values())
        return {
            "calls": self.calls,
            "failed": self.failed,
            "errors": [f"{count} x {text}" for text, count in self.errors.most_common(ERRORS)],
            "emitted": self.emitted,
            "seen": total,
            "repeated": total - len(self.seen),
            "missed": self.emitted - len(self.seen),
            "claimed": self.claimed,
            "held": self.held,
        }

    @property
    def _going_on(self) -> bool:
        return time.monotonic() < self._until

    def _part(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self._fail(error)

        return run

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.failed += 1
            self.errors[f"{type(error).__name__}: {error}"[:300]] += 1

    def _count(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            self._fail(error)
            return None
        finally:
            with self._changed:
                self.calls += 1

    def _call(self) -> None:
        number = 0
        while self._going_on:
            code = f"{self._name}-{number}"
            task = Task(code=code, title="soak", labels=[self._label])
            self._count(lambda t=task: self._client.tasks.CreateTask(CreateTaskRequest(task=t)))  # type: ignore[misc]
            change = UpdateTaskRequest(task=Task(code=code, title=f"soak {number}"))
            change.update_mask.paths.append("title")
            self._count(lambda c=change: self._client.tasks.UpdateTask(c))  # type: ignore[misc]
            found = self._count(lambda c=code: self._client.tasks.GetTask(GetTaskRequest(task_code=c)))  # type: ignore[misc]
            if found is not None and found.task.title != change.task.title:
                self._fail(ValueError(f"the title is {found.task.title!r}, not {change.task.title!r}"))
            number += 1
            time.sleep(PAUSE)

    def _emit(self) -> None:
        while self._going_on:
            totals = self._client.emit_all(self._events(), batch=BATCH)
            if totals.duplicates or totals.sampled_out:
                self._fail(ValueError(f"events were not stored as new: {totals}"))

    def _events(self) -> Iterator[NewEvent]:
        while self._going_on:
            event = NewEvent(type=f"{self._name}.step")
            event.payload["n"] = self.emitted
            yield event
            with self._changed:
                self.emitted += 1
                self.calls += self.emitted % BATCH == 0
            time.sleep(PAUSE)

    def _read(self, feed: Any) -> None:
        for event in feed:
            with self._changed:
                self.seen[int(event.payload["n"])] += 1
                self._changed.notify_all()

    def _claim(self) -> None:
        while self._going_on:
            request = ClaimTaskRequest(labels=[self._label])
            request.wait.FromMilliseconds(int(WAIT_SECONDS * 1000))
            taken = self._count(lambda r=request: self._client.claim_of(r).take())  # type: ignore[misc]
            for work in taken or ():
                self.claimed += 1
                start = time.time()
                self._count(lambda w=work: w.log("working"))  # type: ignore[misc]
                time.sleep(PAUSE)
                self.held.append((work.lease.task_code, str(work.fence), start, time.time()))
                end = work.give_back if self.claimed % RETURNED == 0 else work.finish
                self._count(lambda e=end: e("soaked"))  # type: ignore[misc]


def soak(ledger: Ledger, seconds: float, name: str, label: str) -> dict[str, Any]:
    """Call, emit, follow and claim for some seconds, and return what was seen."""
    return _Soak(ledger, seconds, name, label).run()
