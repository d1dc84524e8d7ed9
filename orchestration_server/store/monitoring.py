"""The SQL that measures the ledger in all projects: tables, the horizon, and the queues of services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.store.horizon import HORIZON
from orchestration_server.store.log_positions import PROJECTS

COUNTED_BYTES = 8 * 1024 * 1024
"""The size up to which the rows of a table are counted. Larger tables are estimated."""
AGENT_EVENTS = 20_000
"""The most events of a project that are read to find the busiest agent of the last minute."""

# Postgres may hide the start of a transaction of another role.
_HORIZON: LiteralString = (
    HORIZON
    + """
select case when h.xid < pg_snapshot_xmax(s.snapshot) then h.xid::text end, extract(epoch from
    clock_timestamp() - least(
        (select min(a.xact_start) from pg_stat_activity a where a.backend_xid = h.xid::xid),
        (select min(p.prepared) from pg_prepared_xacts p where p.transaction = h.xid::xid)))::float8
from s, h
"""
)
_FILES: LiteralString = """
select count(*), coalesce(extract(epoch from clock_timestamp() - min(queue_time)), 0)::float8 from file_outbox
"""
# At most 10,000 pending changes are counted. The changes of an entity are due together.
PENDING_CHANGES: LiteralString = """
select coalesce(sum(steps), 0)::bigint,
    greatest(coalesce(extract(epoch from clock_timestamp() - min(due)), 0), 0)::float8
from (
    select count(*) as steps, least(max(stable_time), min(latest_time)) as due
    from (select * from held_changes limit 10000) h group by project, entity_type, entity_code
) entities
"""
# The first event after the position has waited longest in its project.
_BEHIND: LiteralString = """
    from h, named n left join log_positions at on at.reader = %(reader)s and at.project = n.project,
    lateral (
        select e.emit_time from events e
        where e.project = n.project and (e.epoch, e.xid) < (h.epoch, h.xid)
            and (e.epoch, e.xid, e.seq) > (coalesce(at.epoch, 0), coalesce(at.xid, '0'::xid8),
                coalesce(at.seq, 0) - (at.rule is not null)::integer)
        order by e.epoch, e.xid, e.seq limit """
_READER: LiteralString = (
    HORIZON
    + PROJECTS
    + """
select (select count(*) from (select 1"""
    + _BEHIND
    + """1000) b limit 10000) counted), coalesce((
    select extract(epoch from clock_timestamp() - min(b.emit_time))"""
    + _BEHIND
    + """1) b), 0)::float8
"""
)
_TABLES: LiteralString = """
select t.kind, c.relname::text, r.counted, r.exact, pg_total_relation_size(c.oid)
from (
    select 'live' as kind, relid::oid from pg_partition_tree('events') where isleaf
    union all
    select 'archived', relid::oid from pg_partition_tree(to_regclass('archived_events')) where isleaf
    union all
    select 'table', oid from pg_class
    where relkind = 'r' and not relispartition
        and relnamespace = (select relnamespace from pg_class where oid = 'events'::regclass)
) t
join pg_class c on c.oid = t.relid, lateral ledger_rows(c.oid, %(most)s::bigint) r
order by t.kind, c.relname
"""
# Rollups have whole hours, so the first one may begin up to an hour before the week.
_WEEK: LiteralString = """
with recursive projects as (
    (select project from event_rollups order by project limit 1)
    union all
    select (select r.project from event_rollups r where r.project > p.project order by r.project limit 1)
    from projects p where p.project is not null
)
select r.key, sum(r.count)::bigint, sum(sum(r.count)) over ()::bigint
from projects p join event_rollups r on r.project = p.project and r.dimension = 1
    and r.hour >= date_trunc('hour', now() - interval '7 days')
group by r.key order by 2 desc, 1 limit %(limit)s::bigint
"""
_BUSIEST: LiteralString = (
    "with one as (select 1)"
    + PROJECTS
    + """
select coalesce(max(most.n), 0) from named n, lateral (
    select count(*) as n from (
        select e.agent from events e
        where e.project = n.project and e.emit_time > now() - interval '1 minute'
        order by e.emit_time desc limit %(limit)s::bigint
    ) recent
    where recent.agent <> '' and not starts_with(recent.agent, 'orchestration.')
    group by recent.agent order by 1 desc limit 1
) most
"""
)
_GET: LiteralString = """
select name, measure_time, body from measurements
where measure_time > clock_timestamp() - %(seconds)s::bigint * interval '1 second'
"""
_SAVE: LiteralString = """
insert into measurements (name, measure_time, body) values (%(name)s, %(time)s, %(body)s)
on conflict (name) do update set measure_time = excluded.measure_time, body = excluded.body
"""


class HorizonHolder(NamedTuple):
    """The transaction that holds the horizon back, and the seconds for which it has run.

    Both are None if no transaction does. The seconds are also None if Postgres hides them.
    """

    transaction: str | None
    seconds: float | None


class Backlog(NamedTuple):
    """The backlog of a background service: the waiting rows, and the seconds that the oldest has waited."""

    rows: int
    oldest: float


class TableSize(NamedTuple):
    """The size of a table or of a partition of the log. ``kind`` is table, live or archived."""

    kind: str
    name: str
    rows: int
    exact: bool
    bytes: int
    """The size with indexes."""


def horizon(conn: Connection) -> HorizonHolder:
    """Return the transaction that holds the horizon back."""
    row = conn.execute(_HORIZON, name="monitoring.horizon").fetchone()
    assert row is not None
    return HorizonHolder(row[0], row[1] if row[0] is not None else None)


def file_backlog(conn: Connection) -> Backlog:
    """Return the backlog of entities whose files are to be written."""
    row = conn.execute(_FILES, name="monitoring.files_waiting").fetchone()
    assert row is not None
    return Backlog(row[0], row[1])


def pending_changes_backlog(conn: Connection) -> Backlog:
    """Return the backlog of pending changes, counted up to 10,000. The oldest waits from its due time."""
    row = conn.execute(PENDING_CHANGES, name="monitoring.held_waiting").fetchone()
    assert row is not None
    return Backlog(row[0], row[1])


def event_backlog(conn: Connection, *, reader: str) -> Backlog:
    """Return the backlog of a reader's events, counted up to 1,000 a project and 10,000 in all."""
    row = conn.execute(_READER, {"reader": reader, "after": ""}, name="monitoring.events_waiting").fetchone()
    assert row is not None
    return Backlog(row[0], row[1])


def tables(conn: Connection) -> list[TableSize]:
    """Return all tables of the ledger and the partitions of its log."""
    return [
        TableSize(*row)
        for row in conn.execute(_TABLES, {"most": COUNTED_BYTES}, name="monitoring.tables").fetchall()
    ]


def count_week_by_type(conn: Connection, *, limit: int) -> tuple[list[tuple[str, int]], int]:
    """Return the rolled-up events of the last 7 days by type, most first, and the number of all types."""
    rows = conn.execute(_WEEK, {"limit": limit}, name="monitoring.week").fetchall()
    return [(row[0], row[1]) for row in rows], rows[0][2] if rows else 0


def busiest_agent(conn: Connection) -> int:
    """Return the most events of an agent in the last minute. Services of the server do not count."""
    row = conn.execute(
        _BUSIEST, {"after": "", "limit": AGENT_EVENTS}, name="monitoring.busiest_agent"
    ).fetchone()
    assert row is not None
    return int(row[0])


def get_measurements(conn: Connection, *, seconds: int) -> dict[str, tuple[datetime, bytes]]:
    """Return the measurements of the last ``seconds`` by name."""
    rows: Sequence[tuple[str, datetime, bytes]] = conn.execute(
        _GET, {"seconds": seconds}, name="monitoring.measured"
    ).fetchall()
    return {name: (time, body) for name, time, body in rows}


def save(conn: Connection, *, name: str, time: datetime, body: bytes) -> None:
    """Store a measurement in place of the one before."""
    conn.execute(_SAVE, {"name": name, "time": time, "body": body}, name="monitoring.save")
