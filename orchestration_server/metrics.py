"""What is counted and timed, for Prometheus; one registry a process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RPC_REFUSED = Counter(
    "orchestration_rpc_refused",
    "Calls that were refused for who calls, or because a limit was reached, by the reason of the error.",
    ("reason",),
    registry=REGISTRY,
)
POOL_EXHAUSTED = Counter(
    "orchestration_pool_exhausted",
    "Times that no connection to the database came free in time.",
    registry=REGISTRY,
)

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
EVENTS_EMITTED = Counter(
    "orchestration_events_emitted",
    "Callers' events that were stored.",
    registry=REGISTRY,
)
EVENTS_SAMPLED_OUT = Counter(
    "orchestration_events_sampled_out",
    "Callers' events and activities that sampling left out and counted.",
    registry=REGISTRY,
)
EVENTS_ACCEPTED = Gauge(
    "orchestration_events_accepted_queue",
    "Events of this process that were accepted and are not stored yet.",
    registry=REGISTRY,
)
EVENTS_ACCEPTED_LOST = Counter(
    "orchestration_events_accepted_lost",
    "Events that were accepted and could not be stored.",
    registry=REGISTRY,
)
EMIT_QUEUE_EVENTS = Gauge(
    "orchestration_emit_queue_events",
    "Callers' events of this process that wait to be stored.",
    registry=REGISTRY,
)
EMIT_QUEUE_BYTES = Gauge(
    "orchestration_emit_queue_bytes",
    "How large those events are.",
    registry=REGISTRY,
)
EVENTS_DEBOUNCED = Counter(
    "orchestration_events_debounced",
    "Changes of a status that were held, to be told of by one event.",
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
