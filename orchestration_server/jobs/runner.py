"""The runner of background services: one thread each, which runs at an interval and on while it has work."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import PartitionMissing, ResourceExhausted, Unavailable
from orchestration_server.store import writes
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

LONGEST_PAUSE = 300.0
"""The longest pause of a service that fails repeatedly, in seconds."""


class Service(Protocol):
    """Work that no call waits for.

    Any number of processes may run a service: they share its work by row locks, or one at a time does it
    (``Alone``). If a process is killed in a batch, the next run does the batch.
    """

    @property
    def name(self) -> str:
        """The name in logs and metrics."""

    @property
    def interval(self) -> float:
        """Seconds between two runs."""

    def run_once(self) -> int:
        """Do one batch. Return its number of rows, or 0 if there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A service whose batch is a transaction, which one process at a time runs."""

    db: Database
    name: str
    interval: float
    work: Callable[[Connection], int]

    def run_once(self) -> int:
        """Do one batch, or nothing while another process does one."""
        key = writes.lock_key("", "job", self.name)
        with self.db.connection() as conn, conn.transaction():
            return self.work(conn) if writes.try_lock(conn, key) else 0


class Runner:
    """The threads of background services. A service that fails is tried again after growing pauses."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(service,), name=f"job-{service.name}", daemon=True)
            for service in services
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def _run(self, service: Service) -> None:
        failures = 0
        while not self._closed.wait(pause(service.interval, failures)):
            try:
                while not self._closed.is_set() and self._batch(service):
                    pass
                failures = 0
            except (Unavailable, ResourceExhausted, PartitionMissing) as error:
                # The fault is the database's: the service goes on soon after the database does.
                if not failures:
                    log.warning("job waits", job=service.name, error=error)
                failures = 1
            except Exception as error:
                failures += 1
                log.warning("job failed", job=service.name, failures=failures, error=error)
            metrics.JOB_FAILING.labels(service.name).set(failures)

    def _batch(self, service: Service) -> int:
        try:
            with metrics.JOB_SECONDS.labels(service.name).time():
                rows = service.run_once()
        except Exception:
            metrics.JOB_BATCHES.labels(service.name, "failed").inc()
            raise
        metrics.JOB_BATCHES.labels(service.name, "done").inc()
        metrics.JOB_ROWS.labels(service.name).inc(rows)
        return rows

    def close(self) -> None:
        """End the threads after their batches. A batch that takes longer than 5 s ends with the process."""
        self._closed.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)


def pause(interval: float, failures: int) -> float:
    """Return the seconds until a service's next run: random, and longer with each failure in a row."""
    seconds = min(interval * 2.0 ** min(failures, 20), max(interval, LONGEST_PAUSE))
    return seconds * random.uniform(0.5, 1.0)
