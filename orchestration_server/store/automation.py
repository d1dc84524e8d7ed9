"""The SQL of automation: it reads the next events of a project, and moves the reader's position.

An action and the new position commit in one statement, and the position is locked until then. So each action
is done once, even if a process crashes or several do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import LiteralString, NamedTuple

from orchestration_server.db.arrays import TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import BEGINNING, Position
from orchestration_server.store import pages
from orchestration_server.store.horizon import HORIZON
from orchestration_server.store.log_positions import LogPosition
from orchestration_server.store.prepared import Prepared, prepared
from orchestration_server.store.writes import Change

READER = "automation"

# Only events whose type a rule names have a body. The last event is always returned, for its position.
_BATCH: LiteralString = (
    HORIZON
    + """, batch as materialized (
    select e.* from h, lateral ("""
    + pages.cut(
        "epoch, xid, seq, scopes, body",
        """
        select epoch, xid, seq, scopes, case when type = any(%(types)s::text[])
            or type like any(%(prefixes)s::text[]) then body end as body
        from events
        where project = %(project)s
            and (epoch, xid, seq) > (%(epoch)s::integer, %(xid)s::text::xid8, %(seq)s::bigint)
            and (epoch, xid) < (h.epoch, h.xid)
        order by epoch, xid, seq limit %(limit)s::bigint""",
        size="coalesce(octet_length(body), 0)",
    )
    + """) e
)
select b.epoch, b.xid::text::bigint, b.seq, b.body, b.scopes, c.n, l.further
from batch b, (select count(*) as n from batch) c,
    (select epoch, xid, seq, further from batch order by epoch desc, xid desc, seq desc limit 1) l
where b.body is not null or b.seq = l.seq
order by b.epoch, b.xid, b.seq
"""
)
_MOVED: LiteralString = """moved as (
    update log_positions set epoch = %(m_epoch)s::integer, xid = %(m_xid)s::text::xid8,
        seq = %(m_seq)s::bigint, rule = %(m_rule)s::text, action = %(m_action)s::integer
    from locked where reader = 'automation' and project = %(project)s
    returning 1
), acted """
_BOTH: LiteralString = ", changed as (select 1 from moved union all select 1 from acted)"
_NOW: LiteralString = "select clock_timestamp(), null::bytea, null::bytea"

_ADVANCE: LiteralString = """
update log_positions set epoch = %(epoch)s::integer, xid = %(xid)s::text::xid8, seq = %(seq)s::bigint,
    rule = null, action = 0
where reader = 'automation' and project = %(project)s
    and (epoch, xid, seq, action) = (%(s_epoch)s::integer, %(s_xid)s::text::xid8, %(s_seq)s::bigint,
        %(s_action)s::integer)
    and rule is not distinct from %(s_rule)s::text
"""

# This waits for writes that add tasks to the sprint, and blocks others until the transaction ends.
_HOLD_SPRINT: LiteralString = """
select 1 from sprints where project = %(project)s and code = %(code)s for update
"""
# The lock keeps the tasks from being reopened before the transaction ends.
_TASKS: LiteralString = """
select count(*) filter (where status = 4), count(*) filter (where status not in (4, 5)) from (
    select status from tasks
    where project = %(project)s and sprint_code = %(code)s and sprint_code <> '' and delete_time is null
    for share
) locked_tasks
"""


class EventBatch(NamedTuple):
    """The next events of a project.

    ``events`` has those of the requested types, each with its message and the scopes of its causers.
    """

    size: int
    more: bool
    """True if more events may follow."""
    last: Position
    events: Sequence[tuple[Position, bytes, str]]


def read_batch(
    conn: Connection,
    *,
    project: str,
    progress: LogPosition,
    types: Sequence[str],
    prefixes: Sequence[str],
    limit: int,
) -> EventBatch:
    """Return the next ``limit`` events below the horizon, or 4 MiB of the requested types.

    If the event at the position is done in part, the batch begins with it.
    """
    position = progress.position
    rows = conn.execute(
        _BATCH,
        {
            "project": project,
            "epoch": position.epoch,
            "xid": str(position.xid),
            "seq": position.seq - (progress.rule is not None),
            "types": TextArray(types),
            "prefixes": TextArray(prefix.replace("_", r"\_") + "%" for prefix in prefixes),
            "limit": limit,
            "bytes": pages.PAGE_BYTES,
        },
        name="automation.batch",
    ).fetchall()
    if not rows:
        return EventBatch(0, False, BEGINNING, ())
    events = [(Position(r[0], r[1], r[2]), r[3], r[4]) for r in rows if r[3] is not None]
    last = rows[-1]
    return EventBatch(last[5], last[6] or last[5] == limit, Position(last[0], last[1], last[2]), events)


def prepare(conn: Connection) -> Prepared[None]:
    """Read the database's clock for a write that only logs events."""
    row = conn.execute(_NOW, name="automation.now").fetchone()
    assert row is not None
    return prepared(row, {}, None)


def with_position(change: Change, to: LogPosition) -> Change:
    """Return the change with the move of the position, which the transaction has locked."""
    position = to.position
    return replace(
        change,
        sql=_MOVED + change.sql.removeprefix("changed ") + _BOTH,
        params=change.params
        | {
            "m_epoch": position.epoch,
            "m_xid": str(position.xid),
            "m_seq": position.seq,
            "m_rule": to.rule,
            "m_action": to.action,
        },
        expected=change.expected + 1,
    )


def advance(conn: Connection, *, project: str, start: LogPosition, position: Position) -> bool:
    """Move the position past events without actions. Return False if another runner has moved it."""
    params = {
        "project": project, "epoch": position.epoch, "xid": str(position.xid), "seq": position.seq,
        "s_epoch": start.position.epoch, "s_xid": str(start.position.xid), "s_seq": start.position.seq,
        "s_rule": start.rule, "s_action": start.action,
    }  # fmt: skip
    return conn.execute(_ADVANCE, params, name="automation.advance").rowcount == 1


def all_tasks_completed(conn: Connection, *, project: str, sprint: str) -> bool:
    """Return whether the sprint has a completed task and no open one. The transaction keeps it so."""
    params = {"project": project, "code": sprint}
    conn.execute(_HOLD_SPRINT, params, name="automation.all_tasks_completed")
    row = conn.execute(_TASKS, params, name="automation.all_tasks_completed").fetchone()
    return row is not None and row[0] > 0 and row[1] == 0
