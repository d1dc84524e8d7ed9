"""The SQL of explanations: what keeps a task from being claimed, and what keeps tasks from an agent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.store.aging import PRIORITIES, Aging
from orchestration_server.store.claims import Claimer, TaskFilter

MAX_TASKS = 1_000
"""The most tasks that the explanation for an agent looks at."""
MAX_BEFORE = 10_000
"""The most tasks that are counted before a task."""


class Cause(NamedTuple):
    """One cause of a reason. What the fields mean depends on ``bit`` (model.Unready)."""

    bit: int
    subject: str
    status: int
    holder: str
    until: datetime | None
    detail: str


class TaskReadiness(NamedTuple):
    """The readiness of one task for a claimer."""

    unready: int
    causes: list[Cause]
    before: int
    """The tasks that come before it in the queue, at most MAX_BEFORE."""


class CountedTasks(NamedTuple):
    """The tasks that the explanation for an agent looked at."""

    by_reasons: list[tuple[int, int]]
    """The reasons of tasks as bits, with the number of tasks that have them."""
    partial: bool
    """True if there are more tasks."""


# The function decides; the causes name what it found. Each branch has the condition of one bit.
_CAUSES: LiteralString = """
with task as materialized (
    select t.*, l.fence, l.agent as holder, l.provider as held_for, l.labels as held_labels, l.expire_time,
        ledger_lease_valid(l.expire_time, l.seconds, l.deadline) as held,
        ledger_unready(%(project)s, t.code, %(agent)s, %(able)s::text[], %(provider)s) as unready
    from tasks t left join leases l on l.project = t.project and l.task_code = t.code
    where t.project = %(project)s and t.code = %(code)s and t.delete_time is null
)
select t.unready, t.priority, t.create_time, c.* from task t left join lateral (
    select 1 as bit, t.code as subject, t.status::int as status, '' as holder, null::timestamptz as until,
        '' as detail
    where t.unready & 1 <> 0
  union all
    select 2, b.code, b.status, coalesce(l.agent, ''), nullif(l.expire_time, '-infinity'), ''
    from dependencies d join tasks b on b.project = d.project and b.code = d.depends_on_code
    left join leases l on l.project = b.project and l.task_code = b.code
        and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
    where t.unready & 2 <> 0 and d.project = %(project)s and d.task_code = t.code and d.kind = 1
        and b.status in (1, 2, 3) and b.delete_time is null
  union all
    select 4, t.code, t.status, t.holder, nullif(t.expire_time, '-infinity'), '' where t.unready & 4 <> 0
  union all
    select 8, t.code, 0, '', t.not_before, '' where t.unready & 8 <> 0
  union all
    select 16, t.code, 0, '', t.retry_time, '' where t.unready & 16 <> 0
  union all
    select 32, k.name, 0, '', null, '' from unnest(t.capabilities) as k (name)
    where t.unready & 32 <> 0 and k.name <> all(%(able)s::text[])
  union all
    select 64, t.sprint_code, 0, '', null, coalesce((
        select s.status::text from sprints s where s.project = %(project)s and s.code = t.sprint_code), '')
    where t.unready & 64 <> 0
  union all
    select 128, case p.kind when 1 then '' else p.value end, 0, p.agent, null, p.kind || ' ' || p.reason
    from pauses p
    where t.unready & 128 <> 0 and p.project = %(project)s and case p.kind
        when 1 then true
        when 2 then p.value = t.sprint_code
        when 3 then p.value = %(agent)s
        when 4 then p.value = any(t.labels)
        else p.value = t.code end
  union all
    select 256, case w.kind when 1 then %(agent)s else w.value end, 0, '', null, w.kind || ' ' || w.most
    from work_limits w
    where t.unready & 256 <> 0 and w.project = %(project)s and case w.kind
        when 1 then %(agent)s <> '' and (w.value = %(agent)s or (w.value = '*' and not exists (
            select from work_limits o where o.project = %(project)s and o.kind = 1 and o.value = %(agent)s)))
        when 2 then w.value = any(t.labels)
        else w.value = %(provider)s end
        -- The task's own lease does not count.
        and w.most <= ledger_leases_of(
            %(project)s, w.kind, case w.kind when 1 then %(agent)s else w.value end)
            - case when t.held and case w.kind
                when 1 then t.holder = %(agent)s
                when 2 then w.value = any(t.held_labels)
                else t.held_for = w.value end then 1 else 0 end
  union all
    select 512, k.code, k.status, coalesce(l.agent, ''), nullif(l.expire_time, '-infinity'), ''
    from dependencies d join tasks k on k.project = d.project and k.code = d.task_code
    left join leases l on l.project = k.project and l.task_code = k.code
        and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
    where t.unready & 512 <> 0 and d.project = %(project)s and d.depends_on_code = t.code and d.kind = 2
        and k.status <> 5 and k.delete_time is null
  union all
    select 2048, t.code, 0, '', null, t.budget::text || ledger_used(%(project)s, t.code)::text
    where t.unready & 2048 <> 0
) c on true
order by c.bit, c.subject
"""

# Nearly all tasks of the queue are ready. To ask for each would take 30 µs a task.
_BEFORE: LiteralString = """
select count(*) from (
    select 1 from unnest(%(priorities)s::smallint[], %(starts)s::text[]::timestamptz[]) as p (priority, start)
    cross join lateral (
        select 1 from ready_queue q
        where q.project = %(project)s and q.wake_time is null and q.priority = p.priority
            and (q.create_time, q.task_code) < (p.start, %(code)s)
        limit %(most)s::bigint
    ) q
    limit %(most)s::bigint
) q
"""

# Pending tasks, and held ones. The one after the last that is looked at has no reasons.
_FOR_AGENT: LiteralString = """
select u.unready, count(*)::int from (
    select case when row_number() over (order by t.priority, t.create_time, t.code) <= %(most)s::bigint
        then ledger_unready(%(project)s, t.code, %(agent)s, %(able)s::text[], %(provider)s) end as unready
    from (
        select t.priority, t.create_time, t.code from tasks t
        where t.project = %(project)s and t.delete_time is null
            and (t.status = 1 or exists (
                select from leases l where l.project = t.project and l.task_code = t.code))
            and (%(sprint)s = '' or t.sprint_code = %(sprint)s) and t.labels @> %(labels)s::text[]
            and (%(priorities)s::smallint[] = '{}' or t.priority = any(%(priorities)s::smallint[]))
        order by t.priority, t.create_time, t.code limit %(most)s::bigint + 1
    ) t
) u
group by u.unready
"""


def of_task(
    conn: Connection, *, project: str, code: str, claimer: Claimer, order: Aging
) -> TaskReadiness | None:
    """Return why a claimer cannot claim a task now, or None if the task does not exist or is deleted."""
    params: dict[str, Any] = {
        "project": project,
        "code": code,
        "agent": claimer.agent,
        "able": TextArray(claimer.capabilities),
        "provider": claimer.provider,
        "most": MAX_BEFORE,
    }
    rows = conn.execute(_CAUSES, params, name="readiness.of_task").fetchall()
    if not rows:
        return None
    unready, *position = rows[0][:3]
    params["priorities"] = BigintArray(PRIORITIES)
    params["starts"] = TextArray(order.starts((position[0], position[1]), PRIORITIES))
    before = conn.execute(_BEFORE, params, name="readiness.before").fetchone()
    assert before is not None
    causes = [Cause(*row[3:]) for row in rows if row[3] is not None]
    return TaskReadiness(unready, causes, before[0])


def for_claimer(conn: Connection, *, project: str, claimer: Claimer, tasks: TaskFilter) -> CountedTasks:
    """Return the reasons for which a claimer cannot claim tasks, with the number of such tasks.

    It looks at up to MAX_TASKS tasks that are pending or held, in the order of their priority.
    """
    params = {
        "project": project,
        "agent": claimer.agent,
        "able": TextArray(claimer.capabilities),
        "provider": claimer.provider,
        "sprint": tasks.sprint_code,
        "labels": TextArray(tasks.labels),
        "priorities": BigintArray(tasks.priorities),
        "most": MAX_TASKS,
    }
    rows = conn.execute(_FOR_AGENT, params, name="readiness.for_claimer").fetchall()
    return CountedTasks(
        [(row[0], row[1]) for row in rows if row[0] is not None], any(row[0] is None for row in rows)
    )
