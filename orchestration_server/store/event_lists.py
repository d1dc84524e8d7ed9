"""The SQL of lists of events in the order of occur_time.

All pages of a list show the log as it was at the first page. So a stream from any cursor of the list has
exactly the events that no page shows.
"""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Cursor, EventFilter, Position, StoredEvent
from orchestration_server.store import pages, wildcards
from orchestration_server.store.horizon import OPEN

_NEWEST_FIRST: LiteralString = " order by occur_time desc, seq desc"
_OLDEST_FIRST: LiteralString = " order by occur_time, seq"
_HEAD: LiteralString = (
    """
select v.epoch, pg_snapshot_xmax(pg_current_snapshot())::text::bigint, """
    + OPEN
    + """, p.epoch, p.xid, p.seq, p.body, p.occur_time, p.archive_time, p.further
from log_state v left join ("""
)
_COLUMNS: LiteralString = "epoch, xid, seq, body, occur_time, archive_time"
_TAIL: LiteralString = ") p on true"
_IN_VIEW: LiteralString = """
    and case when epoch < %(v_epoch)s::integer or epoch = %(v_epoch)s::integer
        and xid < %(v_xid)s::text::xid8 and xid::text::bigint <> all(%(v_open)s::bigint[]) then true end"""


class EventListPosition(NamedTuple):
    """The event before a page, and the view of the log that all pages of the list show."""

    occur_time: datetime
    seq: int
    view: Cursor | None
    """The cursor that takes all events after the first page. None in tokens of earlier releases."""


class EventListPage(NamedTuple):
    """Events with their occur_time, in the requested order."""

    events: list[tuple[StoredEvent, datetime]]
    view: Cursor
    more: bool


def page(
    conn: Connection,
    *,
    project: str,
    event_filter: EventFilter,
    start: datetime | None,
    end: datetime | None,
    newest_first: bool,
    after: EventListPosition | None,
    limit: int,
    archived: bool = False,
) -> EventListPage:
    """Return a page of ``limit`` events or 4 MiB, and at least one event.

    ``archived`` includes archived events.
    """
    selected = wildcards.selected(conn, project, event_filter)
    bounds, bound_params = _bounds(start, end, after, newest_first=newest_first)
    params = selected.params | pages.limits(limit) | bound_params
    order = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
    columns: LiteralString = "epoch, xid::text::bigint, seq, body, occur_time"
    query = selected.by_time(columns, bounds, order, limit + 1, archived=archived)
    if not archived:
        query = "select *, null::timestamptz as archive_time from (" + query + ") live"
    rows = conn.execute(
        _HEAD + pages.cut(_COLUMNS, query) + _TAIL, params, name="event_lists.page"
    ).fetchall()
    view = Cursor(Position(rows[0][0], rows[0][1], 0), tuple(rows[0][2] or ()))
    if after is not None and after.view is not None:
        view = after.view
    found = [row[3:] for row in rows if row[3] is not None]
    found.sort(key=itemgetter(4, 2), reverse=newest_first)
    events, more = pages.page(
        found,
        limit,
        lambda *r: (StoredEvent(Position(r[0], r[1], r[2]), r[3], r[5], open=_open(r[0], view)), r[4]),
    )
    return EventListPage(events, view, more)


def _bounds(
    start: datetime | None, end: datetime | None, after: EventListPosition | None, *, newest_first: bool
) -> tuple[LiteralString, dict[str, Any]]:
    """Return the conditions of a page, and their parameters."""
    bounds: LiteralString = ""
    params: dict[str, Any] = {}
    if start is not None:
        bounds += " and occur_time >= %(start)s"
        params["start"] = start
    if end is not None:
        bounds += " and occur_time < %(end)s"
        params["end"] = end
    if after is not None:
        if newest_first:
            bounds += " and (occur_time, seq) < (%(time)s::timestamptz, %(after_seq)s::bigint)"
        else:
            bounds += " and (occur_time, seq) > (%(time)s::timestamptz, %(after_seq)s::bigint)"
        params |= {"time": after.occur_time, "after_seq": after.seq}
    if after is not None and after.view is not None:
        at = after.view.position
        bounds += _IN_VIEW
        params |= {"v_epoch": at.epoch, "v_xid": str(at.xid), "v_open": BigintArray(after.view.open)}
    return bounds, params


def _open(epoch: int, view: Cursor) -> tuple[int, ...]:
    return view.open if epoch == view.position.epoch else ()
