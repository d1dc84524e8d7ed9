"""The SQL that reads the event log. Events are written by writes.py alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.model import (
    BEGINNING,
    EntityType,
    EventFilter,
    Position,
    StoredEvent,
)
from orchestration_server.store.arrays import Texts
from orchestration_server.store.connection import Connection
from orchestration_server.store.selection import select

# Every transaction below the horizon has ended: the lowest id in progress that is not known to belong to
# another database of the cluster, else the first one not handed out. An id is taken from the snapshot
# first and looked up after, so one that ends in between counts as ours, which only waits.
HORIZON: LiteralString = """
with s as materialized (
    select pg_current_snapshot() as snapshot, epoch from log_state
), h as materialized (
    select s.epoch, coalesce((
        select min(x) from pg_snapshot_xip(s.snapshot) as x
        where not exists (
            select from pg_stat_activity a join pg_database d on d.oid = a.datid
            where a.backend_xid = x::xid and d.datname <> current_database())
    ), pg_snapshot_xmax(s.snapshot)) as xid
    from s
)
"""
# Beside the page the last event of the project below the horizon, in the same snapshot.
_PAGE_HEAD: LiteralString = """
select h.epoch, h.xid::text::bigint, l.epoch, l.xid::text::bigint, l.seq,
    e.epoch, e.xid::text::bigint, e.seq, e.body
from h left join lateral (
    select epoch, xid, seq from events
    where project = %(project)s and (epoch, xid) < (h.epoch, h.xid)
    order by epoch desc, xid desc, seq desc limit 1
) l on true left join lateral ("""
_PAGE_TAIL: LiteralString = ") e on true order by e.epoch, e.xid, e.seq"
_UP_TO: LiteralString = " and (epoch, xid) < (h.epoch, h.xid)"
_AFTER: LiteralString = """
    and (epoch, xid, seq) > (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)
    and (epoch, xid) < (h.epoch, h.xid)"""
_BELOW: LiteralString = " and (epoch, xid) < ((select epoch from h), (select xid from h))"
_IN_LOG: LiteralString = " order by epoch, xid, seq"
_BACK_IN_LOG: LiteralString = " order by epoch desc, xid desc, seq desc"
_NEWEST_FIRST: LiteralString = " order by occur_time desc, seq desc"
_OLDEST_FIRST: LiteralString = " order by occur_time, seq"
_TAIL: LiteralString = (
    HORIZON
    + """
select h.epoch, h.xid::text::bigint, e.epoch, e.xid::text::bigint, e.seq, e.project, e.type,
    e.entity_type, e.entity_code, e.sprint_code, e.priority, e.correlation_id, e.session_key, e.body,
    extract(epoch from clock_timestamp() - e.emit_time)::float8
from h left join lateral (
    select * from events
    where project = any(%(projects)s::text[])
        and (epoch, xid, seq) > (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)
        and (epoch, xid) < (h.epoch, h.xid)
    order by epoch, xid, seq limit %(limit)s::bigint
) e on true
"""
)
_PLACES_HEAD: LiteralString = "select epoch, xid::text::bigint, seq from ("
_PLACES_TAIL: LiteralString = ") place" + _BACK_IN_LOG + " offset %(last)s::bigint limit 1"
_AT_TIME: LiteralString = """
select epoch, xid::text::bigint, seq from (
    select epoch, xid, seq from events where project = %(project)s and emit_time >= %(time)s
    order by emit_time limit 1000
) first order by first.epoch, first.xid, first.seq limit 1
"""
_KNOWS: LiteralString = """
select exists (select from events where project = %(project)s and epoch = %(epoch)s::integer
    and xid = %(xid)s::text::xid8 and seq = %(seq)s::bigint)
"""
_GET: LiteralString = """
select epoch, xid::text::bigint, seq, body from events
where event_id = %(event_id)s::uuid and project = %(project)s
"""
STATS_KEYS: dict[str, LiteralString] = {
    "hour": "date_trunc('hour', occur_time)",
    "day": "date_trunc('day', occur_time)",
    "week": "date_trunc('week', occur_time)",
    "type": "type",
    "entity": "entity_type::text || '/' || entity_code",
    "actor": "actor",
}
# The version of a project's events: the last one, and the transactions before it that may yet bring more.
_VERSION: LiteralString = """
select e.epoch, e.xid::text::bigint, e.seq, (
    select string_agg(x::text, ',' order by x) from pg_snapshot_xip(pg_current_snapshot()) as x
    where x < e.xid)
from events e where e.project = %(project)s order by e.epoch desc, e.xid desc, e.seq desc limit 1
"""
_STATS_FROM: LiteralString = """ as key, count(*), sum(count(*)) over ()::bigint
from events where """
_STATS_RANGE: LiteralString = " and occur_time >= %(start)s and occur_time < %(end)s"
BY_KEY: LiteralString = " group by 1 order by 1 limit %(limit)s::bigint"
BY_COUNT: LiteralString = " group by 1 order by 2 desc, 1 limit %(limit)s::bigint"
NOT_EMPTY: dict[str, LiteralString] = {
    "entity": " and entity_type <> 0",
    "actor": " and actor <> ''",
}


class TailRow(NamedTuple):
    """A new event with the columns that filters ask for."""

    position: Position
    project: str
    type: str
    entity_type: int
    entity_code: str
    sprint_code: str
    priority: int
    correlation_id: str
    session_key: str
    body: bytes
    age: float
    """Seconds since it was recorded, by the database's clock."""


def secret(conn: Connection) -> bytes:
    """The log's own key."""
    row = conn.execute("select secret from log_state").fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def nonces(conn: Connection) -> dict[int, bytes]:
    """The nonce of each epoch, which tells it from the one of this number in another copy of the log."""
    return dict(
        conn.execute(
            "select epoch, nonce from log_epochs union all select epoch, nonce from log_state"
        ).fetchall()
    )


def identity(conn: Connection) -> bytes:
    """32 bytes that no other log has: copies share a secret, those of one cluster its epoch too."""
    row = conn.execute(
        "select sha256(secret || nonce || convert_to(current_database(), 'UTF8')) from log_state",
    ).fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def now(conn: Connection) -> datetime:
    """The database's clock."""
    row = conn.execute("select clock_timestamp()").fetchone()
    assert row is not None
    value: datetime = row[0]
    return value


class Page(NamedTuple):
    """Events in the order of the log."""

    events: list[StoredEvent]
    horizon: Position
    """What they were read below."""
    last: Position
    """The last event of the project below the horizon, wanted or not; the beginning where there is none."""


def page(conn: Connection, *, project: str, after: Position, limit: int, chosen: EventFilter) -> Page:
    """The next events of the log after a place, at most ``limit``."""
    selected = select(project, chosen)
    query = selected.in_log("epoch, xid, seq, body", _AFTER, _IN_LOG, limit)
    params = {"epoch": after.epoch, "xid": str(after.xid), "seq": after.seq, "limit": limit}
    return _page(conn, query, selected.params | params)


def latest(conn: Connection, *, project: str, count: int, chosen: EventFilter) -> Page:
    """The last ``count`` events of the log."""
    selected = select(project, chosen)
    query = selected.in_log("epoch, xid, seq, body", _UP_TO, _BACK_IN_LOG, count)
    return _page(conn, query, selected.params | {"limit": count})


def _page(conn: Connection, query: LiteralString, params: dict[str, Any]) -> Page:
    rows = conn.execute(HORIZON + _PAGE_HEAD + query + _PAGE_TAIL, params).fetchall()
    first = rows[0]
    return Page(
        [StoredEvent(Position(r[5], r[6], r[7]), r[8]) for r in rows if r[5] is not None],
        Position(first[0], first[1], 0),
        BEGINNING if first[2] is None else Position(first[2], first[3], first[4]),
    )


def tail(
    conn: Connection, *, projects: Sequence[str], after: Position, limit: int
) -> tuple[list[TailRow], Position]:
    """The next events of these projects after a place, and the horizon they were read below."""
    rows = conn.execute(
        _TAIL,
        {"projects": Texts(projects), "epoch": after.epoch, "xid": str(after.xid), "seq": after.seq,
         "limit": limit},
    ).fetchall()  # fmt: skip
    bound = Position(rows[0][0], rows[0][1], 0)
    return [TailRow(Position(r[2], r[3], r[4]), *r[5:]) for r in rows if r[2] is not None], bound


def before_last(conn: Connection, *, project: str, last: int, chosen: EventFilter) -> Position | None:
    """The place after which the last so many matching events stand; None where there are fewer."""
    selected = select(project, chosen)
    places = selected.in_log("epoch, xid, seq", _BELOW, _BACK_IN_LOG, last + 1)
    row = conn.execute(
        HORIZON + _PLACES_HEAD + places + _PLACES_TAIL,
        selected.params | {"last": last, "limit": last + 1},
    ).fetchone()
    return Position(*row) if row else None


def last(conn: Connection, *, project: str) -> Position | None:
    """The last event below the horizon; None where there is none."""
    return before_last(conn, project=project, last=0, chosen=EventFilter())


def at_time(conn: Connection, *, project: str, time: datetime) -> Position | None:
    """The first place recorded at or after a time; None where there is none yet."""
    row = conn.execute(_AT_TIME, {"project": project, "time": time}).fetchone()
    return Position(*row) if row else None


def knows(conn: Connection, place: Position, *, project: str) -> bool:
    """Whether a cursor's place is one of this log: the beginning, or where it has an event.

    Another copy of the log may have gone on under the same ids, so being in their range says nothing.
    """
    row = conn.execute(
        _KNOWS,
        {"project": project, "epoch": place.epoch, "xid": str(place.xid), "seq": place.seq},
    ).fetchone()
    return place == BEGINNING or bool(row and row[0])


def get(conn: Connection, *, project: str, event_id: str) -> StoredEvent | None:
    """One event."""
    row = conn.execute(_GET, {"project": project, "event_id": event_id}).fetchone()
    return StoredEvent(Position(row[0], row[1], row[2]), row[3]) if row else None


def list_page(
    conn: Connection,
    *,
    project: str,
    chosen: EventFilter,
    start: datetime | None,
    end: datetime | None,
    newest_first: bool,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[StoredEvent, datetime]]:
    """A page of events by occur_time, each with it."""
    selected = select(project, chosen)
    params = selected.params | {"limit": limit}
    bounds: LiteralString = ""
    if start is not None:
        bounds += " and occur_time >= %(start)s"
        params["start"] = start
    if end is not None:
        bounds += " and occur_time < %(end)s"
        params["end"] = end
    if after is not None:
        if newest_first:
            bounds += " and (occur_time, seq) < (%(time)s::timestamptz, %(place)s::bigint)"
        else:
            bounds += " and (occur_time, seq) > (%(time)s::timestamptz, %(place)s::bigint)"
        params |= {"time": after[0], "place": after[1]}
    order = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
    query = selected.by_time("epoch, xid::text::bigint, seq, body, occur_time", bounds, order, limit)
    return [
        (StoredEvent(Position(r[0], r[1], r[2]), r[3]), r[4]) for r in conn.execute(query, params).fetchall()
    ]


def version(conn: Connection, *, project: str) -> list[Any]:
    """What the project's events are as of now: equal versions have equal events."""
    row = conn.execute(_VERSION, {"project": project}).fetchone()
    return list(row or ())


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
    """Groups with their counts, and with each the count of all groups."""
    selected = select(project, EventFilter(sprint_code=sprint))
    query = "select " + STATS_KEYS[group] + _STATS_FROM + selected.branches[0] + _STATS_RANGE
    query += NOT_EMPTY.get(group, "")
    query += BY_KEY if group in ("hour", "day", "week") else BY_COUNT
    return conn.execute(
        query,
        selected.params | {"start": start, "end": end, "limit": limit},
    ).fetchall()


ENTITY_NAMES = {
    EntityType.SPRINT: "sprint",
    EntityType.TASK: "task",
    EntityType.SESSION: "session",
    EntityType.ADR: "adr",
    EntityType.BUG_REPORT: "bug_report",
}


# A caller's events: what is there already, and what the tasks they speak of belong to.
_KEYS: LiteralString = """
select k.project, k.dedup_key, k.event_id::text from event_keys k
join unnest(%(projects)s::text[], %(keys)s::text[]) as w (project, dedup_key)
    on k.project = w.project and k.dedup_key = w.dedup_key
"""
_ENTITIES: LiteralString = """
select w.project, w.code, t.delete_time is null, t.uid::text, t.sprint_code
from unnest(%(projects)s::text[], %(codes)s::text[]) as w (project, code)
join tasks t on t.project = w.project and t.code = w.code
"""
_ANSWERS: LiteralString = """
select r.project, r.rpc, r.request_id, r.fingerprint, r.response
from unnest(%(projects)s::text[], %(rpcs)s::text[], %(ids)s::text[]) as w (project, rpc, request_id)
join requests r on r.project = w.project and r.rpc = w.rpc and r.request_id = w.request_id
"""
KEYED: LiteralString = """changed as (
    insert into event_keys (project, dedup_key, event_id)
    select k.project, k.dedup_key, k.event_id
    from locked, unnest(%(k_project)s::text[], %(k_key)s::text[], %(k_id)s::uuid[])
        as k (project, dedup_key, event_id)
    returning 1
)"""


def keys(conn: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Ids of the events that hold these (project, dedup_key)."""
    if not wanted:
        return {}
    rows = conn.execute(
        _KEYS, {"projects": Texts(w[0] for w in wanted), "keys": Texts(w[1] for w in wanted)}
    ).fetchall()
    return {(r[0], r[1]): r[2] for r in rows}


class TaskOf(NamedTuple):
    """What an event of a task says of it."""

    uid: str
    sprint_code: str


def tasks(conn: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], TaskOf]:
    """The tasks of these (project, code), where they are there."""
    if not wanted:
        return {}
    rows = conn.execute(
        _ENTITIES,
        {"projects": Texts(w[0] for w in wanted), "codes": Texts(w[1] for w in wanted)},
    ).fetchall()
    return {(r[0], r[1]): TaskOf(r[3], r[4]) for r in rows if r[2]}


def answers(
    conn: Connection, wanted: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], tuple[bytes, bytes]]:
    """Fingerprint and response of these (project, rpc, request_id)."""
    if not wanted:
        return {}
    rows = conn.execute(
        _ANSWERS,
        {
            "projects": Texts(w[0] for w in wanted),
            "rpcs": Texts(w[1] for w in wanted),
            "ids": Texts(w[2] for w in wanted),
        },
    ).fetchall()
    return {(r[0], r[1], r[2]): (r[3], r[4]) for r in rows}
