"""The size of the ledger: one process measures it, at most once a minute, and all read the result."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestration.v1 import admin_pb2
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.db.database import Connection, Database
from orchestration_server.model import Call
from orchestration_server.store import events as event_store
from orchestration_server.store import monitoring as monitoring_store
from orchestration_server.store import writes
from orchestration_server.store.monitoring import TableSize
from orchestration_server.workspace.usage import usage

STORAGE, WORKSPACE = "storage", "workspace"
FRESH_SECONDS = 60
"""Age at which the ledger is measured again."""
WORKSPACE_SECONDS = 300
"""Age at which the workspace is measured again; that takes a look at each file."""
KEPT_SECONDS = 3_600
"""Age at which a measurement is no longer shown: the server may have no workspace any more."""
TYPES = 100
"""Event types in the counts of a week."""


def storage(db: Database, call: Call | None = None) -> admin_pb2.StorageStats:
    """Return the size of the ledger, measured now unless a process measured it in the last FRESH_SECONDS."""
    with db.connection(call) as conn:
        stats = last_storage(conn, FRESH_SECONDS)
        if stats is None:
            # Of several concurrent callers one measures, and the others wait and read its result.
            with conn.transaction():
                writes.lock(conn, [writes.lock_key("", "measure", STORAGE)])
                stats = last_storage(conn, FRESH_SECONDS) or _measure(conn)
        found = monitoring_store.get_measurements(conn, seconds=KEPT_SECONDS).get(WORKSPACE)
    if found is not None:
        stats.workspace.MergeFromString(found[1])
    return stats


def last_storage(conn: Connection, seconds: int = KEPT_SECONDS) -> admin_pb2.StorageStats | None:
    """Return the last measurement of the ledger; None if it is older than ``seconds``."""
    found = monitoring_store.get_measurements(conn, seconds=seconds).get(STORAGE)
    return None if found is None else admin_pb2.StorageStats.FromString(found[1])


def _measure(conn: Connection) -> admin_pb2.StorageStats:
    now = event_store.now(conn)
    tables = monitoring_store.tables(conn)
    types, events = monitoring_store.count_week_by_type(conn, limit=TYPES)
    live = _of_kind(tables, "live")
    archived = _of_kind(tables, "archived")
    stats = admin_pb2.StorageStats(
        measure_time=to_timestamp(now),
        live_events=_sum("events", live),
        archived_events=_sum("archived_events", archived),
        live_partitions=live,
        archived_partitions=archived,
        tables=_of_kind(tables, "table"),
        week_types=[admin_pb2.TypeCount(type=type_, count=count) for type_, count in types],
        week_events=events,
        busiest_agent_events=monitoring_store.busiest_agent(conn),
    )
    monitoring_store.save(conn, name=STORAGE, time=now, body=stats.SerializeToString())
    return stats


def _of_kind(tables: Iterable[TableSize], kind: str) -> list[admin_pb2.TableStats]:
    return [
        admin_pb2.TableStats(name=table.name, rows=table.rows, exact=table.exact, bytes=table.bytes)
        for table in tables
        if table.kind == kind
    ]


def _sum(name: str, parts: Iterable[admin_pb2.TableStats]) -> admin_pb2.TableStats:
    total = admin_pb2.TableStats(name=name, exact=True)
    for part in parts:
        total.rows += part.rows
        total.bytes += part.bytes
        total.exact &= part.exact
    return total


def measure_workspace(db: Database, root: Path) -> None:
    """Count the files of the workspace unless a process did so in the last WORKSPACE_SECONDS."""
    with db.connection() as conn:
        if WORKSPACE in monitoring_store.get_measurements(conn, seconds=WORKSPACE_SECONDS):
            return
    counted = usage(root)
    with db.connection() as conn:
        now = event_store.now(conn)
        counted.measure_time.CopyFrom(to_timestamp(now))
        monitoring_store.save(conn, name=WORKSPACE, time=now, body=counted.SerializeToString())
