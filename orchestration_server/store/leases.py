"""The SQL of leases and attempts. Migrations 0022 and 0025 describe the tables and their functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, ByteaArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import pages
from orchestration_server.store.pages import Page
from orchestration_server.store.prepared import EntityRow, LeaseRow, Prepared, prepared

COLUMNS: LiteralString = """l.fence, l.agent, l.session_key, nullif(l.expire_time, '-infinity'), l.deadline,
    ledger_lease_valid(l.expire_time, l.seconds, l.deadline),
    case when l.fence is not null then (select a.body from attempts a where a.fence = l.fence) end,
    l.used, l.usage"""
"""The columns that ``lease_row`` reads, of a lease ``l`` that may be missing."""


# The valid lease is checked and extended in one statement. A lease never lasts beyond its deadline.
_EXTEND: LiteralString = """
with beat as (
    update leases l set expire_time = least(clock_timestamp() + make_interval(secs => l.seconds),
        coalesce(l.deadline, 'infinity'))"""
_USED: LiteralString = """,
        used = case when ledger_usage_grows(l.used, b.used) then b.used else l.used end,
        usage = case when ledger_usage_grows(l.used, b.used) then b.usage else l.usage end
    from (
        select %(project)s::text as project, b.code, b.fence, nullif(b.used, '')::bigint[] as used, b.usage
        from unnest(%(codes)s::text[], %(fences)s::bigint[], %(used)s::text[], %(usages)s::bytea[])
            as b (code, fence, used, usage)"""
_NOT_USED: LiteralString = """
    from (
        select %(project)s::text as project, b.*
        from unnest(%(codes)s::text[], %(fences)s::bigint[]) as b (code, fence)"""
_BEAT_END: LiteralString = """
        order by b.code offset 0
    ) b
    where l.project = b.project and l.task_code = b.code and l.fence = b.fence
        and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
    returning l.task_code, l.fence, l.agent, l.expire_time, l.deadline, l.budget, l.spent, l.used
)
select b.task_code, b.fence, b.expire_time, b.expire_time - clock_timestamp(), b.deadline - clock_timestamp(),
    p.mode, p.reason, p.agent, b.budget, b.spent, b.used
from beat b
left join lateral (
    select p.mode, p.reason, p.agent from pauses p
    where p.project = %(project)s and case p.kind
        when 1 then true
        when 2 then p.value = (
            select t.sprint_code from tasks t where t.project = p.project and t.code = b.task_code)
        when 3 then p.value = b.agent
        when 4 then p.value = any((
            select t.labels from tasks t where t.project = p.project and t.code = b.task_code)::text[])
        else p.value = b.task_code end
    order by p.mode desc, p.kind limit 1
) p on true
"""
_BEAT: LiteralString = _EXTEND + _NOT_USED + _BEAT_END
_BEAT_WITH_USAGE: LiteralString = _EXTEND + _USED + _BEAT_END

_EXPIRED: LiteralString = """
select l.project, l.task_code from leases l
where not ledger_lease_valid(l.expire_time, l.seconds, l.deadline) limit %(limit)s::bigint
"""

_LIST: LiteralString = """
select l.task_code, (select a.body from attempts a where a.fence = l.fence), l.expire_time, l.seconds,
    l.deadline
from leases l
where l.project = %(project)s and l.task_code > %(after)s
    and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)"""
_OF_AGENT: LiteralString = " and l.agent = %(agent)s and l.agent <> ''"
_OF_SESSION: LiteralString = " and l.session_key = %(session)s and l.session_key <> ''"
_LIST_END: LiteralString = " order by l.task_code limit %(limit)s::bigint"

_ATTEMPTS: LiteralString = """
select a.number, a.body from attempts a
where a.project = %(project)s and a.task_code = %(task)s and a.number < %(before)s::bigint
order by a.number desc limit %(limit)s::bigint
"""
_LOCK: LiteralString = (
    "select from leases where project = %(project)s and task_code = %(task)s for no key update"
)
_THERE: LiteralString = "select exists (select from tasks where project = %(project)s and code = %(task)s)"
_TASK_OF_FENCE: LiteralString = (
    "select a.task_code from attempts a where a.project = %(project)s and a.fence = %(fence)s::bigint"
)


class HeldLease(NamedTuple):
    """A lease that a heartbeat extended, with the pause that concerns it."""

    task_code: str
    fence: int
    expire_time: datetime
    time_left: timedelta
    attempt_time_left: timedelta | None
    pause_mode: int | None
    pause_reason: str | None
    paused_by: str | None
    budget: list[int | None] | None
    """The limits of the task's budget; None if it has none."""
    spent: list[int] | None
    """The amounts that earlier attempts used, if the task has a budget."""
    used: list[int] | None
    """The amounts that the holder reported last."""


class Beat(NamedTuple):
    """One lease of a heartbeat, with the usage that its holder reports."""

    task_code: str
    fence: int
    used: str = ""
    """The amounts as an array of SQL; empty if none are reported."""
    usage: bytes = b""


class ListedLease(NamedTuple):
    """A valid lease of a list."""

    task_code: str
    attempt: bytes
    expire_time: datetime
    seconds: float
    deadline: datetime | None


class PastAttempts(NamedTuple):
    """The attempts that a retry policy counts: those since the last one that completed or parked the task."""

    failures: int
    losses: int
    """Leases lost in a row."""
    blocks: bool
    """True if other tasks wait for this one."""


_PREPARE_END: LiteralString = (
    """
select clock_timestamp(), r.fingerprint, r.response, t.code, t.revision, t.delete_time is not null, t.body,
    past.failures, past.losses,
    exists (select from dependencies d
        where d.project = t.project and d.depends_on_code = t.code and d.kind = 1)
    or exists (select from dependencies d
        where d.project = t.project and d.task_code = t.code and d.kind = 2),
    """
    + COLUMNS
    + """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join tasks t on r.request_id is null and t.project = %(project)s and t.code = %(task)s
left join leases l on l.project = t.project and l.task_code = t.code
left join lateral (
    select count(*) filter (where a.outcome in (2, 6)) as failures,
        count(*) filter (where a.outcome = 5 and a.number > coalesce((
            select max(o.number) from attempts o
            where o.project = t.project and o.task_code = t.code and o.outcome not in (0, 5)), 0)) as losses
    from attempts a
    where a.project = t.project and a.task_code = t.code and a.number > coalesce((
        select max(o.number) from attempts o
        where o.project = t.project and o.task_code = t.code and (o.outcome = 1 or o.parked)), 0)
) past on true
"""
)


def prepare_end(conn: Connection, *, project: str, request: Request, task: str) -> Prepared[PastAttempts]:
    """Read a task, its lease and its earlier attempts, for the end of an attempt."""
    rows = conn.execute(
        _PREPARE_END,
        {"project": project, "rpc": request.rpc, "request_id": request.request_id, "task": task},
        name="leases.prepare_end",
    ).fetchall()
    (row,) = rows
    found = {}
    if row[3] is not None:
        found[row[3]] = EntityRow(revision=row[4], deleted=row[5], body=row[6], lease=lease_row(row[10:]))
    return prepared(row, found, PastAttempts(*row[7:10]))


def lock(conn: Connection, *, project: str, task: str) -> None:
    """Lock the lease of a task until the end of the transaction. Heartbeats of it wait."""
    conn.execute(_LOCK, {"project": project, "task": task}, name="leases.lock")


def lease_row(columns: Sequence[Any]) -> LeaseRow | None:
    """Return the lease that COLUMNS have read, or None if there is none."""
    return None if columns[0] is None else LeaseRow(*columns)


def beat(conn: Connection, *, project: str, leases: Sequence[Beat]) -> dict[tuple[str, int], HeldLease]:
    """Extend valid leases, in one statement. Return those that were extended, by task code and fence.

    A report with a lower amount than an earlier one changes nothing.
    """
    params: dict[str, Any] = {
        "project": project,
        "codes": TextArray(each.task_code for each in leases),
        "fences": BigintArray(each.fence for each in leases),
    }
    query = _BEAT
    if any(each.used for each in leases):
        query = _BEAT_WITH_USAGE
        params["used"] = TextArray(each.used for each in leases)
        params["usages"] = ByteaArray(each.usage for each in leases)
    rows = conn.execute(query, params, name="leases.beat")
    return {(row[0], row[1]): HeldLease(*row) for row in rows}


def expired(conn: Connection, *, limit: int) -> list[tuple[str, str]]:
    """Return the project and the task of expired leases, of any project."""
    return [(row[0], row[1]) for row in conn.execute(_EXPIRED, {"limit": limit}, name="leases.expired")]


def list_page(
    conn: Connection, *, project: str, agent: str, session_key: str, after: str, limit: int
) -> list[ListedLease]:
    """Return valid leases by task code."""
    query = _LIST + (_OF_AGENT if agent else "") + (_OF_SESSION if session_key else "") + _LIST_END
    params = {"project": project, "agent": agent, "session": session_key, "after": after, "limit": limit}
    return [ListedLease(*row) for row in conn.execute(query, params, name="leases.list_page")]


class ListedAttempt(NamedTuple):
    """An attempt of a list."""

    number: int
    body: bytes


def list_attempts(
    conn: Connection, *, project: str, task: str, before: int, limit: int
) -> Page[ListedAttempt] | None:
    """Return a page of a task's attempts, the newest first. Return None if there was no such task."""
    params = {"project": project, "task": task, "before": before, **pages.limits(limit)}
    page = pages.listed(conn, "attempts.list_page", "number, body", _ATTEMPTS, params, ListedAttempt)
    if not page.rows:
        found = conn.execute(_THERE, params, name="attempts.list_page").fetchone()
        assert found is not None
        return page if found[0] else None
    return page


def task_of_fence(conn: Connection, *, project: str, fence: int) -> str | None:
    """Return the task whose attempt has a fence, or None if no attempt of the project has it."""
    row = conn.execute(
        _TASK_OF_FENCE, {"project": project, "fence": fence}, name="attempts.by_fence"
    ).fetchone()
    return None if row is None else str(row[0])
