"""The SQL of the hourly rollups: counts of a project's events up to a position in the log.

The count of a range adds the whole hours in it, the raw events of the partial hours at both ends, and the raw
events after the position, which no rollup has yet. One statement reads all of them in one snapshot, and the
position moves in the transaction of the rollups, so the sum is always exact.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from orchestration_server.db.connection import Connection
from orchestration_server.store.event_counts import BY_COUNT, BY_KEY, NOT_EMPTY, SAMPLED_OUT, STATS_KEYS
from orchestration_server.store.horizon import HORIZON

READER = "rollups"
MAX_UNROLLED = 20_000
"""The number of events after the position from which raw counting is as fast."""

# A second run meanwhile finds the position locked and does nothing.
_ROLL: LiteralString = (
    HORIZON
    + """, at as materialized (
    select epoch, xid, seq from log_positions where reader = 'rollups' and project = %(project)s
    for update skip locked
), batch as materialized (
    select date_trunc('hour', e.occur_time, 'UTC') as hour, e.type, e.actor, e.epoch, e.xid, e.seq
    from h, at, lateral (
        select * from events
        where project = %(project)s and (epoch, xid, seq) > (at.epoch, at.xid, at.seq)
            and (epoch, xid) < (h.epoch, h.xid)
        order by epoch, xid, seq limit %(limit)s::bigint
    ) e
), rolled as (
    insert into event_rollups as r (project, dimension, hour, key, count)
    select %(project)s, d.dimension, b.hour, d.key, count(*)
    from batch b cross join lateral (values
        (0, ''), (1, b.type), (2, nullif(b.actor, ''))
    ) d (dimension, key)
    where d.key is not null
    group by d.dimension, b.hour, d.key
    on conflict (project, dimension, hour, key) do update set count = r.count + excluded.count
), moved as (
    update log_positions p set epoch = l.epoch, xid = l.xid, seq = l.seq
    from (select epoch, xid, seq from batch order by epoch desc, xid desc, seq desc limit 1) l
    where p.reader = 'rollups' and p.project = %(project)s
)
select count(*) from batch
"""
)
_AT: LiteralString = """
with at as materialized (
    select coalesce(p.epoch, 0) as epoch, coalesce(p.xid, '0'::xid8) as xid, coalesce(p.seq, 0) as seq
    from (values (1)) one
    left join log_positions p on p.reader = 'rollups' and p.project = %(project)s
)
"""
_BEHIND: LiteralString = """ from at, lateral (
    select * from events
    where project = %(project)s and (epoch, xid, seq) > (at.epoch, at.xid, at.seq)
    """
_COUNT_BEHIND: LiteralString = (
    _AT + "select count(*)" + _BEHIND + "order by epoch, xid, seq limit %(limit)s::bigint) e"
)
# Entities are not rolled up: with almost as many keys as events, they took ten times the space and were
# counted no faster.
_DIMENSIONS: dict[str, tuple[LiteralString, LiteralString]] = {
    "hour": ("0", "hour"),
    "day": ("0", "date_trunc('day', hour)"),
    "week": ("0", "date_trunc('week', hour)"),
    "type": ("1", "key"),
    "actor": ("2", "key"),
}
_HEAD: LiteralString = _AT + "select key, sum(count)::bigint, sum(sum(count)) over ()::bigint from (select "
_ROLLED: LiteralString = """ as key, count from event_rollups
    where project = %(project)s and hour >= %(first)s and hour < %(last)s and dimension = """
_RAW: LiteralString = " union all select "
_START: LiteralString = """
    where project = %(project)s and occur_time >= %(start)s and occur_time < %(first)s"""
_END: LiteralString = """
    where project = %(project)s and occur_time >= %(last)s and occur_time < %(end)s"""
# Archived events are in the hours already. Partial hours are read from both tables.
_EDGES: tuple[LiteralString, ...] = (
    ", 1 from events" + _START,
    ", 1 from events" + _END,
    ", 1 from archived_events" + _START,
    ", 1 from archived_events" + _END,
)
# The offset hides the times from the planner, which must use the order of the log.
_REST: LiteralString = ", 1" + _BEHIND + "offset 0) e where occur_time >= %(first)s and occur_time < %(last)s"


def roll(conn: Connection, *, project: str, limit: int) -> int:
    """Count up to ``limit`` of the next events below the horizon, and return their number.

    Return 0 if another session has locked the position.
    """
    row = conn.execute(_ROLL, {"project": project, "limit": limit}, name="rollups.roll").fetchone()
    assert row is not None
    return int(row[0])


def count_unrolled(conn: Connection, *, project: str) -> int:
    """Return the number of events that no rollup has, counted up to one above MAX_UNROLLED."""
    params = {"project": project, "limit": MAX_UNROLLED + 1}
    row = conn.execute(_COUNT_BEHIND, params, name="rollups.behind").fetchone()
    assert row is not None
    return int(row[0])


def stats(
    conn: Connection, *, project: str, group: str, start: datetime, end: datetime, limit: int
) -> list[tuple[Any, int, int]] | None:
    """Return the counts of ``event_counts.stats`` for the whole project, from the rollups.

    Return None if rollups do not help: for entities, for a range without a whole hour, and if too many events
    are not rolled up yet.
    """
    first, last = _hour(start), _hour(end)
    if group not in _DIMENSIONS or last <= start:
        return None
    if first < start:
        first += timedelta(hours=1)
    if first == last or count_unrolled(conn, project=project) > MAX_UNROLLED:
        return None
    dimension, rolled = _DIMENSIONS[group]
    raw, known = STATS_KEYS[group], NOT_EMPTY.get(group, "")
    query = _HEAD + rolled + _ROLLED + dimension
    for part in (*_EDGES, _REST):
        query += _RAW + raw + part + known
    query += _RAW + raw + SAMPLED_OUT + known
    query += ") counted" + (BY_KEY if group in ("hour", "day", "week") else BY_COUNT)
    params = {
        "project": project, "start": start, "first": first, "last": last, "end": end, "limit": limit,
    }  # fmt: skip
    return conn.execute(query, params, name="rollups.stats").fetchall()


def _hour(time: datetime) -> datetime:
    """Return the start of a time's hour in UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
