"""The SQL of callers' events: it looks up known keys, stored responses, and the events' tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString, NamedTuple

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection

_KEYS: LiteralString = """
select k.project, k.dedup_key, k.event_id::text from event_keys k
join unnest(%(projects)s::text[], %(keys)s::text[]) as w (project, dedup_key)
    on k.project = w.project and k.dedup_key = w.dedup_key
"""
_ENTITIES: LiteralString = """
select w.project, w.code, t.delete_time is null, t.uid::text, t.sprint_code, t.priority
from unnest(%(projects)s::text[], %(codes)s::text[]) as w (project, code)
join tasks t on t.project = w.project and t.code = w.code
"""
_KNOWN: LiteralString = """
select event_id::text, sprint_code, session_key, entity_type, entity_code from events
where event_id = any(%(ids)s::text[]::uuid[])
union all
select event_id::text, sprint_code, session_key, entity_type, entity_code from archived_events
where event_id = any(%(ids)s::text[]::uuid[])
"""
_ANSWERS: LiteralString = """
select r.project, r.rpc, r.request_id, r.fingerprint, r.response
from unnest(%(projects)s::text[], %(rpcs)s::text[], %(ids)s::text[]) as w (project, rpc, request_id)
join requests r on r.project = w.project and r.rpc = w.rpc and r.request_id = w.request_id
"""
KEYED: LiteralString = """changed as (
    insert into event_keys (project, dedup_key, event_id)
    select k.project, k.dedup_key, k.event_id
    from locked, unnest(%(k_project)s::text[], %(k_key)s::text[], %(k_id)s::uuid[])
        as k (project, dedup_key, event_id)
    returning 1
)"""


def keys(conn: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the ids of the events that were first with a (project, dedup_key)."""
    if not wanted:
        return {}
    rows = conn.execute(
        _KEYS,
        {"projects": TextArray(w[0] for w in wanted), "keys": TextArray(w[1] for w in wanted)},
        name="emission.keys",
    ).fetchall()
    return {(r[0], r[1]): r[2] for r in rows}


class KnownEvent(NamedTuple):
    """The scope fields of an event that was first with a dedup_key."""

    sprint_code: str
    session_key: str
    entity_type: int
    entity_code: str


def known(conn: Connection, ids: Sequence[str]) -> dict[str, KnownEvent]:
    """Return the scope fields of events by id. Events that retention deleted are missing."""
    if not ids:
        return {}
    rows = conn.execute(_KNOWN, {"ids": TextArray(ids)}, name="emission.known").fetchall()
    return {row[0]: KnownEvent(*row[1:]) for row in rows}


class EventTask(NamedTuple):
    """The fields of a task that its events carry."""

    uid: str
    sprint_code: str
    priority: int


def tasks(conn: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], EventTask]:
    """Return the existing tasks by (project, code)."""
    if not wanted:
        return {}
    rows = conn.execute(
        _ENTITIES,
        {"projects": TextArray(w[0] for w in wanted), "codes": TextArray(w[1] for w in wanted)},
        name="emission.tasks",
    ).fetchall()
    return {(r[0], r[1]): EventTask(*r[3:]) for r in rows if r[2]}


def answers(
    conn: Connection, wanted: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], tuple[bytes, bytes]]:
    """Return the stored fingerprints and responses by (project, rpc, request_id)."""
    if not wanted:
        return {}
    rows = conn.execute(
        _ANSWERS,
        {
            "projects": TextArray(w[0] for w in wanted),
            "rpcs": TextArray(w[1] for w in wanted),
            "ids": TextArray(w[2] for w in wanted),
        },
        name="emission.answers",
    ).fetchall()
    return {(r[0], r[1], r[2]): (r[3], r[4]) for r in rows}
