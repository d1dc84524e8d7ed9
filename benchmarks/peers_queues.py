"""Job queues of other projects, each in a process of its own: python peers_queues.py QUEUE COMMAND URL ...

This file runs in the environment of requirements/peers.txt and imports nothing of this project. Each queue
is set up as its documentation says for short jobs; docs/benchmarks.md has the settings.

    setup URL                   create the tables
    load URL JOBS               enqueue jobs that do nothing
    work URL WORKERS            run jobs until standard input is closed; print time and count every 0.1 s
    pickup URL WORKERS JOBS GAP enqueue jobs one at a time; print how long each waited, in seconds, as JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import uvloop

BATCH = 1_000
"""Jobs in one call of a load."""
TICK = 0.1
CONNECTIONS = 24
"""The pool of awa, by its rule: 4 for each queue and 20."""
IDLE_SECONDS = 2.0
"""The seconds for which workers are idle before the first job of a pickup."""

Started = Callable[[int], None]


class Queue(Protocol):
    """A queue of another project."""

    async def setup(self) -> None:
        """Create the tables."""

    async def load(self, numbers: range) -> None:
        """Enqueue jobs in one call."""

    async def enqueue(self, number: int) -> None:
        """Enqueue one job, and return after the commit."""

    async def work(self, workers: int, started: Started) -> None:
        """Run jobs with `workers` at a time until the task is cancelled."""


class Procrastinate:
    """A worker with a concurrency, woken by NOTIFY. A larger pool or deletion of ended jobs gain nothing."""

    def __init__(self, url: str, workers: int) -> None:
        import procrastinate

        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        self._started: Started = lambda number: None

        @self._app.task(name="noop")  # type: ignore[untyped-decorator]
        async def noop(number: int) -> None:
            self._started(number)

        self._noop = noop
        self._opened = False

    async def _open(self) -> None:
        if not self._opened:
            await self._app.open_async()
            self._opened = True

    async def setup(self) -> None:
        await self._open()
        await self._app.schema_manager.apply_schema_async()

    async def load(self, numbers: range) -> None:
        await self._open()
        await self._noop.batch_defer_async(*({"number": number} for number in numbers))

    async def enqueue(self, number: int) -> None:
        await self._noop.defer_async(number=number)

    async def work(self, workers: int, started: Started) -> None:
        await self._open()
        self._started = started
        await self._app.run_worker_async(
            concurrency=workers, listen_notify=True, install_signal_handlers=False
        )


class PgQueuer:
    """A queue manager on a connection of asyncpg, the driver that is the fastest of those it documents."""

    def __init__(self, url: str, workers: int) -> None:
        self._url = url
        self._queries: Any = None

    async def _open(self) -> Any:
        import asyncpg
        from pgqueuer.db import AsyncpgPoolDriver
        from pgqueuer.queries import Queries

        if self._queries is None:
            pool = await asyncpg.create_pool(self._url, min_size=1, max_size=2)
            self._queries = Queries(AsyncpgPoolDriver(pool))
        return self._queries

    async def setup(self) -> None:
        queries = await self._open()
        await queries.install()
        await queries.optimize_autovacuum()

    async def load(self, numbers: range) -> None:
        queries = await self._open()
        payloads = [b"%d" % number for number in numbers]
        await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

    async def enqueue(self, number: int) -> None:
        queries = await self._open()
        await queries.enqueue("noop", b"%d" % number)

    async def work(self, workers: int, started: Started) -> None:
        import asyncpg
        import pgqueuer

        manager = pgqueuer.PgQueuer.from_asyncpg_connection(await asyncpg.connect(self._url))

        @manager.entrypoint("noop")  # type: ignore[untyped-decorator]
        async def noop(job: Any) -> None:
            started(int(job.payload))

        # With max_concurrent_tasks the batch may be only half as large, which is slower with 8 workers.
        await manager.run(
            dequeue_timeout=timedelta(seconds=10), batch_size=workers, shutdown_on_listener_failure=True
        )


@dataclass
class Noop:
    """The arguments of a job of awa, whose kind it takes from the name."""

    number: int


class Awa:
    """A client of awa: the engine in Rust, with handlers in Python. More claimers gain nothing here."""

    def __init__(self, url: str, workers: int) -> None:
        import awa

        self._client = awa.AsyncClient(url, max_connections=CONNECTIONS)

    async def setup(self) -> None:
        await self._client.migrate()
        await self._client.install_queue_storage()

    async def load(self, numbers: range) -> None:
        await self._client.enqueue_many_copy([Noop(number) for number in numbers], queue="noop")

    async def enqueue(self, number: int) -> None:
        await self._client.insert(Noop(number), queue="noop")

    async def work(self, workers: int, started: Started) -> None:
        @self._client.task(Noop, queue="noop")  # type: ignore[untyped-decorator]
        async def noop(job: Any) -> None:
            started(job.args.number)

        await self._client.start([("noop", workers)])
        try:
            await asyncio.Event().wait()
        finally:
            await self._client.shutdown()


QUEUES: dict[str, Callable[[str, int], Queue]] = {
    "procrastinate": Procrastinate,
    "pgqueuer": PgQueuer,
    "awa": Awa,
}


async def load(queue: Queue, jobs: int) -> None:
    """Enqueue `jobs` jobs."""
    for start in range(0, jobs, BATCH):
        await queue.load(range(start, min(jobs, start + BATCH)))


async def work(queue: Queue, workers: int) -> None:
    """Run jobs until standard input is closed. Ends with the queue's own error if it gives up."""
    count = 0

    def started(number: int) -> None:
        nonlocal count
        count += 1

    async def tell() -> None:
        while True:
            print(f"{time.monotonic():.4f} {count}", flush=True)
            await asyncio.sleep(TICK)

    await _first(_input_closed(), queue.work(workers, started), tell())


async def pickup(queue: Queue, workers: int, jobs: int, gap: float) -> None:
    """Print the seconds from the commit of each job to the start of its handler."""
    begun: dict[int, float] = {}
    committed: dict[int, float] = {}

    def started(number: int) -> None:
        begun[number] = time.perf_counter()

    async def produce() -> None:
        await asyncio.sleep(IDLE_SECONDS)
        for number in range(jobs):
            await queue.enqueue(number)
            committed[number] = time.perf_counter()
            await asyncio.sleep(gap)
        await asyncio.sleep(IDLE_SECONDS)

    await _first(produce(), queue.work(workers, started))
    print(json.dumps([max(0.0, begun[n] - committed[n]) for n in committed if n in begun]))


async def _input_closed() -> None:
    """Return when standard input is closed. The thread that reads it does not keep the process."""
    closed, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=read, daemon=True).start()
    await closed.wait()


async def _first(*works: Awaitable[None]) -> None:
    """Wait for the first of them, and cancel the others. Raises its error."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest, timeout=5)
    for task in done:
        task.result()


def main() -> None:
    name, command, url, *numbers = sys.argv[1:]
    given = [float(number) for number in numbers]
    queue = QUEUES[name](url, int(given[0]) if command in ("work", "pickup") else 1)
    commands: dict[str, Callable[[], Awaitable[None]]] = {
        "setup": queue.setup,
        "load": lambda: load(queue, int(given[0])),
        "work": lambda: work(queue, int(given[0])),
        "pickup": lambda: pickup(queue, int(given[0]), int(given[1]), given[2]),
    }

    async def run() -> None:
        status = 1
        try:
            await commands[command]()
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            # A queue whose connections are lost may wait for them as it closes.
            os._exit(status)

    uvloop.run(run())


if __name__ == "__main__":
    main()
