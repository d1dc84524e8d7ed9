"""The time at which the ledger's Postgres came back, after which leases have a while for a heartbeat.

A restarted Postgres has a new start time. A standby that takes over has started long before, so the first
server that reaches it notes the time, before it uses the connection for anything else.
"""

from __future__ import annotations

from typing import LiteralString

from orchestration_server.db.connection import Connection

_NOTE: LiteralString = (
    "update log_state set node = %(node)s::text, back_time = clock_timestamp() where node <> %(node)s::text"
)
_READ: LiteralString = "select back_time::text from log_state"
_SET: LiteralString = "select set_config('orchestration.back_time', %(time)s::text, false)"


class Returns:
    """Tells new connections when their Postgres came back."""

    def __init__(self) -> None:
        self._known: tuple[str, str] = ("", "")
        """A Postgres and the time of its return."""

    def prepare(self, conn: Connection) -> None:
        """Set the time of the return in a new connection. Note it first if this Postgres is a new one."""
        node, time = self._known
        if node != conn.node:
            # Two statements: the second sees what another server noted while the first waited for its lock.
            conn.execute(_NOTE, {"node": conn.node}, name="returns.note")
            row = conn.execute(_READ, name="returns.read").fetchone()
            assert row is not None
            time = row[0]
            self._known = (conn.node, time)
        conn.execute(_SET, {"time": time}, name="returns.set")
