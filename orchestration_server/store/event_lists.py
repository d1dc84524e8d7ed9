"""The SQL of lists of events, which go by occur_time.

All pages of a list show the log as it was when its first page was read. So following the log from any cursor
of the list brings exactly what no page shows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.model import Cursor, EventFilter, Position, StoredEvent
from orchestration_server.store import wildcards
from orchestration_server.store.arrays import Numbers
from orchestration_server.store.connection import Connection
from orchestration_server.store.horizon import OPEN

PAGE_BYTES = 4 * 1024 * 1024
_NEWEST_FIRST: LiteralString = " order by occur_time desc, seq desc"
_OLDEST_FIRST: LiteralString = " order by occur_time, seq"
# The size of a body is read from its header, so bodies behind the cut are not read.
_HEAD: LiteralString = (
    """
select v.epoch, pg_snapshot_xmax(pg_current_snapshot())::text::bigint, """
    + OPEN
    + """, p.found, p.epoch, p.xid, p.seq, p.body, p.occur_time, p.archive_time
from log_state v left join (
    select * from (
        select page.*, count(*) over () as found, octet_length(body) as size,
            sum(octet_length(body)) over (rows unbounded preceding) as upto
        from ("""
)
_TAIL: LiteralString = """) page
    ) sized where upto <= %(bytes)s::bigint or upto = size
) p on true
"""
_IN_VIEW: LiteralString = """
    and case when epoch < %(v_epoch)s::integer or epoch = %(v_epoch)s::integer
        and xid < %(v_xid)s::text::xid8 and xid::text::bigint <> all(%(v_open)s::bigint[]) then true end"""


class Place(NamedTuple):
    """The event that a page begins after, and what the pages of its list show."""

    occur_time: datetime
    seq: int
    view: Cursor | None
    """Takes what came into the log after the first page was read; None in tokens of earlier releases."""


class Page(NamedTuple):
    """Events with their occur_time, in the order that was asked for."""

    events: list[tuple[StoredEvent, datetime]]
    view: Cursor
    more: bool


def page(
    conn: Connection,
    *,
    project: str,
    chosen: EventFilter,
    start: datetime | None,
    end: datetime | None,
    newest_first: bool,
    after: Place | None,
    limit: int,
    archived: bool = False,
) -> Page:
    """Return a page of ``limit`` events, or of 4 MiB of them, and of one at least; the archive's too if
    ``archived``."""
    selected = wildcards.selected(conn, project, chosen)
    params: dict[str, Any] = selected.params | {"limit": limit + 1, "bytes": PAGE_BYTES}
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
        params |= {"time": after.occur_time, "place": after.seq}
    if after is not None and after.view is not None:
        at = after.view.position
        bounds += _IN_VIEW
        params |= {"v_epoch": at.epoch, "v_xid": str(at.xid), "v_open": Numbers(after.view.open)}
    order = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
    columns: LiteralString = "epoch, xid::text::bigint, seq, body, occur_time"
    query = selected.by_time(columns, bounds, order, limit + 1, archived=archived)
    if not archived:
        query = "select *, null::timestamptz as archive_time from (" + query + ") live"
    rows = conn.execute(_HEAD + query + _TAIL, params).fetchall()
    view = Cursor(Position(rows[0][0], rows[0][1], 0), tuple(rows[0][2] or ()))
    if after is not None and after.view is not None:
        view = after.view
    events = [
        (StoredEvent(Position(r[4], r[5], r[6]), r[7], r[9], open=_open(r[4], view)), r[8])
        for r in rows
        if r[4] is not None
    ]
    events.sort(key=lambda one: (one[1], one[0].position.seq), reverse=newest_first)
    return Page(events[:limit], view, more=len(rows) > 0 and (rows[0][3] or 0) > min(len(events), limit))


def _open(epoch: int, view: Cursor) -> tuple[int, ...]:
    return view.open if epoch == view.position.epoch else ()
