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
from typing import Any, LiteralString

from orchestration_server.db.arrays import BigintArray, ByteaArray, TextArray
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
from orchestration_server.store import event_rows, write_parts
from orchestration_server.store.write_parts import AttemptEnd as AttemptEnd
from orchestration_server.store.write_parts import Fence as Fence
from orchestration_server.store.write_parts import Stamp as Stamp

# The setting lets the dependents of a blocker with many of them enter the queue in slices (migration 0029).
_LOCKED: LiteralString = """
with locked as materialized (
    select count(pg_advisory_xact_lock(k)::text) as n, set_config('ledger.slices', 'on', true)
    from unnest(%(locks)s::bigint[]) as k
), anchored as materialized (
    select count(*) filter (where anchor.delete_time is null) as n from (
        select s.delete_time from locked, sprints s
        where s.project = %(project)s and s.code = any(%(anchors)s::text[])
        for share of s
    ) anchor
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

NOTHING: LiteralString = "changed as (select 1 from locked where false)"
"""The change of a write that only logs events or stores a response."""

_LOCK_KINDS: Mapping[int, str] = {EntityType.SPRINT: "sprint", EntityType.TASK: "task"}
DEBOUNCEABLE = frozenset(_LOCK_KINDS)
"""The types of entities that can have pending changes."""


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
        sql = write_parts.STAMPED + ("" if change.waits else " skip locked") + write_parts.STAMPED_END + sql
        params |= write_parts.stamp_params(change.stamps)
    if change.fences:
        sql = write_parts.FENCED + sql
        params |= write_parts.fence_params(change.fences)
    if change.ends:
        sql += write_parts.ENDED
        params |= write_parts.end_params(change.ends)
    if change.outbox:
        sql += write_parts.QUEUED
        params |= write_parts.outbox_params(change.outbox) | {"correlation": correlation_id}
    if change.pending:
        sql += write_parts.PENDING
        params |= write_parts.pending_params(change.pending)
    if change.sampled_out:
        sql += write_parts.SAMPLED_OUT
        params |= write_parts.sampled_params(change.sampled_out)
    sql = _LOCKED + sql + _LOGGED + (write_parts.STAMPED_COUNT if change.stamps else "")
    sql += (
        (write_parts.FENCED_COUNT if change.fences else "")
        + (write_parts.ENDED_COUNT if change.ends else "")
        + _EXPECTED
    )
    if not change.flushes_pending:
        sql += _NONE_PENDING
    conn.execute(sql, params, name=_name(change.sql))
    event_rows.count_emitted(conn, len(change.events))


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
