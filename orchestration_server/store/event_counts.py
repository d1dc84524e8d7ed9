"""The SQL that counts raw events. rollups.py counts whole hours."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

from orchestration_server.db.connection import Connection
from orchestration_server.model import EventFilter
from orchestration_server.store.event_queries import select

STATS_KEYS: dict[str, LiteralString] = {
    "hour": "date_trunc('hour', occur_time)",
    "day": "date_trunc('day', occur_time)",
    "week": "date_trunc('week', occur_time)",
    "type": "type",
    "entity": "entity_type::text || '/' || entity_code",
    "actor": "actor",
}
# The version of a project's events: the number of archivings and deletions, the last event, the open
# transactions before it, and the number of sampled events. It only grows, compared in this order.
_VERSION: LiteralString = """
select (select sum(moves)::bigint from archive_edges where project = %(project)s), e.epoch,
    e.xid::text::bigint, e.seq, (
    select string_agg(x::text, ',' order by x) from pg_snapshot_xip(pg_current_snapshot()) as x
    where x < e.xid), (
    select count from sampled_out where project = %(project)s and minute = '-infinity')
from (values (1)) one left join (
    select epoch, xid, seq from events where project = %(project)s
    order by epoch desc, xid desc, seq desc limit 1
) e on true
"""
_STATS_HEAD: LiteralString = """
select key, sum(count)::bigint, sum(sum(count)) over ()::bigint from ("""
# Sampled events count like stored ones, by their minute.
SAMPLED_OUT: LiteralString = """, count from (
        select *, minute as occur_time from sampled_out
        where project = %(project)s and minute >= %(start)s and minute < %(end)s
    ) left_out where true"""
_STATS_RANGE: LiteralString = " and occur_time >= %(start)s and occur_time < %(end)s"
_STATS_TAIL: LiteralString = ") counted"
BY_KEY: LiteralString = " group by 1 order by 1 limit %(limit)s::bigint"
BY_COUNT: LiteralString = " group by 1 order by 2 desc, 1 limit %(limit)s::bigint"
NOT_EMPTY: dict[str, LiteralString] = {
    "entity": " and entity_type <> 0",
    "actor": " and actor <> ''",
}


def version(conn: Connection, *, project: str) -> list[Any]:
    """Return the current version of a project's events. Equal versions have equal events."""
    row = conn.execute(_VERSION, {"project": project}, name="statistics.version").fetchone()
    assert row is not None
    return list(row)


def stats(
    conn: Connection,
    *,
    project: str,
    group: str,
    start: datetime,
    end: datetime,
    sprint: str,
    limit: int,
) -> list[tuple[Any, int, int]]:
    """Return groups with their counts and the count of all groups. Archived events count, too."""
    selected = select(project, EventFilter(sprint_code=sprint))
    key, known = STATS_KEYS[group], NOT_EMPTY.get(group, "")
    parents: list[LiteralString] = ["events", "archived_events"]
    raw: list[LiteralString] = [
        "select " + key + " as key, count(*) as count from " + parent + " where " + selected.branches[0]
        + _STATS_RANGE + known + " group by 1"
        for parent in parents
    ]  # fmt: skip
    both: LiteralString = " union all ".join(raw)
    query = _STATS_HEAD + both + " union all select " + key + SAMPLED_OUT + known
    query += " and sprint_code = %(of_sprint)s" + _STATS_TAIL if sprint else _STATS_TAIL
    query += BY_KEY if group in ("hour", "day", "week") else BY_COUNT
    params = {"project": project, "start": start, "end": end, "limit": limit, "of_sprint": sprint}
    return conn.execute(query, selected.params | params, name="statistics.stats").fetchall()
