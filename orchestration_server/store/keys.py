"""The SQL of API keys, and of the memberships that their scopes depend on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import EntityType, Role


class KeyRow(NamedTuple):
    """A stored key. The key itself is not stored, only its digest."""

    id: str
    digest: bytes
    name: str
    project: str
    role: Role
    session_key: str
    sprint_code: str
    per_minute: int | None
    events_per_minute: int | None
    create_time: datetime
    expire_time: datetime | None
    last_used_time: datetime | None
    revoke_time: datetime | None


class SessionMembership(NamedTuple):
    """The target of a session, and the sprint of the target."""

    target_type: EntityType
    target_code: str
    sprint_code: str


class Memberships(NamedTuple):
    """The sprint of each task by code, and the target of each session by key."""

    tasks: dict[str, str]
    sessions: dict[str, SessionMembership]


_COLUMNS: LiteralString = """
select id, digest, name, project, role, session_key, sprint_code, per_minute, events_per_minute,
    create_time, expire_time, last_used_time, revoke_time
from api_keys"""

_INSERT: LiteralString = """
insert into api_keys (id, digest, name, project, role, session_key, sprint_code, per_minute,
    events_per_minute, create_time, expire_time)
values (%(id)s, %(digest)b, %(name)s, %(project)s, %(role)s::smallint, %(session_key)s, %(sprint_code)s,
    %(per_minute)s::integer, %(events_per_minute)s::integer, %(create_time)s, %(expire_time)s::timestamptz)
on conflict (project, name) where revoke_time is null do nothing
"""

_ALL: LiteralString = _COLUMNS + " order by create_time, id"
_GET: LiteralString = _COLUMNS + " where id = any(%(ids)s::text[])"
_NAMED: LiteralString = """
select id from api_keys where project = %(project)s and name = %(name)s and revoke_time is null
"""
_EXIST: LiteralString = "select exists (select from api_keys)"

_REVOKE: LiteralString = """
update api_keys set revoke_time = coalesce(revoke_time, now()) where id = %(id)s
"""

# The order of the ids prevents deadlocks between servers that note the same keys.
_USED: LiteralString = """
update api_keys k set last_used_time = now()
from (select id from api_keys where id = any(%(ids)s::text[]) order by id for update skip locked) used
where k.id = used.id
"""

# Deleted tasks count as well, as their history may be read.
_PLACES: LiteralString = """
select 2, t.code, t.sprint_code, 0, '' from tasks t
where t.project = %(project)s and t.code = any(%(tasks)s::text[])
union all
select 3, s.key, case s.target_type when 1 then s.target_code else coalesce(t.sprint_code, '') end,
    s.target_type, s.target_code
from sessions s
left join tasks t on s.target_type = 2 and t.project = s.project and t.code = s.target_code
where s.project = %(project)s and s.key = any(%(sessions)s::text[])
"""


def insert(conn: Connection, key: KeyRow) -> bool:
    """Store a new key. Return False, and store nothing, if its project has a valid key of its name."""
    return conn.execute(_INSERT, key._asdict() | {"role": int(key.role)}, name="keys.insert").rowcount == 1


def find_by_name(conn: Connection, *, project: str, name: str) -> str | None:
    """Return the id of the unrevoked key with a name in a project, or None."""
    row = conn.execute(_NAMED, {"project": project, "name": name}, name="keys.named").fetchone()
    return None if row is None else str(row[0])


def list_all(conn: Connection) -> list[KeyRow]:
    """Return all keys, oldest first."""
    return [_row(*row) for row in conn.execute(_ALL, name="keys.list_all")]


def get(conn: Connection, *, ids: Sequence[str]) -> dict[str, KeyRow]:
    """Return the existing keys by id."""
    return {row[0]: _row(*row) for row in conn.execute(_GET, {"ids": TextArray(ids)}, name="keys.get")}


def exist(conn: Connection) -> bool:
    """Return whether a key was ever made."""
    row = conn.execute(_EXIST, name="keys.exist").fetchone()
    assert row is not None
    return bool(row[0])


def revoke(conn: Connection, *, key_id: str) -> bool:
    """Revoke a key, unless it is revoked already. Return False if no key has the id."""
    return conn.execute(_REVOKE, {"id": key_id}, name="keys.revoke").rowcount == 1


def note_used(conn: Connection, *, ids: Sequence[str]) -> None:
    """Set the time of the last use of keys."""
    conn.execute(_USED, {"ids": TextArray(ids)}, name="keys.note_used")


def memberships(
    conn: Connection, *, project: str, tasks: Sequence[str], sessions: Sequence[str]
) -> Memberships:
    """Return the memberships of those tasks and sessions that exist."""
    found = Memberships({}, {})
    params = {"project": project, "tasks": TextArray(tasks), "sessions": TextArray(sessions)}
    for kind, code, sprint, target_type, target in conn.execute(_PLACES, params, name="keys.places"):
        if kind == EntityType.TASK:
            found.tasks[code] = sprint
        else:
            found.sessions[code] = SessionMembership(EntityType(target_type), target, sprint)
    return found


def _row(key_id: str, digest: bytes, name: str, project: str, role: int, *rest: object) -> KeyRow:
    return KeyRow(key_id, digest, name, project, Role(role), *rest)  # type: ignore[arg-type]  # as selected
