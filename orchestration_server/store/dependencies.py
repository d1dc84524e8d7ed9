"""The SQL of dependencies between tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

BLOCKS = 1


class Graph(NamedTuple):
    """The state of a link before it is written."""

    linked: bool
    walkable: bool
    """True if the task depended on has blocking links. Without any, no cycle is possible."""


_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, t.code, t.revision, t.delete_time is not null, t.body,
    exists (select from dependencies d where d.project = %(project)s and d.task_code = %(task)s
        and d.depends_on_code = %(depends_on)s and d.kind = %(kind)s::smallint),
    exists (select from dependencies d where d.project = %(project)s and d.task_code = %(depends_on)s
        and d.kind = 1)
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join tasks t on t.project = %(project)s and t.code in (%(task)s, %(depends_on)s)
"""

# All blocking links that can be reached from the task depended on.
_REACHED: LiteralString = """
with recursive walk (task_code, depends_on_code) as (
    select d.task_code, d.depends_on_code from dependencies d
    where d.project = %(project)s and d.task_code = %(depends_on)s and d.kind = 1
  union
    select d.task_code, d.depends_on_code
    from walk w join dependencies d
        on d.project = %(project)s and d.task_code = w.depends_on_code and d.kind = 1
)
select task_code, depends_on_code from walk
"""

INSERT: LiteralString = """changed as (
    insert into dependencies (project, task_code, depends_on_code, kind, create_time)
    select %(project)s, %(c_task)s, %(c_depends_on)s, %(c_kind)s::smallint, %(c_create)s from locked
    where ledger_may_link(%(project)s, %(c_task)s, %(c_depends_on)s, %(c_kind)s::smallint = 1, locked.n)
    returning 1
)"""

DELETE: LiteralString = """changed as (
    delete from dependencies d using locked
    where d.project = %(project)s and d.task_code = %(c_task)s
        and d.depends_on_code = %(c_depends_on)s and d.kind = %(c_kind)s::smallint
    returning 1
)"""

_THERE: LiteralString = "select exists (select from tasks where project = %(project)s and code = %(task)s)"
_FORWARD: LiteralString = """
select d.task_code, d.depends_on_code, d.kind from dependencies d
where d.project = %(project)s and d.task_code = %(task)s
    and (d.depends_on_code, d.kind) > (%(code)s, %(kind)s::smallint)"""
_BACK: LiteralString = """
select d.task_code, d.depends_on_code, d.kind from dependencies d
where d.project = %(project)s and d.depends_on_code = %(task)s
    and (d.task_code, d.kind) > (%(code)s, %(kind)s::smallint)"""
_KINDS: LiteralString = " and d.kind = any(%(kinds)s::smallint[])"
_INSIDE: LiteralString = """ and %(sprint)s <> '' and (
    select t.sprint_code from tasks t where t.project = d.project and t.code = d.task_code) = %(sprint)s"""
_FORWARD_ORDER: LiteralString = " order by d.depends_on_code, d.kind limit %(limit)s::bigint"
_BACK_ORDER: LiteralString = " order by d.task_code, d.kind limit %(limit)s::bigint"


class LinkRow(NamedTuple):
    """A link from a task to a task that it depends on."""

    task_code: str
    depends_on_code: str
    kind: int


def list_page(
    conn: Connection,
    *,
    project: str,
    task: str,
    dependents: bool,
    kinds: Sequence[int],
    inside: str | None,
    after: tuple[str, int],
    limit: int,
) -> list[LinkRow] | None:
    """Return links of a task by the code of the other task, then by kind. Return None if it never existed.

    ``dependents`` selects the links that lead to the task. ``inside`` then keeps only links from tasks of
    that sprint, and no link if it is empty.
    """
    params: dict[str, Any] = {
        "project": project, "task": task, "code": after[0], "kind": after[1], "limit": limit,
    }  # fmt: skip
    query = _BACK if dependents else _FORWARD
    if kinds:
        query += _KINDS
        params["kinds"] = BigintArray(kinds)
    if dependents and inside is not None:
        query += _INSIDE
        params["sprint"] = inside
    query += _BACK_ORDER if dependents else _FORWARD_ORDER
    rows = [LinkRow(*row) for row in conn.execute(query, params, name="dependencies.list_page")]
    if not rows:
        found = conn.execute(
            _THERE, {"project": project, "task": task}, name="dependencies.list_page"
        ).fetchone()
        assert found is not None
        return rows if found[0] else None
    return rows


def prepare(
    conn: Connection, *, project: str, request: Request, task: str, depends_on: str, kind: int
) -> Prepared[Graph]:
    """Read both tasks and the state of the link."""
    rows = conn.execute(
        _PREPARE,
        {
            "project": project, "rpc": request.rpc, "request_id": request.request_id,
            "task": task, "depends_on": depends_on, "kind": kind,
        }, name="dependencies.prepare",
    ).fetchall()  # fmt: skip
    found = {r[3]: EntityRow(revision=r[4], deleted=r[5], body=r[6]) for r in rows if r[3] is not None}
    return prepared(rows[0], found, Graph(rows[0][7], rows[0][8]))


def cycle(conn: Connection, *, project: str, task: str, depends_on: str) -> list[str] | None:
    """Return the codes of the shortest cycle that a blocking link would close, from ``task`` to itself."""
    links: dict[str, list[str]] = {}
    for before, after in conn.execute(
        _REACHED, {"project": project, "depends_on": depends_on}, name="dependencies.cycle"
    ):
        links.setdefault(before, []).append(after)
    came_from = {depends_on: task}
    waiting = deque([depends_on])
    while waiting:
        code = waiting.popleft()
        if code == task:
            path = [task]
            while (code := came_from[code]) != task:
                path.append(code)
            return [task, *path[:0:-1], task]
        for following in links.get(code, ()):
            if following not in came_from:
                came_from[following] = code
                waiting.append(following)
    return None
