"""The SQL of the queue of tasks that may be ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.store import aging
from orchestration_server.store.aging import PRIORITIES, Aging
from orchestration_server.store.claims import Claimer, TaskFilter


class Candidate(NamedTuple):
    """A task of the queue."""

    task_code: str
    generation: int
    """-1 if the task is not in the queue: its lease has expired."""
    priority: int
    create_time: datetime
    in_order: bool
    """False for a task whose time has come or whose lease has expired, which every first page has."""
    unready: int
    """The reasons for which the task is not ready, as bits (model.Unready)."""
    doubted: bool
    """True if an earlier look found the task not ready, and all transactions of that time have ended."""


_ABLE: LiteralString = " and q.capabilities <@ %(able)s::text[]"
_OF_PRIORITIES: LiteralString = " and q.priority = any(%(priorities)s::smallint[])"
_OF_SPRINT: LiteralString = " and q.sprint_code = %(sprint)s and q.sprint_code <> ''"
_WITH_LABELS: LiteralString = " and q.labels @> %(labels)s::text[] and q.labels <> '{}'"
_OPEN: LiteralString = """
        and not q.labels && o.closed_labels and q.sprint_code <> all(o.closed_sprints)"""
_STARTS: LiteralString = "unnest(%(priorities)s::smallint[], %(starts)s::text[]::timestamptz[])"
# The subquery leaves no other index: one in the order of the queue passes all that has left it.
_ENTERED: LiteralString = """
with entered as materialized (
    select * from ready_queue
    where project = %(project)s and wake_time is null and entered >= %(since)s::text::xid8 and entered > '0'
)"""
_SELECT: LiteralString = """
select q.task_code, q.generation, q.priority, q.create_time, q.in_order,
    case when q.task_code is not null
        then ledger_unready(%(project)s, q.task_code, %(agent)s, %(able)s::text[], %(provider)s) end,
    coalesce(q.doubt <= pg_snapshot_xmin(pg_current_snapshot()), false), o.by_claimer, o.room"""
_OPENINGS: LiteralString = """
from ledger_openings(%(project)s, %(agent)s, %(provider)s) o"""
# Tasks that a limit or a pause keeps back stay in the queue, and no change of it says when that ends.
_WITH_HEAD: LiteralString = (
    ", h.starts, h.since"
    + _OPENINGS
    + """
left join lateral (
    select array_agg(coalesce(least(f.create_time, e.create_time), 'infinity')::text order by p.number)
            as starts,
        pg_snapshot_xmin(pg_current_snapshot())::text as since
    from """
    + _STARTS
    + """ with ordinality as p (priority, start, number)
    left join lateral (
        select q.create_time from ready_queue q
        where o.room > 0 and q.project = %(project)s and q.wake_time is null and q.priority = p.priority
            and q.create_time >= p.start"""
)
_FIRST_ENTERED: LiteralString = """
        order by q.create_time limit 1
    ) f on true
    left join lateral (
        select min(q.create_time) as create_time from entered q
        where o.room > 0 and q.priority = p.priority and q.create_time < p.start"""
_NONE_ENTERED: LiteralString = """
        order by q.create_time limit 1
    ) f on true
    left join lateral (
        select null::timestamptz as create_time"""
_HEAD_END: LiteralString = """
    ) e on true
) h on o.room > 0
    and o.closed_labels = '{}' and o.closed_sprints = '{}'"""
# The queue is read by one scan for each priority.
_SCANS: LiteralString = (
    """
left join lateral (
    (
        select q.task_code, q.generation, q.priority, q.create_time, true as in_order, q.doubt
        from """
    + _STARTS
    + """ as p (priority, start)
        cross join lateral (
            select q.task_code, q.generation, q.priority, q.create_time, q.doubt from ready_queue q
            where q.project = %(project)s and q.wake_time is null and q.priority = p.priority
                and (q.create_time, q.task_code) > (p.start, %(after_code)s)"""
)
_FIRST_PRIORITIES: LiteralString = (
    """
            order by q.create_time, q.task_code limit %(limit)s::bigint
        ) q
        where o.room > 0 """
    + aging.ORDER
    + " limit %(limit)s::bigint"
)
_BEFORE_START: LiteralString = (
    """
    )
  union all
    (
        select q.task_code, q.generation, q.priority, q.create_time, false, q.doubt
        from """
    + _STARTS
    + """ as p (priority, start)
        join entered q on q.priority = p.priority and q.create_time < p.start
        where o.room > 0"""
)
_FIRST: LiteralString = aging.ORDER + " limit %(limit)s::bigint"
_WOKEN: LiteralString = """
    )
  union all
    (
        select q.task_code, q.generation, q.priority, q.create_time, false, q.doubt from ready_queue q
        where o.room > 0 and q.project = %(project)s and q.wake_time <= clock_timestamp()"""
# Only open attempts have a row in leases.
_EXPIRED: LiteralString = """
    )
  union all
    (
        select q.code, -1, q.priority, q.create_time, false, null from leases l
        join tasks q on q.project = l.project and q.code = l.task_code
        where o.room > 0 and l.project = %(project)s
            and not ledger_lease_valid(l.expire_time, l.seconds, l.deadline)"""
_LIMIT: LiteralString = " limit %(limit)s::bigint"
_END: LiteralString = (
    """
    )
) q on true """
    + aging.ORDER
)

# Rows that another session has locked are changing: they are left to the next look.
_DOUBT: LiteralString = """
update ready_queue q set doubt = pg_current_xact_id() where (q.project, q.task_code) in (
    select q.project, q.task_code
    from unnest(%(codes)s::text[], %(generations)s::bigint[]) as d (code, generation)
    join ready_queue q on q.project = %(project)s and q.task_code = d.code and q.generation = d.generation
    where q.doubt is null
    for update of q skip locked)
"""
_DEQUEUE: LiteralString = """
delete from ready_queue q where (q.project, q.task_code) in (
    select q.project, q.task_code
    from unnest(%(codes)s::text[], %(generations)s::bigint[]) as d (code, generation)
    join ready_queue q on q.project = %(project)s and q.task_code = d.code and q.generation = d.generation
    for update of q skip locked)
"""


_NEW: LiteralString = (
    _ENTERED
    + _SELECT
    + """,
    case when o.closed_labels = '{}' and o.closed_sprints = '{}' then '{}'::text[] end,
    pg_snapshot_xmin(pg_current_snapshot())::text"""
    + _OPENINGS
    + """
left join lateral (
    select q.task_code, q.generation, q.priority, q.create_time, false as in_order, q.doubt from entered q
    where o.room > 0"""
)
_NEW_END: LiteralString = (
    """
) q on true """
    + aging.ORDER
)


class QueueHead(NamedTuple):
    """A place in the queue before which a read has found no task that a kind of claim could take."""

    starts: list[str]
    """The create time of the first task of each priority; infinity if there was none."""
    since: str
    """The transaction from which on later ones may have put tasks before that place."""


class CandidatePage(NamedTuple):
    """Tasks of the queue in the order of claims."""

    rows: list[Candidate]
    by_claimer: bool
    """True if the project has limits or pauses of agents: then other claimers may get other tasks."""
    room: int
    """The most leases that the claimer may take now."""
    head: QueueHead | None = None
    """The place from which a later read may go on. None if a limit or a pause keeps tasks back."""


def _wanted(tasks: TaskFilter) -> LiteralString:
    """Return the conditions on the tasks that a claim may take."""
    found = _ABLE + _OF_PRIORITIES + _OPEN
    if tasks.sprint_code:
        found += _OF_SPRINT
    if tasks.labels:
        found += _WITH_LABELS
    return found


def candidates(
    conn: Connection,
    *,
    project: str,
    claimer: Claimer,
    tasks: TaskFilter,
    order: Aging,
    after: Candidate | None,
    limit: int,
    head: QueueHead | None = None,
    expired: bool = True,
) -> CandidatePage:
    """Return a page of tasks that may be ready.

    Only the first page has those whose time has come and, if ``expired``, those whose lease has expired. It
    is empty if the claimer may take no task now. With a ``head`` it goes on from there.
    """
    wanted = _wanted(tasks)
    query = _SELECT
    if after is None:
        entered = _NONE_ENTERED if head is None else _FIRST_ENTERED + _ABLE
        query += _WITH_HEAD + _ABLE + entered + _HEAD_END
    else:
        query += ", null::text[], null" + _OPENINGS
    query += _SCANS + wanted + _FIRST_PRIORITIES
    if head is not None:
        query = _ENTERED + query + _BEFORE_START + wanted + _FIRST
    if after is None:
        query += _WOKEN + wanted + _LIMIT
        if expired:
            query += _EXPIRED + wanted + _LIMIT
    priorities = tasks.priorities or PRIORITIES
    position = None if after is None else (after.priority, after.create_time)
    params = _params(project, claimer, tasks, order, limit) | {
        "starts": TextArray(order.starts(position, priorities) if head is None else head.starts),
        "after_code": "" if after is None else after.task_code,
    }
    if head is not None:
        params["since"] = head.since
    return _page(conn, query + _END, params, name="claims.candidates")


def entered(
    conn: Connection,
    *,
    project: str,
    claimer: Claimer,
    tasks: TaskFilter,
    order: Aging,
    since: str,
    limit: int,
) -> CandidatePage:
    """Return the first tasks that have entered the queue since a read, whose head has ``since``."""
    params = _params(project, claimer, tasks, order, limit) | {"since": since}
    return _page(conn, _NEW + _wanted(tasks) + _FIRST + _NEW_END, params, name="claims.entered")


def _params(project: str, claimer: Claimer, tasks: TaskFilter, order: Aging, limit: int) -> dict[str, Any]:
    return {
        "project": project,
        "agent": claimer.agent,
        "able": TextArray(claimer.capabilities),
        "provider": claimer.provider,
        "sprint": tasks.sprint_code,
        "labels": TextArray(tasks.labels),
        "priorities": BigintArray(tasks.priorities or PRIORITIES),
        "step": order.step,
        "limit": limit,
    }


def _page(conn: Connection, query: LiteralString, params: dict[str, Any], *, name: str) -> CandidatePage:
    rows = conn.execute(query, params, name=name).fetchall()
    found = [Candidate(*row[:7]) for row in rows if row[0] is not None]
    by_claimer, room, starts, since = rows[0][7:]
    head = None if starts is None else QueueHead(starts, since)
    return CandidatePage(found, by_claimer, max(0, room), head)


def dequeue(conn: Connection, *, project: str, rows: Sequence[Candidate]) -> None:
    """Take tasks out of the queue that two looks found not ready, and mark those that one look found so."""
    for query, doubted in ((_DEQUEUE, True), (_DOUBT, False)):
        chosen = [row for row in rows if row.doubted is doubted]
        if chosen:
            params = {
                "project": project,
                "codes": TextArray(row.task_code for row in chosen),
                "generations": BigintArray(row.generation for row in chosen),
            }
            conn.execute(query, params, name="claims.dequeue")


_WAKE: LiteralString = """
update ready_queue set wake_time = null where (project, task_code) in (
    select project, task_code from ready_queue where wake_time <= clock_timestamp()
    order by project, task_code limit %(limit)s::bigint for update skip locked)
"""


def wake_due(conn: Connection, *, limit: int) -> int:
    """Put tasks whose time has come into the order of the queue. Return their number."""
    return conn.execute(_WAKE, {"limit": limit}, name="claims.wake_due").rowcount


_QUEUE_FREED: LiteralString = """
select ledger_queue_freed(f.project, %(limit)s::bigint) from (
    select f.project from freed_dependents f where f.project = %(project)s or %(project)s::text is null
    order by f.create_time, f.blocker limit 1) f
"""


def queue_freed(conn: Connection, *, project: str | None, limit: int) -> bool:
    """Put dependents of an ended blocker into the queue that its end left to later transactions.

    Return False if no dependents are left. ``project`` None means any project.
    """
    return bool(
        conn.execute(_QUEUE_FREED, {"project": project, "limit": limit}, name="claims.queue_freed").fetchall()
    )
