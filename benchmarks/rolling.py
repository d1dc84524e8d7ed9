"""Replacement of servers one after the other under load, and kills of one of two servers.

The load is that of agents with the Python client, which has the published service config: unary calls that
read and write, an EmitEvents stream and a timeline. The run checks that every write took effect exactly once.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import grpc

from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.target import RunningServer
from orchestration import Client
from orchestration.v1 import event_pb2, task_pb2

REPLACEMENTS = 6
KILLS = 3
CALLS_BETWEEN = 1_000
"""Calls between one replacement and the next."""
CALLERS = 8
BATCH = 20
TYPE = "load.emitted"
READ_SECONDS = 30.0
SHARE_PORT = "--share-port"
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


class AgentLoad:
    """Callers that run until `stop`, and their results."""

    def __init__(self, address: str, *, project: str = "rolling", callers: int = CALLERS) -> None:
        self._address, self._project = address, project
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self.calls = self.emitted = 0
        self.failures: Counter[str] = Counter()
        self.slowest = 0.0
        """The duration of the slowest unary call in seconds."""
        self.read: list[str] = []
        self._clients = ExitStack()
        self._timeline = self._client().follow(event_pb2.EventFilter(types=[TYPE]))
        work: list[Callable[[], None]] = [lambda n=n: self._call(n) for n in range(callers)]  # type: ignore[misc]
        self._callers = [threading.Thread(target=one, daemon=True) for one in (*work, self._emit)]
        self._reader = threading.Thread(target=self._follow, daemon=True)
        for thread in (*self._callers, self._reader):
            thread.start()

    def _client(self) -> Client:
        return self._clients.enter_context(
            Client(self._address, project=self._project, options=OWN_CONNECTION)
        )

    def wait(self, calls: int) -> None:
        """Wait until `calls` more calls have ended, and more events were emitted and read."""
        with self._changed:
            upto, emitted, read = self.calls + calls, self.emitted, len(self.read)
            arrived = self._changed.wait_for(
                lambda: self.calls >= upto and self.emitted > emitted and len(self.read) > read,
                timeout=READ_SECONDS,
            )
        if not arrived:
            raise RuntimeError(f"the load stands still: {self.calls} calls, {len(self.read)} events read")

    def stop(self) -> None:
        """End all calls, and the timeline after it has all emitted events."""
        self._stopping.set()
        for thread in self._callers:
            thread.join()
        with self._changed:
            self._changed.wait_for(lambda: len(self.read) >= self.emitted, timeout=READ_SECONDS)
        self._timeline.close()
        self._reader.join()

    @property
    def missing(self) -> int:
        """The number of events that were emitted but not read."""
        return self.emitted - len(set(self.read))

    @property
    def repeated(self) -> int:
        """The number of events that were read more than once, because they were stored or sent twice."""
        return len(self.read) - len(set(self.read))

    @property
    def in_order(self) -> bool:
        """True if the events of each caller were read in the order in which it emitted them."""
        by_caller: dict[str, list[int]] = {}
        for name in self.read:
            caller, _, number = name.partition("-")
            by_caller.setdefault(caller, []).append(int(number))
        return all(numbers == sorted(numbers) for numbers in by_caller.values())

    def __enter__(self) -> "AgentLoad":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._timeline.close()
        self._clients.close()

    def _call(self, caller: int) -> None:
        """Make the calls of one agent, which changes and reads its own task, and emits events."""
        client, code = self._client(), f"task-{caller}"
        self._count(lambda: client.tasks.CreateTask(creation(code)))
        revision, number = 1, 0
        while not self._stopping.is_set():
            changed = self._count(lambda n=number: client.tasks.UpdateTask(change(code, n)))  # type: ignore[misc]
            revision += 1
            found = self._count(lambda: client.tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)))
            for answer in (changed, found):
                if answer is not None and answer.task.revision != revision:
                    self._fail(f"a task is at revision {answer.task.revision}, not {revision}")
                    revision = answer.task.revision
            event = _event(f"caller{caller}-{number}")
            if self._count(lambda e=event: client.events.EmitEvent(event_pb2.EmitEventRequest(event=e))):  # type: ignore[misc]
                self._note_emitted()
            number += 1

    def _count(self, call: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return call()
        except grpc.RpcError as error:
            self._fail(f"{error.code().name}: {error.details()}")
            return None
        finally:
            with self._changed:
                self.calls += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                self._changed.notify_all()

    def _emit(self) -> None:
        try:
            totals = self._client().emit_all(self._events(), batch=BATCH)
        except Exception as error:
            self._fail(f"emit_all: {error}")
            return
        if totals.duplicates:
            self._fail(f"{totals.duplicates} events were there before they were emitted")

    def _events(self) -> Iterator[event_pb2.NewEvent]:
        number = 0
        while not self._stopping.is_set():
            yield _event(f"stream-{number}")
            self._note_emitted()
            number += 1

    def _note_emitted(self) -> None:
        with self._changed:
            self.emitted += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        try:
            for event in self._timeline:
                with self._changed:
                    self.read.append(event.actor)
                    self._changed.notify_all()
        except Exception as error:
            self._fail(f"follow: {error}")

    def _fail(self, reason: str) -> None:
        with self._changed:
            self.failures[reason] += 1


def creation(code: str) -> task_pb2.CreateTaskRequest:
    return task_pb2.CreateTaskRequest(task=task_pb2.Task(code=code, title="rolling"))


def change(code: str, number: int) -> task_pb2.UpdateTaskRequest:
    request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code=code, title=f"change {number}"))
    request.update_mask.paths.append("title")
    return request


def _event(actor: str) -> event_pb2.NewEvent:
    return event_pb2.NewEvent(type=TYPE, actor=actor)


def measure(started: RunningServer) -> list[Measurement]:
    """Replace a server six times. Then kill one of two servers three times."""
    logging.getLogger("orchestration").setLevel(logging.ERROR)  # each stream that breaks is a warning
    return [_rolling(started), _killing(started)]


def _rolling(started: RunningServer) -> Measurement:
    server = ServerProcess(started.database_url, SHARE_PORT)
    stops = []
    try:
        with AgentLoad(server.address, project="rolling") as load:
            load.wait(CALLS_BETWEEN)
            for _ in range(REPLACEMENTS):
                new = ServerProcess(started.database_url, SHARE_PORT, address=server.address)
                stops.append(server.stop())
                server = new
                load.wait(CALLS_BETWEEN)
            load.stop()
    finally:
        server.stop()
    figures = {"replacements": float(REPLACEMENTS), "longest_stop_s": max(stops)}
    return _measurement("rolling", load, figures)


def _killing(started: RunningServer) -> Measurement:
    first = ServerProcess(started.database_url, SHARE_PORT)
    servers = [first, ServerProcess(started.database_url, SHARE_PORT, address=first.address)]
    try:
        with AgentLoad(first.address, project="killing") as load:
            load.wait(CALLS_BETWEEN)
            for _ in range(KILLS):
                servers.pop(0).kill()
                load.wait(CALLS_BETWEEN)
                servers.append(ServerProcess(started.database_url, SHARE_PORT, address=first.address))
                load.wait(CALLS_BETWEEN)
            load.stop()
    finally:
        for server in servers:
            server.stop()
    return _measurement("rolling_killed", load, {"kills": float(KILLS)})


def _measurement(name: str, load: AgentLoad, figures: dict[str, float]) -> Measurement:
    figures |= {
        "calls": float(load.calls),
        "calls_failed": float(load.failures.total()),
        "slowest_call_s": load.slowest,
        "events_emitted": float(load.emitted),
        "events_read": float(len(load.read)),
        "events_missing": float(load.missing),
        "events_repeated": float(load.repeated),
        "events_in_order": float(load.in_order),
    }
    return Measurement(name, "rolling", figures, dict(load.failures))
