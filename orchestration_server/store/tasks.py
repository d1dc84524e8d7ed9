"""The SQL of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import orjson

from orchestration_server.db.arrays import (
    Array,
    BigintArray,
    BoolArray,
    ByteaArray,
    NullableTimestampArray,
    TextArray,
    TimestampArray,
)
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import leases, pages
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

GET: LiteralString = """
select case when delete_time is null then body end from tasks
where project = %(project)s and code = %(code)s
"""

_PREPARE: LiteralString = (
    """
select clock_timestamp(), r.fingerprint, r.response, t.code, t.revision, t.delete_time is not null, t.body,
    (select array_agg(s.code) filter (where s.delete_time is null) from sprints s
     where s.project = %(project)s and s.code = any(%(sprints)s::text[])),
    """
    + leases.COLUMNS
    + """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join tasks t on r.request_id is null and t.project = %(project)s and t.code = any(%(codes)s::text[])
left join leases l on l.project = t.project and l.task_code = t.code
"""
)


def insert_cte(name: LiteralString, source: LiteralString) -> LiteralString:
    """Return the CTE that inserts tasks once the CTE ``source`` has its row."""
    return (
        name
        + """ as (
    insert into tasks (project, code, uid, sprint_code, status, priority, assignee, labels, revision,
        create_time, update_time, body, capabilities, not_before, due_time, completed_by_children, budget)
    select %(project)s, c.code, c.uid, c.sprint_code, c.status, c.priority, c.assignee,
        array(select jsonb_array_elements_text(c.labels::jsonb)), 1, c.create_time, c.update_time, c.body,
        array(select jsonb_array_elements_text(c.capabilities::jsonb)), c.not_before, c.due_time,
        c.completed_by_children, nullif(c.budget, '')::bigint[]
    from """
        + source
        + """, unnest(%(c_code)s::text[], %(c_uid)s::text[]::uuid[], %(c_sprint)s::text[],
        %(c_status)s::smallint[], %(c_priority)s::smallint[], %(c_assignee)s::text[], %(c_labels)s::text[],
        %(c_create)s::timestamptz[], %(c_update)s::timestamptz[], %(c_body)s::bytea[],
        %(c_capabilities)s::text[], %(c_not_before)s::timestamptz[], %(c_due)s::timestamptz[],
        %(c_by_children)s::boolean[], %(c_budget)s::text[])
        as c (code, uid, sprint_code, status, priority, assignee, labels, create_time, update_time, body,
            capabilities, not_before, due_time, completed_by_children, budget)
    returning 1
)"""
    )


INSERT: LiteralString = insert_cte("changed", "locked")


# The planner does not see into ``c``, so it must find each task by project and code. If it saw the project, a
# plan from the time when the table was empty would walk all tasks of the project.
def update_cte(name: LiteralString, source: LiteralString) -> LiteralString:
    """Return the CTE that updates tasks once the CTE ``source`` has its row."""
    return (
        name
        + """ as (
    update tasks t set sprint_code = c.sprint_code, status = c.status, priority = c.priority,
        assignee = c.assignee,
        labels = array(select jsonb_array_elements_text(c.labels::jsonb)),
        revision = c.revision + 1, update_time = c.update_time, body = c.body,
        retry_time = case when c.retry_time = '' and c.status = t.status then t.retry_time
            else nullif(c.retry_time, '')::timestamptz end,
        capabilities = array(select jsonb_array_elements_text(c.capabilities::jsonb)),
        not_before = c.not_before, due_time = c.due_time, completed_by_children = c.completed_by_children,
        budget = nullif(c.budget, '')::bigint[]
    from (
        select %(project)s::text as project, n.*
        from """
        + source
        + """, unnest(%(c_code)s::text[], %(c_revision)s::bigint[], %(c_sprint)s::text[],
            %(c_status)s::smallint[], %(c_priority)s::smallint[], %(c_assignee)s::text[],
            %(c_labels)s::text[], %(c_update)s::timestamptz[], %(c_body)s::bytea[], %(c_retry)s::text[],
            %(c_capabilities)s::text[], %(c_not_before)s::timestamptz[], %(c_due)s::timestamptz[],
            %(c_by_children)s::boolean[], %(c_budget)s::text[])
            as n (code, revision, sprint_code, status, priority, assignee, labels, update_time, body,
                retry_time, capabilities, not_before, due_time, completed_by_children, budget)
        offset 0
    ) c
    where t.project = c.project and t.code = c.code and t.revision = c.revision
    returning 1
)"""
    )


UPDATE: LiteralString = update_cte("changed", "locked")

DELETE: LiteralString = """changed as (
    update tasks t set delete_time = %(c_update)s, update_time = %(c_update)s, revision = t.revision + 1
    from locked
    where t.project = %(project)s and t.code = %(c_code)s and t.revision = %(c_revision)s::bigint
    returning 1
)"""

TELL_OVERDUE: LiteralString = """changed as (
    update tasks t set told_due_time = t.due_time
    from locked
    where t.project = %(project)s and t.code = %(c_code)s and t.revision = %(c_revision)s::bigint
        and t.due_time <= clock_timestamp() and t.due_time is distinct from t.told_due_time
    returning 1
)"""

_OVERDUE: LiteralString = """
select project, code from tasks
where due_time <= clock_timestamp() and due_time is not null and due_time is distinct from told_due_time
    and status in (1, 2, 3) and delete_time is null
order by due_time limit %(limit)s::bigint
"""

_FINISHED_PARENTS: LiteralString = """
select t.project, t.code from tasks t
where t.completed_by_children and t.status in (1, 2) and t.delete_time is null and (
    select coalesce(bool_or(c.status = 4), false) and not coalesce(bool_or(c.status in (1, 2, 3)), false)
        and (t.children_seen is null or t.children_seen <> sum(hashtextextended(c.code, c.revision)))
    from dependencies d join tasks c on c.project = d.project and c.code = d.task_code
    where c.delete_time is null and d.project = t.project and d.depends_on_code = t.code and d.kind = 2)"""
_NOT_HELD: LiteralString = """
    and not exists (select from leases l where l.project = t.project and l.task_code = t.code)"""
_ONE: LiteralString = " and t.project = %(project)s and t.code = %(code)s"
_LIMIT: LiteralString = " limit %(limit)s::bigint"

_LISTED: LiteralString = "create_time, priority, code, body"
_LIST: LiteralString = "select " + _LISTED + " from tasks t where t.project = %(project)s"
_LIVE: LiteralString = " and delete_time is null"
_FILTERS: dict[str, LiteralString] = {
    "sprint_code": " and t.sprint_code = %(sprint_code)s and t.sprint_code <> ''",
    "statuses": " and status = any(%(statuses)s::smallint[])",
    "priorities": " and priority = any(%(priorities)s::smallint[])",
    "assignee": " and assignee = %(assignee)s and assignee <> ''",
    "labels": " and t.labels @> %(labels)s::text[] and t.labels <> '{}'",
}
_ARRAYS: dict[str, type[Array]] = {"statuses": BigintArray, "priorities": BigintArray, "labels": TextArray}
_NEWEST: LiteralString = " order by create_time desc, code desc limit %(limit)s::bigint"
_AFTER_NEWEST: LiteralString = " and (create_time, code) < (%(time)s::timestamptz, %(code)s)"
_URGENT: LiteralString = " order by priority, create_time, code limit %(limit)s::bigint"
_AFTER_URGENT: LiteralString = (
    " and (priority, create_time, code) > (%(priority)s::smallint, %(time)s::timestamptz, %(code)s)"
)


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """The columns of a task: its serialized message, and the fields that queries filter on."""

    code: str
    uid: str
    sprint_code: str
    status: int
    priority: int
    assignee: str
    labels: Sequence[str]
    revision: int
    """The revision that the change is made from. 0 for a new task."""
    create_time: datetime
    update_time: datetime
    body: bytes
    retry_time: datetime | None = None
    """When the pause after a failed attempt ends. None leaves it as it is, unless the status changes."""
    capabilities: Sequence[str] = ()
    not_before: datetime | None = None
    due_time: datetime | None = None
    completed_by_children: bool = False
    budget: str = ""
    """The limits of what attempts may use, as an array of SQL; empty if the task has none."""


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task of a list, with its position in the list."""

    create_time: datetime
    priority: int
    code: str
    body: bytes


def get(conn: Connection, *, project: str, code: str) -> bytes | None:
    """Return the serialized task, or None if it does not exist or is deleted."""
    row = conn.execute(GET, {"project": project, "code": code}, name="tasks.get").fetchone()
    return row[0] if row else None


def prepare(
    conn: Connection,
    *,
    project: str,
    request: Request,
    codes: Sequence[str],
    sprints: Sequence[str] = (),
) -> Prepared[None]:
    """Read tasks and their sprints for a write, in one round trip."""
    rows = conn.execute(
        _PREPARE,
        {
            "project": project,
            "rpc": request.rpc,
            "request_id": request.request_id,
            "codes": TextArray(codes),
            "sprints": TextArray(sprints),
        },
        name="tasks.prepare",
    ).fetchall()
    found = {
        r[3]: EntityRow(revision=r[4], deleted=r[5], body=r[6], lease=leases.lease_row(r[8:]))
        for r in rows
        if r[3] is not None
    }
    return prepared(rows[0], found, None, sprints=frozenset(rows[0][7] or ()))


def columns(rows: Sequence[TaskColumns]) -> dict[str, Array]:
    """Return the parameters of INSERT and UPDATE."""
    return {
        "c_code": TextArray(r.code for r in rows),
        "c_uid": TextArray(r.uid for r in rows),
        "c_sprint": TextArray(r.sprint_code for r in rows),
        "c_status": BigintArray(r.status for r in rows),
        "c_priority": BigintArray(r.priority for r in rows),
        "c_assignee": TextArray(r.assignee for r in rows),
        "c_labels": TextArray(_json(r.labels) for r in rows),
        "c_revision": BigintArray(r.revision for r in rows),
        "c_create": TimestampArray(r.create_time for r in rows),
        "c_update": TimestampArray(r.update_time for r in rows),
        "c_body": ByteaArray(r.body for r in rows),
        "c_retry": TextArray("" if r.retry_time is None else r.retry_time.isoformat() for r in rows),
        "c_capabilities": TextArray(_json(r.capabilities) for r in rows),
        "c_not_before": NullableTimestampArray(r.not_before for r in rows),
        "c_due": NullableTimestampArray(r.due_time for r in rows),
        "c_by_children": BoolArray(r.completed_by_children for r in rows),
        "c_budget": TextArray(r.budget for r in rows),
    }


def _json(texts: Sequence[str]) -> str:
    return orjson.dumps(list(texts)).decode() if texts else "[]"


def overdue(conn: Connection, *, limit: int) -> list[tuple[str, str]]:
    """Return the project and the code of open tasks whose due time has passed and was not logged yet."""
    return [(row[0], row[1]) for row in conn.execute(_OVERDUE, {"limit": limit}, name="tasks.overdue")]


def finished_parents(conn: Connection, *, limit: int) -> list[tuple[str, str]]:
    """Return the project and the code of tasks that their children complete, and have completed.

    A task that was opened again is left out until one of its children changes.
    """
    query = _FINISHED_PARENTS + _NOT_HELD + _LIMIT
    return [(row[0], row[1]) for row in conn.execute(query, {"limit": limit}, name="tasks.finished_parents")]


def is_finished_parent(conn: Connection, *, project: str, code: str) -> bool:
    """Return whether the children of a task have completed it."""
    params = {"project": project, "code": code}
    return (
        conn.execute(_FINISHED_PARENTS + _ONE, params, name="tasks.finished_parents").fetchone() is not None
    )


def list_page(
    conn: Connection,
    *,
    project: str,
    filters: dict[str, Any],
    by_priority: bool,
    after: ListedTask | None,
    limit: int,
) -> pages.Page[ListedTask]:
    """Return a page of tasks. ``filters`` has those fields of the request that are set."""
    query = _LIST + _LIVE
    for name in _FILTERS:
        if name in filters:
            query += _FILTERS[name]
    params: dict[str, Any] = {"project": project, **pages.limits(limit)}
    for name, value in filters.items():
        params[name] = _ARRAYS[name](value) if name in _ARRAYS else value
    if after is not None:
        query += _AFTER_URGENT if by_priority else _AFTER_NEWEST
        params |= {"time": after.create_time, "code": after.code, "priority": after.priority}
    query += _URGENT if by_priority else _NEWEST
    return pages.listed(conn, "tasks.list_page", _LISTED, query, params, ListedTask)
