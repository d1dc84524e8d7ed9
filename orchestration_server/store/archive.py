"""The SQL of the archive: it lists partitions, moves them to the archive, and deletes them.

Each step that locks out other sessions is one function of the database (migrations/0010_archive.sql). It
commits as a whole or not at all, and gives up instead of waiting for callers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import errors, sql

from orchestration_server.db.connection import Connection
from orchestration_server.db.partitions import bounds_name

_BUSY = (errors.LockNotAvailable, errors.DeadlockDetected)

_PARTS: LiteralString = """
select c.relname, bound[1]::timestamptz, bound[2]::timestamptz, pg_total_relation_size(c.oid),
    c.reltuples::bigint
from pg_inherits i join pg_class c on c.oid = i.inhrelid, regexp_match(
    pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') as bound
where i.inhparent = %(parent)s::text::regclass
order by 2
"""
# A reader without a position has no work here, except the rollups, whose events statistics count raw.
_READERS: LiteralString = """
select p.reader, l.project
from ledger_last_events({part}) l cross join lateral (
    select reader, epoch, xid, seq - (rule is not null)::integer as seq from log_positions
    where project = l.project
    union all
    select 'rollups', 0, '0'::xid8, 0 where not exists (
        select from log_positions r where r.reader = 'rollups' and r.project = l.project)
) p
"""
_FEW: LiteralString = " order by l.project, 1 limit 20"
_BEHIND: LiteralString = _READERS + "where (p.epoch, p.xid, p.seq) < (l.epoch, l.xid, l.seq)" + _FEW
# This reads the log from the reader's position on, where few events are unless the reader is behind.
_BEHIND_TIME: LiteralString = (
    _READERS
    + """where exists (
    select from {table} e
    where e.project = l.project and (e.epoch, e.xid, e.seq) > (p.epoch, p.xid, p.seq)
        and case when e.emit_time < {before} then true end)"""
    + _FEW
)
_CHECKED: LiteralString = """
select count(*) filter (where convalidated), count(*) from pg_constraint
where conrelid = %(part)s::text::regclass and conname in ('archived_not_kept', %(bounds)s)
"""
_ADD_BOUNDS: LiteralString = """
select ledger_add_bounds(%(part)s::text::regclass, %(lower)s, %(upper)s, %(bounds)s)
"""
_MOVE: LiteralString = """
select ledger_archive_part(%(part)s::text::regclass, %(lower)s, %(upper)s, %(bounds)s, %(name)s)
"""
_PROJECTS: LiteralString = "select project from ledger_last_events(%(part)s::text::regclass)"
_CHUNK: LiteralString = """
select moved, upto
from ledger_archive_chunk(%(part)s::text::regclass, %(project)s, %(since)s, %(before)s, %(size)s)
"""
_DELETE: LiteralString = "select ledger_delete_archived(%(part)s::text::regclass, %(upper)s)"


class Partition(NamedTuple):
    """A partition, which has the events with an emit_time from ``lower`` to before ``upper``."""

    name: str
    lower: datetime
    upper: datetime
    bytes: int
    """The size with indexes."""
    events: int
    """The estimate of the table's statistics, or -1 without statistics."""


def live_partitions(conn: Connection) -> list[Partition]:
    """Return the months of the live log, oldest first."""
    return _parts(conn, "events_rest")


def archived_partitions(conn: Connection) -> list[Partition]:
    """Return the partitions of the archive, oldest first."""
    return _parts(conn, "archived_events")


def _parts(conn: Connection, parent: str) -> list[Partition]:
    return [
        Partition(*row) for row in conn.execute(_PARTS, {"parent": parent}, name="archive.parts").fetchall()
    ]


def count(conn: Connection, *, part: str, start: datetime, end: datetime) -> int:
    """Return the number of a partition's events between two times. It reads all of it, without a timeout."""
    command = sql.SQL("select count(*) from {} where emit_time >= {} and emit_time < {}").format(
        sql.Identifier(part), sql.Literal(start), sql.Literal(end)
    )
    with conn.transaction():
        conn.execute("set local statement_timeout = 0", name="archive.count")
        row = conn.execute(command.as_string(conn), name="archive.count").fetchone()
    assert row is not None
    return int(row[0])


def has_before(conn: Connection, *, part: str, time: datetime) -> bool:
    """Return whether a partition has events that were recorded before a time."""
    command = sql.SQL(
        "select exists (select from ledger_last_events({}) l cross join lateral ("
        "select from {} e where e.project = l.project and e.emit_time < {} limit 1) e)"
    ).format(sql.Literal(part), sql.Identifier(part), sql.Literal(time))
    row = conn.execute(command.as_string(conn), name="archive.has_before").fetchone()
    assert row is not None
    return bool(row[0])


@contextmanager
def exclusive(conn: Connection) -> Iterator[bool]:
    """Hold the lock of archiving for the length of a block. Give False if another session holds it."""
    key = {"name": "archive"}
    row = conn.execute(
        "select pg_try_advisory_lock(hashtextextended(%(name)s, 0))", key, name="archive.alone"
    ).fetchone()
    assert row is not None
    try:
        yield bool(row[0])
    finally:
        if row[0]:
            try:
                conn.execute(
                    "select pg_advisory_unlock(hashtextextended(%(name)s, 0))", key, name="archive.alone"
                )
            except psycopg.Error:
                # Closing the connection releases the lock, which its next borrower would keep otherwise.
                conn.close()


def readers_behind(conn: Connection, *, part: str, before: datetime | None = None) -> list[tuple[str, str]]:
    """Return up to 20 readers, with their projects, that have not read all events of a partition.

    With ``before``, only events that were recorded before that time count.
    """
    command = sql.SQL(_BEHIND if before is None else _BEHIND_TIME).format(
        part=sql.Literal(part), table=sql.Identifier(part), before=sql.Literal(before)
    )
    return [
        (row[0], row[1]) for row in conn.execute(command.as_string(conn), name="archive.behind").fetchall()
    ]


def check_bounds(conn: Connection, *, part: Partition, lower: datetime, seconds: float | None) -> bool:
    """Make sure that a partition's constraints prove its bounds, and that retention keeps none of its events.

    A partition that was made with these constraints is not read. Another one is, for at most ``seconds``: a
    second for some million events, without blocking readers or writers. Return False if it cannot be done.
    """
    bounds = bounds_name(lower)
    row = conn.execute(
        _CHECKED, {"part": part.name, "bounds": bounds}, name="archive.check_bounds"
    ).fetchone()
    if row == (2, 2):
        return True
    try:
        if row is None or row[1] != 2:
            conn.execute(
                _ADD_BOUNDS,
                {"part": part.name, "lower": lower, "upper": part.upper, "bounds": bounds},
                name="archive.check_bounds",
            )
        with conn.transaction():
            limit = 0 if seconds is None else max(1, int(seconds * 1000))
            conn.execute(
                "select set_config('statement_timeout', %(limit)s, true)",
                {"limit": str(limit)},
                name="archive.check_bounds",
            )
            # The transaction has an id while it reads. Because of this name the horizon does not wait for it.
            conn.execute("set local application_name = 'orchestration archive'", name="archive.check_bounds")
            _run(
                conn,
                "alter table {part} validate constraint archived_not_kept, validate constraint {bounds}",
                part=sql.Identifier(part.name),
                bounds=sql.Identifier(bounds),
            )
    except (*_BUSY, errors.QueryCanceled):
        return False
    return True


def move(conn: Connection, *, part: Partition, lower: datetime) -> bool:
    """Move a partition with checked bounds to the archive.

    Return False if other sessions use it. Then nothing has changed, and no session waited more than 100 ms.
    """
    try:
        conn.execute(
            _MOVE,
            {"part": part.name, "lower": lower, "upper": part.upper, "bounds": bounds_name(lower),
             "name": archived_partition_name(lower)}, name="archive.move",
        )  # fmt: skip
    except _BUSY:
        return False
    return True


def archived_partition_name(lower: datetime) -> str:
    """Return the name of the archive's partition that begins at a time."""
    return f"archived_events_{lower.astimezone(UTC):%Y_%m_%d}"


def begin_split(conn: Connection, *, lower: datetime, upper: datetime) -> bool:
    """Make the archive's partition for a part of a month. Return False if other sessions use the archive."""
    try:
        with conn.transaction():
            name = sql.Identifier(archived_partition_name(lower))
            _run(
                conn,
                "create table {name} (like archived_events including constraints)"
                " with (autovacuum_vacuum_insert_scale_factor = 0.05)",
                name=name,
            )
            _run(
                conn,
                "alter table archived_events attach partition {name} for values from ({lower}) to ({upper})",
                name=name,
                lower=sql.Literal(lower),
                upper=sql.Literal(upper),
            )
    except _BUSY:
        return False
    return True


def projects(conn: Connection, *, part: str) -> list[str]:
    """Return the projects with events in a partition."""
    return [row[0] for row in conn.execute(_PROJECTS, {"part": part}, name="archive.projects").fetchall()]


def move_chunk(
    conn: Connection, *, part: str, project: str, since: datetime, before: datetime, size: int
) -> tuple[int, datetime]:
    """Move the oldest events of a project and partition that were recorded between two times.

    Return their number, and the time at which the last of them was recorded.
    """
    row = conn.execute(
        _CHUNK,
        {"part": part, "project": project, "since": since, "before": before, "size": size},
        name="archive.move_chunk",
    ).fetchone()
    assert row is not None
    return int(row[0]), row[1] or since


def delete(conn: Connection, *, part: Partition) -> bool:
    """Delete a partition of the archive. Return False if other sessions use it."""
    try:
        conn.execute(_DELETE, {"part": part.name, "upper": part.upper}, name="archive.delete")
    except _BUSY:
        return False
    return True


def _run(conn: Connection, text: LiteralString, **parts: sql.Composable) -> None:
    """Run a command that takes identifiers and literals instead of parameters."""
    conn.execute(sql.SQL(text).format(**parts).as_string(conn), name="archive.run")
