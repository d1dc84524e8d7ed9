"""Agents that race for tasks, as threads or as a process, and record what they are told.

An agent claims, beats, writes, releases, or falls silent and later writes with its old fence. It sleeps only
between tries of a server that is away.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import coordination_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support.claim_histories import (
    BEAT,
    CLAIM,
    COMPLETED,
    OK,
    PREEMPT,
    PREEMPTED,
    REFUSED,
    RELEASE,
    UNKNOWN,
    WRITE,
    History,
    Operation,
)  # fmt: skip
from tests.support.rpc_errors import reason

RETURNED = 3
_STATUS = {COMPLETED: TaskStatus.TASK_STATUS_COMPLETED, RETURNED: TaskStatus.TASK_STATUS_PENDING}
CALL_SECONDS = 5.0
TRIES = 4
CHANNEL = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
DOUBTFUL = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL,
)  # fmt: skip
POLICY = task_pb2.RetryPolicy(max_attempts=20)
_never = threading.Event()


class Racer:
    """An agent that races for tasks until it is stopped or its time is over."""

    def __init__(
        self, name: str, addresses: Sequence[str], tasks: Sequence[str], history: History, *,
        lease: float, until: float, named: float = 0.3, finish: float = 0.5,
    ) -> None:  # fmt: skip
        self._name, self._codes, self._history = name, tasks, history
        self._random = Random(name)
        channels = [grpc.insecure_channel(address, CHANNEL) for address in addresses]
        self._coordination = [CoordinationServiceStub(channel) for channel in channels]
        self._tasks = [TaskServiceStub(channel) for channel in channels]
        self._lease, self._until, self._named, self._finish = lease, until, named, finish
        self._numbers = count()
        self._old: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the agent stands still"

    def _run(self) -> None:
        while monotonic() < self._until:
            try:
                self._turn()
            except grpc.RpcError:
                _never.wait(0.05)

    def _turn(self) -> None:
        chance = self._random.random()
        if chance < 0.15 and self._old:
            self._write_late(*self._random.choice(self._old))
        elif chance < 0.2:
            self._status(self._random.choice(self._codes), 0)
        elif chance < 0.22:
            self._preempt(self._random.choice(self._codes))
        else:
            for code, fence in self._claim():
                self._work(code, fence)

    def _work(self, code: str, fence: int) -> None:
        self._old = [*self._old[-9:], (code, fence)]
        for _ in range(self._random.randrange(3)):
            if not self._beat(code, fence):
                return
        if self._random.random() < 0.5:
            self._retitle(code, fence)
        chance = self._random.random()
        if chance < 0.2:
            return  # falls silent
        if chance < 0.5:
            self._status(code, fence)
        else:
            self._release(code, fence, self._ending())

    def _write_late(self, code: str, fence: int) -> None:
        self._random.choice(
            (
                lambda: self._retitle(code, fence),
                lambda: self._beat(code, fence),
                lambda: self._release(code, fence, RETURNED),
                lambda: self._status(code, fence),
            )
        )()

    def _server(self) -> int:
        return self._random.randrange(len(self._tasks))

    def _call(self, operation: Operation, call: Callable[[], Any]) -> Any:
        """Make a call and record its refusal. Raises the error if the agent cannot know what happened."""
        self._history.begin(operation)
        try:
            return call()
        except grpc.RpcError as error:
            code = cast(grpc.Call, error).code()
            doubtful = code in DOUBTFUL or operation.reason == "doubtful"
            self._history.end(operation, UNKNOWN if doubtful else REFUSED, reason(error) or code.name)
            if doubtful:
                raise
            return None

    def _claim(self) -> list[tuple[str, int]]:
        request = coordination_pb2.ClaimTaskRequest(
            agent=self._name, request_id=f"{self._name}-{next(self._numbers)}"
        )
        request.lease.CopyFrom(Duration(nanos=int(self._lease % 1 * 1e9), seconds=int(self._lease)))
        if self._random.random() < self._named:
            request.task_code = self._random.choice(self._codes)
        else:
            request.count = self._random.choice((1, 1, 1, 3))
        operation = Operation(CLAIM, self._name, request.task_code, number=request.count)
        answer = self._retried(operation, request)
        if answer is None:
            return []
        for one in answer.claims:
            self._history.add(
                Operation(
                    CLAIM, self._name, one.task.code, one.lease.fence, OK, operation.began, monotonic(),
                    number=one.lease.attempt, start=_seconds(one.lease.start_time),
                    expire=_seconds(one.lease.expire_time),
                )
            )  # fmt: skip
        if answer.claims or not operation.reason:
            self._history.end(operation, REFUSED, "answered")
        return [(one.task.code, one.lease.fence) for one in answer.claims]

    def _retried(self, operation: Operation, request: coordination_pb2.ClaimTaskRequest) -> Any:
        """Claim, again with the same request_id if no answer comes.

        Only leases say what became of an unanswered try: it may act after a later one was refused.
        """

        def claim() -> Any:
            for rest in reversed(range(TRIES)):
                try:
                    return self._coordination[self._server()].ClaimTask(request, timeout=CALL_SECONDS)
                except grpc.RpcError as error:
                    doubtful = cast(grpc.Call, error).code() in DOUBTFUL
                    if not rest or (not doubtful and not operation.reason):
                        raise
                    operation.reason = "doubtful"
                    _never.wait(0.1)
            return None

        return self._call(operation, claim)

    def _beat(self, code: str, fence: int) -> bool:
        request = coordination_pb2.HeartbeatRequest(
            leases=[coordination_pb2.LeaseRef(task_code=code, fence=fence)]
        )
        operation = Operation(BEAT, self._name, code, fence)
        stub = self._coordination[self._server()]
        answer = self._call(operation, lambda: stub.Heartbeat(request, timeout=CALL_SECONDS))
        if answer is None:
            return False
        held: bool = answer.leases[0].status == coordination_pb2.LEASE_STATUS_HELD
        operation.expire = _seconds(answer.leases[0].expire_time)
        self._history.end(operation, OK if held else REFUSED, "" if held else "LOST")
        return held

    def _retitle(self, code: str, fence: int) -> None:
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, title=f"by {self._name} {next(self._numbers)}"),
            update_mask=FieldMask(paths=["title"]), fence=fence,
        )  # fmt: skip
        self._change(Operation(WRITE, self._name, code, fence), request)

    def _ending(self) -> int:
        return COMPLETED if self._random.random() < self._finish else RETURNED

    def _status(self, code: str, fence: int) -> None:
        # A done task must not be opened again, so only agents that complete no task set others to pending.
        ends = self._ending() if fence or not self._finish else COMPLETED
        status = _STATUS[ends]
        request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=status, fence=fence)
        self._change(Operation(WRITE, self._name, code, fence, ends=ends), request)

    def _change(self, operation: Operation, request: Any) -> None:
        stub = self._tasks[self._server()]
        rpc = stub.UpdateTask if isinstance(request, task_pb2.UpdateTaskRequest) else stub.UpdateTaskStatus
        answer = self._call(operation, lambda: rpc(request, timeout=CALL_SECONDS))
        if answer is not None:
            operation.start = _seconds(answer.task.update_time)
            self._history.end(operation, OK)

    def _release(self, code: str, fence: int, outcome: int) -> None:
        request = coordination_pb2.ReleaseTaskRequest(
            task_code=code,
            fence=fence,
            outcome=outcome,  # type: ignore[arg-type]  # the numbers are the same
        )
        operation = Operation(RELEASE, self._name, code, fence, ends=outcome)
        stub = self._coordination[self._server()]
        answer = self._call(operation, lambda: stub.ReleaseTask(request, timeout=CALL_SECONDS))
        if answer is not None:
            operation.start = _seconds(answer.task.update_time)
            self._history.end(operation, OK)

    def _preempt(self, code: str) -> None:
        request = coordination_pb2.PreemptTaskRequest(task_code=code, reason="a race")
        operation = Operation(PREEMPT, self._name, code, ends=PREEMPTED)
        stub = self._coordination[self._server()]
        if self._call(operation, lambda: stub.PreemptTask(request, timeout=CALL_SECONDS)) is not None:
            self._history.end(operation, OK)


def _seconds(time: Any) -> float:
    found: float = time.ToMicroseconds() / 1e6
    return found


def race(racers: Sequence[Racer]) -> None:
    """Let agents race until their time is over."""
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()


def main(log: str, name: str, number: str, lease: str, until: str, tasks: str, *addresses: str) -> None:
    """Run agents as a process that records its history in a file."""
    with Path(log).open("w") as file:
        history = History(log=file)
        codes = [f"t{n}" for n in range(int(tasks))]
        race([
            Racer(f"{name}-{n}", addresses, codes, history, lease=float(lease), until=float(until))
            for n in range(int(number))
        ])  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
