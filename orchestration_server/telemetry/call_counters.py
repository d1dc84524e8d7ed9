"""The counters and timings of every call, which Prometheus reads at each scrape.

One lock guards a whole record. prometheus_client takes one for each number, and three more calls of Python
functions; that is 6% of GetTask (docs/decisions/0015).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Buckets in seconds. The speed goals are among them, so that a quantile at a goal is exact."""
_NAMES = (*map(str, BOUNDS), "+Inf")

Histogram = tuple[Sequence[tuple[str, float]], float]
"""The cumulated buckets by their bounds, and the sum."""


class Timing:
    """A histogram of durations with its label bound. Any thread may record."""

    __slots__ = ("_counts", "_lock", "_total")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * len(_NAMES)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Record a duration."""
        bucket = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._counts[bucket] += 1
            self._total += seconds

    def read(self) -> Histogram:
        """Return the histogram of all durations so far."""
        with self._lock:
            counts, total = tuple(self._counts), self._total
        return list(zip(_NAMES, map(float, accumulate(counts)), strict=True)), total


class Timings(Collector):
    """A histogram with one label or none."""

    def __init__(self, name: str, documentation: str, label: str, *, registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._labels = name, documentation, [label] if label else []
        self._timings: dict[str, Timing] = {}
        registry.register(self)

    def get(self, value: str = "") -> Timing:
        """Return the timing of a label's value. Callers keep it."""
        return self._timings.setdefault(value, Timing())

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for value, timing in list(self._timings.items()):
            family.add_metric([value] if self._labels else [], *timing.read())
        yield family


class Rpc(Timing):
    """The counters of one rpc. ``endless`` calls last until their callers end them, and are not timed."""

    __slots__ = ("_codes", "_open", "endless", "name", "stream")

    def __init__(self, name: str, *, stream: bool, endless: bool) -> None:
        super().__init__()
        self.name, self.stream, self.endless = name, stream, endless
        self._codes: dict[str, int] = {}
        self._open = 0

    def begin(self) -> None:
        """Count a call that begins."""
        with self._lock:
            self._open += 1

    def end(self, code: str, seconds: float) -> None:
        """Count and time a call that has ended."""
        bucket = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._open -= 1
            self._codes[code] = self._codes.get(code, 0) + 1
            self._counts[bucket] += 1
            self._total += seconds

    def never_began(self, code: str) -> None:
        """Count a call that ended before its handler began; it is not timed."""
        with self._lock:
            self._codes[code] = self._codes.get(code, 0) + 1

    def counts(self) -> tuple[int, Iterable[tuple[str, int]]]:
        """Return the number of open calls, and that of ended ones by code."""
        with self._lock:
            return self._open, tuple(self._codes.items())


class Rpcs(Collector):
    """The counters of all rpcs, which all servers of a process share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rpcs: dict[str, Rpc] = {}
        registry.register(self)

    def get(self, name: str, *, stream: bool = False, endless: bool = False) -> Rpc:
        """Return the counters of an rpc."""
        return self._rpcs.setdefault(name, Rpc(name, stream=stream, endless=endless))

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all rpcs."""
        calls = CounterMetricFamily(
            "orchestration_rpc_calls",
            "Calls that have ended, by rpc and status code.",
            labels=["rpc", "code"],
        )
        seconds = HistogramMetricFamily(
            "orchestration_rpc_seconds",
            "Time that calls took in the handler, without endless streams.",
            labels=["rpc"],
        )
        unary = GaugeMetricFamily("orchestration_rpc_in_flight", "Unary calls at work.", labels=["rpc"])
        streams = GaugeMetricFamily("orchestration_streams_open", "Streams that are open.", labels=["rpc"])
        for rpc in list(self._rpcs.values()):
            opened, ended = rpc.counts()
            (streams if rpc.stream else unary).add_metric([rpc.name], opened)
            for code, count in ended:
                calls.add_metric([rpc.name, code], count)
            if not rpc.endless:
                seconds.add_metric([rpc.name], *rpc.read())
        yield from (calls, seconds, unary, streams)
