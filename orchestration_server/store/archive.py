"""The SQL of the archive: which partitions there are, and what moves and deletes them.

What holds a lock that others wait for is one function of the database (migrations/0010_archive.sql): it
commits whole or not at all, and waits for nobody who calls.
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
# A reader that was never there has nothing to come; the rollups have, as statistics count what they have not.
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
# In the order of the log from the reader's place on: few events stand there, unless it is behind.
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
    """A partition, and what of the time by emit_time it takes."""

    name: str
    lower: datetime
    upper: datetime
    bytes: int
    """Of its rows and indexes."""
    events: int
    """By the statistics of the table; -1 where it has none yet."""


def live_partitions(conn: Connection) -> list[Partition]:
    """The months of the log, oldest first."""
    return _parts(conn, "events_rest")


def archived_partitions(conn: Connection) -> list[Partition]:
    """The parts of the archive, oldest first."""
    return _parts(conn, "archived_events")


def _parts(conn: Connection, parent: str) -> list[Partition]:
    return [
        Partition(*row) for row in conn.execute(_PARTS, {"parent": parent}, name="archive.parts").fetchall()
    ]


def count(conn: Connection, *, part: str, start: datetime, end: datetime) -> int:
    """How many events a partition has from between two times: reads all of it, however long that takes."""
    command = sql.SQL("select count(*) from {} where emit_time >= {} and emit_time < {}").format(
        sql.Identifier(part), sql.Literal(start), sql.Literal(end)
    )
    with conn.transaction():
        conn.execute("set local statement_timeout = 0", name="archive.count")
        row = conn.execute(command.as_string(conn), name="archive.count").fetchone()
    assert row is not None
    return int(row[0])


def has_before(conn: Connection, *, part: str, time: datetime) -> bool:
    """Whether a partition has events that were recorded before a time."""
    command = sql.SQL(
        "select exists (select from ledger_last_events({}) l cross join lateral ("
        "select from {} e where e.project = l.project and e.emit_time < {} limit 1) e)"
    ).format(sql.Literal(part), sql.Identifier(part), sql.Literal(time))
    row = conn.execute(command.as_string(conn), name="archive.has_before").fetchone()
    assert row is not None
    return bool(row[0])


@contextmanager
def exclusive(conn: Connection) -> Iterator[bool]:
    """Whether nobody else moves or deletes parts, for the length of the block."""
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
                # With its connection goes the lock, which the next user of it would hold on to.
                conn.close()


def readers_behind(conn: Connection, *, part: str, before: datetime | None = None) -> list[tuple[str, str]]:
    """Readers of the log that have not read all of a partition yet, or all of it that was recorded before a
    time, each with the project: at most 20."""
    command = sql.SQL(_BEHIND if before is None else _BEHIND_TIME).format(
        part=sql.Literal(part), table=sql.Identifier(part), before=sql.Literal(before)
    )
    return [
        (row[0], row[1]) for row in conn.execute(command.as_string(conn), name="archive.behind").fetchall()
    ]


def check_bounds(conn: Connection, *, part: Partition, lower: datetime, seconds: float | None) -> bool:
    """Sees to it that a partition is known to have events between two times alone, all of which may go.

    Those that are made with that knowledge are not read. Others are, which takes a second for some million
    events and stops neither readers nor writers; at most so many seconds. False where it cannot be done now.
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
            # It has its id before it reads and for as long: by this name no reader of the log waits for it.
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
    """Moves a partition whose bounds are checked to the archive. False where others hold it: then nothing is
    changed, and nobody waited for more than 100 ms."""
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
    """The name of the part of the archive that begins with a day."""
    return f"archived_events_{lower.astimezone(UTC):%Y_%m_%d}"


def begin_split(conn: Connection, *, lower: datetime, upper: datetime) -> bool:
    """Makes the part of the archive that events of a part of a month are moved to."""
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
    """The projects that have events in a partition."""
    return [row[0] for row in conn.execute(_PROJECTS, {"part": part}, name="archive.projects").fetchall()]


def move_chunk(
    conn: Connection, *, part: str, project: str, since: datetime, before: datetime, size: int
) -> tuple[int, datetime]:
    """Moves the oldest events of a project in a partition, recorded between two times; how many it were, and
    when the last of them was recorded."""
    row = conn.execute(
        _CHUNK,
        {"part": part, "project": project, "since": since, "before": before, "size": size},
        name="archive.move_chunk",
    ).fetchone()
    assert row is not None
    return int(row[0]), row[1] or since


def delete(conn: Connection, *, part: Partition) -> bool:
    """Deletes a part of the archive. False where others hold it."""
    try:
        conn.execute(_DELETE, {"part": part.name, "upper": part.upper}, name="archive.delete")
    except _BUSY:
        return False
    return True


def _run(conn: Connection, text: LiteralString, **parts: sql.Composable) -> None:
    """Runs a command on what has no parameters."""
    conn.execute(sql.SQL(text).format(**parts).as_string(conn), name="archive.run")
