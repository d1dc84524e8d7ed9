"""Services that keep the database in order."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration_server.db import partitions
from orchestration_server.db.database import Connection, Database
from orchestration_server.jobs.runner import Alone, Service
from orchestration_server.store import requests, sampling

BATCH = 1_000


def services(db: Database) -> Sequence[Service]:
    """All of them."""
    return (
        Alone(db, "partitions", 6 * 3600.0, add_partitions),
        Alone(db, "expire-requests", 60.0, expire_requests),
        Alone(db, "fold-sampled-out", 600.0, fold_sampled_out),
    )


def expire_requests(conn: Connection) -> int:
    """Forgets answers that are older than 24 hours."""
    return requests.expire(conn, limit=BATCH)


def fold_sampled_out(conn: Connection) -> int:
    """Brings the counts of what sampling left out from minutes to hours once they are old."""
    return sampling.fold(conn, limit=BATCH)


def add_partitions(conn: Connection) -> int:
    """Keeps three months of event partitions ahead: without one, every insert fails."""
    partitions.add_missing(conn)
    return 0
