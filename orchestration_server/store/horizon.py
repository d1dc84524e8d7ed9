"""The horizon of the log, and the transactions that may still add events. Both are defined only here.

Postgres assigns transaction ids in the order of first writes, and transactions commit in another order. So
the log is complete only below the lowest id in progress, the horizon.
"""

from __future__ import annotations

from typing import LiteralString

# An id in progress adds no event if it belongs to another database, to autovacuum, or to the check of a month
# (store/archive.py). The ids come from the snapshot and are looked up later. A transaction that ends
# in between is taken for ours, which only lowers the horizon. pg_stat_activity shows no prepared
# transactions, so both views are needed.
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
"""The head of a statement: ``h`` is the horizon, and ``s`` the snapshot."""

OPEN: LiteralString = (
    """(
    select array_agg(x::text::bigint order by x) from pg_snapshot_xip(pg_current_snapshot()) as x
    where """
    + _OURS
    + ")"
)
"""The ids of the statement's snapshot that are in progress and may add events, or null."""

OPEN_IN_EPOCH: LiteralString = "case when epoch = (select epoch from log_state) then " + OPEN + " end"
"""``OPEN`` for a row of the log. It is null in older epochs, whose ids mean something else."""
