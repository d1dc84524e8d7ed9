"""How far the background readers of the log are: one place a reader and project, always that of an event."""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import BEGINNING, Position
from orchestration_server.store.horizon import HORIZON

# The projects are found by skipping from one to the next in an index that begins with them; what is new, by
# one probe behind each one's place. Scalar subqueries leave the planner no other plan.
PROJECTS: LiteralString = """, named as (
    with recursive projects as (
        (select project from events where project > %(after)s order by project limit 1)
        union all
        select (select e.project from events e where e.project > p.project order by e.project limit 1)
        from projects p where p.project is not null
    )
    select project from projects where project is not null
)
"""
_BEHIND: LiteralString = (
    HORIZON
    + PROJECTS
    + """
select n.project
from h, named n
left join log_positions at on at.reader = %(reader)s and at.project = n.project
where (
    select e.seq from events e
    where e.project = n.project and (e.epoch, e.xid) < (h.epoch, h.xid)
        and (e.epoch, e.xid, e.seq) > (coalesce(at.epoch, 0), coalesce(at.xid, '0'::xid8),
            coalesce(at.seq, 0) - (at.rule is not null)::integer)
    order by e.epoch, e.xid, e.seq limit 1
) is not null
limit %(limit)s::bigint
"""
)
_BEGIN: LiteralString = """
insert into log_positions (reader, project, epoch, xid, seq) values (%(reader)s, %(project)s, 0, '0'::xid8, 0)
on conflict do nothing
"""
_GET: LiteralString = """
select epoch, xid::text::bigint, seq, rule, action from log_positions
where reader = %(reader)s and project = %(project)s
"""
_HOLD: LiteralString = _GET + " for update"


class LogPosition(NamedTuple):
    """Where a reader is in a project's log.

    All before ``place`` is dealt with. Of the event at it, what comes up to ``action`` of ``rule``; where
    ``rule`` is None, all of it.
    """

    position: Position
    rule: str | None = None
    action: int = 0


START = LogPosition(BEGINNING)


def behind(conn: Connection, *, reader: str, after: str, limit: int) -> list[str]:
    """Projects with events below the horizon that the reader has not dealt with: at most ``limit``, those
    whose names come after one."""
    rows = conn.execute(
        _BEHIND, {"reader": reader, "after": after, "limit": limit}, name="positions.behind"
    ).fetchall()
    return [row[0] for row in rows]


def get(conn: Connection, *, reader: str, project: str) -> LogPosition:
    """Where the reader is; it is put at the beginning where it is nowhere yet."""
    found = _read(conn, _GET, reader, project)
    if found is None:
        begin(conn, reader=reader, project=project)
        found = _read(conn, _GET, reader, project)
        assert found is not None
    return found


def begin(conn: Connection, *, reader: str, project: str) -> None:
    """Puts the reader at the beginning of the project's log, where it is nowhere yet."""
    conn.execute(_BEGIN, {"reader": reader, "project": project}, name="positions.begin")


def lock(conn: Connection, *, reader: str, project: str) -> LogPosition | None:
    """Where the reader is, and stays until the transaction ends."""
    return _read(conn, _HOLD, reader, project)


def _read(conn: Connection, query: LiteralString, reader: str, project: str) -> LogPosition | None:
    row = conn.execute(query, {"reader": reader, "project": project}, name="positions.progress").fetchone()
    return None if row is None else LogPosition(Position(row[0], row[1], row[2]), row[3], row[4])
