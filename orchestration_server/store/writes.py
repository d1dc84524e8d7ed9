"""The statement that every write is: locks, change, events and request_id, in one round trip.

A change is a CTE named ``changed`` that the stores of sprints, tasks and dependencies give as a literal;
this module adds the rest around it. Either all of the statement commits or none of it (G1), and the
advisory locks of all entities are taken before anything assigns a transaction id, which keeps the log
in each entity's order (G2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import (
    Array,
    BigintArray,
    BoolArray,
    ByteaArray,
    TextArray,
    TimestampArray,
    UuidArray,
)
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
from orchestration_server.telemetry import metrics

_LOCKED: LiteralString = """
with locked as materialized (
    select count(pg_advisory_xact_lock(k)::text) as n from unnest(%(locks)s::bigint[]) as k
), anchored as materialized (
    select count(*) filter (where held.delete_time is null) as n from (
        select s.delete_time from locked, sprints s
        where s.project = %(project)s and s.code = any(%(anchors)s::text[])
        for share of s
    ) held
), """

# Composed only if events carry what the change itself does not check. The rows are locked, so that they
# stay as they are until the write commits.
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

_LOGGED: LiteralString = """
, logged as (
    insert into events (kept, epoch, project, event_id, type, entity_type, entity_code, sprint_code,
        priority, correlation_id, session_key, actor, occur_time, emit_time, body, agent, scopes)
    select e.kept, (select epoch from log_state), e.project, e.event_id, e.type, e.entity_type,
        e.entity_code, e.sprint_code, e.priority, e.correlation_id, e.session_key, e.actor,
        e.occur_time, e.emit_time, e.body, e.agent, e.scopes
    from (select count(*) as n from changed) c, unnest(
        %(e_kept)s::boolean[], %(e_project)s::text[], %(e_id)s::uuid[], %(e_type)s::text[],
        %(e_entity_type)s::smallint[], %(e_entity_code)s::text[], %(e_sprint_code)s::text[],
        %(e_priority)s::smallint[], %(e_correlation)s::text[], %(e_session)s::text[],
        %(e_actor)s::text[], %(e_occur)s::timestamptz[], %(e_emit)s::timestamptz[], %(e_body)s::bytea[],
        %(e_agent)s::text[], %(e_scopes)s::text[]
    ) with ordinality as e (kept, project, event_id, type, entity_type, entity_code, sprint_code,
        priority, correlation_id, session_key, actor, occur_time, emit_time, body, agent, scopes, place)
    order by e.place
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
_STAMPED_COUNT: LiteralString = " + (select n from stamped)"
_EXPECTED: LiteralString = """, %(expected)s::bigint)
"""

# No event of an entity comes before what is held of it. A scalar subquery, which is a probe of the primary
# key and nothing else; what is held meanwhile shows by the revision, which is not what the change expects.
_HELD_COUNT: LiteralString = """(
    select count((
        select 1 from held_changes h where h.project = e.project and h.entity_type = e.entity_type
            and h.entity_code = e.entity_code limit 1
    )) from unnest(%(e_project)s::text[], %(e_entity_type)s::smallint[], %(e_entity_code)s::text[])
        as e (project, entity_type, entity_code)
    where e.entity_type in (1, 2)
)"""
_NONE_HELD: LiteralString = ", ledger_none_held(" + _HELD_COUNT + ")\n"

# Composed only where a write has such rows, so the others are not slower for it. A row that is there keeps
# its turn: whoever works on it sees by the generation that it was asked for again.
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

# As above: only where a change has steps to be held.
_HELD: LiteralString = """
, held as (
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

# As above: only where sampling left events out. The row of the project as a whole is a version, for caches.
# All writers take the rows in one order.
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

NOTHING: LiteralString = "changed as (select 1 from locked where false)"
"""The change of a write that only records an answer, or a caller's events."""


_LOCKED_AS: Mapping[int, str] = {EntityType.SPRINT: "sprint", EntityType.TASK: "task"}
DEBOUNCEABLE = frozenset(_LOCKED_AS)
"""Types of entities whose changes may be held."""


class Stamp(NamedTuple):
    """What events carry of a task that their own statement does not change."""

    project: str
    code: str
    sprint_code: str
    priority: int
    revision: int = 0
    """0 if the events carry none."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one write does: ``expected`` rows of ``sql``, its events, and the answer to remember."""

    response: bytes
    sql: LiteralString = NOTHING
    params: dict[str, Any] = field(default_factory=dict)
    expected: int = 0
    events: Sequence[EventRow] = ()
    anchors: Sequence[str] = ()
    """Codes of sprints that have to be there when the write commits."""
    stamps: Sequence[Stamp] = ()
    """What its events carry of tasks, each task once, and what the tasks must have when the write commits."""
    waits: bool = True
    """Whether it waits for other writers of the tasks in ``stamps``. One that does not raises Conflict."""
    outbox: Sequence[OutboxRow] = ()
    """Entities whose files are to be written, in this order or another, also more than once."""
    sampled_out: Sequence[SampledOut] = ()
    """Events that are counted and not stored, each kind once."""
    policy: int = 0
    """The emission policy that the caller wishes, by its number in common.proto; 0 for the configured one."""
    pending: Sequence[PendingChange] = ()
    """Steps that an event to come will tell of."""
    flushes_pending: bool = False
    """Whether its events tell of what is held of their entities: others have to come after."""


def lock_key(project: str, kind: str, code: str) -> int:
    """The advisory lock of one entity."""
    digest = blake2b(f"{project}\0{kind}\0{code}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def entity_key(entity: Entity) -> int:
    """The advisory lock of what an event is about."""
    return lock_key(entity.project, _LOCKED_AS[entity.entity_type], entity.code)


def stamp_key(stamp: Stamp) -> int:
    """Return the advisory lock of a task that a stamp is of."""
    return lock_key(stamp.project, "task", stamp.code)


def lock(conn: Connection, locks: Sequence[int]) -> None:
    """Takes the locks before the transaction reads anything, so that what it reads is current."""
    conn.execute(
        "select pg_advisory_xact_lock(k) from unnest(%(locks)s::bigint[]) as k",
        {"locks": BigintArray(locks)},
        name="writes.lock",
    )


def try_lock(conn: Connection, key: int) -> bool:
    """Takes a lock until the transaction ends, unless someone else has it."""
    row = conn.execute(
        "select pg_try_advisory_xact_lock(%(key)s::bigint)", {"key": key}, name="writes.try_lock"
    ).fetchone()
    assert row is not None
    return bool(row[0])


def try_locks(conn: Connection, keys: Sequence[int]) -> list[int]:
    """Takes those of the locks that nobody else has, until the transaction ends."""
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
    """Runs the write. Where a row is not as expected it leaves nothing and raises SQLSTATE OL001; where
    something is held of an entity that one of its events is about, OL002.

    ``correlation_id`` is that of the events which will tell of the files in the change's outbox.
    """
    anchors = sorted(set(change.anchors))
    params = (
        change.params
        | event_columns(change.events)
        | {
            "project": project,
            "locks": BigintArray(locks),
            "anchors": TextArray(anchors),
            "expected": change.expected + len(anchors) + len(change.stamps),
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
        params |= {
            "t_project": TextArray(s.project for s in change.stamps),
            "t_code": TextArray(s.code for s in change.stamps),
            "t_sprint": TextArray(s.sprint_code for s in change.stamps),
            "t_priority": BigintArray(s.priority for s in change.stamps),
            "t_revision": BigintArray(s.revision for s in change.stamps),
        }
    if change.outbox:
        queued = sorted(set(change.outbox))
        sql += _QUEUED
        params |= {
            "correlation": correlation_id,
            "o_kind": TextArray(row.kind for row in queued),
            "o_code": TextArray(row.code for row in queued),
        }
    if change.pending:
        sql += _HELD
        params |= {
            "h_project": TextArray(h.entity.project for h in change.pending),
            "h_type": BigintArray(h.entity.entity_type for h in change.pending),
            "h_code": TextArray(h.entity.code for h in change.pending),
            "h_revision": BigintArray(h.revision for h in change.pending),
            "h_stable": TimestampArray(h.stable_time for h in change.pending),
            "h_latest": TimestampArray(h.latest_time for h in change.pending),
            "h_correlation": TextArray(h.correlation_id for h in change.pending),
            "h_body": ByteaArray(h.body for h in change.pending),
            "h_scopes": TextArray(h.scopes for h in change.pending),
        }
    if change.sampled_out:
        sql += _SAMPLED_OUT
        params |= {
            "s_project": TextArray(s.project for s in change.sampled_out),
            "s_minute": TimestampArray(s.minute for s in change.sampled_out),
            "s_type": TextArray(s.type for s in change.sampled_out),
            "s_actor": TextArray(s.actor for s in change.sampled_out),
            "s_entity_type": BigintArray(s.entity_type for s in change.sampled_out),
            "s_entity_code": TextArray(s.entity_code for s in change.sampled_out),
            "s_sprint_code": TextArray(s.sprint_code for s in change.sampled_out),
            "s_count": BigintArray(s.events for s in change.sampled_out),
        }
    sql = _LOCKED + sql + _LOGGED + (_STAMPED_COUNT if change.stamps else "") + _EXPECTED
    if not change.flushes_pending:
        sql += _NONE_HELD
    conn.execute(sql, params, name=_name(change.sql))
    count_emitted(conn, len(change.events))


def count_emitted(conn: Connection, events: int) -> None:
    """Count events as written once they are committed."""
    if events:
        conn.after_commit(partial(metrics.EVENTS_EMITTED.inc, events))


_CHANGES = re.compile(r"\b(insert into|update|delete from) (\w+)")


@lru_cache
def _name(change: str) -> str:
    """What a write is timed as: by the first table that it changes."""
    found = _CHANGES.search(change)
    return f"writes.apply {found[1].split()[0]} {found[2]}" if found else "writes.apply"


def event_columns(events: Sequence[EventRow]) -> dict[str, Array]:
    """The events as one array a column."""
    return {
        "e_kept": BoolArray(e.kept for e in events),
        "e_project": TextArray(e.project for e in events),
        "e_id": UuidArray(e.event_id for e in events),
        "e_type": TextArray(e.type for e in events),
        "e_entity_type": BigintArray(e.entity_type for e in events),
        "e_entity_code": TextArray(e.entity_code for e in events),
        "e_sprint_code": TextArray(e.sprint_code for e in events),
        "e_priority": BigintArray(e.priority for e in events),
        "e_correlation": TextArray(e.correlation_id for e in events),
        "e_session": TextArray(e.session_key for e in events),
        "e_actor": TextArray(e.actor for e in events),
        "e_occur": TimestampArray(e.occur_time for e in events),
        "e_emit": TimestampArray(e.emit_time for e in events),
        "e_body": ByteaArray(e.body for e in events),
        "e_agent": TextArray(e.agent for e in events),
        "e_scopes": TextArray(e.scopes for e in events),
    }


_COPY: LiteralString = """
copy events (kept, event_id, entity_type, priority, occur_time, emit_time, project, type, entity_code,
    sprint_code, correlation_id, session_key, actor, agent, scopes, body, epoch)
from stdin with (format binary)
"""
_COPY_TYPES = (
    "bool", "uuid", "int2", "int2", "timestamptz", "timestamptz", *["text"] * 9, "bytea", "int4",
)  # fmt: skip


# Mostly nothing is held at all, which is known sooner than of each of two thousand entities.
_BEGIN: LiteralString = (
    "select epoch, pg_current_xact_id()::text, ledger_none_held("
    "case when exists (select from held_changes) then " + _HELD_COUNT + " else 0 end) from log_state"
)


def begin_log(conn: Connection, about: Collection[Entity] = ()) -> int:
    """Gives the caller's transaction its place in the log; the epoch that it is in.

    ``about`` is what its events are about: raises SQLSTATE OL002 where something is held of it.
    """
    params = {
        "e_project": TextArray(e.project for e in about),
        "e_entity_type": BigintArray(e.entity_type for e in about),
        "e_entity_code": TextArray(e.code for e in about),
    }
    row = conn.execute(_BEGIN, params, name="writes.begin_log").fetchone()
    assert row is not None
    return int(row[0])


def copy_events(conn: Connection, epoch: int, events: Sequence[EventRow]) -> None:
    """Append many events inside the caller's transaction: several times as fast as an insert."""
    with conn.timed("writes.copy_events"), conn.cursor().copy(_COPY) as copy:
        copy.set_types(_COPY_TYPES)
        for e in events:
            copy.write_row(
                (e.kept, e.event_id, e.entity_type, e.priority, e.occur_time, e.emit_time, e.project, e.type,
                 e.entity_code, e.sprint_code, e.correlation_id, e.session_key, e.actor, e.agent, e.scopes,
                 e.body, epoch)
            )  # fmt: skip
    count_emitted(conn, len(events))
