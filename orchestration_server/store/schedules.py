"""The SQL of schedules. All writers of a schedule hold its lock when they read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import generation, pages, tasks
from orchestration_server.store.pages import Page
from orchestration_server.store.prepared import Prepared, prepared

_COLUMNS: LiteralString = """s.code, s.revision, s.next_time, s.last_time, s.last_kind, s.last_code,
    s.last_error, s.body"""

# The work of a task that is done needs no look at the other columns. A sprint is open with an open task only.
_OPEN: LiteralString = """case s.last_kind
    when 1 then coalesce((
        select p.status in (1, 2) and p.delete_time is null and exists (
            select from tasks t where t.project = s.project and t.sprint_code = s.last_code
                and t.sprint_code <> '' and t.delete_time is null and t.status in (1, 2, 3))
        from sprints p where p.project = s.project and p.code = s.last_code), false)
    when 2 then coalesce((
        select t.status in (1, 2, 3) and t.delete_time is null
        from tasks t where t.project = s.project and t.code = s.last_code), false)
    else false end"""
_PREPARE: LiteralString = (
    """
select clock_timestamp(), r.fingerprint, r.response, s.delete_time is not null,
    exists (select from sprints p where p.project = %(project)s and p.code = %(sprint)s
        and p.delete_time is null),
    exists (select from pauses p where p.project = %(project)s and p.kind = 1),
    """
    + _OPEN
    + ", "
    + _COLUMNS
    + """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join schedules s on s.project = %(project)s and s.code = %(code)s
"""
)
_COUNT: LiteralString = """
select count(*) from schedules where project = %(project)s and delete_time is null
"""
_GET: LiteralString = (
    "select clock_timestamp(), s.project, "
    + _COLUMNS
    + """ from schedules s
where s.project = %(project)s and s.code = %(code)s and case when s.delete_time is null then true end
"""
)
_NAMES: LiteralString = "code, revision, next_time, last_time, last_kind, last_code, last_error, body"
_LIST: LiteralString = (
    "select "
    + _NAMES
    + """ from schedules
where project = %(project)s and code > %(after)s and delete_time is null
order by code limit %(limit)s::bigint"""
)
_DUE: LiteralString = (
    "select clock_timestamp(), s.project, "
    + _COLUMNS
    + """ from schedules s
where s.next_time <= now()
    and not exists (select from pauses p where p.project = s.project and p.kind = 1)
order by s.next_time, s.project, s.code limit %(limit)s::bigint
"""
)

INSERT: LiteralString = """changed as (
    insert into schedules (project, code, revision, next_time, create_time, update_time, body)
    select %(project)s, %(n_code)s, 1, %(n_next)s::timestamptz, %(n_time)s, %(n_time)s, %(n_body)b
    from locked
    returning 1
)"""
UPDATE: LiteralString = """changed as (
    update schedules s set revision = s.revision + 1, next_time = %(n_next)s::timestamptz,
        update_time = %(n_time)s, body = %(n_body)b
    from locked
    where s.project = %(project)s and s.code = %(n_code)s and s.revision = %(n_revision)s::bigint
        and s.delete_time is null
    returning 1
)"""
DELETE: LiteralString = """changed as (
    update schedules s set revision = s.revision + 1, next_time = null, delete_time = %(n_time)s,
        update_time = %(n_time)s
    from locked
    where s.project = %(project)s and s.code = %(n_code)s and s.revision = %(n_revision)s::bigint
        and s.delete_time is null
    returning 1
)"""


def _moved_cte(name: LiteralString) -> LiteralString:
    """Return the CTE that moves a schedule on, if it is still as it was read."""
    return (
        name
        + """ as (
    update schedules s set next_time = %(n_next)s::timestamptz, last_time = %(n_last)s::timestamptz,
        last_kind = %(n_kind)s::smallint, last_code = %(n_created)s, last_error = %(n_error)b
    from locked
    where s.project = %(project)s and s.code = %(n_code)s and s.revision = %(n_revision)s::bigint
        and s.next_time is not distinct from %(n_due)s::timestamptz and s.delete_time is null
    returning 1
)"""
    )


NEW_SPRINT: LiteralString = generation.INSERT
MOVE: LiteralString = _moved_cte("changed")
FIRE: Mapping[str, LiteralString] = {
    tasks.INSERT: _moved_cte("moved")
    + ", "
    + tasks.insert_cte("made", "moved")
    + ", changed as (select 1 from moved union all select 1 from made)",
    generation.INSERT: _moved_cte("moved")
    + ", "
    + generation.insert_ctes("moved")
    + """, changed as (
    select 1 from moved union all select 1 from new_sprint union all select 1 from new_tasks
    union all select 1 from new_links
)""",
}
"""The statements that create tasks or a sprint and move the schedule on, by those that only create."""

# Shared with claims: PauseWork waits for its holders, so nothing fires after it has returned.
_TAKE_TURN: LiteralString = """
select pg_advisory_xact_lock_shared(hashtextextended(%(project)s || '/claims', 0))
"""


class ScheduleRow(NamedTuple):
    """A schedule as it is stored."""

    code: str
    revision: int
    next_time: datetime | None
    last_time: datetime | None
    last_kind: int
    last_code: str
    last_error: bytes | None
    body: bytes


class ReadSchedule(NamedTuple):
    """A schedule with the database's time of the read."""

    now: datetime
    project: str
    row: ScheduleRow


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """The rows that decide a write of a schedule."""

    row: ScheduleRow | None
    """None if the code was never used."""
    deleted: bool
    has_sprint: bool
    """True if the sprint that was asked for exists."""
    project_paused: bool
    open: bool
    """True if the work that was created last is not done."""


def get(conn: Connection, *, project: str, code: str) -> ReadSchedule | None:
    """Return a schedule, or None if it does not exist or is deleted."""
    row = conn.execute(_GET, {"project": project, "code": code}, name="schedules.get").fetchone()
    return None if row is None else _read(row)


def list_page(conn: Connection, *, project: str, after: str, limit: int) -> Page[ScheduleRow]:
    """Return a page of schedules by code, after a code."""
    params = {"project": project, "after": after, **pages.limits(limit)}
    return pages.listed(conn, "schedules.list_page", _NAMES, _LIST, params, ScheduleRow)


def due(conn: Connection, *, limit: int) -> list[ReadSchedule]:
    """Return the schedules whose time has come, the longest due first, without those of paused projects."""
    return [_read(row) for row in conn.execute(_DUE, {"limit": limit}, name="schedules.due")]


def count(conn: Connection, *, project: str) -> int:
    """Return the number of schedules of a project."""
    row = conn.execute(_COUNT, {"project": project}, name="schedules.count").fetchone()
    assert row is not None
    return int(row[0])


def prepare(
    conn: Connection, *, project: str, request: Request, code: str, sprint: str = ""
) -> Prepared[ScheduleState]:
    """Read a schedule, and whether a sprint exists."""
    row = conn.execute(
        _PREPARE,
        {
            "project": project, "rpc": request.rpc, "request_id": request.request_id, "code": code,
            "sprint": sprint,
        }, name="schedules.prepare",
    ).fetchone()  # fmt: skip
    assert row is not None
    found = None if row[7] is None else ScheduleRow(*row[7:])
    return prepared(row, {}, ScheduleState(found, row[3], row[4], row[5], row[6]))


def take_turn(conn: Connection, *, project: str) -> None:
    """Take the lock for which PauseWork waits before it returns, until the transaction ends."""
    conn.execute(_TAKE_TURN, {"project": project}, name="schedules.take_turn")


def move_params(
    row: ScheduleRow,
    *,
    next_time: datetime | None,
    last_time: datetime | None,
    created: tuple[int, str] | None,
    error: bytes | None,
) -> dict[str, Any]:
    """Return the parameters that move a schedule on. ``created`` is the kind and code of what was made."""
    kind, code = created or (row.last_kind, row.last_code)
    return {
        "n_code": row.code, "n_revision": row.revision, "n_due": row.next_time, "n_next": next_time,
        "n_last": last_time, "n_kind": kind, "n_created": code, "n_error": error,
    }  # fmt: skip


def _read(row: Sequence[Any]) -> ReadSchedule:
    return ReadSchedule(row[0], row[1], ScheduleRow(*row[2:]))
