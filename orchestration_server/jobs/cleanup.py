"""Background services that keep the database in order."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration_server.db import partitions
from orchestration_server.db.database import Connection, Database
from orchestration_server.jobs.runner import Alone, Service
from orchestration_server.store import sampling, writes

BATCH = 1_000


def services(db: Database) -> Sequence[Service]:
    """Return the services of this module."""
    return (
        Alone(db, "partitions", 6 * 3600.0, add_partitions),
        Alone(db, "expire-requests", 60.0, expire_requests),
        Alone(db, "fold-sampled-out", 600.0, fold_sampled_out),
    )


def expire_requests(conn: Connection) -> int:
    """Delete stored responses that are older than 24 hours."""
    return writes.expire_responses(conn, limit=BATCH)


def fold_sampled_out(conn: Connection) -> int:
    """Add old counts of sampled events up by the hour."""
    return sampling.fold(conn, limit=BATCH)


def add_partitions(conn: Connection) -> int:
    """Make the event partitions of the next three months. Without a partition every insert fails."""
    partitions.add_missing(conn)
    return 0
