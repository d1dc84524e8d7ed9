"""Hand-made parts beside the libraries that could replace them, by turns: python -m benchmarks.alternatives.

For each part one server runs as it is and one with the library in its place (alternatives_server.py), both on
one database. Each round puts the same load on both, one after the other; the medians of all rounds and the
median of the rounds' ratios are printed. A ratio above 1 means that the library takes as many times more.
docs/decisions/0015 has the figures by which each part was kept or deleted.
"""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import alternatives_here, event_requests, fanout, ghz, requests, seed, tools
from benchmarks.processes import ServerProcess
from benchmarks.requests import RequestMaker
from benchmarks.seed import Seeded
from benchmarks.target import BenchmarkServer, LedgerStubs
from orchestration.v1 import event_pb2, task_pb2

EVENTS, TASKS = 20_000, 2_000
ROUNDS = 25
CALLERS = 16
STREAMS, STREAM_SECONDS, STREAM_EVENTS_PER_S, STREAM_UNARY_RPS = 200, 5, 20, 100
TIMELINES, TIMELINE_CALLERS = 500, 50
BATCH = 200
SERVER = ("-m", "benchmarks.alternatives_server")
LIBRARIES = ("grpcio", "psycopg", "psycopg-pool", "prometheus-client", "jinja2", "protobuf", "rfc8785", "h2")


@dataclass(frozen=True)
class Sample:
    """The figures of one load by name; less is better."""

    figures: dict[str, float]


Load = Callable[["Turns", ServerProcess], Sample]


@dataclass(frozen=True)
class Part:
    """A hand-made part, what replaces it, and the loads that it is in the way of."""

    library: str
    loads: dict[str, Load]
    fresh: bool = False
    """Start both servers anew for each round: what is measured is how they begin."""


@dataclass
class Comparison:
    """The rounds of one part under one load."""

    part: str
    load: str
    ours: list[Sample] = field(default_factory=list)
    library: list[Sample] = field(default_factory=list)

    def rows(self) -> Iterator[str]:
        for name in self.ours[0].figures:
            ours = [sample.figures[name] for sample in self.ours]
            library = [sample.figures[name] for sample in self.library]
            yield alternatives_here.row(self.part, f"{self.load}, {name}", ours, library)


@dataclass(frozen=True)
class Turns:
    """The parts that loads are made of."""

    program: Path
    ledger: LedgerStubs
    seeded: Seeded
    rounds: int


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, by the clock that Linux keeps of it."""
    return time.clock_gettime(~pid << 3 | 2)


def closed(method: str, make: RequestMaker, calls: int, callers: int = CALLERS) -> Load:
    """Return a load of calls, each of which a caller begins when its last one was answered."""

    def run(turns: Turns, server: ServerProcess) -> Sample:
        load = ghz.GhzLoad(
            method=method,
            requests=make(turns.ledger, turns.seeded, calls),
            calls=calls,
            rps=0,
            concurrency=callers,
            connections=callers,
        )
        before = cpu_seconds(server.pid)
        outcome = ghz.run(turns.program, server.address, load)
        took = cpu_seconds(server.pid) - before
        if outcome.failures:
            raise RuntimeError(f"{method}: {outcome.failures}")
        return Sample({"wall µs": 1e6 / outcome.calls_per_s, "CPU µs": 1e6 * took / calls})

    return run


def _batches(ledger: LedgerStubs, seeded: Seeded, count: int) -> list[task_pb2.BatchCreateTasksRequest]:
    """Return requests of BatchCreateTasks, each with as many tasks as an import sends."""
    rng = random.Random(count)
    return [
        task_pb2.BatchCreateTasksRequest(
            tasks=[
                task_pb2.NewTask(task=seed.new_task(code, rng.choice(seeded.sprints), rng))
                for code in requests.fresh_codes(BATCH)
            ],
            request_id=requests.request_id(),
        )
        for _ in range(count)
    ]


def streaming(turns: Turns, server: ServerProcess) -> Sample:
    """Follow the log with 200 streams while events are emitted and GetTask is called."""
    receipts = fanout.Receipts()
    load = ghz.GhzLoad(
        method="TaskService/GetTask",
        requests=requests.get_task(turns.ledger, turns.seeded, 500),
        calls=STREAM_UNARY_RPS * STREAM_SECONDS,
        rps=STREAM_UNARY_RPS,
        concurrency=50,
        connections=50,
    )
    ledger = LedgerStubs(server.address)
    events = STREAM_EVENTS_PER_S * STREAM_SECONDS

    def emit() -> None:
        due = time.monotonic()
        for _ in range(events):
            time.sleep(max(0.0, due - time.monotonic()))
            due += 1 / STREAM_EVENTS_PER_S
            event = event_pb2.NewEvent(type="bench.live", actor=f"stamp:{time.monotonic_ns()}")
            ledger.events.EmitEvent(
                event_pb2.EmitEventRequest(event=event, request_id=requests.request_id()), timeout=20
            )

    with fanout.opened(server.address, STREAMS, receipts):
        before = cpu_seconds(server.pid)
        emitter = threading.Thread(target=emit)
        emitter.start()
        outcome = ghz.run(turns.program, server.address, load)
        emitter.join()
        deadline = time.monotonic() + fanout.DELIVERY_TIMEOUT
        while len(receipts.latencies) < STREAMS * events and time.monotonic() < deadline:
            time.sleep(0.01)
        took = cpu_seconds(server.pid) - before
    ledger.close()
    if len(receipts.latencies) != STREAMS * events:
        raise RuntimeError(f"{len(receipts.latencies)} deliveries in place of {STREAMS * events}")
    return Sample(
        {
            "p95 of the fan-out in ms": ghz.percentile(sorted(receipts.latencies), 0.95),
            "p95 of GetTask in ms": outcome.percentile(0.95),
            "CPU µs a delivery": 1e6 * took / (STREAMS * events),
        }
    )


GET_TASK = closed("TaskService/GetTask", requests.get_task, 800)
LIST_TASKS = closed("TaskService/ListTasks", requests.list_tasks, 300)
CREATE_TASK = closed("TaskService/CreateTask", requests.create_task, 300)
EMIT_EVENT = closed("EventService/EmitEvent", event_requests.emit_event, 400)
TIMELINE = closed("EventService/StreamTimeline", event_requests.timeline, TIMELINES, TIMELINE_CALLERS)
BATCH_CREATE = closed("TaskService/BatchCreateTasks", _batches, 20, 4)
HOT: dict[str, Load] = {"GetTask": GET_TASK, "CreateTask": CREATE_TASK, "EmitEvent": EMIT_EVENT}
PARTS: dict[str, Part] = {
    "executor": Part("grpcio's ThreadPoolExecutor", HOT),
    "answer": Part("grpcio's _unary_response_in_pool", HOT),
    "call_counters": Part("prometheus_client's metrics with bound labels", HOT),
    "fair_queue": Part("a queue that is first in, first out", {"GetTask": GET_TASK}),
    "stream_writer": Part("grpcio's callback, on eight threads", {"200 streams": streaming}),
    "connection": Part("psycopg's execute and transaction", HOT),
    "arrays": Part(
        "psycopg's ListBinaryDumper",
        {"CreateTask": CREATE_TASK, "EmitEvent": EMIT_EVENT, f"BatchCreateTasks of {BATCH}": BATCH_CREATE},
    ),
    "pool": Part("psycopg_pool in its own order", {"500 timelines": TIMELINE}, fresh=True),
    "wire": Part("protobuf's messages", {"GetTask": GET_TASK, "ListTasks": LIST_TASKS}),
    "content_hash": Part(
        "rfc8785 alone", {"CreateTask": CREATE_TASK, f"BatchCreateTasks of {BATCH}": BATCH_CREATE}
    ),
}


@contextmanager
def _pair(url: str, part: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    with ExitStack() as stack:
        ours = stack.enter_context(ServerProcess(url, program=(*SERVER, "ours", "serve")))
        yield ours, stack.enter_context(ServerProcess(url, program=(*SERVER, part, "serve")))


def compare(turns: Turns, url: str, name: str, part: Part) -> list[Comparison]:
    """Measure one part under each of its loads."""
    found = {load: Comparison(name, load) for load in part.loads}
    with ExitStack() as stack:
        pair = None if part.fresh else stack.enter_context(_pair(url, name))
        for number in range(turns.rounds):
            with ExitStack() as round_:
                ours, library = pair or round_.enter_context(_pair(url, name))
                for load, run in part.loads.items():
                    sides = [(ours, found[load].ours), (library, found[load].library)]
                    for server, samples in sides if number % 2 else reversed(sides):
                        samples.append(run(turns, server))
    return list(found.values())


def main() -> int:
    options = _arguments()
    names = options.only or [*PARTS, *alternatives_here.PARTS]
    rows: list[str] = []
    wanted = [name for name in PARTS if name in names]
    if wanted:
        with BenchmarkServer() as started:
            ledger = LedgerStubs(started.address)
            seeded = seed.fill(ledger, events=EVENTS, tasks=TASKS)
            seed.wait_for_services(started.database_url)
            turns = Turns(tools.ghz(), ledger, seeded, options.rounds)
            for name in wanted:
                for found in compare(turns, started.database_url, name, PARTS[name]):
                    rows += found.rows()
                    print("\n".join(found.rows()), flush=True)
            ledger.close()
    for name, measure in alternatives_here.PARTS.items():
        if name in names:
            rows += measure(options.rounds)
    print(_report(rows))
    return 0


def _report(rows: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {found}" for name in LIBRARIES if (found := _version(name)))
    head = ["| part | measured | ours | library | ratio |", "|---|---|---|---|---|"]
    return "\n".join(["", f"{datetime.now(UTC):%Y-%m-%d}; {versions}", "", *head, *rows])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alternatives")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", action="append", choices=[*PARTS, *alternatives_here.PARTS])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
