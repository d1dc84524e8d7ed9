"""Agents of the ledger in a process of their own: python -m benchmarks.peers_ledger MODE COMMAND ADDRESS ...

The commands and what they print are those of peers_queues.py. With the mode `single` each worker claims a
task, and releases it as completed. With `batch` one thread claims as many tasks as workers are free, by one
call, and the workers release them.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from benchmarks.target import LedgerStubs, in_parallel
from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub

BATCH = 500
TICK = 0.1
IDLE_SECONDS = 2.0
AGAIN_SECONDS = 0.05
"""The seconds for which an agent waits after a failed call."""
WAIT_SECONDS = 30
TIMEOUT = 90.0
WORKERS_PER_CONNECTION = 16

Started = Callable[[str], None]


class Agents:
    """Workers that claim tasks, do nothing and complete them, until `stop`."""

    def __init__(self, address: str, workers: int, started: Started, *, batch: bool) -> None:
        self._workers = workers
        self._started = started
        self._stopping = threading.Event()
        connections = -(-workers // WORKERS_PER_CONNECTION)
        self._stubs = [LedgerStubs(address) for _ in range(connections)]
        self._claimed: queue.SimpleQueue[coordination_pb2.ClaimedTask] = queue.SimpleQueue()
        self._free = threading.Semaphore(workers)
        target = self._release_claimed if batch else self._claim_and_release
        self._threads = [
            threading.Thread(target=target, args=(number,), daemon=True) for number in range(workers)
        ]
        if batch:
            self._threads.append(threading.Thread(target=self._claim_for_all, daemon=True))

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the workers end what they do. Waiting claims are left to the end of the process."""
        self._stopping.set()
        deadline = time.monotonic() + 2
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _claim_and_release(self, number: int) -> None:
        while not self._stopping.is_set():
            for claimed in self._claim(number, 1):
                self._started(claimed.task.title)
                self._release(number, claimed)

    def _claim_for_all(self) -> None:
        while not self._stopping.is_set():
            self._free.acquire()
            count = 1
            while count < self._workers and self._free.acquire(blocking=False):
                count += 1
            claims = self._claim(0, count)
            for claimed in claims:
                self._claimed.put(claimed)
            for _ in range(count - len(claims)):
                self._free.release()

    def _release_claimed(self, number: int) -> None:
        while not self._stopping.is_set():
            claimed = self._claimed.get()
            self._started(claimed.task.title)
            self._release(number, claimed)
            self._free.release()

    def _claim(self, number: int, count: int) -> list[coordination_pb2.ClaimedTask]:
        request = coordination_pb2.ClaimTaskRequest(agent=f"agent-{number}", count=count)
        request.wait.seconds = WAIT_SECONDS
        claims: list[coordination_pb2.ClaimedTask] = []
        with self._tolerated():
            claims.extend(self._coordination(number).ClaimTask(request, timeout=TIMEOUT).claims)
        return claims

    def _release(self, number: int, claimed: coordination_pb2.ClaimedTask) -> None:
        request = coordination_pb2.ReleaseTaskRequest(
            task_code=claimed.task.code,
            fence=claimed.lease.fence,
            outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED,
        )
        ended = False
        while not ended and not self._stopping.is_set():
            with self._tolerated():
                self._coordination(number).ReleaseTask(request, timeout=TIMEOUT)
                ended = True

    def _coordination(self, number: int) -> CoordinationServiceStub:
        return self._stubs[number // WORKERS_PER_CONNECTION].coordination

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Wait a little if the call fails because the database is away. The caller tries again."""
        try:
            yield
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED):
                print(error.code(), error.details(), file=sys.stderr, flush=True)
            time.sleep(AGAIN_SECONDS)


def load(address: str, tasks: int) -> None:
    """Create tasks, whose codes begin with the time so that a second load has others."""
    ledger, prefix = LedgerStubs(address), time.time_ns()

    def create(start: int) -> None:
        new = [
            task_pb2.NewTask(task=task_pb2.Task(code=f"{prefix}-{n}", title="noop"))
            for n in range(start, min(tasks, start + BATCH))
        ]
        ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new), timeout=TIMEOUT)

    in_parallel(create, range(0, tasks, BATCH), workers=4)


def work(address: str, workers: int, *, batch: bool) -> None:
    """Work until standard input is closed."""
    lock, count = threading.Lock(), 0

    def started(title: str) -> None:
        nonlocal count
        with lock:
            count += 1

    def tell() -> None:
        while True:
            print(f"{time.monotonic():.4f} {count}", flush=True)
            time.sleep(TICK)

    agents = Agents(address, workers, started, batch=batch)
    agents.start()
    threading.Thread(target=tell, daemon=True).start()
    sys.stdin.read()
    agents.stop()


def pickup(address: str, workers: int, tasks: int, gap: float, *, batch: bool) -> None:
    """Print the seconds from the commit of each task to the answer of the claim that got it."""
    begun: dict[str, float] = {}
    committed: dict[str, float] = {}

    def started(title: str) -> None:
        begun[title] = time.perf_counter()

    agents, ledger, prefix = (
        Agents(address, workers, started, batch=batch),
        LedgerStubs(address),
        time.time_ns(),
    )
    agents.start()
    time.sleep(IDLE_SECONDS)
    for number in range(tasks):
        code = f"{prefix}-{number}"
        task = task_pb2.Task(code=code, title=code)
        ledger.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=TIMEOUT)
        committed[code] = time.perf_counter()
        time.sleep(gap)
    time.sleep(IDLE_SECONDS)
    print(json.dumps([max(0.0, begun[code] - at) for code, at in committed.items() if code in begun]))


def main() -> None:
    mode, command, address, *numbers = sys.argv[1:]
    if command == "load":
        load(address, int(numbers[0]))
    elif command == "work":
        work(address, int(numbers[0]), batch=mode == "batch")
    elif command == "pickup":
        pickup(address, int(numbers[0]), int(numbers[1]), float(numbers[2]), batch=mode == "batch")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # Claims that wait at the server would keep their threads, and this process, for their whole time.
    os._exit(0)
