"""Background services that measure the ledger and export the results to Prometheus.

A measurement is expensive, so one of all processes does it and stores the result. To read the result takes
two rows, which each process that serves metrics does. A scrape reads memory only.
"""

from __future__ import annotations

import time
from pathlib import Path

from orchestration.v1 import admin_pb2
from orchestration_server.db.database import Database
from orchestration_server.maintenance import storage_stats
from orchestration_server.store import monitoring as monitoring_store
from orchestration_server.store import rollups as rollup_store
from orchestration_server.telemetry import metrics

READERS = ("automation", rollup_store.READER)
OTHER = "other"
TYPES_SHOWN = 50
"""Event types with their own value; the rest is summed as OTHER."""


class MeasureStorage:
    """The service that measures the sizes of the tables."""

    name = "measure-storage"
    interval = 30.0

    def __init__(self, db: Database) -> None:
        self._db = db

    def run_once(self) -> int:
        """Measure, unless another process did."""
        storage_stats.storage(self._db)
        return 0


class MeasureWorkspace:
    """The service that counts the files of the workspace."""

    name = "measure-workspace"
    interval = 60.0

    def __init__(self, db: Database, root: Path) -> None:
        self._db, self._root = db, root

    def run_once(self) -> int:
        """Count, unless another process did."""
        storage_stats.measure_workspace(self._db, self._root)
        return 0


class ExportGauges:
    """The service that exports the state of the database in this process's metrics.

    These are the horizon of the timeline, also if no subscription is open; the work that waits for other
    services; and the last measurements.
    """

    name = "observe"
    interval = 5.0

    def __init__(self, db: Database) -> None:
        self._db = db
        self._blocking: str | None = None
        self._blocking_since = 0.0
        self._types: dict[str, float] = {}
        metrics.EVENTS_WEEK.watch(self, lambda: self._types)

    def run_once(self) -> int:
        """Read the state once."""
        with self._db.connection() as conn:
            self._horizon(monitoring_store.horizon(conn))
            _waits("file-sync", monitoring_store.file_backlog(conn))
            _waits("debounce", monitoring_store.pending_changes_backlog(conn))
            for reader in READERS:
                _waits(reader, monitoring_store.event_backlog(conn, reader=reader))
            found = monitoring_store.get_measurements(conn, seconds=storage_stats.KEPT_SECONDS)
        if storage_stats.STORAGE in found:
            at, body = found[storage_stats.STORAGE]
            metrics.MEASURED.labels(storage_stats.STORAGE).set(at.timestamp())
            self._storage(admin_pb2.StorageStats.FromString(body))
        if storage_stats.WORKSPACE in found:
            at, body = found[storage_stats.WORKSPACE]
            metrics.MEASURED.labels(storage_stats.WORKSPACE).set(at.timestamp())
            _workspace(admin_pb2.WorkspaceStats.FromString(body))
        return 0

    def _horizon(self, horizon: monitoring_store.HorizonHolder) -> None:
        now = time.monotonic()
        if horizon.transaction != self._blocking:
            self._blocking, self._blocking_since = horizon.transaction, now
        # The age of another role's transaction is not visible, so count from when it was seen first.
        seen = 0.0 if self._blocking is None else now - self._blocking_since
        metrics.HORIZON_AGE.set(max(horizon.seconds or 0.0, seen))

    def _storage(self, stats: admin_pb2.StorageStats) -> None:
        for state, of in (("live", stats.live_events), ("archived", stats.archived_events)):
            metrics.EVENT_ROWS.labels(state).set(of.rows)
            metrics.EVENT_BYTES.labels(state).set(of.bytes)
        types = {one.type: float(one.count) for one in stats.week_types[:TYPES_SHOWN]}
        types[OTHER] = stats.week_events - sum(types.values())
        self._types = types
        metrics.AGENT_EVENTS_MINUTE.set(stats.busiest_agent_events)


def _waits(name: str, waiting: monitoring_store.Backlog) -> None:
    metrics.JOB_QUEUE_ROWS.labels(name).set(waiting.rows)
    metrics.JOB_OLDEST.labels(name).set(waiting.oldest)


def _workspace(stats: admin_pb2.WorkspaceStats) -> None:
    metrics.WORKSPACE_FILES.set(stats.files)
    metrics.WORKSPACE_MARKDOWN.set(stats.markdown_files)
    metrics.WORKSPACE_BYTES.set(stats.bytes)
    metrics.WORKSPACE_LARGE.set(stats.large_files)
