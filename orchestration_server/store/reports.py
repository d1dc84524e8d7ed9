"""The SQL of reports, decisions and bug reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import pages
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

BLOCKED_LISTED = 100
BLOCKERS_LISTED = 20
COMPLETIONS_READ = 10_000
COMPLETIONS_BYTES = 16 * 1024 * 1024
"""The most changes that a report reads for its throughput: the newest."""

# Links, the tasks that they lead to, and the last change of a status are probes. Scalar subqueries leave the
# planner no other plan, even on a table without statistics. "kind = 1" is inside a case, since the planner
# could otherwise use the index of links by the task depended on.
_OF_TASK: LiteralString = """ e
    where hashtextextended(e.project || '/' || e.entity_code, 0)
            = hashtextextended(%(project)s || '/' || o.code, 0)
        and case when e.project = %(project)s and e.entity_code = o.code then true end"""
_BEGINS: LiteralString = """
        and e.type in ('orchestration.task.status_updated', 'orchestration.task.unblocked')"""
# A pending change is the last change of its task, since another change would have logged it.
_PENDING: LiteralString = """ from held_changes h
    where h.project = %(project)s and h.entity_type = 2 and h.entity_code = o.code
        and position('orchestration.task.status_updated'::bytea in h.body) > 0 limit 1"""
_BLOCKS: LiteralString = " and e.type = 'orchestration.task.blocked'"
_LAST: LiteralString = " order by e.epoch desc, e.xid desc, e.seq desc limit 1)"

_STATE: LiteralString = (
    """
with own as materialized (
    select code, status, priority, create_time, update_time from tasks
    where project = %(project)s and sprint_code = %(sprint)s and sprint_code <> '' and delete_time is null
), waiting as materialized (
    select o.*, array(
        select d.depends_on_code from dependencies d
        where d.project = %(project)s and d.task_code = o.code and case when d.kind = 1 then (
            select b.status in (1, 2, 3) and b.delete_time is null from tasks b
            where b.project = %(project)s and b.code = d.depends_on_code) end
        order by d.depends_on_code limit %(blockers)s::bigint) as blocked_by
    from own o where o.status in (1, 3)
), stuck as materialized (
    select * from waiting where status = 3 or blocked_by <> '{}'
), listed as materialized (
    select * from stuck order by status desc, priority, create_time, code limit %(listed)s::bigint
), begun as materialized (
    select o.code, coalesce((select o.update_time"""
    + _PENDING
    + """), (select e.occur_time from events"""
    + _OF_TASK
    + _BEGINS
    + _LAST
    + """, (select e.occur_time from archived_events"""
    + _OF_TASK
    + _BEGINS
    + _LAST
    + """, o.create_time) as since
    from own o where o.status = 2
    order by since, o.code limit 1
)
select 'sprint' as part, 0::smallint as status, 0::smallint as priority, 0::bigint as n, now() as time,
    case when s.delete_time is null then s.body end as body, null::text[] as blocked_by, null::bytea as event,
    false as further
from sprints s where s.project = %(project)s and s.code = %(sprint)s
union all
select 'count', status, priority, count(*), null, null, null, null, false from own group by status, priority
union all
select 'stuck', 0, 0, count(*), null, null, null, null, false from stuck
union all
select 'oldest', 0, 0, 0, b.since,
    (select t.body from tasks t where t.project = %(project)s and t.code = b.code), null, null, false
from begun b
union all
"""
    + pages.cut(
        "'blocked', status, priority, 0, create_time, body, blocked_by, event",
        """
    select o.status, o.priority, o.create_time, o.blocked_by,
        (select t.body from tasks t where t.project = %(project)s and t.code = o.code) as body,
        case when o.status = 3 then coalesce((select e.body from events"""
        + _OF_TASK
        + _BLOCKS
        + _LAST
        + """, (select e.body from archived_events"""
        + _OF_TASK
        + _BLOCKS
        + _LAST
        + """) end as event
    from listed o order by o.status desc, o.priority, o.create_time, o.code""",
        size="octet_length(body) + coalesce(octet_length(event), 0)",
    )
)

# ``becoming`` is in the body of each change to that status, and of others. The caller tells them apart.
_COMPLETIONS: LiteralString = pages.cut(
    "(occur_time at time zone 'UTC')::date, entity_code, body",
    """
select occur_time, entity_code, body from events
where hashtextextended(project || '/' || sprint_code, 0)
        = hashtextextended(%(project)s || '/' || %(sprint)s, 0) and sprint_code <> ''
    and type = 'orchestration.task.status_updated'
    and case when project = %(project)s and sprint_code = %(sprint)s then true end
    and occur_time >= %(since)s and position(%(becoming)s::bytea in body) > 0
order by occur_time desc limit %(limit)s::bigint""",
)

# The sprint and the task of a document, and the next number.
_BELONGS: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, t.body,
    (select array_agg(s.code) filter (where s.delete_time is null) from sprints s
     where s.project = %(project)s and s.code = %(sprint)s),
"""
_REQUEST: LiteralString = """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join (select code, case when delete_time is null then body end as body from tasks
    where project = %(project)s and code = %(task)s offset 0) t on true
"""
_PREPARE_ADR: LiteralString = (
    _BELONGS + "(select coalesce(max(a.number), 0) + 1 from adrs a where a.project = %(project)s)" + _REQUEST
)
_PREPARE_BUG: LiteralString = (
    _BELONGS
    + """(select coalesce(max(a.number), 0) + 1 from bug_reports a where a.project = %(project)s),
    b.code, b.revision, b.body"""
    + _REQUEST
    + "left join bug_reports b on b.project = %(project)s and b.fingerprint = %(fingerprint)s::bytea"
)

INSERT_ADR: LiteralString = """changed as (
    insert into adrs (project, number, code, sprint_code, task_code, revision, create_time, update_time, body)
    select %(project)s, %(c_number)s::integer, %(c_code)s, %(c_sprint)s, %(c_task)s, 1, %(c_update)s,
        %(c_update)s, %(c_body)b
    from locked
    returning 1
)"""
INSERT_BUG: LiteralString = """changed as (
    insert into bug_reports (project, number, code, fingerprint, revision, create_time, update_time, body)
    select %(project)s, %(c_number)s::integer, %(c_code)s, %(c_fingerprint)s::bytea, 1, %(c_update)s,
        %(c_update)s, %(c_body)b
    from locked
    returning 1
)"""
UPDATE_BUG: LiteralString = """changed as (
    update bug_reports b set revision = b.revision + 1, update_time = %(c_update)s, body = %(c_body)b
    from locked
    where b.project = %(project)s and b.code = %(c_code)s and b.revision = %(c_revision)s::bigint
    returning 1
)"""


class BlockedTask(NamedTuple):
    """A task that is blocked, or waits for others."""

    body: bytes
    create_time: datetime
    blocked_by: Sequence[str]
    event: bytes | None
    """The event that blocked it last. None if the task is pending, or blocked since its creation."""


@dataclass(frozen=True, slots=True)
class SprintState:
    """The state of a sprint in one snapshot."""

    now: datetime
    sprint: bytes
    counts: Sequence[tuple[int, int, int]]
    """Status, priority, and the number of tasks that have them."""
    blocked: Sequence[BlockedTask]
    blocked_total: int
    oldest: tuple[bytes, datetime] | None
    """The task that has been in progress longest, and the time since which it has."""


class DocumentTarget(NamedTuple):
    """The task of a document, and its number if it is new."""

    task: bytes | None
    number: int


def sprint_state(conn: Connection, *, project: str, sprint: str) -> SprintState | None:
    """Return the state of a sprint, or None if it does not exist or is deleted."""
    params = {
        "project": project,
        "sprint": sprint,
        "listed": BLOCKED_LISTED,
        "blockers": BLOCKERS_LISTED,
        "bytes": pages.PAGE_BYTES,
    }
    parts: dict[str, list[Any]] = {name: [] for name in ("sprint", "count", "stuck", "oldest", "blocked")}
    for row in conn.execute(_STATE, params, name="reports.state"):
        parts[row[0]].append(row[1:])
    if not parts["sprint"] or parts["sprint"][0][4] is None:
        return None
    oldest = parts["oldest"]
    return SprintState(
        now=parts["sprint"][0][3],
        sprint=parts["sprint"][0][4],
        counts=[row[:3] for row in parts["count"]],
        blocked=[BlockedTask(row[4], row[3], row[5], row[6]) for row in parts["blocked"]],
        blocked_total=parts["stuck"][0][2],
        oldest=(oldest[0][4], oldest[0][3]) if oldest else None,
    )


def completions(
    conn: Connection, *, project: str, sprint: str, since: datetime, becoming: bytes
) -> list[tuple[date, str, bytes]]:
    """Return possible completions of the sprint's tasks, newest first: day, task and event."""
    rows = conn.execute(
        _COMPLETIONS,
        {"project": project, "sprint": sprint, "since": since, "becoming": becoming,
         "limit": COMPLETIONS_READ, "bytes": COMPLETIONS_BYTES}, name="reports.completions",
    ).fetchall()  # fmt: skip
    return [row[:3] for row in rows]


def prepare_adr(
    conn: Connection, *, project: str, request: Request, sprint: str, task: str
) -> Prepared[DocumentTarget]:
    """Read the sprint and the task of a new decision, and its number."""
    row = conn.execute(
        _PREPARE_ADR, _params(project, request, sprint, task), name="reports.prepare_adr"
    ).fetchone()
    assert row is not None
    return prepared(row, {}, DocumentTarget(row[3], row[5]), sprints=frozenset(row[4] or ()))


def prepare_bug(
    conn: Connection, *, project: str, request: Request, sprint: str, task: str, fingerprint: bytes
) -> Prepared[DocumentTarget]:
    """Read the same for a bug report. ``rows`` has the bug by its code if it was reported before."""
    params = _params(project, request, sprint, task) | {"fingerprint": fingerprint}
    row = conn.execute(_PREPARE_BUG, params, name="reports.prepare_bug").fetchone()
    assert row is not None
    found = {} if row[6] is None else {row[6]: EntityRow(revision=row[7], deleted=False, body=row[8])}
    return prepared(row, found, DocumentTarget(row[3], row[5]), sprints=frozenset(row[4] or ()))


def _params(project: str, request: Request, sprint: str, task: str) -> dict[str, Any]:
    return {
        "project": project,
        "rpc": request.rpc,
        "request_id": request.request_id,
        "sprint": sprint,
        "task": task,
    }
