"""The SQL of progress: a task, and the statuses of the tasks below it, in one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import TaskStatus

MOST = 10_000
"""The most tasks below a task that are counted."""

# The recursive part finds the tasks level by level and ends as soon as the limit has its rows. It follows
# deleted tasks, too: to pass them over, it would have to read any number of them. The subqueries with "offset
# 0" leave the planner no other plan than a probe of an index for each task.
_GET: LiteralString = """
with recursive tree (code) as (
    select %(code)s::text
  union
    select d.task_code from tree r cross join lateral (
        select d.task_code from dependencies d
        where d.project = %(project)s and d.depends_on_code = r.code and case when d.kind = 2 then true end
        offset 0
    ) d
), below as materialized (
    select code from tree where code <> %(code)s limit %(most)s::bigint + 1
)
select t.body, p.counts, (select count(*) from below) > %(most)s::bigint
from tasks t cross join lateral (
    select array[count(*) filter (where c.status = 1), count(*) filter (where c.status = 2),
        count(*) filter (where c.status = 3), count(*) filter (where c.status = 4),
        count(*) filter (where c.status = 5)] as counts
    from (select code from below limit %(most)s::bigint) b cross join lateral (
        select c.status from tasks c
        where c.project = %(project)s and c.code = b.code and c.delete_time is null"""
_INSIDE: LiteralString = " and c.sprint_code = %(sprint)s and c.sprint_code <> ''"
_END: LiteralString = """
        offset 0
    ) c
) p
where t.project = %(project)s and t.code = %(code)s and t.delete_time is null
"""


class Progress(NamedTuple):
    """A task with the number of tasks below it for each status."""

    body: bytes
    counts: Mapping[int, int]
    partial: bool
    """True if the task has more than MOST tasks below it, and only MOST were counted."""


def get(conn: Connection, *, project: str, code: str, inside: str | None) -> Progress | None:
    """Return the progress of a task, or None if it does not exist or is deleted.

    ``inside`` counts only tasks of that sprint, and none if it is empty.
    """
    params: dict[str, Any] = {"project": project, "code": code, "most": MOST}
    query = _GET + _END
    if inside is not None:
        query = _GET + _INSIDE + _END
        params["sprint"] = inside
    row = conn.execute(query, params, name="tasks.get_progress").fetchone()
    if row is None:
        return None
    return Progress(row[0], dict(zip(TaskStatus, row[1], strict=True)), row[2])
