"""The SQL of log times: marks that find the position at which the events of a time can begin."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from orchestration_server.db.connection import Connection
from orchestration_server.model import BEGINNING, EventFilter, Position
from orchestration_server.store.event_queries import IN_LOG, select
from orchestration_server.store.horizon import HORIZON

STEP = 5_000
"""The events from one mark to the next. A start by time reads up to this number in vain."""
_AFTER: LiteralString = """
    and (epoch, xid, seq) > ((select epoch from newest), (select xid from newest), (select seq from newest))
    and (epoch, xid) < ((select epoch from h), (select xid from h))"""
_MARK_HEAD: LiteralString = (
    HORIZON
    + """, newest as materialized (
    select epoch, xid, seq, latest from log_times where project = %(project)s
    union all select 0, '0'::xid8, 0, null
    order by epoch desc, xid desc, seq desc limit 1
), batch as materialized ("""
)
_MARK_TAIL: LiteralString = """)
insert into log_times (project, epoch, xid, seq, latest)
select %(project)s, b.epoch, b.xid, b.seq,
    greatest((select max(emit_time) from batch), (select latest from newest))
from batch b
where (select count(*) from batch) = %(limit)s::bigint
order by b.epoch desc, b.xid desc, b.seq desc limit 1
on conflict do nothing
"""
_BEFORE: LiteralString = """
select epoch, xid::text::bigint, seq from log_times
where project = %(project)s and latest < %(time)s::timestamptz
order by latest desc, epoch desc, xid desc, seq desc limit 1
"""


def mark(conn: Connection, *, project: str, step: int = STEP) -> bool:
    """Mark the latest time of the next ``step`` events below the horizon. Return False if there are fewer."""
    page = select(project, EventFilter()).in_log(
        "epoch, xid, seq, emit_time", _AFTER, IN_LOG, step, archived=True
    )
    row = conn.execute(
        _MARK_HEAD + page + _MARK_TAIL, {"project": project, "limit": step}, name="log_times.mark"
    )
    return row.rowcount == 1


def before(conn: Connection, *, project: str, time: datetime) -> Position:
    """Return a position before which no event was recorded at or after a time."""
    row = conn.execute(_BEFORE, {"project": project, "time": time}, name="log_times.before").fetchone()
    return Position(*row) if row else BEGINNING
