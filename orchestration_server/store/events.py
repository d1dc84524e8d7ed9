"""The SQL that reads the event log. Only writes.py and event_rows.py write it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import (
    BEGINNING,
    Cursor,
    EventFilter,
    Position,
    StoredEvent,
)
from orchestration_server.store import cursors, pages, wildcards
from orchestration_server.store.event_queries import BACK_IN_LOG, IN_LOG
from orchestration_server.store.horizon import HORIZON, OPEN_IN_EPOCH
from orchestration_server.store.log_positions import PROJECTS

# With the page come, in the same snapshot, the project's last event below the horizon and the edge of the
# events that the reader does not get, which are archived or deleted.
_PAGE_HEAD: LiteralString = """
select h.epoch, h.xid::text::bigint, l.epoch, l.xid::text::bigint, l.seq,
    a.epoch, a.xid::text::bigint, a.seq, a.moves, a.upto,
    e.epoch, e.xid::text::bigint, e.seq, e.body"""
_PAGE_FROM: LiteralString = """, e.further
from h left join lateral (
    select epoch, xid, seq from events
    where project = %(project)s and (epoch, xid) < (h.epoch, h.xid)
    order by epoch desc, xid desc, seq desc limit 1
) l on true left join archive_edges a on a.project = %(project)s and a.deleted = %(archived)s
left join lateral ("""
_PAGE_TAIL: LiteralString = ") e on true order by e.epoch, e.xid, e.seq"
_UP_TO: LiteralString = " and (epoch, xid) < (h.epoch, h.xid)"
_BELOW: LiteralString = " and (epoch, xid) < ((select epoch from h), (select xid from h))"
_TAIL_COLUMNS: LiteralString = """epoch, xid, seq, project, type, entity_type, entity_code, sprint_code,
    priority, correlation_id, session_key, body, emit_time"""
_TAIL: LiteralString = (
    HORIZON
    + """
select h.epoch, h.xid::text::bigint, e.epoch, e.xid::text::bigint, e.seq, e.project, e.type,
    e.entity_type, e.entity_code, e.sprint_code, e.priority, e.correlation_id, e.session_key, e.body,
    e.emit_time, extract(epoch from clock_timestamp() - e.emit_time)::float8, e.further
from h left join lateral ("""
    + pages.cut(
        _TAIL_COLUMNS,
        """
    select * from events
    where project = any(%(projects)s::text[])
        and (epoch, xid, seq) > (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)
        and (epoch, xid) < (h.epoch, h.xid)
    order by epoch, xid, seq limit %(limit)s::bigint""",
    )
    + ") e on true"
)
_POSITIONS_HEAD: LiteralString = "select epoch, xid::text::bigint, seq from ("
_POSITIONS_TAIL: LiteralString = ") positions" + BACK_IN_LOG + " offset %(last)s::bigint limit 1"
_KNOWN_IN: LiteralString = "select exists (select from "
_KNOWN: LiteralString = """
    where project = %(project)s and epoch = %(epoch)s::integer
    and xid = %(xid)s::text::xid8 and seq = %(seq)s::bigint)
"""
_IS_HERE: LiteralString = """
        where e.project = n.project and e.epoch = %(epoch)s::integer
            and e.xid = %(xid)s::text::xid8 and e.seq = %(seq)s::bigint)"""
_ELSEWHERE: LiteralString = (
    "with one as (select 1)"
    + PROJECTS
    + """
select exists (
    select from (select project from named limit 1000) n
    where n.project <> %(project)s and (exists (select from events e"""
    + _IS_HERE
    + " or exists (select from archived_events e"
    + _IS_HERE
    + "))"
)
_EDGE: LiteralString = """
select epoch, xid::text::bigint, seq, moves, upto from archive_edges
where project = %(project)s and deleted = %(deleted)s
"""
_GET: LiteralString = (
    "select epoch, xid::text::bigint, seq, body, null::timestamptz, "
    + OPEN_IN_EPOCH
    + " from events where event_id = %(event_id)s::uuid and project = %(project)s"
)
_GET_ARCHIVED: LiteralString = (
    "select epoch, xid::text::bigint, seq, body, archive_time, "
    + OPEN_IN_EPOCH
    + """ from archived_events
where event_id = %(event_id)s::uuid and case when project = %(project)s then true end
"""
)


class TailRow(NamedTuple):
    """A new event with the columns that filters compare."""

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
    emit_time: datetime
    age: float
    """The seconds since the event was recorded, by the database's clock."""


def secret(conn: Connection) -> bytes:
    """Return the secret key of the log."""
    row = conn.execute("select secret from log_state", name="events.secret").fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def nonces(conn: Connection) -> dict[int, bytes]:
    """Return the nonce of each epoch, which differs between copies of the log."""
    return dict(
        conn.execute(
            "select epoch, nonce from log_epochs union all select epoch, nonce from log_state",
            name="events.nonces",
        ).fetchall()
    )


def identity(conn: Connection) -> bytes:
    """Return 32 bytes that identify this log. Copies share the secret, and in one cluster also the epoch."""
    row = conn.execute(
        "select sha256(secret || nonce || convert_to(current_database(), 'UTF8')) from log_state",
        name="events.identity",
    ).fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def now(conn: Connection) -> datetime:
    """Return the database's clock."""
    row = conn.execute("select clock_timestamp()", name="events.now").fetchone()
    assert row is not None
    value: datetime = row[0]
    return value


class ArchiveEdge(NamedTuple):
    """The edge up to which events are archived, or deleted for a reader of the archive."""

    position: Position
    """The last archived or deleted event, or the beginning of the log."""
    moves: int
    """A number that grows with each archiving or deletion."""
    upto: datetime | None
    """The time from which on all recorded events are available."""


class LogPage(NamedTuple):
    """Events in the order of the log."""

    events: list[StoredEvent]
    cut: bool
    """True if 4 MiB were reached before the limit, so more events may follow."""
    large: bool
    """True if an event was so large that the sizes had to be added up."""
    horizon: Position
    """The horizon of the read."""
    last: Position
    """The project's last event below the horizon, whether or not the filter takes it, or the beginning."""
    edge: ArchiveEdge


def page(
    conn: Connection,
    *,
    project: str,
    after: Cursor,
    limit: int,
    event_filter: EventFilter,
    archived: bool = False,
    large: bool = False,
) -> LogPage:
    """Return the next ``limit`` events below the horizon that a cursor takes, or 4 MiB of them.

    ``archived`` includes archived events. ``large`` is that of the page before.
    """
    selected = wildcards.selected(conn, project, event_filter)
    bounds = cursors.unseen(after) + _UP_TO
    query = selected.in_log("epoch, xid, seq, body", bounds, IN_LOG, limit, archived=archived)
    params = selected.params | cursors.params(after) | {"limit": limit}
    return _page(conn, query, params, archived=archived, large=large)


def latest(
    conn: Connection, *, project: str, count: int, event_filter: EventFilter, archived: bool = False
) -> LogPage:
    """Return the last ``count`` events of the log, or the first 4 MiB of them.

    ``archived`` includes archived events.
    """
    selected = wildcards.selected(conn, project, event_filter)
    query = selected.in_log("epoch, xid, seq, body", _UP_TO, BACK_IN_LOG, count, archived=archived)
    query = "select * from (" + query + ") newest" + IN_LOG
    return _page(conn, query, selected.params | {"limit": count}, archived=archived, large=False)


def _page(
    conn: Connection, query: LiteralString, params: dict[str, Any], *, archived: bool, large: bool
) -> LogPage:
    columns: LiteralString = "epoch, xid, seq, body"
    time: LiteralString = ""
    if archived:
        columns += ", archive_time"
        time = ", e.archive_time"
    rows, measured = pages.read(
        conn,
        "events.page",
        lambda cut: HORIZON + _PAGE_HEAD + time + _PAGE_FROM + cut(columns, query) + _PAGE_TAIL,
        params | {"archived": archived, "bytes": pages.PAGE_BYTES},
        large=large,
    )
    first = rows[0]
    last = BEGINNING if first[2] is None else Position(first[2], first[3], first[4])
    edge = ArchiveEdge(BEGINNING, 0, None)
    if first[5] is not None:
        edge = ArchiveEdge(Position(first[5], first[6], first[7]), first[8], first[9])
    return LogPage(
        [StoredEvent(Position(r[10], r[11], r[12]), *r[13:-1]) for r in rows if r[10] is not None],
        bool(rows[-1][-1]),
        measured,
        Position(first[0], first[1], 0),
        max(last, edge.position),
        edge,
    )


def tail(
    conn: Connection, *, projects: Sequence[str], after: Position, limit: int
) -> tuple[list[TailRow], bool, Position]:
    """Return the next ``limit`` events of projects after a position, or 4 MiB of them.

    Also return whether there are more, and the horizon of the read.
    """
    rows = conn.execute(
        _TAIL,
        {"projects": TextArray(projects), "epoch": after.epoch, "xid": str(after.xid), "seq": after.seq,
         **pages.limits(limit)}, name="events.tail",
    ).fetchall()  # fmt: skip
    bound = Position(rows[0][0], rows[0][1], 0)
    found = [row[2:] for row in rows if row[2] is not None]
    read, more = pages.page(found, limit, lambda *r: TailRow(Position(r[0], r[1], r[2]), *r[3:]))
    return read, more, bound


def before_last(
    conn: Connection, *, project: str, last: int, event_filter: EventFilter, archived: bool = False
) -> Position | None:
    """Return the position after which the ``last`` newest matching events are, or None if there are fewer."""
    selected = wildcards.selected(conn, project, event_filter)
    positions = selected.in_log("epoch, xid, seq", _BELOW, BACK_IN_LOG, last + 1, archived=archived)
    row = conn.execute(
        HORIZON + _POSITIONS_HEAD + positions + _POSITIONS_TAIL,
        selected.params | {"last": last, "limit": last + 1},
        name="events.before_last",
    ).fetchone()
    return Position(*row) if row else None


def last(conn: Connection, *, project: str) -> Position | None:
    """Return the position of the last event below the horizon, or None."""
    return before_last(conn, project=project, last=0, event_filter=EventFilter())


def knows(conn: Connection, position: Position, *, project: str) -> bool:
    """Return whether a position is the beginning, or that of a live or archived event of this project.

    Another copy of the log may use the same range of ids, so the range alone proves nothing.
    """
    params = {"project": project, "epoch": position.epoch, "xid": str(position.xid), "seq": position.seq}
    # The order matters: an event moves to the archive and never back.
    for query in (_KNOWN_IN + "events" + _KNOWN, _KNOWN_IN + "archived_events" + _KNOWN):
        row = conn.execute(query, params, name="events.knows").fetchone()
        if position == BEGINNING or (row and row[0]):
            return True
    return False


def is_elsewhere(conn: Connection, position: Position, *, project: str) -> bool:
    """Return whether another project has an event at a position. It searches at most 1,000 projects."""
    params = {
        "epoch": position.epoch,
        "xid": str(position.xid),
        "seq": position.seq,
        "project": project,
        "after": "",
    }
    row = conn.execute(_ELSEWHERE, params, name="events.is_elsewhere").fetchone()
    return row is not None and bool(row[0])


def edge(conn: Connection, *, project: str, deleted: bool) -> ArchiveEdge:
    """Return the edge of a project's archived events, or of its deleted ones."""
    row = conn.execute(_EDGE, {"project": project, "deleted": deleted}, name="events.edge").fetchone()
    return (
        ArchiveEdge(BEGINNING, 0, None)
        if row is None
        else ArchiveEdge(Position(row[0], row[1], row[2]), row[3], row[4])
    )


def get(conn: Connection, *, project: str, event_id: str, archived: bool = False) -> StoredEvent | None:
    """Return an event, or None. ``archived`` includes archived events."""
    params = {"project": project, "event_id": event_id}
    row = conn.execute(_GET, params, name="events.get").fetchone()
    if row is None and archived:
        # The order matters: an event moves to the archive and never back.
        row = conn.execute(_GET_ARCHIVED, params, name="events.get").fetchone()
    if row is None:
        return None
    return StoredEvent(Position(row[0], row[1], row[2]), row[3], row[4], open=row[5] or ())
