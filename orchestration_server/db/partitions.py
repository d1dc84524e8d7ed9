"""The partitions of the event table: one a month, made ahead of time.

`migrate` makes them, a background service goes on with it, and so does the write that misses one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

MIGRATION_LOCK = 7_229_116_401
"""The advisory lock of whoever changes the schema."""
MONTHS_AHEAD = 3


def add_missing(conn: Connection) -> None:
    """Makes the event partitions of this month and of three months ahead, where they are not there; in a
    transaction of the caller's."""
    conn.execute("select pg_advisory_xact_lock(%(key)s)", {"key": MIGRATION_LOCK})
    row = conn.execute("select date_trunc('month', now() - interval '1 day', 'UTC')").fetchone()
    assert row is not None
    month: datetime = row[0].astimezone(UTC)
    there = {
        name
        for (name,) in conn.execute(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = 'events_rest'::regclass"
        )
    }
    for _ in range(MONTHS_AHEAD + 2):
        following = (month + timedelta(days=32)).replace(day=1)
        name = f"events_rest_{month:%Y_%m}"
        if name not in there:
            add(conn, name, month, following)
        month = following


def add(conn: Connection, name: str, month: datetime, following: datetime) -> None:
    # The constraints say nothing new. They are what lets the partition be attached to the archive unread. A
    # table that is attached holds up no writer; one that is made as a partition waits for all of them.
    table, start, end = sql.Identifier(name), sql.Literal(month), sql.Literal(following)
    made = sql.SQL(
        "create table {table} (like events_rest including defaults,"
        " constraint archived_not_kept check (not kept and priority not in (1, 2)),"
        " constraint {bounds} check (emit_time >= {start} and emit_time < {end})"
        ") with (autovacuum_vacuum_insert_scale_factor = 0.05)"
    ).format(table=table, bounds=sql.Identifier(bounds_name(month)), start=start, end=end)
    attached = sql.SQL("alter table events_rest attach partition {} for values from ({}) to ({})")
    conn.execute(made.as_string(conn))
    conn.execute(attached.format(table, start, end).as_string(conn))


def bounds_name(lower: datetime) -> str:
    """The name of the CHECK of a partition's bounds, by the lower one."""
    return f"recorded_from_{lower.astimezone(UTC):%Y_%m_%d}"
