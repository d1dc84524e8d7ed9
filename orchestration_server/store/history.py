"""The SQL of history: the events and the stored row of an entity, and the chain of a correlation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, LiteralString, NamedTuple

from uuid_utils import UUID

from orchestration_server.db.arrays import BigintArray, TextArray, UuidArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import ENTITY_NAMES, Cursor, EntityType, EventFilter, Position, cursor_of
from orchestration_server.store import pages
from orchestration_server.store.event_queries import BACK_IN_LOG, IN_LOG, Selection, select
from orchestration_server.store.horizon import OPEN_IN_EPOCH

SPAN_EVENTS = 1_000
"""The most events of one span, as written in the query."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# As in event_queries.py, the hash leads and the case hides the rest from the planner. The prefix leaves out
# events that are about the entity but do not change it: activities and callers' events.
_OF_ENTITY: LiteralString = """hashtextextended(project || '/' || entity_type || '/' || entity_code, 0)
            = hashtextextended(%(entity)s, 0) and entity_type <> 0
        and case when project = %(project)s and entity_type = %(entity_type)s::smallint
            and entity_code = %(code)s and starts_with(type, %(prefix)s) then true end"""
_COLUMNS: LiteralString = "epoch, xid, seq, body"
_AFTER: LiteralString = """
    and (epoch, xid, seq) > (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)"""
_BEFORE: LiteralString = """
    and (epoch, xid, seq) < (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)"""
# Readers see a transaction as a whole. Events that the cursor's reader had not seen come after the cursor.
_UP_TO_POSITION: LiteralString = " and (epoch, xid) <= (%(to_epoch)s::integer, %(to_xid)s::text::xid8)"
_SEEN: LiteralString = """
    and case when epoch <> %(to_epoch)s::integer or xid::text::bigint <> all(%(to_open)s::bigint[])
        then true end"""
_UP_TO_TIME: LiteralString = " and (epoch, xid) <= ((select epoch from at), (select xid from at))"
# The position in the log decides, so a clock that was set back leaves no gap. The next transaction is
# included, as it may log changes that were pending at the time.
_LAST_AT_TIME: LiteralString = (
    " where " + _OF_ENTITY + " and emit_time <= %(to_time)s" + BACK_IN_LOG + " limit 1)"
)
_FIRST_AFTER: LiteralString = (
    " where "
    + _OF_ENTITY
    + " and (epoch, xid) > ((select epoch from told), (select xid from told))"
    + IN_LOG
    + " limit 1)"
)
_AT_TIME: LiteralString = (
    "with told as materialized (select epoch, xid from ((select epoch, xid, seq from events"
    + _LAST_AT_TIME
    + " union all (select epoch, xid, seq from archived_events"
    + _LAST_AT_TIME
    + ") last"
    + BACK_IN_LOG
    + " limit 1), next as materialized (select epoch, xid from ((select epoch, xid, seq from events"
    + _FIRST_AFTER
    + " union all (select epoch, xid, seq from archived_events"
    + _FIRST_AFTER
    + ") first"
    + IN_LOG
    + " limit 1), at as materialized (select epoch, xid from"
    + " (select * from next union all select * from told) found order by epoch desc, xid desc limit 1)"
)
_STORED: Mapping[int, LiteralString] = {
    EntityType.SPRINT: """select revision, delete_time is not null, body from sprints
        where project = %(project)s and code = %(code)s""",
    EntityType.TASK: """select revision, delete_time is not null, body from tasks
        where project = %(project)s and code = %(code)s""",
    EntityType.SESSION: """select revision, false, body from sessions
        where project = %(project)s and key = %(code)s""",
    EntityType.ADR: """select revision, false, body from adrs
        where project = %(project)s and code = %(code)s""",
    EntityType.BUG_REPORT: """select revision, false, body from bug_reports
        where project = %(project)s and code = %(code)s""",
    EntityType.SCHEDULE: """select revision, delete_time is not null, body from schedules
        where project = %(project)s and code = %(code)s""",
}
_ENTITY_HEAD: LiteralString = """
select null::integer, null::bigint, null::bigint, stored.body, stored.revision, stored.deleted,
    null::bigint[], null::boolean from ("""
_ENTITY_TAIL: LiteralString = """) stored (revision, deleted, body)
union all
(select null, null, null, body, revision, null, null, null from held_changes
    where project = %(project)s and entity_type = %(entity_type)s::smallint and entity_code = %(code)s
    order by revision)
union all """
_LOGGED: LiteralString = "epoch, xid::text::bigint, seq, body, null::bigint, null::boolean, " + OPEN_IN_EPOCH

_IN_SPAN: LiteralString = """ as logged
            where hashtextextended(project || '/' || entity_type || '/' || entity_code, 0)
                    = hashtextextended(w.entity, 0) and entity_type <> 0
                and case when project = %(project)s and entity_type = w.type
                    and entity_code = w.code and starts_with(logged.type, w.prefix) then true end
                and (epoch, xid, seq) > (w.from_epoch, w.from_xid::text::xid8, w.from_seq)
                and (epoch, xid, seq) < (w.to_epoch, w.to_xid::text::xid8, w.to_seq)
            order by epoch, xid, seq limit 1000)"""
_BETWEEN: LiteralString = pages.cut(
    "span, body",
    """
        select w.span, e.body
        from unnest(%(entities)s::text[], %(types)s::smallint[], %(codes)s::text[], %(prefixes)s::text[],
            %(from_epochs)s::integer[], %(from_xids)s::bigint[], %(from_seqs)s::bigint[],
            %(to_epochs)s::integer[], %(to_xids)s::bigint[], %(to_seqs)s::bigint[]
        ) with ordinality as w (entity, type, code, prefix, from_epoch, from_xid, from_seq, to_epoch, to_xid,
            to_seq, span)
        cross join lateral (
            (select epoch, xid, seq, body from events"""
    + _IN_SPAN
    + """
            union all
            (select epoch, xid, seq, body from archived_events"""
    + _IN_SPAN
    + """
        ) e
        order by w.span, e.epoch, e.xid, e.seq
        limit %(limit)s::bigint""",
)
# Each scalar subquery is a probe of a primary key.
_UNKNOWN: LiteralString = """
select w.type, w.code from unnest(%(types)s::smallint[], %(codes)s::text[]) as w (type, code)
where case w.type
    when 1 then (select 1 from sprints where project = %(project)s and code = w.code)
    when 2 then (select 1 from tasks where project = %(project)s and code = w.code)
    when 3 then (select 1 from sessions where project = %(project)s and key = w.code)
    when 4 then (select 1 from adrs where project = %(project)s and code = w.code)
    when 5 then (select 1 from bug_reports where project = %(project)s and code = w.code)
    when 6 then (select 1 from schedules where project = %(project)s and code = w.code)
    end is null
"""
_EVENTS_KNOWN: LiteralString = """
select event_id::text from events
where event_id = any(%(ids)s::uuid[]) and case when project = %(project)s then true end
union all
select event_id::text from archived_events
where event_id = any(%(ids)s::uuid[]) and case when project = %(project)s then true end
"""


class StoredEntity(NamedTuple):
    """The stored row of an entity."""

    revision: int
    deleted: bool
    body: bytes


class LoggedEvent(NamedTuple):
    """An event with its position."""

    position: Position
    body: bytes
    open: Sequence[int] | None
    """The ids of transactions that were in progress at the read."""

    @property
    def cursor(self) -> Cursor:
        """Return the event's cursor for the response that it was read for."""
        return cursor_of(self.position, self.open)


class EntityHistory(NamedTuple):
    """The stored row, the pending changes and a page of the events of an entity, in one snapshot."""

    stored: StoredEntity | None
    """None if the ledger has no such entity."""
    pending: list[bytes]
    """The events of the pending changes, one each, in the order of revisions."""
    page: pages.Page[LoggedEvent]


class EventSpan(NamedTuple):
    """The events of an entity between two positions."""

    entity_type: int
    code: str
    after: Position
    before: Position


def entity(
    conn: Connection,
    *,
    project: str,
    entity_type: int,
    code: str,
    newest_first: bool,
    limit: int,
    after: Position | None = None,
    upto: Cursor | datetime | None = None,
    archived: bool = True,
) -> EntityHistory:
    """Return a page of an entity's events with its pending changes and its stored row, in one snapshot.

    ``after`` is the last event of the page before. ``upto`` ends the history at a cursor or a time. A cursor
    includes its whole transaction. A time includes the first transaction after it, which may log earlier
    changes. ``archived`` includes the archive.
    """
    params: dict[str, Any] = {
        "project": project,
        "entity": f"{project}/{int(entity_type)}/{code}",
        "entity_type": entity_type,
        "code": code,
        "prefix": _prefix(entity_type),
        **pages.limits(limit),
    }
    bounds: LiteralString = ""
    if after is not None:
        bounds += _BEFORE if newest_first else _AFTER
        params |= {"epoch": after.epoch, "xid": str(after.xid), "seq": after.seq}
    head: LiteralString = _AT_TIME if isinstance(upto, datetime) else ""
    end, end_params = _end(upto)
    bounds += end
    params |= end_params
    order = BACK_IN_LOG if newest_first else IN_LOG
    page = Selection([_OF_ENTITY], params).in_log(_COLUMNS, bounds, order, limit + 1, archived=archived)
    stored = _ENTITY_HEAD + _STORED[entity_type] + _ENTITY_TAIL
    rows = conn.execute(head + stored + pages.cut(_LOGGED, page), params, name="history.entity").fetchall()
    beside = [r for r in rows if r[0] is None]
    return EntityHistory(
        next((StoredEntity(r[4], r[5], r[3]) for r in beside if r[5] is not None), None),
        [r[3] for r in sorted(beside, key=itemgetter(4)) if r[5] is None],
        _page([r for r in rows if r[0] is not None], limit, newest_first=newest_first),
    )


def _end(upto: Cursor | datetime | None) -> tuple[LiteralString, dict[str, Any]]:
    """Return the condition of the end of a history, and its parameters."""
    if upto is None:
        return "", {}
    if isinstance(upto, datetime):
        return _UP_TO_TIME, {"to_time": upto}
    params: dict[str, Any] = {"to_epoch": upto.position.epoch, "to_xid": str(upto.position.xid)}
    # If the reader has seen a part of the first open transaction, all of it counts as seen.
    unseen = upto.open[1:] if upto.read else upto.open
    if not unseen:
        return _UP_TO_POSITION, params
    return _UP_TO_POSITION + _SEEN, params | {"to_open": BigintArray(unseen)}


def chain(
    conn: Connection, *, project: str, correlation_id: str, after: Position, limit: int
) -> pages.Page[LoggedEvent]:
    """Return a page of the live and archived events of a correlation, in the order of the log."""
    selected = select(project, EventFilter(correlation_id=correlation_id))
    page = selected.in_log(_COLUMNS, _AFTER, IN_LOG, limit + 1, archived=True)
    params = selected.params | {
        "epoch": after.epoch, "xid": str(after.xid), "seq": after.seq, **pages.limits(limit),
    }  # fmt: skip
    rows = conn.execute(pages.cut(_LOGGED, page), params, name="history.chain").fetchall()
    return _page(rows, limit, newest_first=False)


def _page(rows: list[tuple[Any, ...]], limit: int, *, newest_first: bool) -> pages.Page[LoggedEvent]:
    rows.sort(key=itemgetter(0, 1, 2), reverse=newest_first)
    return pages.page(rows, limit, lambda *r: LoggedEvent(Position(r[0], r[1], r[2]), r[3], r[6]))


def list_spans(
    conn: Connection, *, project: str, spans: Sequence[EventSpan], limit: int
) -> list[list[bytes] | None]:
    """Return the events of each span, oldest first, or None for a span that ``limit`` or 4 MiB cut off."""
    if not spans:
        return []
    rows = conn.execute(
        _BETWEEN,
        {
            "project": project,
            "entities": TextArray(f"{project}/{int(s.entity_type)}/{s.code}" for s in spans),
            "types": BigintArray(s.entity_type for s in spans),
            "codes": TextArray(s.code for s in spans),
            "prefixes": TextArray(_prefix(s.entity_type) for s in spans),
            "from_epochs": BigintArray(s.after.epoch for s in spans),
            "from_xids": BigintArray(s.after.xid for s in spans),
            "from_seqs": BigintArray(s.after.seq for s in spans),
            "to_epochs": BigintArray(s.before.epoch for s in spans),
            "to_xids": BigintArray(s.before.xid for s in spans),
            "to_seqs": BigintArray(s.before.seq for s in spans),
            **pages.limits(limit),
        },
        name="history.between",
    ).fetchall()
    bodies: list[list[bytes]] = [[] for _ in spans]
    for span, body, _ in rows:
        bodies[span - 1].append(body)
    # The last span may be incomplete, and all spans after it are missing.
    cut = bool(rows) and (rows[-1][2] or len(rows) > limit)
    whole = rows[-1][0] - 1 if cut else len(spans)
    return [found if n < whole and len(found) < SPAN_EVENTS else None for n, found in enumerate(bodies)]


def missing_entities(
    conn: Connection, *, project: str, entities: Sequence[tuple[int, str]]
) -> set[tuple[int, str]]:
    """Return those (type, code) that the ledger does not have."""
    if not entities:
        return set()
    rows = conn.execute(
        _UNKNOWN,
        {
            "project": project,
            "types": BigintArray(e[0] for e in entities),
            "codes": TextArray(e[1] for e in entities),
        },
        name="history.unknown",
    ).fetchall()
    return {(r[0], r[1]) for r in rows}


def known_event_ids(conn: Connection, *, project: str, ids: Sequence[str]) -> set[str]:
    """Return those ids that are ids of events in the log."""
    wanted = [UUID(one) for one in ids if _ID.fullmatch(one)]
    if not wanted:
        return set()
    rows = conn.execute(
        _EVENTS_KNOWN, {"project": project, "ids": UuidArray(wanted)}, name="history.events_known"
    ).fetchall()
    return {r[0] for r in rows}


def _prefix(entity_type: int) -> str:
    return f"orchestration.{ENTITY_NAMES[entity_type]}."
