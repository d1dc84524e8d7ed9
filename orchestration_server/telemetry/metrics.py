"""Counters, gauges and histograms for Prometheus; one registry a process. docs/monitoring.md explains each.

What every call counts and times is in telemetry/call_counters.py. Types of events are the only labels from
callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestration_server.telemetry.call_counters import BOUNDS, Rpc, Rpcs, Timings

__all__ = ["BOUNDS", "Rpc"]

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

REGISTRY = CollectorRegistry()
LARGEST: set[str] = set()
"""Gauges about the ledger instead of one process. Of several processes' values the largest counts; values of
other gauges are added."""

Readings = Mapping[str, float]
"""Numbers by the value of the label, or by an empty text if the gauge has no label."""


class Sampled(Collector):
    """A gauge that is read at each scrape: the sum of the readings of all watched owners."""

    def __init__(self, name: str, documentation: str, label: str = "", *, largest: bool = False) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        if largest:
            LARGEST.add(name)
        self._watched: dict[object, Callable[[], Readings]] = {}
        REGISTRY.register(self)

    def watch(self, owner: object, read: Callable[[], Readings]) -> None:
        """Call ``read`` at each scrape. It may neither wait nor fail."""
        self._watched[owner] = read

    def forget(self, owner: object) -> None:
        """Stop reading an owner."""
        self._watched.pop(owner, None)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge with the present sums."""
        summed: dict[str, float] = {}
        for read in list(self._watched.values()):
            for value, number in read().items():
                summed[value] = summed.get(value, 0.0) + number
        family = GaugeMetricFamily(
            self._name, self._documentation, labels=[self._label] if self._label else []
        )
        for value, number in (summed or ({} if self._label else {"": 0.0})).items():
            family.add_metric([value] if self._label else [], number)
        yield family


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    return Counter(f"orchestration_{name}", documentation, labels, registry=REGISTRY)


def _timings(name: str, documentation: str, label: str = "") -> Timings:
    return Timings(f"orchestration_{name}", documentation, label, registry=REGISTRY)


def _gauge(name: str, documentation: str, *labels: str, largest: bool = True) -> Gauge:
    if largest:
        LARGEST.add(f"orchestration_{name}")
    return Gauge(f"orchestration_{name}", documentation, labels, registry=REGISTRY)


# Calls and streams

rpc = Rpcs(REGISTRY).get
"""Returns the counters of an rpc, which all servers of this process share."""
CLAIMS_WAITING = _gauge("claims_waiting", "Claims that wait for a ready task.", largest=False)
RPC_REFUSED = _counter(
    "rpc_refused",
    "Calls refused because of their credential, scope or a limit, by the reason of the error.",
    "reason",
)
FANOUT_SECONDS = _timings(
    "fanout_seconds",
    "Time from the recording of a live event to its hand-over to the transport, once a stream.",
).get()
SLOW_READERS = _counter(
    "slow_readers", "Times a timeline's client read too slowly and was sent back to the log or disconnected."
)
HORIZON_AGE = _gauge(
    "horizon_age_seconds",
    "Seconds for which one open transaction has held back the timeline; 0 if none does.",
)

# The database and the cache

POOL_CONNECTIONS = Sampled(
    "orchestration_pool_connections", "Connections to Postgres: idle, used, and size, which is both.", "state"
)
POOL_WAIT_SECONDS = _timings(
    "pool_wait_seconds", "Time that a caller waited for a connection of the pool."
).get()
POOL_EXHAUSTED = _counter("pool_exhausted", "Times that no connection was free in time.")
SQL_SECONDS = _timings("sql_seconds", "Duration of statements, by name.", "statement")
SQL_SLOW = _counter("sql_slow", "Statements that took longer than slow_statement_seconds.", "statement")
CACHE_REQUESTS = _counter(
    "cache_requests",
    "Requests to the cache, by kind and result: hit, miss, error (the cache was away).",
    "kind",
    "result",
)
REDIS_ERRORS = _counter("redis_errors", "Failures of Redis, by command and error.", "command", "error")
for _command in ("connection", "subscribe"):
    # A rate misses the first failure of a series unless the series starts at 0.
    REDIS_ERRORS.labels(_command, "ConnectionError")

# Events

EVENTS_EMITTED = _counter("events_emitted", "Events written, counted after their commit.")
EMIT_QUEUE_EVENTS = Sampled(
    "orchestration_emit_queue_events",
    "Callers' events that wait to be stored; accepted ones are counted separately.",
)
EMIT_QUEUE_BYTES = Sampled(
    "orchestration_emit_queue_bytes", "Bytes of callers' events that wait to be stored."
)
EVENTS_DEBOUNCED = _counter("events_debounced", "Changes that are logged by a later event.")
EVENTS_SAMPLED_OUT = _counter("events_sampled_out", "Events that were counted instead of stored.")
EVENTS_ACCEPTED_QUEUE = Sampled(
    "orchestration_events_accepted_queue", "Events that were accepted and are not stored yet."
)
EVENTS_ACCEPTED_LOST = _counter("events_accepted_lost", "Events that were accepted and could not be stored.")

# Background services

JOB_BATCHES = _counter(
    "job_batches",
    "Batches of background services, by service and by result: done or failed.",
    "name",
    "result",
)
JOB_ROWS = _counter("job_rows", "Rows that background services processed.", "name")
JOB_SECONDS = Histogram(
    "orchestration_job_seconds",
    "Duration of one batch of a background service.",
    ("name",),
    registry=REGISTRY,
)
JOB_FAILING = _gauge(
    "job_failing",
    "Consecutive failures of a background service of this process; 0 if it works.",
    "name",
)
JOB_QUEUE_ROWS = _gauge(
    "job_queue_rows", "Rows, or events up to a limit, that wait for a background service.", "name"
)
JOB_OLDEST = _gauge(
    "job_oldest_seconds", "Seconds for which the oldest of them has waited; 0 if none waits.", "name"
)
FILES = _counter(
    "files",
    "Files of entities, by result: written, unchanged, conflict (edited by hand, left alone).",
    "result",
)
FILE_SYNC_FAILURES = _counter(
    "file_sync_failures", "Entities whose files could not be written; they stay queued."
)
FILE_SYNC_SECONDS = Histogram(
    "orchestration_file_sync_seconds",
    "Duration of writing one entity's files.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=REGISTRY,
)
FILE_SYNC_SLOW = _counter("file_sync_slow", "Entities whose files took longer than 500 ms to write.")

# Logs

LOG_LINES_DROPPED = _counter(
    "log_lines_dropped", "Lines of the log that were dropped because its reader was too slow."
)

# Measured at intervals by one of all processes

EVENT_ROWS = _gauge("event_rows", "Rows of the event log: live, archived.", "state")
EVENT_BYTES = _gauge("event_bytes", "Bytes of the event log on disk, with indexes: live, archived.", "state")
EVENTS_WEEK = Sampled(
    "orchestration_events_week",
    "Events of the last 7 days by type: the 50 most frequent ones, and all others as 'other'.",
    "type",
    largest=True,
)
AGENT_EVENTS_MINUTE = _gauge("agent_events_minute_max", "Events of the most active agent in the last minute.")
WORKSPACE_FILES = _gauge("workspace_files", "Files under delegation/sprints of all projects.")
WORKSPACE_MARKDOWN = _gauge("workspace_markdown_files", "Files under delegation/sprints that end in .md.")
WORKSPACE_BYTES = _gauge("workspace_bytes", "Bytes of the files under delegation/sprints.")
WORKSPACE_LARGE = _gauge("workspace_large_files", "Files under delegation/sprints above 100 KB.")
MEASURED = _gauge("measured_timestamp_seconds", "Time of the last measurement.", "what")
SESSION_IDLE = _gauge(
    "session_idle_seconds_max",
    "Seconds since the last call of the active session that has been idle longest; 0 if none is active.",
)
ALERT_FIRING = _gauge("alert_firing", "Number of alerts of a rule that fire.", "alert")
