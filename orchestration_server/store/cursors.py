"""The SQL of cursors: the condition for events that a reader has not seen."""

from __future__ import annotations

from typing import Any, LiteralString

from orchestration_server.db.arrays import BigintArray
from orchestration_server.model import Cursor

_AFTER: LiteralString = """
    and (epoch, xid, seq) > (%(s_epoch)s::integer, %(s_from_xid)s::text::xid8, %(s_from_seq)s::bigint)"""
# The case hides this condition from the planner (event_queries.py), which must use an index in log order.
_UNSEEN: LiteralString = """
    and case when (epoch, xid, seq) > (%(s_epoch)s::integer, %(s_xid)s::text::xid8, %(s_seq)s::bigint)
        or epoch = %(s_epoch)s::integer and xid::text::bigint = any(%(s_open)s::bigint[]) then true end"""
_FROM_TIME: LiteralString = " and case when emit_time >= %(s_time)s::timestamptz then true end"


def unseen(cursor: Cursor) -> LiteralString:
    """Return the condition for the events that a cursor takes. ``params`` returns its parameters."""
    bounds = _AFTER
    if cursor.open:
        bounds += _UNSEEN
    if cursor.from_time is not None:
        bounds += _FROM_TIME
    return bounds


def params(cursor: Cursor) -> dict[str, Any]:
    """Return the parameters of the condition of ``unseen``."""
    at, start = cursor.position, cursor.start
    found: dict[str, Any] = {
        "s_epoch": at.epoch, "s_xid": str(at.xid), "s_seq": at.seq,
        "s_from_xid": str(start.xid), "s_from_seq": start.seq,
    }  # fmt: skip
    if cursor.open:
        found["s_open"] = BigintArray(cursor.open)
    if cursor.from_time is not None:
        found["s_time"] = cursor.from_time
    return found
