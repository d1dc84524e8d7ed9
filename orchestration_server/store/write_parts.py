"""The parts of the statement of a write that only some writes have: SQL, rows and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, BoolArray, ByteaArray, TextArray, TimestampArray
from orchestration_server.model import OutboxRow, PendingChange, SampledOut

# Part of the statement only if events carry fields of tasks that the change does not check. The lock keeps
# the rows unchanged until the commit.
STAMPED: LiteralString = """stamped as materialized (
    select count(*) as n from (
        select 1 from locked, unnest(%(t_project)s::text[], %(t_code)s::text[], %(t_sprint)s::text[],
            %(t_priority)s::smallint[], %(t_revision)s::bigint[])
            as s (project, code, sprint_code, priority, revision)
        join tasks t on t.project = s.project and t.code = s.code
        where t.sprint_code = s.sprint_code and t.priority = s.priority
            and case when s.revision > 0 then t.revision = s.revision else true end
        for share of t"""
STAMPED_END: LiteralString = """
    ) same
), """

STAMPED_COUNT: LiteralString = " + (select n from stamped)"

# This part and the next two are left out of a write that has no such rows, which keeps other writes fast. An
# existing outbox row keeps its turn: its worker sees a new request by the generation.
QUEUED: LiteralString = """
, queued as (
    insert into file_outbox as o (project, kind, code, correlation_id)
    select %(project)s, q.kind, q.code, %(correlation)s
    from (select count(*) as n from changed) c,
        unnest(%(o_kind)s::text[], %(o_code)s::text[]) as q (kind, code)
    order by q.kind, q.code
    on conflict (project, kind, code) do update
        set generation = o.generation + 1, correlation_id = excluded.correlation_id
)"""

PENDING: LiteralString = """
, pending as (
    insert into held_changes (project, entity_type, entity_code, revision, stable_time, latest_time,
        correlation_id, body, scopes)
    select h.project, h.entity_type, h.entity_code, h.revision, h.stable_time, h.latest_time,
        h.correlation_id, h.body, h.scopes
    from (select count(*) as n from changed) c, unnest(
        %(h_project)s::text[], %(h_type)s::smallint[], %(h_code)s::text[], %(h_revision)s::bigint[],
        %(h_stable)s::timestamptz[], %(h_latest)s::timestamptz[], %(h_correlation)s::text[],
        %(h_body)s::bytea[], %(h_scopes)s::text[]
    ) as h (project, entity_type, entity_code, revision, stable_time, latest_time, correlation_id, body,
        scopes)
)"""

# The row of the project as a whole is a version for caches. All writers lock the rows in one order.
SAMPLED_OUT: LiteralString = """
, sampled as (
    insert into sampled_out as o (project, minute, type, actor, entity_type, entity_code, sprint_code, count)
    select s.project, s.minute, s.type, s.actor, s.entity_type, s.entity_code, s.sprint_code, s.count
    from (select count(*) as n from changed) c, (
        with given as (
            select * from unnest(
                %(s_project)s::text[], %(s_minute)s::timestamptz[], %(s_type)s::text[], %(s_actor)s::text[],
                %(s_entity_type)s::smallint[], %(s_entity_code)s::text[], %(s_sprint_code)s::text[],
                %(s_count)s::bigint[]
            ) as g (project, minute, type, actor, entity_type, entity_code, sprint_code, count)
        )
        select * from given
      union all
        select project, '-infinity', '', '', 0, '', '', sum(count) from given group by project
    ) s
    order by s.project, s.minute, s.type, s.actor, s.entity_type, s.entity_code, s.sprint_code
    on conflict (project, minute, type, actor, entity_type, entity_code, sprint_code)
        do update set count = o.count + excluded.count
)"""

# Part of the statement only if the caller's lease must be valid. A claim or a release changes the revision of
# its task, which the change checks. Few rows of leases live and many are dead, so Postgres would read those
# of the whole project rather than look up one: the subqueries leave it no such plan, here and in ENDED.
FENCED: LiteralString = """fenced as materialized (
    select count(*) as n from locked, unnest(%(f_code)s::text[], %(f_fence)s::bigint[]) as f (code, fence)
    cross join lateral (
        select l.fence, l.expire_time, l.seconds, l.deadline from leases l
        where l.project = %(project)s and l.task_code = f.code
        offset 0
    ) l
    where l.fence = f.fence and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
), """
FENCED_COUNT: LiteralString = " + (select n from fenced)"

# A lease that was lost is looked at again under its row lock: a heartbeat may commit after it was read. So is
# the usage, which a heartbeat may have changed.
ENDED: LiteralString = """
, freed as (
    delete from leases l
    using (select count(*) as n from changed) c, (
        select %(project)s::text as project, a.*
        from unnest(%(a_code)s::text[], %(a_fence)s::bigint[], %(a_lost)s::boolean[], %(a_seen)s::text[])
            as a (code, fence, lost, seen)
        offset 0
    ) a
    where l.project = a.project and l.task_code = a.code and l.fence = a.fence
        and l.used is not distinct from nullif(a.seen, '')::bigint[]
        and not (a.lost and ledger_lease_valid(l.expire_time, l.seconds, l.deadline))
    returning 1
), ended as (
    update attempts t set outcome = a.outcome, body = a.body, parked = a.parked,
        used = nullif(a.used, '')::bigint[]
    from (select count(*) as n from changed) c,
        unnest(%(a_fence)s::bigint[], %(a_outcome)s::smallint[], %(a_body)s::bytea[],
            %(a_parked)s::boolean[], %(a_used)s::text[])
            as a (fence, outcome, body, parked, used)
    where t.fence = a.fence and t.outcome = 0
    returning 1
)"""
ENDED_COUNT: LiteralString = " + (select count(*) from freed) + (select count(*) from ended)"


class Stamp(NamedTuple):
    """The fields of a task that events carry, and that their statement has to check."""

    project: str
    code: str
    sprint_code: str
    priority: int
    revision: int = 0
    """0 if the events carry no revision."""


class Fence(NamedTuple):
    """A lease that must be valid when the write commits."""

    task_code: str
    fence: int


class AttemptEnd(NamedTuple):
    """The end of an attempt and of its lease."""

    task_code: str
    fence: int
    outcome: int
    body: bytes
    """The serialized attempt as it ended."""
    parked: bool = False
    """True if the retry policy leaves no other try."""
    lost: bool = False
    """True if the attempt ends because its lease was lost: then the lease must not be valid."""
    used: str = ""
    """The amounts that the attempt used, as an array of SQL; empty if none were reported."""
    seen: str = ""
    """The amounts that the lease had when it was read, in the same form."""


def stamp_params(stamps: Sequence[Stamp]) -> dict[str, Any]:
    """Return the parameters of the part."""
    return {
        "t_project": TextArray(s.project for s in stamps),
        "t_code": TextArray(s.code for s in stamps),
        "t_sprint": TextArray(s.sprint_code for s in stamps),
        "t_priority": BigintArray(s.priority for s in stamps),
        "t_revision": BigintArray(s.revision for s in stamps),
    }


def fence_params(fences: Sequence[Fence]) -> dict[str, Any]:
    """Return the parameters of the part."""
    return {
        "f_code": TextArray(f.task_code for f in fences),
        "f_fence": BigintArray(f.fence for f in fences),
    }


def end_params(given: Sequence[AttemptEnd]) -> dict[str, Any]:
    """Return the parameters of the part."""
    # Heartbeats take the rows in this order, too.
    ends = sorted(given)
    return {
        "a_code": TextArray(e.task_code for e in ends),
        "a_fence": BigintArray(e.fence for e in ends),
        "a_outcome": BigintArray(e.outcome for e in ends),
        "a_body": ByteaArray(e.body for e in ends),
        "a_parked": BoolArray(e.parked for e in ends),
        "a_lost": BoolArray(e.lost for e in ends),
        "a_used": TextArray(e.used for e in ends),
        "a_seen": TextArray(e.seen for e in ends),
    }


def outbox_params(outbox: Sequence[OutboxRow]) -> dict[str, Any]:
    """Return the parameters of the part."""
    queued = sorted(set(outbox))
    return {"o_kind": TextArray(row.kind for row in queued), "o_code": TextArray(row.code for row in queued)}


def pending_params(pending: Sequence[PendingChange]) -> dict[str, Any]:
    """Return the parameters of the part."""
    return {
        "h_project": TextArray(h.entity.project for h in pending),
        "h_type": BigintArray(h.entity.entity_type for h in pending),
        "h_code": TextArray(h.entity.code for h in pending),
        "h_revision": BigintArray(h.revision for h in pending),
        "h_stable": TimestampArray(h.stable_time for h in pending),
        "h_latest": TimestampArray(h.latest_time for h in pending),
        "h_correlation": TextArray(h.correlation_id for h in pending),
        "h_body": ByteaArray(h.body for h in pending),
        "h_scopes": TextArray(h.scopes for h in pending),
    }


def sampled_params(sampled_out: Sequence[SampledOut]) -> dict[str, Any]:
    """Return the parameters of the part."""
    return {
        "s_project": TextArray(s.project for s in sampled_out),
        "s_minute": TimestampArray(s.minute for s in sampled_out),
        "s_type": TextArray(s.type for s in sampled_out),
        "s_actor": TextArray(s.actor for s in sampled_out),
        "s_entity_type": BigintArray(s.entity_type for s in sampled_out),
        "s_entity_code": TextArray(s.entity_code for s in sampled_out),
        "s_sprint_code": TextArray(s.sprint_code for s in sampled_out),
        "s_count": BigintArray(s.events for s in sampled_out),
    }
