"""The partitions of the event table: one a month, made ahead of time.

`migrate` makes them, then a background service, and a write that finds none for the present time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

MIGRATION_LOCK = 7_229_116_401
"""The advisory lock for changes of the schema."""
MONTHS_AHEAD = 3


def add_missing(conn: Connection) -> None:
    """Make the missing event partitions of this month and of the next three, in the caller's transaction."""
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
    """Make the partition of a month, which ends at the start of the ``following`` month.

    Its constraints repeat its bounds, so that it can be attached to the archive without reading it. Attaching
    a table blocks no writer. `create table ... partition of` would wait for all of them.
    """
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
    """Return the name of the constraint of a partition's bounds, by the lower bound."""
    return f"recorded_from_{lower.astimezone(UTC):%Y_%m_%d}"
