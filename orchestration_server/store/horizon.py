"""The horizon: which transactions may still add events to the log. The one definition of both.

Postgres hands transaction ids out in the order of first writes, and transactions commit in another. So the
log is complete only below the lowest id in progress.
"""

from __future__ import annotations

from typing import LiteralString

# An id in progress writes no event of this log if it belongs to another database of the cluster, to the
# archive while it reads a month (store/archive.py), or to autovacuum. Ids are taken from the snapshot first
# and looked up after: one that ends in between counts as ours, which only waits. pg_stat_activity shows no
# prepared transaction, so both views are asked.
_OURS: LiteralString = """not exists (
            select from pg_stat_activity a
            where a.backend_xid = x::xid and (a.datname <> current_database()
                or a.application_name = 'orchestration archive' or a.backend_type = 'autovacuum worker'))
        and not exists (
            select from pg_prepared_xacts p
            where p.transaction = x::xid and p.database <> current_database())"""

HORIZON: LiteralString = (
    """
with s as materialized (
    select pg_current_snapshot() as snapshot, epoch from log_state
), h as materialized (
    select s.epoch, coalesce((
        select min(x) from pg_snapshot_xip(s.snapshot) as x
        where """
    + _OURS
    + """
    ), pg_snapshot_xmax(s.snapshot)) as xid
    from s
)
"""
)
"""Heads a statement: ``h`` is the place below which every transaction has ended, ``s`` the snapshot."""

OPEN: LiteralString = (
    """(
    select array_agg(x::text::bigint order by x) from pg_snapshot_xip(pg_current_snapshot()) as x
    where """
    + _OURS
    + ")"
)
"""The ids in progress that may add events, as the statement's snapshot has them; null if there are none."""

OPEN_IN_EPOCH: LiteralString = "case when epoch = (select epoch from log_state) then " + OPEN + " end"
"""``OPEN`` for a row of the log: ids of the current epoch mean nothing in an older one."""
