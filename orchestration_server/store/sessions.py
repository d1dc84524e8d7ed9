"""The SQL of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request, SessionStatus
from orchestration_server.store import pages
from orchestration_server.store.prepared import EntityRow, Prepared, prepared
from orchestration_server.store.writes import lock_key

_GET: LiteralString = """
select last_activity_time, body from sessions where project = %(project)s and key = %(key)s
"""

_CORRELATION: LiteralString = """
select correlation_id from sessions where project = %(project)s and key = %(key)s
"""

_SELECT: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, s.key, s.revision, s.body, s.last_activity_time,
    coalesce(t.body, p.body), coalesce(t.delete_time, p.delete_time) is not null"""
_ASKED: LiteralString = """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s"""
_PREPARE: LiteralString = (
    _SELECT
    + _ASKED
    + """
left join sessions s on s.project = %(project)s and s.key = %(key)s
left join tasks t on s.target_type = 2 and t.project = %(project)s and t.code = s.target_code
left join sprints p on s.target_type = 1 and p.project = %(project)s and p.code = s.target_code
"""
)
_PREPARE_ON_TARGET: LiteralString = (
    _SELECT
    + ", k.key is not null"
    + _ASKED
    + """
left join sessions k on k.project = %(project)s and k.key = %(key)s
left join tasks t on %(type)s::smallint = 2 and t.project = %(project)s and t.code = %(code)s
left join sprints p on %(type)s::smallint = 1 and p.project = %(project)s and p.code = %(code)s
left join lateral (
    select key, revision, body, last_activity_time from sessions
    where project = %(project)s and target_type = %(type)s::smallint and target_code = %(code)s
        and agent = %(agent)s and status < 3
    order by create_time desc, key desc limit 1
) s on true
"""
)

INSERT: LiteralString = """changed as (
    insert into sessions (project, key, status, agent, target_type, target_code, correlation_id,
        last_activity_time, revision, create_time, update_time, body)
    select %(project)s, %(c_key)s, %(c_status)s::smallint, %(c_agent)s, %(c_type)s::smallint, %(c_code)s,
        %(c_correlation)s, %(c_activity)s::timestamptz, 1, %(c_update)s, %(c_update)s, %(c_body)b
    from locked
    returning 1
)"""


def _update_cte(name: LiteralString) -> LiteralString:
    return (
        name
        + """ as (
    update sessions s set status = %(c_status)s::smallint, agent = %(c_agent)s,
        last_activity_time = greatest(s.last_activity_time, %(c_activity)s::timestamptz),
        revision = s.revision + 1, update_time = %(c_update)s, body = %(c_body)b
    from locked
    where s.project = %(project)s and s.key = %(c_key)s and s.revision = %(c_revision)s::bigint
    returning 1
)"""
    )


UPDATE: LiteralString = _update_cte("changed")
CLOSE: LiteralString = (
    _update_cte("updated")
    + """, changed as (
    select ledger_drop_leases(%(project)s, %(c_key)s, u.n) from (select count(*) as n from updated) u
    where u.n = 1
)"""
)

# This waits for a write that closes the session, then sees it. The case keeps the status out of the lookup.
OPEN: LiteralString = """changed as (
    select 1 from (
        select s.status from locked, sessions s
        where s.project = %(project)s and s.key = %(c_key)s
        for share of s
    ) locked_session where case when locked_session.status < 3 then true end
)"""

_LISTED: LiteralString = "create_time, key, last_activity_time, body"
_LIST: LiteralString = "select " + _LISTED + " from sessions where project = %(project)s"
_TARGET: LiteralString = """
    and target_type = %(type)s::smallint and target_code = %(code)s and target_code <> ''"""
_AGENT: LiteralString = " and agent = %(agent)s"
_AGENT_LEADS: LiteralString = " and agent <> ''"
# The planner takes a case for half of the rows. Otherwise it would expect few rows and sort them all.
_STATUSES: LiteralString = " and case when status = any(%(statuses)s::smallint[]) then true end"
_STATUSES_OPEN: LiteralString = " and status < 3"
_AFTER: LiteralString = " and (create_time, key) < (%(time)s::timestamptz, %(key)s)"
_ORDER: LiteralString = " order by create_time desc, key desc limit %(limit)s::bigint"

# Batches run one at a time. Two that lock the same rows in another order would deadlock.
_TOUCH: LiteralString = """
with alone as materialized (select pg_advisory_xact_lock(%(lock)s::bigint)::text)
update sessions s set last_activity_time = c.time
from alone, (
    select project, key, statement_timestamp() - age * interval '1 millisecond' as time
    from unnest(%(projects)s::text[], %(keys)s::text[], %(ages)s::bigint[]) as c (project, key, age)
) c
where s.project = c.project and s.key = c.key
    and case when s.status < 3
        then s.last_activity_time <= c.time - %(apart)s::bigint * interval '1 second' end
"""
_TOUCH_LOCK = lock_key("", "job", "session-activity")


class TargetRow(NamedTuple):
    """The task or sprint that a session works on."""

    deleted: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The facts that a write of a session needs beside the session's row."""

    key: str = ""
    """The key of the existing session, or an empty string."""
    last_activity: datetime | None = None
    target: TargetRow | None = None
    """None if the target never existed."""
    taken: bool = False
    """True if the key for a new session is in use."""


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session of a list, with its position in the list."""

    create_time: datetime
    key: str
    last_activity: datetime
    body: bytes


def get(conn: Connection, *, project: str, key: str) -> tuple[datetime, bytes] | None:
    """Return the session's last activity and its serialized message, or None."""
    row = conn.execute(_GET, {"project": project, "key": key}, name="sessions.get").fetchone()
    return None if row is None else (row[0], row[1])


def correlation_id(conn: Connection, *, project: str, key: str) -> str | None:
    """Return the correlation id of the session's events, which never changes, or None."""
    row = conn.execute(
        _CORRELATION, {"project": project, "key": key}, name="sessions.correlation_id"
    ).fetchone()
    return None if row is None else row[0]


def prepare(conn: Connection, *, project: str, request: Request, key: str) -> Prepared[SessionFacts]:
    """Read the session and its target for a write, in one round trip."""
    row = conn.execute(
        _PREPARE,
        {"project": project, "rpc": request.rpc, "request_id": request.request_id, "key": key},
        name="sessions.prepare",
    ).fetchone()
    assert row is not None
    return _prepared(row, taken=False)


def prepare_on_target(
    conn: Connection,
    *,
    project: str,
    request: Request,
    target_type: int,
    code: str,
    agent: str,
    key: str,
) -> Prepared[SessionFacts]:
    """Read the agent's newest open session on a target. ``key`` is the key for a new session."""
    row = conn.execute(
        _PREPARE_ON_TARGET,
        {
            "project": project,
            "rpc": request.rpc,
            "request_id": request.request_id,
            "type": target_type,
            "code": code,
            "agent": agent,
            "key": key,
        },
        name="sessions.prepare_on_target",
    ).fetchone()
    assert row is not None
    return _prepared(row, taken=row[9])


def _prepared(row: tuple[Any, ...], *, taken: bool) -> Prepared[SessionFacts]:
    _, _, _, key, revision, body, last_activity, target, deleted, *_ = row
    rows = {} if key is None else {key: EntityRow(revision=revision, deleted=False, body=body)}
    subject = SessionFacts(
        key or "", last_activity, None if target is None else TargetRow(deleted, target), taken
    )
    return prepared(row, rows, subject)


def list_page(
    conn: Connection,
    *,
    project: str,
    target: tuple[int, str] | None,
    agent: str,
    statuses: Sequence[int],
    after: tuple[datetime, str] | None,
    limit: int,
) -> pages.Page[ListedSession]:
    """Return a page of sessions, newest first.

    The narrowest condition leads: a target, an agent, being open.
    """
    query = _LIST
    params: dict[str, Any] = {"project": project, **pages.limits(limit)}
    if target is not None:
        query += _TARGET
        params |= {"type": target[0], "code": target[1]}
    if agent:
        query += _AGENT
        params["agent"] = agent
        if target is None:
            query += _AGENT_LEADS
    if statuses:
        query += _STATUSES
        params["statuses"] = BigintArray(statuses)
        if target is None and SessionStatus.COMPLETED not in statuses:
            query += _STATUSES_OPEN
    if after is not None:
        query += _AFTER
        params |= {"time": after[0], "key": after[1]}
    return pages.listed(conn, "sessions.list_page", _LISTED, query + _ORDER, params, ListedSession)


def touch(conn: Connection, *, ages: dict[tuple[str, str], int], apart: int) -> int:
    """Set the last activity of open sessions, given by (project, key) as milliseconds ago.

    Leave sessions whose time would advance by less than ``apart`` seconds. Return the number of changed rows.
    """
    return conn.execute(
        _TOUCH,
        {
            "lock": _TOUCH_LOCK,
            "projects": TextArray(project for project, _ in ages),
            "keys": TextArray(key for _, key in ages),
            "ages": BigintArray(ages.values()),
            "apart": apart,
        },
        name="sessions.touch",
    ).rowcount
