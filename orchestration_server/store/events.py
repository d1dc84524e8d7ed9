"""The SQL that reads the event log. Events are written by writes.py alone."""

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

# Beside the page the last event of the project below the horizon, and how far what the reader does not get is
# archived or deleted, in the same snapshot.
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
_PLACES_HEAD: LiteralString = "select epoch, xid::text::bigint, seq from ("
_PLACES_TAIL: LiteralString = ") place" + BACK_IN_LOG + " offset %(last)s::bigint limit 1"
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
    emit_time: datetime
    age: float
    """Seconds since it was recorded, by the database's clock."""


def secret(conn: Connection) -> bytes:
    """The log's own key."""
    row = conn.execute("select secret from log_state", name="events.secret").fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def nonces(conn: Connection) -> dict[int, bytes]:
    """The nonce of each epoch, which tells it from the one of this number in another copy of the log."""
    return dict(
        conn.execute(
            "select epoch, nonce from log_epochs union all select epoch, nonce from log_state",
            name="events.nonces",
        ).fetchall()
    )


def identity(conn: Connection) -> bytes:
    """32 bytes that no other log has: copies share a secret, those of one cluster its epoch too."""
    row = conn.execute(
        "select sha256(secret || nonce || convert_to(current_database(), 'UTF8')) from log_state",
        name="events.identity",
    ).fetchone()
    assert row is not None
    value: bytes = row[0]
    return value


def now(conn: Connection) -> datetime:
    """The database's clock."""
    row = conn.execute("select clock_timestamp()", name="events.now").fetchone()
    assert row is not None
    value: datetime = row[0]
    return value


class ArchiveEdge(NamedTuple):
    """How far a project's log is gone for a reader: archived, or for one of the archive deleted."""

    position: Position
    """The last event that is gone; the beginning where none is."""
    moves: int
    """Grows whenever some go."""
    upto: datetime | None
    """What was recorded from then on is all there."""


class LogPage(NamedTuple):
    """Events in the order of the log."""

    events: list[StoredEvent]
    cut: bool
    """Whether more of those that were asked for are there, and 4 MiB are full."""
    large: bool
    """Whether any is so large that they had to be measured."""
    horizon: Position
    """What they were read below."""
    last: Position
    """The last event of the project below the horizon, wanted or not, gone or not; the beginning where there
    is none."""
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
    """Return the next ``limit`` events below the horizon that a cursor takes, or 4 MiB of them; the archive's
    too if asked. ``large`` is what the page before said."""
    selected = wildcards.selected(conn, project, event_filter)
    bounds = cursors.unseen(after) + _UP_TO
    query = selected.in_log("epoch, xid, seq, body", bounds, IN_LOG, limit, archived=archived)
    params = selected.params | cursors.params(after) | {"limit": limit}
    return _page(conn, query, params, archived=archived, large=large)


def latest(
    conn: Connection, *, project: str, count: int, event_filter: EventFilter, archived: bool = False
) -> LogPage:
    """Return the last ``count`` events of the log, or of these the first 4 MiB; the archive's too if
    ``archived``."""
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
    """Return the next ``limit`` events of these projects after a place, or 4 MiB of them, whether there are
    more, and the horizon they were read below."""
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
    """The place after which the last so many matching events stand; None where there are fewer."""
    selected = wildcards.selected(conn, project, event_filter)
    places = selected.in_log("epoch, xid, seq", _BELOW, BACK_IN_LOG, last + 1, archived=archived)
    row = conn.execute(
        HORIZON + _PLACES_HEAD + places + _PLACES_TAIL,
        selected.params | {"last": last, "limit": last + 1},
        name="events.before_last",
    ).fetchone()
    return Position(*row) if row else None


def last(conn: Connection, *, project: str) -> Position | None:
    """The last event below the horizon; None where there is none."""
    return before_last(conn, project=project, last=0, event_filter=EventFilter())


def knows(conn: Connection, place: Position, *, project: str) -> bool:
    """Whether a cursor's place is one of this log: the beginning, or where it or its archive has an event.

    Another copy of the log may have gone on under the same ids, so being in their range says nothing.
    """
    params = {"project": project, "epoch": place.epoch, "xid": str(place.xid), "seq": place.seq}
    # One after the other: an event goes to the archive and never comes back.
    for query in (_KNOWN_IN + "events" + _KNOWN, _KNOWN_IN + "archived_events" + _KNOWN):
        row = conn.execute(query, params, name="events.knows").fetchone()
        if place == BEGINNING or (row and row[0]):
            return True
    return False


def is_elsewhere(conn: Connection, place: Position, *, project: str) -> bool:
    """Return whether a place is that of another project's event. It looks at 1,000 projects at the most."""
    params = {"epoch": place.epoch, "xid": str(place.xid), "seq": place.seq, "project": project, "after": ""}
    row = conn.execute(_ELSEWHERE, params, name="events.is_elsewhere").fetchone()
    return row is not None and bool(row[0])


def edge(conn: Connection, *, project: str, deleted: bool) -> ArchiveEdge:
    """How far a project's log is archived, or its archive deleted."""
    row = conn.execute(_EDGE, {"project": project, "deleted": deleted}, name="events.edge").fetchone()
    return (
        ArchiveEdge(BEGINNING, 0, None)
        if row is None
        else ArchiveEdge(Position(row[0], row[1], row[2]), row[3], row[4])
    )


def get(conn: Connection, *, project: str, event_id: str, archived: bool = False) -> StoredEvent | None:
    """One event; the archive's too where ``archived``."""
    params = {"project": project, "event_id": event_id}
    row = conn.execute(_GET, params, name="events.get").fetchone()
    if row is None and archived:
        # Looked for in this order: an event goes to the archive and never comes back.
        row = conn.execute(_GET_ARCHIVED, params, name="events.get").fetchone()
    if row is None:
        return None
    return StoredEvent(Position(row[0], row[1], row[2]), row[3], row[4], open=row[5] or ())
