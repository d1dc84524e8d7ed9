"""The SQL of what request_ids were answered. They are written by writes.py alone."""

from __future__ import annotations

from typing import LiteralString

from orchestration_server.db.connection import Connection

_EXPIRE: LiteralString = """
delete from requests where ctid = any(array(
    select ctid from requests where create_time < now() - interval '24 hours'
    order by create_time limit %(limit)s::bigint for update skip locked))
"""


def expire(conn: Connection, *, limit: int) -> int:
    """Forgets answers that are older than 24 hours; how many it were, at most ``limit``."""
    return conn.execute(_EXPIRE, {"limit": limit}, name="requests.expire").rowcount
