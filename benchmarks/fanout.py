"""Live streams: the time until an event reaches each of many, and the latency of other calls meanwhile."""

import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks import ghz
from benchmarks.gate import Measurement
from benchmarks.raw_http2_client import Watchers
from benchmarks.requests import get_task, request_id
from benchmarks.seed import Seeded
from benchmarks.target import LedgerStubs, RunningServer, resident_mb
from orchestration.v1 import event_pb2

PATH = "/orchestration.v1.EventService/StreamTimeline"
STAMP = re.compile(rb"stamp:(\d+)")
CAUGHT_UP = 0x1A  # the tag of StreamTimelineResponse.caught_up
STREAMS_A_CONNECTION = 50
EMITS_PER_S = 4
UNARY_RPS = 100
SECONDS = 5
ROUNDS = 3
OPEN_TIMEOUT = 60.0
EMIT_TIMEOUT = 20.0
DELIVERY_TIMEOUT = 10.0
HANGING = 20
HANG_AFTER = 10_000_000  # bytes


@dataclass
class Receipts:
    """The messages that the streams have received. Only their reading thread writes it."""

    caught_up: int = 0
    latencies: list[float] = field(default_factory=list)

    def take(self, message: bytes, now: int) -> None:
        for stamp in STAMP.finditer(message):
            self.latencies.append((now - int(stamp[1])) / 1e6)
        if message[0] == CAUGHT_UP:
            self.caught_up += 1


@dataclass
class Phase:
    """The rounds with one number of open streams."""

    streams: int
    latencies: list[float] = field(default_factory=list)
    unary_p95: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def measurement(self, name: str, baseline: float) -> Measurement:
        ordered = sorted(self.latencies)
        figures = {
            "p50_ms": ghz.percentile(ordered, 0.50),
            "p95_ms": ghz.percentile(ordered, 0.95),
            "p99_ms": ghz.percentile(ordered, 0.99),
            "deliveries": float(len(ordered)),
            "unary_p95_ms": statistics.median(self.unary_p95),
            "unary_p95_ratio": statistics.median(self.unary_p95) / baseline,
            "rss_mb": max(self.memory),
        }
        return Measurement(name, "live", figures, dict(self.reasons))


class LiveStreams:
    """A runner of phases against one server."""

    def __init__(self, program: Path, started: RunningServer, ledger: LedgerStubs, seeded: Seeded) -> None:
        self._program = program
        self._started = started
        self._ledger = ledger
        self._load = ghz.GhzLoad(
            method="TaskService/GetTask",
            requests=get_task(ledger, seeded, 500),
            calls=UNARY_RPS * SECONDS,
            rps=UNARY_RPS,
            concurrency=50,
            connections=50,
        )

    def measure(self, counts: list[int]) -> list[Measurement]:
        """Measure in turn without streams and with each count, so that all see the same machine."""
        phases = [Phase(count) for count in (0, *counts)]
        for _ in range(ROUNDS):
            for phase in phases:
                self._round(phase)
        baseline = statistics.median(phases[0].unary_p95)
        return [phase.measurement(f"live_{phase.streams}", baseline) for phase in phases[1:]]

    def measure_hanging(self) -> Measurement:
        """Measure 200 streams in turn with and without clients that stop reading.

        The calls are measured from the moment at which those clients begin, and again once they have stopped.
        """
        without, beside = Phase(200), Phase(200)
        for _ in range(ROUNDS):
            self._round(without)
            self._round(beside, hanging=HANGING)
        beside.reasons.update(without.reasons)
        return beside.measurement("live_200_beside_20_hanging", statistics.median(without.unary_p95))

    @contextmanager
    def _hanging(self, count: int, phase: Phase) -> Iterator[Callable[[], None]]:
        """Open clients that read history and then stop. Yield a function that waits for that."""
        if not count:
            yield lambda: None
            return
        request = event_pb2.StreamTimelineRequest(follow=True)
        hanging = Watchers(
            self._started.address,
            PATH,
            request.SerializeToString(),
            on_message=lambda message, now: None,
            stop_after=HANG_AFTER,
        )

        def stopped() -> None:
            deadline = time.monotonic() + OPEN_TIMEOUT
            while hanging.stopped_reading < count and time.monotonic() < deadline:
                time.sleep(0.05)
            if hanging.stopped_reading < count:
                phase.reasons["streams that did not stop reading"] += count - hanging.stopped_reading

        try:
            for _ in range(count):
                hanging.add(1)
            yield stopped
        finally:
            hanging.close()

    def _round(self, phase: Phase, *, hanging: int = 0) -> None:
        receipts = Receipts()
        with opened(self._started.address, phase.streams, receipts) as watchers:
            missing = phase.streams - receipts.caught_up
            if missing:
                phase.reasons["streams that did not open"] += missing
            ending, sent = threading.Event(), Counter[str]()
            emitter = threading.Thread(target=self._emit, args=(ending, sent))
            emitter.start()
            try:
                outcomes = self._call(phase, hanging)
            finally:
                ending.set()
                emitter.join()
            expected = sent.pop("stored", 0) * phase.streams
            phase.reasons.update(sent)
            deadline = time.monotonic() + DELIVERY_TIMEOUT
            while len(receipts.latencies) < expected and time.monotonic() < deadline:
                time.sleep(0.01)
            phase.memory.append(resident_mb(self._started.pid))
            ended = watchers.ended_streams if watchers else 0
        phase.unary_p95.append(max(outcome.percentile(0.95) for outcome in outcomes))
        phase.latencies += receipts.latencies
        for outcome in outcomes:
            phase.reasons.update(outcome.failures)
        lost = expected - len(receipts.latencies)
        problems = {"deliveries missing or repeated": abs(lost), "streams ended": ended}
        phase.reasons.update({reason: count for reason, count in problems.items() if count})

    def _call(self, phase: Phase, hanging: int) -> list[ghz.GhzResult]:
        """Make the unary load: while clients stop reading, and again after all of them have."""
        with self._hanging(hanging, phase) as stopped:
            outcomes = [ghz.run(self._program, self._started.address, self._load)]
            if hanging:
                stopped()
                outcomes.append(ghz.run(self._program, self._started.address, self._load))
        return outcomes

    def _emit(self, ending: threading.Event, sent: Counter[str]) -> None:
        """Emit events at a steady rate. Each has the time when it was sent."""
        due = time.monotonic()
        while not ending.wait(max(0.0, due - time.monotonic())):
            due += 1 / EMITS_PER_S
            event = event_pb2.NewEvent(type="bench.live", actor=f"stamp:{time.monotonic_ns()}")
            request = event_pb2.EmitEventRequest(event=event, request_id=request_id())
            try:
                self._ledger.events.EmitEvent(request, timeout=EMIT_TIMEOUT)
            except grpc.RpcError:
                sent["EmitEvent failed"] += 1
            else:
                sent["stored"] += 1


@contextmanager
def opened(address: str, streams: int, receipts: Receipts) -> Iterator[Watchers | None]:
    """Open the streams, and wait up to a minute until all have caught up.

    They open in groups of one connection each, as clients with backoff would.
    """
    if not streams:
        yield None
        return
    request = event_pb2.StreamTimelineRequest(last=1, follow=True)
    watchers = Watchers(address, PATH, request.SerializeToString(), on_message=receipts.take)
    try:
        deadline = time.monotonic() + OPEN_TIMEOUT
        for begun in range(0, streams, STREAMS_A_CONNECTION):
            wanted = min(streams, begun + STREAMS_A_CONNECTION)
            watchers.add(wanted - begun)
            while receipts.caught_up < wanted and time.monotonic() < deadline:
                time.sleep(0.005)
        receipts.latencies.clear()  # the last event before the streams opened
        yield watchers
    finally:
        watchers.close()
