"""The SQL that says what the database is."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from orchestration_server.store.connection import Connection

_STATE: LiteralString = "select max(name), clock_timestamp() from migrations"


def state(conn: Connection) -> tuple[str, datetime]:
    """The name of the last migration, and the database's clock."""
    row = conn.execute(_STATE).fetchone()
    assert row is not None
    return row[0], row[1]
