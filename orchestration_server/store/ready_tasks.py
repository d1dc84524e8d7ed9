"""The SQL of the list of ready tasks, in the order of claims."""

from __future__ import annotations

from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.store import aging, pages
from orchestration_server.store.aging import PRIORITIES, Aging
from orchestration_server.store.tasks import ListedTask

SCAN = 4_096
"""The most candidates of one scan."""
_LISTED: LiteralString = "create_time, priority, code, body"
_COLUMNS: LiteralString = "t.create_time, t.priority, t.code as task_code, t.body"
_OF_SPRINT: LiteralString = " and t.sprint_code = %(sprint)s and t.sprint_code <> ''"
_END: LiteralString = ") q " + aging.ORDER + " limit %(limit)s::bigint"
_SIZE: LiteralString = "coalesce(octet_length(body), 0)"

# One scan of an index for each priority finds candidates, with one probe for the blockers of each: the limit
# ends it as soon as it has enough. Scalar subqueries leave the planner no other plan, even on a table without
# statistics. As an anti-join, the query took over 60 s after a new import of 3,237 tasks.
_PENDING: LiteralString = (
    """select t.* from unnest(%(priorities)s::smallint[], %(starts)s::text[]::timestamptz[])
    as p (priority, start) cross join lateral (select """
    + _COLUMNS
    + """ from tasks t where t.project = %(project)s and t.priority = p.priority
    and (t.create_time, t.code) > (p.start, %(after_code)s) and t.delete_time is null and t.status = 1"""
)
_UNBLOCKED: LiteralString = """ and case when not coalesce((
    select bool_or(d.kind = 1 and (
        select b.status in (1, 2, 3) and b.delete_time is null from tasks b
        where b.project = d.project and b.code = d.depends_on_code))
    from dependencies d where d.project = t.project and d.task_code = t.code), false)
    and case when t.sprint_code = '' or %(apart)s::integer & 64 <> 0 then true else (
        select s.status = 2 from sprints s where s.project = t.project and s.code = t.sprint_code) end
    and (t.not_before is null or t.not_before <= clock_timestamp())
    and (t.retry_time is null or t.retry_time <= clock_timestamp()) then true end
    order by t.create_time, t.code limit %(limit)s::bigint) t"""
# The function decides. It takes ten times as long as what was asked before, so it is called for the first
# candidates of all priorities alone. The others are without a body.
_DECIDED: LiteralString = """select c.create_time, c.priority, c.task_code as code,
    case when ledger_unready(%(project)s, c.task_code, '', null, '') & ~ %(apart)s::integer = 0
        then c.body end as body
from (select q.* from ("""
_DECIDED_END: LiteralString = ") c"
# Only open attempts have a lease, so it takes little to look at all of them.
_HELD: LiteralString = (
    "select q.create_time, q.priority, q.task_code as code, q.body from (select "
    + _COLUMNS
    + """ from leases h join tasks t on t.project = h.project and t.code = h.task_code
    where t.project = %(project)s and t.delete_time is null and t.status = 2
    and not ledger_lease_valid(h.expire_time, h.seconds, h.deadline)
    and ledger_unready(%(project)s, t.code, '', null, '') & ~ %(apart)s::integer = 0"""
)
_AFTER: LiteralString = """
    and (t.priority > 1, t.create_time + t.priority * %(step)s::interval, t.code)
        > (%(priority)s::smallint > 1, %(time)s::timestamptz + %(priority)s::smallint * %(step)s::interval,
            %(after_code)s)"""


class Wanted(NamedTuple):
    """The tasks of a list, and their order."""

    project: str
    sprint_code: str
    """Empty for tasks of all sprints."""
    apart: int
    """The reasons that do not count, as bits (model.Unready)."""
    order: Aging


def list_page(
    conn: Connection, *, wanted: Wanted, after: ListedTask | None, limit: int
) -> pages.Page[ListedTask]:
    """Return a page of the tasks that an agent without a name could claim, in the order of claims."""
    # The leases come first: a task whose attempt ends in between is then found twice rather than never.
    lapsed = _lapsed(conn, wanted, after, limit)
    page = _pending(conn, wanted, after, limit)
    if not lapsed.rows:
        return page

    def key(row: ListedTask) -> tuple[Any, ...]:
        return wanted.order.key(row.priority, row.create_time, row.code)

    merged = sorted({row.code: row for row in (*lapsed.rows, *page.rows)}.values(), key=key)
    if page.more or lapsed.more:
        # What follows the shorter of the two lists belongs to a later page.
        last = min(key(rows[-1]) for rows, further in (page, lapsed) if further)
        merged = [row for row in merged if key(row) <= last]
    return pages.Page(merged[:limit], page.more or lapsed.more or len(merged) > limit)


def _pending(
    conn: Connection, wanted: Wanted, after: ListedTask | None, limit: int
) -> pages.Page[ListedTask]:
    """Return a page of pending tasks. It looks at candidates until it has enough that are ready."""
    query = _DECIDED + _PENDING + (_OF_SPRINT if wanted.sprint_code else "") + _UNBLOCKED
    query += _END + _DECIDED_END
    found: list[ListedTask] = []
    room, scan, more = pages.PAGE_BYTES, limit, True
    while more and len(found) <= limit:
        params = _params(wanted, after, scan) | {"bytes": room}
        rows, _ = pages.read(
            conn, "tasks.list_ready", lambda cut: _cut(cut, query), params,
            large=scan > pages.SMALL_PAGE_ROWS,
        )  # fmt: skip
        if not rows:
            break
        more = len(rows) > scan or bool(rows[-1][-1])
        for row in rows[: scan + 1]:
            after = ListedTask(row[0], row[1], row[2], row[3] or b"")
            if row[3] is None:
                continue
            room -= len(row[3])
            if room < 0 and found:
                return pages.Page(found[:limit], True)
            found.append(after)
        scan = min(2 * scan, SCAN)
    return pages.Page(found[:limit], len(found) > limit)


def _cut(cut: pages.Cut, query: LiteralString) -> LiteralString:
    return pages.cut(_LISTED, query, size=_SIZE) if cut is pages.cut else cut(_LISTED, query)


def _lapsed(conn: Connection, wanted: Wanted, after: ListedTask | None, limit: int) -> pages.Page[ListedTask]:
    """Return a page of the tasks whose lease has expired."""
    query, params = _HELD + (_OF_SPRINT if wanted.sprint_code else ""), _params(wanted, after, limit)
    if after is not None:
        query += _AFTER
        params |= {"priority": after.priority, "time": after.create_time}
    return pages.listed(conn, "tasks.list_ready", _LISTED, query + _END, params, ListedTask)


def _params(wanted: Wanted, after: ListedTask | None, limit: int) -> dict[str, Any]:
    position = None if after is None else (after.priority, after.create_time)
    return {
        "project": wanted.project,
        "sprint": wanted.sprint_code,
        "apart": wanted.apart,
        "priorities": BigintArray(PRIORITIES),
        "starts": TextArray(wanted.order.starts(position, PRIORITIES)),
        "step": wanted.order.step,
        "after_code": "" if after is None else after.code,
        **pages.limits(limit),
    }
