"""The SQL of pauses and of limits of work in progress. Migration 0022 describes the tables and functions."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response,
    coalesce(t.code, s.code), coalesce(t.revision, s.revision),
    coalesce(t.delete_time, s.delete_time) is not null, coalesce(t.body, s.body), p.mode, p.create_time
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join sprints s on %(kind)s::smallint = 2 and s.project = %(project)s and s.code = %(value)s
left join tasks t on %(kind)s::smallint = 5 and t.project = %(project)s and t.code = %(value)s
left join pauses p on p.project = %(project)s and p.kind = %(kind)s::smallint and p.value = %(value)s
"""

PAUSE: LiteralString = """changed as (
    insert into pauses (project, kind, value, mode, reason, agent, create_time)
    select %(project)s, %(c_kind)s::smallint, %(c_value)s, %(c_mode)s::smallint, %(c_reason)s, %(c_agent)s,
        %(c_create)s
    from locked
    on conflict (project, kind, value) do update set mode = excluded.mode, reason = excluded.reason,
        agent = excluded.agent, create_time = excluded.create_time
    returning 1
)"""

RESUME: LiteralString = """changed as (
    delete from pauses p using locked
    where p.project = %(project)s and p.kind = %(c_kind)s::smallint and p.value = %(c_value)s
        and p.create_time = %(c_create)s
    returning 1
)"""

_LIST: LiteralString = """
select kind, value, mode, reason, agent, create_time from pauses
where project = %(project)s and (kind, value) > (%(kind)s::smallint, %(value)s)
order by kind, value limit %(limit)s::bigint
"""

_PREPARE_LIMIT: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, w.most
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join work_limits w on w.project = %(project)s and w.kind = %(kind)s::smallint and w.value = %(value)s
"""

SET_LIMIT: LiteralString = """changed as (
    insert into work_limits (project, kind, value, most)
    select %(project)s, %(c_kind)s::smallint, %(c_value)s, %(c_most)s::integer from locked
    on conflict (project, kind, value) do update set most = excluded.most
    returning 1
)"""

REMOVE_LIMIT: LiteralString = """changed as (
    delete from work_limits w using locked
    where w.project = %(project)s and w.kind = %(c_kind)s::smallint and w.value = %(c_value)s
    returning 1
)"""

_LIST_LIMITS: LiteralString = """
select w.kind, w.value, w.most, ledger_leases_of(w.project, w.kind, w.value) from work_limits w
where w.project = %(project)s and (w.kind, w.value) > (%(kind)s::smallint, %(value)s)
order by w.kind, w.value limit %(limit)s::bigint
"""
_LEASES_OF: LiteralString = "select ledger_leases_of(%(project)s, %(kind)s::smallint, %(value)s)"
_SETTLE: LiteralString = "select ledger_settle_claims(%(project)s)"


class PauseState(NamedTuple):
    """The pause of a scope before it is written."""

    mode: int
    create_time: datetime


class ListedPause(NamedTuple):
    """A pause of a list."""

    kind: int
    value: str
    mode: int
    reason: str
    agent: str
    create_time: datetime


class ListedLimit(NamedTuple):
    """A limit of a list, with the number of leases that it counts."""

    kind: int
    value: str
    most: int
    leases: int


def prepare(
    conn: Connection, *, project: str, request: Request, kind: int, value: str
) -> Prepared[PauseState | None]:
    """Read a pause, and the task or sprint of its scope."""
    row = conn.execute(
        _PREPARE,
        {
            "project": project,
            "rpc": request.rpc,
            "request_id": request.request_id,
            "kind": kind,
            "value": value,
        },
        name="pauses.prepare",
    ).fetchone()
    assert row is not None
    found = {} if row[3] is None else {row[3]: EntityRow(revision=row[4], deleted=row[5], body=row[6])}
    return prepared(row, found, None if row[7] is None else PauseState(row[7], row[8]))


def list_page(conn: Connection, *, project: str, after: tuple[int, str], limit: int) -> list[ListedPause]:
    """Return pauses by kind and value."""
    params = {"project": project, "kind": after[0], "value": after[1], "limit": limit}
    return [ListedPause(*row) for row in conn.execute(_LIST, params, name="pauses.list_page")]


def prepare_limit(
    conn: Connection, *, project: str, request: Request, kind: int, value: str
) -> Prepared[int | None]:
    """Read the limit of a key, which is None if it has none."""
    row = conn.execute(
        _PREPARE_LIMIT,
        {
            "project": project,
            "rpc": request.rpc,
            "request_id": request.request_id,
            "kind": kind,
            "value": value,
        },
        name="limits.prepare",
    ).fetchone()
    assert row is not None
    return prepared(row, {}, row[3])


def list_limits(conn: Connection, *, project: str, after: tuple[int, str], limit: int) -> list[ListedLimit]:
    """Return limits by kind and value."""
    params = {"project": project, "kind": after[0], "value": after[1], "limit": limit}
    return [ListedLimit(*row) for row in conn.execute(_LIST_LIMITS, params, name="limits.list_page")]


def leases_of(conn: Connection, *, project: str, kind: int, value: str) -> int:
    """Return the number of valid leases that a limit counts."""
    row = conn.execute(
        _LEASES_OF, {"project": project, "kind": kind, "value": value}, name="limits.leases_of"
    ).fetchone()
    assert row is not None
    return int(row[0])


def settle_claims(conn: Connection, *, project: str) -> None:
    """Wait for the claims that may have been decided before the last commit."""
    conn.execute(_SETTLE, {"project": project}, name="pauses.settle_claims")
