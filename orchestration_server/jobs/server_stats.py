"""The statistics of a server process's calls, for alerts about all servers.

A process publishes those of the last five minutes, so the evaluation sums up all processes without
remembering earlier figures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from math import isinf
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from uuid_utils import uuid4

from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import ResourceExhausted, Unavailable
from orchestration_server.rules.alerts import ASSEMBLE, ERROR_CODES, WINDOW, AlertRule
from orchestration_server.store import alerts as alert_store
from orchestration_server.store import events as event_store
from orchestration_server.store.alerts import Figures
from orchestration_server.telemetry import metrics

_QUEUES = ("orchestration_emit_queue_events", "orchestration_events_accepted_queue")
_CALLS = "orchestration_rpc_calls_total"
_CONTEXTS = "orchestration_rpc_seconds_bucket"
NO_BOUND = 2**63 - 1
"""The stored form of an infinite bound."""


class _Totals(NamedTuple):
    """The counts since the process began, at a moment."""

    moment: float
    queue_events: int = 0
    calls: int = 0
    errors: int = 0
    contexts: Sequence[tuple[int, int]] = ()
    """Bounds in microseconds, with the number of contexts below each."""


class ServerStats:
    """The background service that each server process runs, even if it runs no others."""

    name = "server-figures"
    interval = 10.0

    def __init__(
        self,
        db: Database,
        rules: Sequence[AlertRule],
        registry: CollectorRegistry = metrics.REGISTRY,
        clock: Callable[[Connection], datetime] = event_store.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._alerts = [rule.name for rule in rules]
        self._registry = registry
        self._clock = clock
        self._monotonic = monotonic
        self._server = str(uuid4())
        self._window = deque([_Totals(monotonic())])

    def run_once(self) -> int:
        """Publish the process's statistics, and read which alerts fire, unless the database is away."""
        figures = self._figures()
        try:
            with self._db.connection() as conn:
                idle = alert_store.publish(conn, server=self._server, now=self._clock(conn), figures=figures)
                firing = alert_store.count_firing(conn)
        except (Unavailable, ResourceExhausted):
            # The next run is soon. Growing pauses would leave this server out of the sums.
            return 0
        for name in {*self._alerts, *firing}:
            metrics.ALERT_FIRING.labels(name).set(firing.get(name, 0))
        metrics.SESSION_IDLE.set(idle)
        return 0

    def _figures(self) -> Figures:
        now = self._totals()
        self._window.append(now)
        # Keep one entry that is at least as old as the window, if there is one.
        while len(self._window) > 2 and now.moment - self._window[1].moment >= WINDOW.total_seconds():
            self._window.popleft()
        first = self._window[0]
        before = dict(first.contexts)
        below = [(bound, count - before.get(bound, 0)) for bound, count in now.contexts]
        counts = [high[1] - low[1] for low, high in pairwise([(0, 0), *below])]
        return Figures(
            now.queue_events, now.calls - first.calls, now.errors - first.errors,
            [bound for bound, _ in below], counts,
        )  # fmt: skip

    def _totals(self) -> _Totals:
        queued = calls = errors = 0
        contexts: list[tuple[int, int]] = []
        for metric in self._registry.collect():
            for name, labels, value, *_ in metric.samples:
                if name in _QUEUES:
                    queued += int(value)
                elif name == _CALLS:
                    calls += int(value)
                    errors += int(value) * (labels["code"] in ERROR_CODES)
                elif name == _CONTEXTS and labels["rpc"] == ASSEMBLE:
                    bound = float(labels["le"])
                    contexts.append((NO_BOUND if isinf(bound) else round(bound * 1e6), int(value)))
        return _Totals(self._monotonic(), queued, calls, errors, sorted(contexts))


def quantile(share: float, servers: Sequence[Figures]) -> float | None:
    """Return a quantile of the duration of contexts in microseconds, as ``histogram_quantile`` computes it.

    It interpolates linearly in a bucket, and returns the highest finite bound if the quantile is above it.
    Return None if there are no contexts.
    """
    counted: dict[int, int] = {}
    for figures in servers:
        for bound, count in zip(figures.context_bounds, figures.context_counts, strict=True):
            counted[bound] = counted.get(bound, 0) + count
    rank = share * sum(counted.values())
    if not rank:
        return None
    low, below = 0, 0
    for bound in sorted(counted):
        if bound == NO_BOUND:
            break
        if below + counted[bound] >= rank and counted[bound]:
            return low + (bound - low) * (rank - below) / counted[bound]
        low, below = bound, below + counted[bound]
    return float(low)
