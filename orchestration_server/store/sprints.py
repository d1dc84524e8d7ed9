"""The SQL of sprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from orchestration_server.model import Request
from orchestration_server.store.arrays import Numbers
from orchestration_server.store.connection import Connection
from orchestration_server.store.prepared import EntityRow, Prepared, prepared

GET: LiteralString = """
select case when delete_time is null then body end from sprints
where project = %(project)s and code = %(code)s
"""

# The version of a sprint with its tasks: a sum over all of (code, revision), which no change leaves alone.
_VERSION: LiteralString = """
select s.revision, s.body, (
    select coalesce(sum(hashtextextended(t.code, t.revision)), 0)::text || '/' || count(*)
    from tasks t where t.project = %(project)s and t.sprint_code = %(code)s and t.sprint_code <> ''
        and t.delete_time is null)
from (select revision, body, delete_time from sprints
    where project = %(project)s and code = %(code)s offset 0) s
where s.delete_time is null
"""

_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, s.code, s.revision, s.delete_time is not null, s.body
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join sprints s on s.project = %(project)s and s.code = %(code)s
"""

# Waits for the writes that put tasks into the sprint; what follows in the transaction sees them.
_HOLD: LiteralString = "select 1 from sprints where project = %(project)s and code = %(code)s for update"

_HAS_TASKS: LiteralString = """
select exists (select from tasks where project = %(project)s and sprint_code = %(code)s
    and sprint_code <> '' and delete_time is null)
"""

INSERT: LiteralString = """changed as (
    insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
    select %(project)s, %(c_code)s, %(c_status)s::smallint, %(c_owner)s, 1, %(c_create)s, %(c_update)s,
        %(c_body)b
    from locked
    returning 1
)"""

UPDATE: LiteralString = """changed as (
    update sprints s set status = %(c_status)s::smallint, owner = %(c_owner)s,
        revision = s.revision + 1, update_time = %(c_update)s, body = %(c_body)b
    from locked
    where s.project = %(project)s and s.code = %(c_code)s and s.revision = %(c_revision)s::bigint
    returning 1
)"""

DELETE: LiteralString = """changed as (
    update sprints s set delete_time = %(c_update)s, update_time = %(c_update)s,
        revision = s.revision + 1
    from locked
    where s.project = %(project)s and s.code = %(c_code)s and s.revision = %(c_revision)s::bigint
    returning 1
)"""

_LIST: LiteralString = """
select create_time, code, body from sprints where project = %(project)s and delete_time is null"""
_STATUSES: LiteralString = " and status = any(%(statuses)s::smallint[])"
_OWNER: LiteralString = " and owner = %(owner)s"
_AFTER: LiteralString = " and (create_time, code) < (%(time)s::timestamptz, %(code)s)"
_ORDER: LiteralString = " order by create_time desc, code desc limit %(limit)s::bigint"


@dataclass(frozen=True, slots=True)
class Listed:
    """A sprint of a list, with where in its order it stands."""

    create_time: datetime
    code: str
    body: bytes


def get(conn: Connection, *, project: str, code: str) -> bytes | None:
    """The serialized sprint; None where there is none or it is deleted."""
    row = conn.execute(GET, {"project": project, "code": code}).fetchone()
    return row[0] if row else None


def version(conn: Connection, *, project: str, code: str) -> tuple[int, bytes, str] | None:
    """The sprint's revision and message, and the version of its tasks; None where there is none."""
    row = conn.execute(_VERSION, {"project": project, "code": code}).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def prepare(conn: Connection, *, project: str, request: Request, code: str) -> Prepared:
    """All that a write of the sprint has to know first, in one round trip."""
    row = conn.execute(
        _PREPARE,
        {"project": project, "rpc": request.rpc, "request_id": request.request_id, "code": code},
    ).fetchone()
    assert row is not None
    found = {} if row[3] is None else {row[3]: EntityRow(revision=row[4], deleted=row[5], body=row[6])}
    return prepared(row, found)


def hold_empty(conn: Connection, *, project: str, code: str) -> bool:
    """Keeps tasks from joining the sprint until the transaction ends; whether it has none."""
    conn.execute(_HOLD, {"project": project, "code": code})
    row = conn.execute(_HAS_TASKS, {"project": project, "code": code}).fetchone()
    assert row is not None
    return not row[0]


def list_page(
    conn: Connection,
    *,
    project: str,
    statuses: Sequence[int],
    owner: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Listed]:
    """A page of sprints, newest first."""
    query = _LIST
    params: dict[str, Any] = {"project": project, "limit": limit}
    if statuses:
        query += _STATUSES
        params["statuses"] = Numbers(statuses)
    if owner:
        query += _OWNER
        params["owner"] = owner
    if after is not None:
        query += _AFTER
        params |= {"time": after[0], "code": after[1]}
    return [Listed(*row) for row in conn.execute(query + _ORDER, params).fetchall()]
