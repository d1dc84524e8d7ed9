"""What is counted and timed, for Prometheus; one registry a process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

JOB_BATCHES = Counter(
    "orchestration_job_batches",
    "Batches of background services, by service and by result: done or failed.",
    ("job", "result"),
    registry=REGISTRY,
)
JOB_ROWS = Counter(
    "orchestration_job_rows", "Rows that background services dealt with.", ("job",), registry=REGISTRY
)
JOB_SECONDS = Histogram(
    "orchestration_job_seconds",
    "How long one batch of a background service took.",
    ("job",),
    registry=REGISTRY,
)
JOB_FAILING = Gauge(
    "orchestration_job_failing",
    "How often in a row a background service of this process has failed; 0 where it works.",
    ("job",),
    registry=REGISTRY,
)
FILES = Counter(
    "orchestration_files",
    "Files of entities, by result: written, unchanged, conflict (edited by hand, left alone).",
    ("result",),
    registry=REGISTRY,
)
FILE_SYNC_FAILURES = Counter(
    "orchestration_file_sync_failures",
    "Entities whose files could not be written; they stay queued.",
    registry=REGISTRY,
)
FILE_SYNC_SECONDS = Histogram(
    "orchestration_file_sync_seconds",
    "How long it took to write one entity's files.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=REGISTRY,
)
AGENT_EVENTS_MINUTE = Gauge(
    "orchestration_agent_events_minute_max",
    "Events in the last minute of the agent with the most.",
    registry=REGISTRY,
)
SESSION_IDLE = Gauge(
    "orchestration_session_idle_seconds_max",
    "Seconds since the last call of the active session that has been idle longest; 0 where none is.",
    registry=REGISTRY,
)
ALERT_FIRING = Gauge(
    "orchestration_alert_firing", "How many alerts of a rule fire.", ("alert",), registry=REGISTRY
)
