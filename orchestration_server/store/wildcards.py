"""Filters with wildcards: each type below a prefix is read by the index of types.

The rollups have all types up to their position in the log. The few events after it are walked.
"""

from __future__ import annotations

from typing import LiteralString

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import EventFilter, Position
from orchestration_server.names import split_types
from orchestration_server.store.event_queries import LEADS, MAX_BRANCHES, Selection, select, select_types

MAX_UNROLLED = 2_000
"""The number of events after the rollups from which the project's index is walked instead."""
# The query skips from one type to the next. In this collation "/" follows "." directly.
_TYPES: LiteralString = """
with at as materialized (
    select epoch, xid, seq from log_positions where reader = 'rollups' and project = %(project)s
), keys as materialized (
    select t.key from unnest(%(prefixes)s::text[], %(ends)s::text[]) as w (prefix, end_) cross join lateral (
        with recursive named as (
            (select r.key from event_rollups r
                where r.project = %(project)s and r.dimension = 1
                    and r.key collate "C" > w.prefix and r.key collate "C" < w.end_
                order by r.key collate "C" limit 1)
            union all
            select (select r.key from event_rollups r
                where r.project = %(project)s and r.dimension = 1
                    and r.key collate "C" > n.key and r.key collate "C" < w.end_
                order by r.key collate "C" limit 1)
            from named n where n.key is not null
        )
        select key from named where key is not null limit %(most)s::bigint
    ) t
)
select at.epoch, at.xid::text::bigint, at.seq, array(select distinct key from keys order by key), (
    select e.seq from events e
    where e.project = %(project)s and (e.epoch, e.xid, e.seq) > (at.epoch, at.xid, at.seq)
    order by e.epoch, e.xid, e.seq offset %(behind)s::bigint limit 1) is not null
from at
"""


def selected(conn: Connection, project: str, event_filter: EventFilter) -> Selection:
    """Return the read of a filter's events, with each type below its wildcards by the index of types."""
    plain = select(project, event_filter)
    exact, prefixes = split_types(event_filter.types)
    if not prefixes or any(getattr(event_filter, name) for name in LEADS):
        return plain
    row = conn.execute(
        _TYPES,
        {
            "project": project,
            "prefixes": TextArray(prefixes),
            "ends": TextArray(prefix[:-1] + "/" for prefix in prefixes),
            "most": MAX_BRANCHES + 1,
            "behind": MAX_UNROLLED,
        },
        name="wildcards.selected",
    ).fetchone()
    if row is None or row[4]:
        return plain
    types = list(dict.fromkeys([*exact, *row[3]]))
    if len(types) > MAX_BRANCHES:
        return plain
    return select_types(plain, types, Position(row[0], row[1], row[2]))
