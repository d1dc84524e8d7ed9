"""How large the ledger is: measured by one process of all, at most once a minute, and read by every one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestration.v1 import admin_pb2
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.db.database import Connection, Database
from orchestration_server.model import Call
from orchestration_server.store import events as event_store
from orchestration_server.store import monitoring as store
from orchestration_server.store import writes
from orchestration_server.store.monitoring import Table
from orchestration_server.workspace.tree import PROJECTS_DIRECTORY

STORAGE, WORKSPACE = "storage", "workspace"
FRESH_SECONDS = 60
"""For so long what was measured is not measured again."""
WORKSPACE_SECONDS = 300
"""The same of the workspace, every file of which is looked at."""
KEPT_SECONDS = 3_600
"""The oldest measurement of the workspace that is told of: it may have none any more."""
TYPES = 100
LARGE_BYTES = 100 * 1024


def storage(db: Database, call: Call | None = None) -> admin_pb2.StorageStats:
    """How large the ledger is; measured now unless it was a moment ago, by whomever."""
    with db.connection(call) as conn:
        stats = last_storage(conn, FRESH_SECONDS)
        if stats is None:
            # Of several that ask at once one measures, and the others take what it found.
            with conn.transaction():
                writes.lock(conn, [writes.lock_key("", "measure", STORAGE)])
                stats = last_storage(conn, FRESH_SECONDS) or _measured(conn)
        found = store.measured(conn, seconds=KEPT_SECONDS).get(WORKSPACE)
    if found is not None:
        stats.workspace.MergeFromString(found[1])
    return stats


def last_storage(conn: Connection, seconds: int = KEPT_SECONDS) -> admin_pb2.StorageStats | None:
    """How large the ledger was when it was last measured, if that is no longer ago than so many seconds."""
    found = store.measured(conn, seconds=seconds).get(STORAGE)
    return None if found is None else admin_pb2.StorageStats.FromString(found[1])


def _measured(conn: Connection) -> admin_pb2.StorageStats:
    now = event_store.now(conn)
    tables = store.tables(conn)
    types, events = store.week(conn, limit=TYPES)
    live = _of_kind(tables, "live")
    archived = _of_kind(tables, "archived")
    stats = admin_pb2.StorageStats(
        measure_time=to_timestamp(now),
        live_events=_together("events", live),
        archived_events=_together("archived_events", archived),
        live_partitions=live,
        archived_partitions=archived,
        tables=_of_kind(tables, "table"),
        week_types=[admin_pb2.TypeCount(type=type_, count=count) for type_, count in types],
        week_events=events,
        busiest_agent_events=store.busiest_agent(conn),
    )
    store.save(conn, name=STORAGE, time=now, body=stats.SerializeToString())
    return stats


def _of_kind(tables: Iterable[Table], kind: str) -> list[admin_pb2.TableStats]:
    return [
        admin_pb2.TableStats(name=table.name, rows=table.rows, exact=table.exact, bytes=table.bytes)
        for table in tables
        if table.kind == kind
    ]


def _together(name: str, parts: Iterable[admin_pb2.TableStats]) -> admin_pb2.TableStats:
    together = admin_pb2.TableStats(name=name, exact=True)
    for part in parts:
        together.rows += part.rows
        together.bytes += part.bytes
        together.exact &= part.exact
    return together


def measure_workspace(db: Database, root: Path) -> None:
    """Counts the files of the workspace, unless that was done lately."""
    with db.connection() as conn:
        if WORKSPACE in store.measured(conn, seconds=WORKSPACE_SECONDS):
            return
    counted = usage(root)
    with db.connection() as conn:
        now = event_store.now(conn)
        counted.measure_time.CopyFrom(to_timestamp(now))
        store.save(conn, name=WORKSPACE, time=now, body=counted.SerializeToString())


def usage(root: Path) -> admin_pb2.WorkspaceStats:
    """What lies under delegation/sprints of all projects. No link is followed, and none is counted."""
    counted = admin_pb2.WorkspaceStats()
    projects = root / PROJECTS_DIRECTORY
    of_projects = [projects / name for name in _directories(projects)]
    for project in (root, *of_projects):
        for name, size in _files(project / "delegation" / "sprints"):
            counted.files += 1
            counted.bytes += size
            counted.markdown_files += name.endswith(".md")
            counted.large_files += size > LARGE_BYTES
    return counted


def _directories(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(top: Path) -> Iterator[tuple[str, int]]:
    """Name and size of each file; what goes away meanwhile is passed over."""
    if top.is_symlink() or top.parent.is_symlink():
        return
    left = [top]
    while left:
        path = left.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(path / entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
