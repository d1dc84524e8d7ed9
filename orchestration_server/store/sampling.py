"""The SQL that folds the counts of sampled events: new ones are by the minute, old ones by the hour."""

from __future__ import annotations

from typing import LiteralString

from orchestration_server.db.connection import Connection

DAYS = 2
"""The age in days from which counts are folded by the hour."""

_OLD: LiteralString = """not folded and minute > '-infinity'
    and minute < clock_timestamp() - %(days)s::bigint * interval '1 day'"""
# The other rows are added to those of whole hours. A separate statement marks these first, since no statement
# may change a row twice.
_FOLD_HOURS: LiteralString = (
    "update sampled_out set folded = true where " + _OLD + " and minute = date_trunc('hour', minute, 'UTC')"
)
_FOLD_MINUTES: LiteralString = (
    """
with due as materialized (
    select project, minute, type, actor, entity_type, entity_code, sprint_code from sampled_out where """
    + _OLD
    + """
    order by minute limit %(limit)s::bigint
    for update
), gone as (
    delete from sampled_out o using due d
    where (o.project, o.minute, o.type, o.actor, o.entity_type, o.entity_code, o.sprint_code)
        = (d.project, d.minute, d.type, d.actor, d.entity_type, d.entity_code, d.sprint_code)
    returning o.*
), folded as (
    insert into sampled_out as o
        (project, minute, type, actor, entity_type, entity_code, sprint_code, count, folded)
    select project, date_trunc('hour', minute, 'UTC'), type, actor, entity_type, entity_code, sprint_code,
        sum(count), true
    from gone
    group by 1, 2, 3, 4, 5, 6, 7
    order by 1, 2, 3, 4, 5, 6, 7
    on conflict (project, minute, type, actor, entity_type, entity_code, sprint_code)
        do update set count = o.count + excluded.count
)
select count(*) from gone
"""
)


def fold(conn: Connection, *, limit: int) -> int:
    """Fold old counts in the caller's transaction, and return the number of rows that were folded."""
    params = {"days": DAYS, "limit": limit}
    conn.execute(_FOLD_HOURS, params, name="sampling.fold")
    row = conn.execute(_FOLD_MINUTES, params, name="sampling.fold").fetchone()
    assert row is not None
    return int(row[0])
