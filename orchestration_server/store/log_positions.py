"""The SQL of the positions of background readers: one for each reader and project."""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import BEGINNING, Position
from orchestration_server.store.horizon import HORIZON

# The projects are found by skipping from one to the next in an index that begins with them, and new events by
# one probe after each position. Scalar subqueries leave the planner no other plan.
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
    """The position of a reader in a project's log.

    All events before ``position`` are handled. Of the event at ``position``, the actions up to ``action`` of
    ``rule`` are done, or all of it if ``rule`` is None.
    """

    position: Position
    rule: str | None = None
    action: int = 0


START = LogPosition(BEGINNING)


def behind(conn: Connection, *, reader: str, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` projects with new events below the horizon, whose names follow ``after``."""
    rows = conn.execute(
        _BEHIND, {"reader": reader, "after": after, "limit": limit}, name="positions.behind"
    ).fetchall()
    return [row[0] for row in rows]


def get(conn: Connection, *, reader: str, project: str) -> LogPosition:
    """Return the reader's position. A new reader gets the beginning of the log."""
    found = _read(conn, _GET, reader, project)
    if found is None:
        begin(conn, reader=reader, project=project)
        found = _read(conn, _GET, reader, project)
        assert found is not None
    return found


def begin(conn: Connection, *, reader: str, project: str) -> None:
    """Put a new reader at the beginning of the project's log."""
    conn.execute(_BEGIN, {"reader": reader, "project": project}, name="positions.begin")


def lock(conn: Connection, *, reader: str, project: str) -> LogPosition | None:
    """Lock the reader's position until the transaction ends, and return it."""
    return _read(conn, _HOLD, reader, project)


def _read(conn: Connection, query: LiteralString, reader: str, project: str) -> LogPosition | None:
    row = conn.execute(query, {"reader": reader, "project": project}, name="positions.progress").fetchone()
    return None if row is None else LogPosition(Position(row[0], row[1], row[2]), row[3], row[4])
