"""The SQL of the lists in a context: a page of a sprint's tasks, its links, blockers and ready tasks."""

from __future__ import annotations

from typing import LiteralString

from orchestration_server.store import pages

TASKS: LiteralString = (
    """
union all select 4, array[row_number() over (), listed.further::integer], null, listed.body from ("""
    + pages.cut(
        "body",
        """
    select t.body from tasks t
    where t.project = %(project)s and t.sprint_code = (select own_sprint from target)
        and t.sprint_code <> '' and t.delete_time is null
        and (t.priority, t.create_time, t.code)
            > (%(p_priority)s::smallint, %(p_time)s::timestamptz, %(p_code)s)
    order by t.priority, t.create_time, t.code limit %(p_limit)s::bigint""",
    )
    + ") listed"
)
_LINK: LiteralString = """
union all select 5, array[row_number() over (), link.kind, link.status],
    array[link.task_code, link.depends_on_code], link.body
from ("""
_LINK_COLUMNS: LiteralString = "task_code, depends_on_code, kind, status"
LINKS: LiteralString = (
    _LINK
    + pages.bounded(
        _LINK_COLUMNS,
        """
    select d.task_code, d.depends_on_code, d.kind, (
        select case when b.delete_time is null then b.status end from tasks b
        where b.project = d.project and b.code = d.depends_on_code) as status, (
        select case when b.delete_time is null then b.body end from tasks b
        where b.project = d.project and b.code = d.depends_on_code) as body
    from dependencies d
    where d.project = %(project)s and d.task_code = (select task_code from target)
    order by d.kind, d.depends_on_code limit %(l_limit)s::bigint""",
    )
    + ") link"
)
BLOCKERS: LiteralString = (
    _LINK
    + pages.bounded(
        _LINK_COLUMNS,
        """
    select t.code as task_code, d.depends_on_code, 1 as kind, b.status, b.body
    from tasks t
    cross join lateral (
        select d.depends_on_code from dependencies d
        where d.project = %(project)s and d.task_code = t.code and case when d.kind = 1 then true end
        offset 0
    ) d
    cross join lateral (
        select b.status, b.body from tasks b
        where b.project = %(project)s and b.code = d.depends_on_code
            and case when b.delete_time is null and b.status in (1, 2, 3) then true end
        offset 0
    ) b
    where t.project = %(project)s and t.sprint_code = (select own_sprint from target)
        and t.sprint_code <> '' and t.delete_time is null
        and case when t.status in (1, 2, 3) then true end
    order by t.code, d.depends_on_code limit %(b_limit)s::bigint""",
    )
    + ") link"
)
READY: LiteralString = """
union all select 6, array[row_number() over ()], array[ready.code], null from (
    select t.code from tasks t
    where t.project = %(project)s and t.sprint_code = (select own_sprint from target)
        and t.sprint_code <> '' and t.delete_time is null
        and case when t.status = 1 then not coalesce((
            select bool_or(d.kind = 1 and (
                select b.status in (1, 2, 3) and b.delete_time is null from tasks b
                where b.project = d.project and b.code = d.depends_on_code))
            from dependencies d where d.project = t.project and d.task_code = t.code), false) end
    order by t.priority, t.create_time, t.code limit %(r_limit)s::bigint
) ready
"""
