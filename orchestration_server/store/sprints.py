"""The SQL of sprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import pages
from orchestration_server.store import tasks as task_store
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

GET: LiteralString = """
select case when delete_time is null then body end from sprints
where project = %(project)s and code = %(code)s
"""

_OWN: LiteralString = """
from (select revision, body, delete_time from sprints
    where project = %(project)s and code = %(code)s offset 0) s
where s.delete_time is null
"""
_TASKS: LiteralString = """
    from tasks t where t.project = %(project)s and t.sprint_code = %(code)s and t.sprint_code <> ''
        and t.delete_time is null"""
_DEPARTED: LiteralString = """(select coalesce(sum(d.total), 0) from departed_tasks d
    where d.project = %(project)s and d.sprint_code = %(code)s)::bigint"""
# The version of a sprint's tasks grows with each change of a task, and with each task that joins or leaves.
_VERSION: LiteralString = (
    "select s.revision, (select coalesce(sum(t.revision), 0)" + _TASKS + ")::bigint + " + _DEPARTED + _OWN
)
# The version and its content in one snapshot. Each task is read once.
_FULL: LiteralString = (
    "select 0 as part, s.revision as n, "
    + _DEPARTED
    + """ as revisions, 0 as size, null::timestamptz as create_time, null::text as code, s.body,
    false as further"""
    + _OWN
    + "union all select 1, t.status, sum(t.revision)::bigint, count(*), null, null, null, false"
    + _TASKS
    + " group by t.status union all "
    + pages.cut(
        "2, priority, 0, 0, create_time, code, body",
        "select t.priority, t.create_time, t.code, t.body"
        + _TASKS
        + " order by t.priority, t.create_time, t.code limit %(limit)s::bigint",
    )
)

_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, s.code, s.revision, s.delete_time is not null, s.body
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join sprints s on s.project = %(project)s and s.code = %(code)s
"""

# This waits for the writes that add tasks to the sprint. Later statements of the transaction see them.
_HOLD: LiteralString = "select 1 from sprints where project = %(project)s and code = %(code)s for update"

_HAS_TASKS: LiteralString = """
select exists (select from tasks where project = %(project)s and sprint_code = %(code)s
    and sprint_code <> '' and delete_time is null)
"""

INSERT: LiteralString = """changed as (
    insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
    select %(project)s, %(c_code)s, %(c_status)s::smallint, %(c_owner)s, 1, %(c_create)s, %(c_update)s,
        %(c_body)b
    from locked
    returning 1
)"""

UPDATE: LiteralString = """changed as (
    update sprints s set status = %(c_status)s::smallint, owner = %(c_owner)s,
        revision = s.revision + 1, update_time = %(c_update)s, body = %(c_body)b
    from locked
    where s.project = %(project)s and s.code = %(c_code)s and s.revision = %(c_revision)s::bigint
    returning 1
)"""

DELETE: LiteralString = """changed as (
    update sprints s set delete_time = %(c_update)s, update_time = %(c_update)s,
        revision = s.revision + 1
    from locked
    where s.project = %(project)s and s.code = %(c_code)s and s.revision = %(c_revision)s::bigint
    returning 1
)"""

_LISTED: LiteralString = "create_time, code, body"
_LIST: LiteralString = (
    "select " + _LISTED + " from sprints where project = %(project)s and delete_time is null"
)
_STATUSES: LiteralString = " and status = any(%(statuses)s::smallint[])"
_OWNER: LiteralString = " and owner = %(owner)s"
_AFTER: LiteralString = " and (create_time, code) < (%(time)s::timestamptz, %(code)s)"
_ORDER: LiteralString = " order by create_time desc, code desc limit %(limit)s::bigint"


@dataclass(frozen=True, slots=True)
class ListedSprint:
    """A sprint of a list, with its position in the list."""

    create_time: datetime
    code: str
    body: bytes


def get(conn: Connection, *, project: str, code: str) -> bytes | None:
    """Return the serialized sprint, or None if it does not exist or is deleted."""
    row = conn.execute(GET, {"project": project, "code": code}, name="sprints.get").fetchone()
    return row[0] if row else None


class SprintVersion(NamedTuple):
    """A sprint's revision and the version of its tasks. Both only grow."""

    revision: int
    tasks: int


class SprintWithTasks(NamedTuple):
    """A sprint with its tasks, in one snapshot."""

    version: SprintVersion
    body: bytes
    counts: dict[int, int]
    """The number of tasks by status."""
    tasks: pages.Page[task_store.ListedTask]
    """The first tasks by priority, then age."""


def version(conn: Connection, *, project: str, code: str) -> SprintVersion | None:
    """Return the version of the sprint with its tasks, or None if it does not exist."""
    row = conn.execute(_VERSION, {"project": project, "code": code}, name="sprints.version").fetchone()
    return None if row is None else SprintVersion(*row)


def get_with_tasks(conn: Connection, *, project: str, code: str, limit: int) -> SprintWithTasks | None:
    """Return the sprint with its first ``limit`` tasks, in one snapshot, or None if it does not exist."""
    # The parts of a UNION ALL come in order, and so do the rows of the page.
    rows = conn.execute(
        _FULL, {"project": project, "code": code, **pages.limits(limit)}, name="sprints.full"
    ).fetchall()
    sprint: tuple[int, bytes] | None = None
    counts: dict[int, int] = {}
    for part, number, _, size, _, _, body, _ in rows:
        if part == 0:
            sprint = number, body
        elif part == 1:
            counts[number] = size
    if sprint is None:
        return None
    version = SprintVersion(sprint[0], sum(row[2] for row in rows))
    listed = [(row[4], row[1], row[5], row[6], row[7]) for row in rows if row[0] == 2]
    tasks = pages.page(listed, limit, task_store.ListedTask)
    return SprintWithTasks(version, sprint[1], counts, tasks)


def prepare(conn: Connection, *, project: str, request: Request, code: str) -> Prepared[None]:
    """Read the sprint for a write, in one round trip."""
    row = conn.execute(
        _PREPARE,
        {"project": project, "rpc": request.rpc, "request_id": request.request_id, "code": code},
        name="sprints.prepare",
    ).fetchone()
    assert row is not None
    found = {} if row[3] is None else {row[3]: EntityRow(revision=row[4], deleted=row[5], body=row[6])}
    return prepared(row, found, None)


def hold_empty(conn: Connection, *, project: str, code: str) -> bool:
    """Keep tasks from joining the sprint until the transaction ends. Return whether it has no tasks."""
    conn.execute(_HOLD, {"project": project, "code": code}, name="sprints.hold_empty")
    row = conn.execute(_HAS_TASKS, {"project": project, "code": code}, name="sprints.hold_empty").fetchone()
    assert row is not None
    return not row[0]


def list_page(
    conn: Connection,
    *,
    project: str,
    statuses: Sequence[int],
    owner: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> pages.Page[ListedSprint]:
    """Return a page of sprints, newest first."""
    query = _LIST
    params: dict[str, Any] = {"project": project, **pages.limits(limit)}
    if statuses:
        query += _STATUSES
        params["statuses"] = BigintArray(statuses)
    if owner:
        query += _OWNER
        params["owner"] = owner
    if after is not None:
        query += _AFTER
        params |= {"time": after[0], "code": after[1]}
    return pages.listed(conn, "sprints.list_page", _LISTED, query + _ORDER, params, ListedSprint)
