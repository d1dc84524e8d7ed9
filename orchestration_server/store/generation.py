"""The SQL that creates a sprint with its tasks and their links in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import tasks as task_store
from orchestration_server.store.dependencies import BLOCKS
from orchestration_server.store.prepared import EntityRow, Prepared, prepared
from orchestration_server.store.tasks import TaskColumns, insert_cte

_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, t.code, t.revision, t.delete_time is not null, t.body,
    (select s.delete_time is not null from sprints s where s.project = %(project)s and s.code = %(sprint)s)
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join tasks t on r.request_id is null and t.project = %(project)s and t.code = any(%(codes)s::text[])
"""


def insert_ctes(source: LiteralString) -> LiteralString:
    """Return the CTEs that insert a sprint, its tasks and links once the CTE ``source`` has its row."""
    return (
        """new_sprint as (
    insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
    select %(project)s, %(s_code)s, %(s_status)s::smallint, %(s_owner)s, 1, %(s_create)s, %(s_create)s,
        %(s_body)b
    from """
        + source
        + """
    returning 1
), """
        + insert_cte("new_tasks", "new_sprint")
        + """, new_links as (
    insert into dependencies (project, task_code, depends_on_code, kind, create_time)
    select %(project)s, d.task_code, d.depends_on_code, %(d_kind)s::smallint, %(s_create)s
    from new_sprint, unnest(%(d_task)s::text[], %(d_depends_on)s::text[])
        as d (task_code, depends_on_code)
    returning 1
)"""
    )


INSERT: LiteralString = (
    insert_ctes("locked")
    + """, changed as (
    select 1 from new_sprint union all select 1 from new_tasks union all select 1 from new_links
)"""
)


class SprintColumns(NamedTuple):
    """The columns of a new sprint."""

    code: str
    status: int
    owner: str
    create_time: datetime
    body: bytes


class LinkColumns(NamedTuple):
    """A blocking link between two new tasks."""

    task_code: str
    depends_on_code: str


def prepare(
    conn: Connection, *, project: str, request: Request, sprint: str, codes: Sequence[str]
) -> Prepared[bool | None]:
    """Read the existing tasks, and whether the sprint is deleted, or None if it never existed."""
    rows = conn.execute(
        _PREPARE,
        {
            "project": project, "rpc": request.rpc, "request_id": request.request_id,
            "sprint": sprint, "codes": TextArray(codes),
        }, name="generation.prepare",
    ).fetchall()  # fmt: skip
    found = {r[3]: EntityRow(revision=r[4], deleted=r[5], body=r[6]) for r in rows if r[3] is not None}
    return prepared(rows[0], found, rows[0][7])


def columns(
    sprint: SprintColumns, tasks: Sequence[TaskColumns], links: Sequence[LinkColumns]
) -> dict[str, Any]:
    """Return the parameters of INSERT."""
    return {
        **task_store.columns(tasks),
        "s_code": sprint.code,
        "s_status": sprint.status,
        "s_owner": sprint.owner,
        "s_create": sprint.create_time,
        "s_body": sprint.body,
        "d_task": TextArray(link.task_code for link in links),
        "d_depends_on": TextArray(link.depends_on_code for link in links),
        "d_kind": BLOCKS,
    }
