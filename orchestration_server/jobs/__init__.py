"""Background services: a name, an interval, and work in batches until one comes back short.

Every server runs them; an advisory lock a name lets one of all servers do the work at a time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from orchestration_server.db import Connection, Database
from orchestration_server.store import migrations, requests
from orchestration_server.store.writes import lock_key

log = structlog.get_logger()

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """``run_once`` does one batch and says how many rows it was."""

    name: str
    seconds: float
    run_once: Callable[[Connection], int]


def expire_requests(conn: Connection) -> int:
    """Forgets answers that are older than 24 hours."""
    return requests.expire(conn, limit=BATCH)


def add_partitions(conn: Connection) -> int:
    """Keeps three months of event partitions ahead: without one, every insert fails."""
    migrations.add_partitions(conn)
    return 0


JOBS = (
    Job("partitions", 6 * 3600.0, add_partitions),
    Job("expire-requests", 60.0, expire_requests),
)


class Runner:
    """Runs jobs in a thread of its own, each at its interval with jitter."""

    def __init__(self, db: Database, jobs: Sequence[Job] = JOBS) -> None:
        self._db = db
        self._jobs = jobs
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(job,), name=f"job-{job.name}", daemon=True)
            for job in jobs
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, job: Job) -> None:
        while not self._closed.wait(job.seconds * random.uniform(0.5, 1.0)):
            try:
                while self._batch(job) >= BATCH and not self._closed.is_set():
                    pass
            except Exception as error:
                log.warning("job failed", job=job.name, error=repr(error))

    def _batch(self, job: Job) -> int:
        with self._db.connection() as conn, conn.transaction():
            row = conn.execute(
                "select pg_try_advisory_xact_lock(%s)", (lock_key("", "job", job.name),)
            ).fetchone()
            return job.run_once(conn) if row and row[0] else 0

    def close(self) -> None:
        """Ends the threads after their batch."""
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=5)
