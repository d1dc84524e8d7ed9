"""The statement of every write: locks, change, events and ``request_id``, in one round trip.

A change is a CTE named ``changed``, which the stores of the entities give as a literal. This module adds the
rest of the statement. All of it commits, or none (G1). It takes the advisory locks of all entities before it
gets a transaction id, so the log keeps the order of each entity (G2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, BoolArray, ByteaArray, TextArray, TimestampArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import (
    Entity,
    EntityType,
    EventRow,
    OutboxRow,
    PendingChange,
    Request,
    SampledOut,
)
from orchestration_server.store import event_rows

_LOCKED: LiteralString = """
with locked as materialized (
    select count(pg_advisory_xact_lock(k)::text) as n from unnest(%(locks)s::bigint[]) as k
), anchored as materialized (
    select count(*) filter (where anchor.delete_time is null) as n from (
        select s.delete_time from locked, sprints s
        where s.project = %(project)s and s.code = any(%(anchors)s::text[])
        for share of s
    ) anchor
), """

# Part of the statement only if events carry fields of tasks that the change does not check. The lock keeps
# the rows unchanged until the commit.
_STAMPED: LiteralString = """stamped as materialized (
    select count(*) as n from (
        select 1 from locked, unnest(%(t_project)s::text[], %(t_code)s::text[], %(t_sprint)s::text[],
            %(t_priority)s::smallint[], %(t_revision)s::bigint[])
            as s (project, code, sprint_code, priority, revision)
        join tasks t on t.project = s.project and t.code = s.code
        where t.sprint_code = s.sprint_code and t.priority = s.priority
            and case when s.revision > 0 then t.revision = s.revision else true end
        for share of t"""
_STAMPED_END: LiteralString = """
    ) same
), """

_LOGGED: LiteralString = (
    """
, logged as (
    insert into events (epoch, """
    + event_rows.NAMES
    + """)
    select (select epoch from log_state), """
    + event_rows.VALUES
    + """
    from (select count(*) as n from changed) c, unnest("""
    + event_rows.PARAMETERS
    + """) with ordinality as e ("""
    + event_rows.NAMES
    + """, ordinal)
    order by e.ordinal
), requested as (
    insert into requests (project, rpc, request_id, fingerprint, response)
    select r.project, r.rpc, r.request_id, r.fingerprint, r.response
    from (select count(*) as n from changed) c, unnest(
        %(r_project)s::text[], %(r_rpc)s::text[], %(r_id)s::text[], %(r_fingerprint)s::bytea[],
        %(r_response)s::bytea[]
    ) as r (project, rpc, request_id, fingerprint, response)
)
select ledger_expect(
    (select count(*) from changed) + (select n from anchored)"""
)
_STAMPED_COUNT: LiteralString = " + (select n from stamped)"
_EXPECTED: LiteralString = """, %(expected)s::bigint)
"""

# An event must not be logged before pending changes of its entity. The scalar subquery is a probe of the
# primary key. A change that becomes pending meanwhile changes the revision, so the write fails on that.
_PENDING_COUNT: LiteralString = """(
    select count((
        select 1 from held_changes h where h.project = e.project and h.entity_type = e.entity_type
            and h.entity_code = e.entity_code limit 1
    )) from unnest(%(e_project)s::text[], %(e_entity_type)s::smallint[], %(e_entity_code)s::text[])
        as e (project, entity_type, entity_code)
    where e.entity_type in (1, 2)
)"""
_NONE_PENDING: LiteralString = ", ledger_none_held(" + _PENDING_COUNT + ")\n"

# This part and the next two are left out of a write that has no such rows, which keeps other writes fast. An
# existing outbox row keeps its turn: its worker sees a new request by the generation.
_QUEUED: LiteralString = """
, queued as (
    insert into file_outbox as o (project, kind, code, correlation_id)
    select %(project)s, q.kind, q.code, %(correlation)s
    from (select count(*) as n from changed) c,
        unnest(%(o_kind)s::text[], %(o_code)s::text[]) as q (kind, code)
    order by q.kind, q.code
    on conflict (project, kind, code) do update
        set generation = o.generation + 1, correlation_id = excluded.correlation_id
)"""

_PENDING: LiteralString = """
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
_SAMPLED_OUT: LiteralString = """
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
# its task, which the change checks.
_FENCED: LiteralString = """fenced as materialized (
    select count(*) as n from locked, unnest(%(f_code)s::text[], %(f_fence)s::bigint[]) as f (code, fence)
    join leases l on l.project = %(project)s and l.task_code = f.code and l.fence = f.fence
    where ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
), """
_FENCED_COUNT: LiteralString = " + (select n from fenced)"

# A lease that was lost is looked at again under its row lock: a heartbeat may commit after it was read.
_ENDED: LiteralString = """
, freed as (
    delete from leases l
    using (select count(*) as n from changed) c,
        unnest(%(a_code)s::text[], %(a_fence)s::bigint[], %(a_lost)s::boolean[]) as a (code, fence, lost)
    where l.project = %(project)s and l.task_code = a.code and l.fence = a.fence
        and not (a.lost and ledger_lease_valid(l.expire_time, l.seconds, l.deadline))
    returning 1
), ended as (
    update attempts t set outcome = a.outcome, body = a.body, parked = a.parked
    from (select count(*) as n from changed) c,
        unnest(%(a_fence)s::bigint[], %(a_outcome)s::smallint[], %(a_body)s::bytea[], %(a_parked)s::boolean[])
            as a (fence, outcome, body, parked)
    where t.fence = a.fence and t.outcome = 0
    returning 1
)"""
_ENDED_COUNT: LiteralString = " + (select count(*) from freed) + (select count(*) from ended)"

NOTHING: LiteralString = "changed as (select 1 from locked where false)"
"""The change of a write that only logs events or stores a response."""

_LOCK_KINDS: Mapping[int, str] = {EntityType.SPRINT: "sprint", EntityType.TASK: "task"}
DEBOUNCEABLE = frozenset(_LOCK_KINDS)
"""The types of entities that can have pending changes."""


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


@dataclass(frozen=True, slots=True)
class Change:
    """A decision: ``expected`` rows of ``sql``, events, and the response that is stored with them."""

    response: bytes
    sql: LiteralString = NOTHING
    params: dict[str, Any] = field(default_factory=dict)
    expected: int = 0
    events: Sequence[EventRow] = ()
    anchors: Sequence[str] = ()
    """The codes of sprints that must exist when the write commits."""
    stamps: Sequence[Stamp] = ()
    """The fields of tasks, each task once, that must be unchanged when the write commits."""
    waits: bool = True
    """True if the write waits for other writers of the tasks in ``stamps``; else it fails with Conflict."""
    fences: Sequence[Fence] = ()
    """The leases that must be valid when the write commits, each task once."""
    ends: Sequence[AttemptEnd] = ()
    """The attempts that the write ends. Their leases must be there when it commits."""
    outbox: Sequence[OutboxRow] = ()
    """The entities whose files are to be written. Order and repeats do not matter."""
    sampled_out: Sequence[SampledOut] = ()
    """The counts of events that sampling leaves out, each kind once."""
    policy: int = 0
    """The emission policy that the caller requests, by its number in common.proto; 0 for none."""
    pending: Sequence[PendingChange] = ()
    """The changes that a later event will log."""
    frees: bool = True
    """False if the change cannot make any task ready for a claim."""
    flushes_pending: bool = False
    """True if the events log pending changes of their entities. Other events must come after those."""


def lock_key(project: str, kind: str, code: str) -> int:
    """Return the advisory lock of an entity."""
    digest = blake2b(f"{project}\0{kind}\0{code}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def entity_key(entity: Entity) -> int:
    """Return the advisory lock of the entity of an event."""
    return lock_key(entity.project, _LOCK_KINDS[entity.entity_type], entity.code)


def stamp_key(stamp: Stamp) -> int:
    """Return the advisory lock of the task of a stamp."""
    return lock_key(stamp.project, "task", stamp.code)


def lock(conn: Connection, locks: Sequence[int]) -> None:
    """Take locks until the transaction ends. Take them before the first read, which is then current."""
    conn.execute(
        "select pg_advisory_xact_lock(k) from unnest(%(locks)s::bigint[]) as k",
        {"locks": BigintArray(locks)},
        name="writes.lock",
    )


def try_lock(conn: Connection, key: int) -> bool:
    """Take a lock until the transaction ends. Return False if another session has it."""
    row = conn.execute(
        "select pg_try_advisory_xact_lock(%(key)s::bigint)", {"key": key}, name="writes.try_lock"
    ).fetchone()
    assert row is not None
    return bool(row[0])


def try_locks(conn: Connection, keys: Sequence[int]) -> list[int]:
    """Take those locks that no other session has, until the transaction ends. Return them."""
    query: LiteralString = "select k from unnest(%(keys)s::bigint[]) as k where pg_try_advisory_xact_lock(k)"
    return [row[0] for row in conn.execute(query, {"keys": BigintArray(keys)}, name="writes.try_locks")]


def apply(
    conn: Connection,
    change: Change,
    *,
    project: str,
    locks: Sequence[int],
    requests: Sequence[tuple[str, Request, bytes]],
    correlation_id: str = "",
) -> None:
    """Run the statement of a write.

    If a row is not as expected, it changes nothing and raises SQLSTATE OL001. If an entity of its events has
    pending changes, it raises OL002. ``correlation_id`` is that of the events that will report the files of
    the change's outbox.
    """
    anchors = sorted(set(change.anchors))
    params = (
        change.params
        | event_rows.arrays(change.events)
        | {
            "project": project,
            "locks": BigintArray(locks),
            "anchors": TextArray(anchors),
            "expected": change.expected
            + len(anchors)
            + len(change.stamps)
            + len(change.fences)
            + 2 * len(change.ends),
            "r_project": TextArray(r[0] for r in requests),
            "r_rpc": TextArray(r[1].rpc for r in requests),
            "r_id": TextArray(r[1].request_id for r in requests),
            "r_fingerprint": ByteaArray(r[1].fingerprint for r in requests),
            "r_response": ByteaArray(r[2] for r in requests),
        }
    )
    sql = change.sql
    if change.stamps:
        sql = _STAMPED + ("" if change.waits else " skip locked") + _STAMPED_END + sql
        params |= _stamp_params(change.stamps)
    if change.fences:
        sql = _FENCED + sql
        params |= _fence_params(change.fences)
    if change.ends:
        sql += _ENDED
        params |= _end_params(change.ends)
    if change.outbox:
        sql += _QUEUED
        params |= _outbox_params(change.outbox) | {"correlation": correlation_id}
    if change.pending:
        sql += _PENDING
        params |= _pending_params(change.pending)
    if change.sampled_out:
        sql += _SAMPLED_OUT
        params |= _sampled_params(change.sampled_out)
    sql = _LOCKED + sql + _LOGGED + (_STAMPED_COUNT if change.stamps else "")
    sql += (_FENCED_COUNT if change.fences else "") + (_ENDED_COUNT if change.ends else "") + _EXPECTED
    if not change.flushes_pending:
        sql += _NONE_PENDING
    conn.execute(sql, params, name=_name(change.sql))
    event_rows.count_emitted(conn, len(change.events))


def _stamp_params(stamps: Sequence[Stamp]) -> dict[str, Any]:
    return {
        "t_project": TextArray(s.project for s in stamps),
        "t_code": TextArray(s.code for s in stamps),
        "t_sprint": TextArray(s.sprint_code for s in stamps),
        "t_priority": BigintArray(s.priority for s in stamps),
        "t_revision": BigintArray(s.revision for s in stamps),
    }


def _fence_params(fences: Sequence[Fence]) -> dict[str, Any]:
    return {
        "f_code": TextArray(f.task_code for f in fences),
        "f_fence": BigintArray(f.fence for f in fences),
    }


def _end_params(given: Sequence[AttemptEnd]) -> dict[str, Any]:
    # Heartbeats take the rows in this order, too.
    ends = sorted(given)
    return {
        "a_code": TextArray(e.task_code for e in ends),
        "a_fence": BigintArray(e.fence for e in ends),
        "a_outcome": BigintArray(e.outcome for e in ends),
        "a_body": ByteaArray(e.body for e in ends),
        "a_parked": BoolArray(e.parked for e in ends),
        "a_lost": BoolArray(e.lost for e in ends),
    }


def _outbox_params(outbox: Sequence[OutboxRow]) -> dict[str, Any]:
    queued = sorted(set(outbox))
    return {"o_kind": TextArray(row.kind for row in queued), "o_code": TextArray(row.code for row in queued)}


def _pending_params(pending: Sequence[PendingChange]) -> dict[str, Any]:
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


def _sampled_params(sampled_out: Sequence[SampledOut]) -> dict[str, Any]:
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


_CHANGES = re.compile(r"\b(insert into|update|delete from) (\w+)")


@lru_cache
def _name(change: str) -> str:
    """Return the name of a write in metrics and traces, by the first table that it changes."""
    found = _CHANGES.search(change)
    return f"writes.apply {found[1].split()[0]} {found[2]}" if found else "writes.apply"


# Usually nothing is pending, which one probe finds sooner than a probe for each of 2,000 entities.
_BEGIN: LiteralString = (
    "select epoch, pg_current_xact_id()::text, ledger_none_held("
    "case when exists (select from held_changes) then " + _PENDING_COUNT + " else 0 end) from log_state"
)


def begin_log(conn: Connection, about: Collection[Entity] = ()) -> int:
    """Give the caller's transaction its position in the log, and return the epoch.

    ``about`` are the entities of its events. Raises SQLSTATE OL002 if one of them has pending changes.
    """
    params = {
        "e_project": TextArray(e.project for e in about),
        "e_entity_type": BigintArray(e.entity_type for e in about),
        "e_entity_code": TextArray(e.code for e in about),
    }
    row = conn.execute(_BEGIN, params, name="writes.begin_log").fetchone()
    assert row is not None
    return int(row[0])


_EXPIRE: LiteralString = """
delete from requests where ctid = any(array(
    select ctid from requests where create_time < now() - interval '24 hours'
    order by create_time limit %(limit)s::bigint for update skip locked))
"""


def expire_responses(conn: Connection, *, limit: int) -> int:
    """Delete up to ``limit`` stored responses that are older than 24 hours, and return their number."""
    return conn.execute(_EXPIRE, {"limit": limit}, name="requests.expire").rowcount
