"""A server publishes the counts of the last five minutes, whatever it has counted before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from orchestration_server.db.database import Database
from orchestration_server.jobs.server_stats import NO_BOUND, ServerStats, quantile
from orchestration_server.rules.alerts import ASSEMBLE, BUILT_IN, ERROR_CODES, Measure
from orchestration_server.store.alerts import Figures
from orchestration_server.telemetry import metrics

COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4)
BOUNDS = (1_000, 10_000, 2_000_000, NO_BOUND)


class Counting:
    """A registry with the metrics of a server, and a fake clock."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.calls = Counter("orchestration_rpc_calls", "_", ("rpc", "code"), registry=registry)
        self.seconds = Histogram(
            "orchestration_rpc_seconds", "_", ("rpc",), buckets=(0.1, 1.0, 5.0), registry=registry
        )
        self.waiting = Gauge("orchestration_emit_queue_events", "_", registry=registry)
        self.accepted = Gauge("orchestration_events_accepted_queue", "_", registry=registry)
        self.now = 1_000.0
        # The service never uses it.
        db = cast("Database", None)
        self.figures = ServerStats(db, (), registry, monotonic=lambda: self.now)

    def said(self, seconds: float = 10.0) -> Figures:
        self.now += seconds
        return self.figures._figures()


def test_counts_are_those_of_the_last_five_minutes() -> None:
    counting = Counting()
    counting.calls.labels("TaskService/GetTask", "OK").inc(7)
    for code in (*ERROR_CODES, "NOT_FOUND", "CANCELLED", "RESOURCE_EXHAUSTED"):
        counting.calls.labels("TaskService/GetTask", code).inc(2)
    counting.waiting.set(3)
    counting.accepted.set(4)
    counting.seconds.labels("TaskService/GetTask").observe(3.0)
    for seconds in (0.05, 0.5, 0.5, 3.0, 9.0):
        counting.seconds.labels(ASSEMBLE).observe(seconds)
    first = Figures(7, 23, 10, [100_000, 1_000_000, 5_000_000, NO_BOUND], [1, 2, 1, 1])
    assert counting.said() == first
    for _ in range(28):
        assert counting.said() == first
    counting.calls.labels("TaskService/GetTask", "OK").inc(1)
    counting.seconds.labels(ASSEMBLE).observe(0.5)
    assert counting.said().calls == 24
    # The first counts are older than that now, and the last are not.
    counting.waiting.set(0)
    assert counting.said() == Figures(4, 1, 0, first.context_bounds, [0, 1, 0, 0])
    for _ in range(28):
        assert counting.said().calls == 1
    assert counting.said() == Figures(4, 0, 0, first.context_bounds, [0, 0, 0, 0])
    assert len(counting.figures._window) < 35


def test_counts_are_right_after_a_long_pause() -> None:
    counting = Counting()
    counting.calls.labels("TaskService/GetTask", "OK").inc(7)
    assert counting.said().calls == 7
    counting.calls.labels("TaskService/GetTask", "OK").inc(5)
    assert counting.said(10_000).calls == 5


def test_without_calls_the_counts_are_zero() -> None:
    assert ServerStats(cast("Database", None), (), CollectorRegistry())._figures() == Figures(
        context_bounds=[], context_counts=[]
    )


@given(st.lists(COUNTS, max_size=4), st.floats(0.01, 1.0))
def test_a_quantile_is_in_its_bucket_and_grows_with_its_share(counts: list[list[int]], share: float) -> None:
    servers = [Figures(context_bounds=BOUNDS, context_counts=each) for each in counts]
    found = quantile(share, servers)
    total = [sum(column) for column in zip(*counts, strict=True)] or [0] * 4
    if not sum(total):
        assert found is None
        return
    assert found is not None
    rank, below = share * sum(total), 0
    for low, bound, count in zip((0, *BOUNDS), BOUNDS, total, strict=False):
        below += count
        if below >= rank and count:
            assert low <= found <= bound
            break
    larger = quantile(min(1.0, share * 1.5), servers)
    assert larger is not None
    assert found <= larger


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([100, 0, 0, 0], 950.0),
        ([0, 100, 0, 0], 1_000 + 9_000 * 0.95),
        ([90, 0, 10, 0], 10_000 + 1_990_000 * 0.5),
        ([0, 0, 0, 5], 2_000_000.0),
        ([95, 0, 0, 5], 1_000.0),
    ],
)
def test_a_quantile_is_that_of_prometheus(counts: Sequence[int], expected: float) -> None:
    assert quantile(0.95, [Figures(context_bounds=BOUNDS, context_counts=counts)]) == pytest.approx(expected)


def test_servers_with_different_bounds_are_summed() -> None:
    one = Figures(context_bounds=[100, NO_BOUND], context_counts=[10, 0])
    other = Figures(context_bounds=[50, 200, NO_BOUND], context_counts=[0, 10, 0])
    assert quantile(0.5, [one, other]) == 100
    assert quantile(1.0, [one, other]) == 200


def test_buckets_separate_latencies_around_the_threshold() -> None:
    [threshold] = [rule.threshold for rule in BUILT_IN if rule.measure == Measure.CONTEXT_P95]
    # Latencies above the highest bound look the same, and the alert could never fire.
    assert max(metrics.BOUNDS) * 1_000 > threshold
    assert threshold / 1_000 in metrics.BOUNDS
