"""Checks of the ledger's schema and of the work of its background services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from orchestration_server.db.partitions import MONTHS_AHEAD
from orchestration_server.doctor.findings import (
    DAY,
    HOUR,
    Finding,
    Installation,
    failed,
    format_duration,
    format_size,
    ok,
    warning,
)
from orchestration_server.store import diagnosis
from orchestration_server.store.migrations import released

REQUEST_SECONDS = 25 * HOUR
"""Answers are kept for 24 hours. A service deletes older ones each minute."""
PENDING_SECONDS = 60.0
OUTBOX_ROWS = 1_000
OUTBOX_SECONDS = 300.0
LAST_DAYS = 7
NETWORK_FILES = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "9p",
        "virtiofs",
        "gfs2",
        "ocfs2",
    )
)
_BOUNDS = re.compile(r"FROM \('([^']+)'\) TO \('([^']+)'\)")
_WORK = "orchestration worker    # or serve without --no-background"


def is_ledger(installation: Installation) -> bool:
    """Return True if the database has a ledger of this release that the role may read."""
    try:
        with installation.conn.transaction():
            return diagnosis.applied_migrations(installation.conn) == released()
    except psycopg.Error:
        # The checks of the role and the schema report what is missing.
        return False


def schema(installation: Installation) -> Iterator[Finding]:
    """Check that the schema is that of this release."""
    try:
        applied, known = diagnosis.applied_migrations(installation.conn), released()
    except psycopg.errors.UndefinedColumn:
        yield failed(
            "the table migrations in this schema belongs to another program",
            "create schema ledger, then end DATABASE_URL in ?options=-csearch_path%3Dledger",
        )
        return
    migrate = "orchestration migrate" if not installation.built_in else "orchestration serve"
    if applied is None:
        yield warning("this database has no ledger yet", migrate)
        return
    ahead = [name for name in applied if name not in known]
    missing = [name for name in known if name not in applied]
    if ahead:
        yield failed(
            f"the database is ahead of this release by {', '.join(ahead)}",
            "git pull && make venv    # the release that migrated it, or a newer one",
        )
    elif missing:
        yield warning(f"the next start applies {', '.join(missing)}", migrate)
    else:
        yield ok(f"that of this release, {known[-1].removesuffix('.sql')}")


def partitions(installation: Installation) -> Iterator[Finding]:
    """Check that event partitions exist for the next three months, and that no events are outside of them."""
    found = diagnosis.partitions(installation.conn)
    now = diagnosis.clock(installation.conn)
    end = covered_until(now, [bounds for one in found if (bounds := _months(one.bounds)) is not None])
    wanted = _first_of_month(now, MONTHS_AHEAD + 1)
    if end < now + timedelta(days=LAST_DAYS):
        yield failed(
            f"event partitions end on {end:%Y-%m-%d}: from then on every write fails", "orchestration migrate"
        )
    elif end < wanted:
        yield warning(
            f"event partitions end on {end:%Y-%m-%d}: there should be some for {MONTHS_AHEAD} months, and no"
            " service creates them",
            f"orchestration migrate && {_WORK}",
        )
    else:
        yield ok(f"up to {end:%Y-%m-%d}")
    for one in found:
        if one.bounds == "DEFAULT" and one.bytes:
            yield failed(
                f"the default partition {one.name} has rows ({format_size(one.bytes)}): no partition can be"
                " created for their months",
                installation.psql_command(f"alter table events_rest detach partition {one.name}")
                + "    # then move its rows, and drop it",
            )
    for name in diagnosis.stray_partitions(installation.conn):
        yield warning(
            f"no query reads the events in {name}: it is not attached to a table",
            installation.psql_command(f"\\d+ {name}")
            + "    # then attach it to the parent of its months, or drop it",
        )


def covered_until(now: datetime, months: list[tuple[datetime, datetime]]) -> datetime:
    """Return the time until which there is a partition for every moment from now on."""
    end = now
    for first, last in sorted(months):
        if first <= end:
            end = max(end, last)
    return end


def _months(bounds: str) -> tuple[datetime, datetime] | None:
    match = _BOUNDS.search(bounds)
    if match is None:
        return None
    return datetime.fromisoformat(match[1]).astimezone(UTC), datetime.fromisoformat(match[2]).astimezone(UTC)


def _first_of_month(now: datetime, ahead: int) -> datetime:
    months = now.year * 12 + now.month - 1 + ahead
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def requests(installation: Installation) -> Iterator[Finding]:
    """Check that remembered answers are deleted after a day."""
    seconds = diagnosis.oldest_request(installation.conn)
    if seconds is not None and seconds > REQUEST_SECONDS:
        yield warning(
            f"the oldest remembered answer is {format_duration(seconds)} old; the limit is"
            f" {format_duration(DAY)}: no background service runs",
            _WORK,
        )
    else:
        yield ok("none remembered" if seconds is None else f"the oldest is {format_duration(seconds)} old")


def pending_changes(installation: Installation) -> Iterator[Finding]:
    """Check that pending changes are logged when they are due."""
    found = diagnosis.pending_changes(installation.conn)
    if found.oldest > PENDING_SECONDS:
        yield warning(
            f"{found.rows:,} changes of a status are pending, and one should have been logged"
            f" {format_duration(found.oldest)} ago: no background service runs",
            _WORK,
        )
    else:
        yield ok(f"{found.rows:,} pending, none for too long" if found.rows else "none")


def outbox(installation: Installation) -> Iterator[Finding]:
    """Check that requested files are written."""
    found = diagnosis.outbox(installation.conn)
    if not found.rows:
        yield ok("empty")
        return
    text = f"{found.rows:,} wait, the oldest for {format_duration(found.seconds or 0.0)}"
    if found.failing:
        yield warning(
            f"{text}; {found.failing:,} failed before, the last with: {found.error}",
            "docs/files.md, When it fails",
        )
    elif found.rows > OUTBOX_ROWS or (found.seconds or 0.0) > OUTBOX_SECONDS:
        root = installation.settings.workspace
        yield warning(text, f"orchestration worker --workspace {root or 'DIR'}    # one more worker")
    else:
        yield ok(text)


def shared_workspace(installation: Installation) -> Iterator[Finding]:
    """Check that the workspace is shared if servers of several machines use the database."""
    root = installation.settings.workspace
    if root is None or not root.is_dir():
        return
    hosts = diagnosis.connections(installation.conn).hosts
    kind = file_system(root)
    if hosts > 1 and kind not in NETWORK_FILES:
        yield warning(
            f"servers of {hosts} machines use this database, and {root} is on a disk of this one ({kind})",
            "a directory that all of them mount, on NFS for example",
        )
    else:
        yield ok(f"on {kind}; every server and worker needs this same directory")


def file_system(path: Path) -> str:
    """Return the type of the file system of a path."""
    best, kind = Path("/"), "unknown"
    real = path.resolve()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, found, *_ = line.split(" ")
        mount = Path(place.encode().decode("unicode_escape"))
        if (mount == real or mount in real.parents) and len(mount.parts) >= len(best.parts):
            best, kind = mount, found
    return kind
